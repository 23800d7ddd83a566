//! What do other proxies leave in place? Starts those that are installed, each with its configuration of `deploy/moving.md`, and
//! headsnip, before an origin that names itself in every head, and prints which heads still say so.
//!
//! ```sh
//! cargo run --release --example heads
//! ```
//!
//! Envoy is looked for in the path, or where `ENVOY` says.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headsnip::config::Config;
use headsnip::http1::Upgrades;
use headsnip::proxy::Proxy;

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer is over when nothing more comes for so long.
const SILENCE: Duration = Duration::from_millis(700);

/// A head: its name, the request that brings it, and its status.
struct Case {
    name: &'static str,
    request: &'static str,
    status: &'static str,
}

const CASES: [Case; 9] = [
    Case { name: "200", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", status: "200" },
    Case { name: "HEAD", request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", status: "200" },
    Case { name: "404", request: "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", status: "404" },
    Case {
        name: "100 Continue",
        request: "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        status: "100",
    },
    Case { name: "103 Early Hints", request: "GET /hints HTTP/1.1\r\nHost: a\r\n\r\n", status: "103" },
    Case {
        name: "101 (WebSocket)",
        request: "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aGVhZHNuaXAgcHJvYmUuLg==\r\n\r\n",
        status: "101",
    },
    Case {
        name: "trailer section",
        request: "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
        status: "200",
    },
    Case { name: "its own 400", request: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", status: "400" },
    Case { name: "its own 5xx", request: "GET /drop HTTP/1.1\r\nHost: a\r\n\r\n", status: "5" },
];

fn main() -> Result<(), Box<dyn Error>> {
    let origin = TcpListener::bind("127.0.0.1:0")?;
    let address = origin.local_addr()?;
    std::thread::spawn(move || {
        for client in origin.incoming().flatten() {
            std::thread::spawn(move || drop(answer(client)));
        }
    });
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/moving.md");
    let page = fs::read_to_string(page)?;
    let folder = std::env::temp_dir().join(format!("headsnip-heads-{}", std::process::id()));
    fs::create_dir_all(&folder)?;

    let mut columns = vec![("headsnip".to_owned(), of_headsnip(address)?)];
    for (name, language) in [("nginx", "nginx"), ("HAProxy", "haproxy"), ("Envoy", "yaml")] {
        match Peer::start(name, &configuration(&page, language)?, address, &folder)? {
            Some(peer) => {
                columns.push((name.to_owned(), CASES.iter().map(|case| judge(name, peer.address, case)).collect()));
            }
            None => eprintln!("left out, since it is not installed: {name}"),
        }
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    println!("| head | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (place, case) in CASES.iter().enumerate() {
        let cells: Vec<&str> = columns.iter().map(|(_, cells)| cells[place].as_str()).collect();
        println!("| {} | {} |", case.name, cells.join(" | "));
    }
    fs::remove_dir_all(folder)?;
    let is_clean = columns[0].1.iter().all(|cell| matches!(cell.as_str(), "removed" | "names nobody"));
    if is_clean { Ok(()) } else { Err("headsnip leaves something in place".into()) }
}

fn of_headsnip(origin: SocketAddr) -> Result<Vec<String>, Box<dyn Error>> {
    let mut config = Config::new("127.0.0.1:0".parse()?, origin.into());
    config.policy.upgrades = Upgrades::new(["websocket"]).ok_or("one is not too many")?;
    let proxy = Proxy::bind(config)?;
    let (address, handle) = (proxy.address().to_string().parse()?, proxy.handle());
    let running = std::thread::spawn(move || proxy.run(std::future::pending()));
    let cells = CASES.iter().map(|case| judge("headsnip", address, case)).collect();
    handle.cut();
    running.join().map_err(|_| "the proxy panicked")??;
    Ok(cells)
}

/// The configuration of the page in that language.
fn configuration(page: &str, language: &str) -> Result<String, String> {
    let block = page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
    block.map(str::to_owned).ok_or_else(|| format!("deploy/moving.md has no block of {language}"))
}

/// Another proxy, ended when dropped.
struct Peer {
    process: Child,
    address: SocketAddr,
}

impl Peer {
    /// Starts it with a configuration in which its own address and the origin's are replaced. `None`: it is not installed.
    fn start(
        name: &str,
        configuration: &str,
        origin: SocketAddr,
        folder: &Path,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let text =
            configuration.replace("8080", &address.port().to_string()).replace("3000", &origin.port().to_string());
        let file = folder.join(format!("{name}.conf{}", if name == "Envoy" { ".yaml" } else { "" }));
        fs::write(&file, text)?;
        let program = match name {
            "nginx" => PathBuf::from("nginx"),
            "HAProxy" => "haproxy".into(),
            _ => std::env::var_os("ENVOY").unwrap_or_else(|| "envoy".into()).into(),
        };
        let mut command = Command::new(program);
        match name {
            "nginx" => {
                command.arg("-p").arg(folder).args(["-g", "daemon off; pid nginx.pid; error_log nginx.log;", "-c"])
            }
            "HAProxy" => command.args(["-db", "-q", "-f"]),
            _ => command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]),
        };
        let log = fs::File::create(folder.join("log"))?;
        let spawned = command.arg(&file).stdout(Stdio::null()).stderr(log).spawn();
        let process = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let mut peer = Self { process, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end || peer.process.try_wait()?.is_some() {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("{name} does not listen: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(peer))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // By the usual signal, so that it ends its own children.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// What became of a head.
fn judge(name: &str, proxy: SocketAddr, case: &Case) -> String {
    let told = ask(proxy, case.request).unwrap_or_default();
    let is_own = case.name.starts_with("its own");
    let told = String::from_utf8_lossy(&told).into_owned();
    let statuses: Vec<&str> =
        told.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.split(' ').next()).collect();
    let names_itself =
        told.lines().find(|line| line.to_ascii_lowercase().starts_with("server:") && !line.contains("leak-"));
    let body = told.split("\r\n\r\n").nth(1).unwrap_or_default().to_ascii_lowercase();
    if told.contains("leak-") {
        "**leaks**".into()
    } else if let Some(line) = names_itself {
        format!("**says** `{}`", line.trim())
    } else if is_own && body.contains(&name.to_ascii_lowercase()) {
        "**its page says** so".into()
    } else if !statuses.iter().any(|status| status.starts_with(case.status)) {
        match statuses.first() {
            Some(status) => format!("not passed on ({status})"),
            None => "closes".into(),
        }
    } else if matches!(case.status, "100" | "103") && statuses.len() < 2 {
        "**breaks**: no final response".into()
    } else if case.name == "trailer section" && !told.to_ascii_lowercase().contains("x-kept: a") {
        "all trailers are dropped".into()
    } else {
        (if is_own { "names nobody" } else { "removed" }).into()
    }
}

fn ask(proxy: SocketAddr, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut told = Vec::new();
    let mut room = [0; 4096];
    let mut body = if request.contains("Expect: ") { &b"{}"[..] } else { b"" };
    loop {
        match stream.read(&mut room) {
            Ok(0) => return Ok(told),
            Ok(count) => told.extend_from_slice(&room[..count]),
            // Nothing more comes: the body is sent all the same (RFC 9110 §10.1.1), or that was all.
            Err(_) if body.is_empty() => return Ok(told),
            Err(_) => {}
        }
        stream.write_all(std::mem::take(&mut body))?;
    }
}

/// The origin: it names itself in every head.
fn answer(mut client: TcpStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut unread = Vec::new();
    let mut room = [0; 4096];
    loop {
        while !unread.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let count = client.read(&mut room)?;
            if count == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&room[..count]);
        }
        let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(unread.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&unread.drain(..end).collect::<Vec<_>>()).to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let last = "Server: leak-final\r\nContent-Length: 2\r\n\r\n";
        let body = if head.starts_with("head ") { "" } else { "ok" };
        let told = match path {
            "/drop" => return Ok(()),
            "/missing" => format!("HTTP/1.1 404 Not Found\r\n{last}{body}"),
            "/hints" => {
                format!(
                    "HTTP/1.1 103 Early Hints\r\nServer: leak-103\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n{last}{body}"
                )
            }
            "/ws" => {
                "HTTP/1.1 101 Switching Protocols\r\nServer: leak-101\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: 4kNmW+5ifZGKxPmsaMo8BWCEDMU=\r\n\r\n"
                    .into()
            }
            "/trailers" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server, X-Kept\r\n\r\n2\r\nok\r\n0\r\n\
                            Server: leak-trailer\r\nX-Kept: a\r\n\r\n"
                    .into()
            }
            _ => format!("HTTP/1.1 200 OK\r\n{last}{body}"),
        };
        if head.contains("expect: 100-continue") {
            client.write_all(b"HTTP/1.1 100 Continue\r\nServer: leak-100\r\n\r\n")?;
        }
        if head.starts_with("post ") {
            while unread.len() < 2 {
                let count = client.read(&mut room)?;
                if count == 0 {
                    return Ok(());
                }
                unread.extend_from_slice(&room[..count]);
            }
            unread.drain(..2);
        }
        client.write_all(told.as_bytes())?;
    }
}

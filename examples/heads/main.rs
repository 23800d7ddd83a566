//! What do other proxies leave in place? Starts those that are installed, each with its configuration of `deploy/moving.md`, and
//! headsnip, before an origin that names itself in every head, and prints which heads still say so. Fails if headsnip leaves one, or if the
//! tables of the pages say otherwise of the same versions.
//!
//! ```sh
//! cargo run --example heads
//! ```
//!
//! Envoy is looked for in the path, or where `ENVOY` says.

mod origin;
mod pages;
mod peer;

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use headsnip::config::Config;
use headsnip::proxy::Proxy;
use peer::Peer;

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
            std::thread::spawn(move || drop(origin::answer(client)));
        }
    });
    let page = pages::read("deploy/moving.md")?;
    let folder = std::env::temp_dir().join(format!("headsnip-heads-{}", std::process::id()));
    fs::create_dir_all(&folder)?;

    let mut columns = vec![of_headsnip(address)?];
    for (name, language) in [("nginx", "nginx"), ("HAProxy", "haproxy"), ("Envoy", "yaml")] {
        match Peer::start(name, &pages::configuration(&page, language)?, address, &folder)? {
            Some(peer) => {
                let cells = CASES.iter().map(|case| judge(name, peer.address, case)).collect();
                columns.push(Column { name, version: peer::version(name)?, cells });
            }
            None => eprintln!("left out, since it is not installed: {name}"),
        }
    }
    fs::remove_dir_all(folder)?;
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    println!("| head | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (place, case) in CASES.iter().enumerate() {
        let cells: Vec<&str> = columns.iter().map(|column| column.cells[place].as_str()).collect();
        println!("| {} | {} |", case.name, cells.join(" | "));
    }
    let versions: Vec<String> = columns.iter().map(|column| format!("{} {}", column.name, column.version)).collect();
    println!("\nOf {}.", versions.join(", "));
    let is_clean = columns[0].cells.iter().all(|cell| matches!(cell.as_str(), "removed" | "names nobody"));
    if !is_clean {
        return Err("headsnip leaves something in place".into());
    }
    pages::compare("README.md", &columns)
}

/// What became of each head behind one proxy.
struct Column {
    name: &'static str,
    version: String,
    /// In the order of [`CASES`].
    cells: Vec<String>,
}

fn of_headsnip(origin: SocketAddr) -> Result<Column, Box<dyn Error>> {
    let proxy = Proxy::bind(Config::new("127.0.0.1:0".parse()?, origin.into()), Arc::new(()))?;
    let (address, handle) = (proxy.address().to_string().parse()?, proxy.handle());
    let running = std::thread::spawn(move || proxy.run(std::future::pending()));
    let cells = CASES.iter().map(|case| judge("headsnip", address, case)).collect();
    handle.cut();
    running.join().map_err(|_| "the proxy panicked")??;
    Ok(Column { name: "headsnip", version: env!("CARGO_PKG_VERSION").into(), cells })
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

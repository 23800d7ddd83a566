//! Shows what headsnip does: an origin inside this process that leaks its name in every place a response has for it, and
//! headsnip in front. The same requests are made to both; the heads are printed side by side, and all bytes are compared.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use headsnip::config::Config;
use headsnip::proxy::Proxy;

/// No read of the demonstration waits longer.
const LIMIT: Duration = Duration::from_secs(10);

/// The width of a column in characters.
const COLUMN: usize = 46;

const REQUESTS: [(&str, &str); 4] = [
    ("a page with early hints", "GET /hints HTTP/1.1"),
    ("a chunked stream with a trailer section", "GET /stream HTTP/1.1"),
    ("what is not there", "GET /missing HTTP/1.1"),
    ("only the head", "HEAD /hints HTTP/1.1"),
];

fn main() -> ExitCode {
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let origin = listener.local_addr()?;
    std::thread::spawn(move || listener.incoming().flatten().for_each(|client| drop(answer(client))));

    let proxy = Proxy::bind(Config::new("127.0.0.1:0".parse()?, origin.into()), Arc::new(()))?;
    let headsnip: SocketAddr = proxy.address().to_string().parse()?;
    let handle = proxy.handle();
    let running = std::thread::spawn(move || proxy.run(std::future::pending()));

    println!("origin on {origin}, headsnip on {headsnip}, removing Server and X-Powered-By\n");
    let (mut compared, mut removed) = (0, 0);
    for (what, request_line) in REQUESTS {
        let direct = fetch(origin, request_line)?;
        let through = fetch(headsnip, request_line)?;
        println!("{what}: {request_line}");
        removed += show(&direct, &through);
        if without_denied_lines(&direct) != through {
            return Err(format!("{request_line}: a byte differs that should not").into());
        }
        compared += through.len();
    }
    handle.cut();
    running.join().map_err(|_| "the proxy panicked")??;
    println!("{removed} lines removed; the other {compared} bytes, bodies and chunk framing included, are equal.");
    Ok(())
}

/// The origin: one request a connection.
fn answer(mut client: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut room = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let count = client.read(&mut room)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&room[..count]);
    }
    let leak = "Server: LeakyServer/4.2 (build 1138)\r\n";
    let hints = format!("HTTP/1.1 103 Early Hints\r\n{leak}Link: </style.css>; rel=preload\r\n\r\n");
    let body = "Server: a line of a body stays.\n";
    let page = format!(
        "HTTP/1.1 200 OK\r\n{leak}Content-Type: text/plain\r\nX-Powered-By: PHP/5.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let response = if request.starts_with(b"GET /hints ") {
        format!("{hints}{page}{body}")
    } else if request.starts_with(b"HEAD /hints ") {
        page
    } else if request.starts_with(b"GET /stream ") {
        format!(
            "HTTP/1.1 200 OK\r\nx-powered-by: PHP/5.4\r\nTransfer-Encoding: chunked\r\nTrailer: Server, Digest\r\n\
             Connection: close\r\n\r\n6;n=1\r\nfirst \r\nb\r\nand second.\r\n0\r\n{leak}Digest: md5=x\r\n\r\n"
        )
    } else {
        format!("HTTP/1.1 404 Not Found\r\nserver:LeakyServer\r\n{leak}Content-Length: 0\r\nConnection: close\r\n\r\n")
    };
    client.write_all(response.as_bytes())
}

fn fetch(address: SocketAddr, request_line: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "{request_line}\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(response)
}

/// A line of a response, and whether it stands in a head or a trailer section.
fn lines(response: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut in_head = true;
    let mut interim = false;
    response.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let told = (line, in_head);
        if line.starts_with(b"HTTP/1.1 ") {
            interim = line.starts_with(b"HTTP/1.1 1");
        } else if in_head && line == b"\r\n" {
            in_head = interim;
        } else if !in_head && line == b"0\r\n" {
            // The last chunk: the trailer section follows.
            in_head = true;
        }
        told
    })
}

fn is_denied((line, in_head): &(&[u8], bool)) -> bool {
    let line = line.to_ascii_lowercase();
    *in_head && (line.starts_with(b"server:") || line.starts_with(b"x-powered-by:"))
}

fn without_denied_lines(response: &[u8]) -> Vec<u8> {
    lines(response).filter(|line| !is_denied(line)).flat_map(|(line, _)| line).copied().collect()
}

/// Prints both responses side by side; tells how many lines went.
fn show(direct: &[u8], through: &[u8]) -> usize {
    println!("  {:COLUMN$}| through headsnip", "from the origin");
    println!("  {:-<COLUMN$}+{:-<COLUMN$}", "", "");
    let mut passed = lines(through).map(|(line, _)| line);
    let mut removed = 0;
    for line in lines(direct) {
        let left = String::from_utf8_lossy(line.0.trim_ascii_end());
        if is_denied(&line) {
            removed += 1;
            println!("✂ {left:COLUMN$}|");
        } else {
            let right = String::from_utf8_lossy(passed.next().unwrap_or_default().trim_ascii_end());
            println!("  {left:COLUMN$}| {right}");
        }
    }
    println!();
    removed
}

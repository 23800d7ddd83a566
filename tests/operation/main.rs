//! What an operator sees, of the binary as a process of its own: the admin listener, the logs, a dry run, the subcommands.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod dry_run;
mod logs;
mod metrics;
mod probe;
#[cfg(feature = "https")]
mod probe_https;
mod subcommands;

use std::net::TcpStream;
use std::process::{Command, Output};

use ::headsnip::net::address::Address;
use support::headsnip::Headsnip;
use support::{Origin, Peer, exchange_once};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const LEAKY: &str = "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Length: 2\r\n\r\nok";
const STRIPPED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// headsnip with an admin listener, and where that is.
fn with_admin(origin: &Origin, flags: &[&str]) -> (Headsnip, String) {
    with_admin_before(&origin.address(), flags)
}

/// The same, before what is no origin.
fn with_admin_before(upstream: &Address, flags: &[&str]) -> (Headsnip, String) {
    let proxy = Headsnip::start(upstream, &[flags, &["--admin", "127.0.0.1:0"]].concat());
    let address = admin_of(&proxy);
    (proxy, address)
}

fn admin_of(proxy: &Headsnip) -> String {
    let line = proxy.await_line("admin on ");
    // In JSON, more follows.
    let address = line.split("admin on ").nth(1).unwrap_or_default();
    address.chars().take_while(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ':')).collect()
}

/// The head and the body of an answer of the admin listener.
fn ask(admin: &str, method: &str, path: &str) -> (String, String) {
    let mut peer = Peer::new(TcpStream::connect(admin).expect("the admin listener listens"));
    peer.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let answer = plain(peer.read_to_end().0);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (head.to_owned(), body.to_owned())
}

/// One exchange on a connection of its own; gives what the client was sent.
fn exchange(proxy: &Headsnip, origin: &Origin, request: &str, response: &str) -> String {
    plain(exchange_once(proxy.dial(), origin, request, response))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headsnip")).args(arguments).output().expect("the binary runs")
}

/// What it printed.
fn said(output: &Output) -> String {
    plain([&output.stdout[..], &output.stderr].concat())
}

fn plain(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

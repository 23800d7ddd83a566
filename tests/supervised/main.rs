//! What whoever starts the binary hands it, and is told in return: permissions of a socket file, sockets of systemd, words to systemd.

#[path = "../support/mod.rs"]
mod support;

mod container;
mod listening;
mod passed;
mod told;
mod vanished;

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::Peer;

const BINARY: &str = env!("CARGO_BIN_EXE_headsnip");
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A path of this process's own.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("headsnip-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// The binary, to which one or two sockets are passed as systemd does: by the numbers from 3 on. A shell moves them there from where a child
/// can be given them.
fn given(first: impl Into<OwnedFd>, second: Option<OwnedFd>, names: &str) -> Command {
    let mut command = Command::new("sh");
    let (moves, count) = if second.is_some() { ("3<&0 4<&1 1>&2", 2) } else { ("3<&0", 1) };
    let script =
        format!("exec {moves} </dev/null; LISTEN_FDS={count} LISTEN_FDNAMES={names} LISTEN_PID=$$ exec \"$@\"");
    command.args(["-c", &script, "sh", BINARY]).stdin(Stdio::from(first.into()));
    if let Some(second) = second {
        command.stdout(Stdio::from(second));
    }
    command
}

/// One exchange on a new connection, with an origin that answers each request.
fn is_answered(address: std::net::SocketAddr) {
    let mut client = Peer::new(TcpStream::connect(address).expect("it listens"));
    client.send(GET);
    client.expect(OK);
}

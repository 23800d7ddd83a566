//! What SIGTERM and SIGINT do to the binary: who is still served, who is told to go, who is cut, and what is said of it.

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod ends;
mod heads;
mod idle;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use support::headsnip::{Headsnip, until};
use support::{Ended, LIMIT, Origin, Peer};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\nok";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The same with the drain line.
const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What the last line of the log counts.
#[derive(Debug)]
struct Drained {
    finished: usize,
    cut: usize,
}

/// The next origin connection that carries a GET.
fn asked(listener: &Origin) -> Peer {
    let mut origin = listener.accept_speaking();
    origin.expect(GET);
    origin
}

/// A client and its origin connection, on which one exchange has been had.
fn connect(proxy: &Headsnip, listener: &Origin) -> (Peer, Peer) {
    let mut client = proxy.dial();
    client.send(GET);
    let mut origin = asked(listener);
    origin.send(ANSWER);
    client.expect(OK);
    (client, origin)
}

/// One more exchange on a connection.
fn exchange(client: &mut Peer, origin: &mut Peer, seen: &str) {
    client.send(GET);
    origin.expect(GET);
    origin.send(ANSWER);
    client.expect(seen);
}

/// The last exchange of a drain: the line, then the end.
fn last_exchange(client: &mut Peer, origin: &mut Peer) {
    exchange(client, origin, LAST);
    client.expect_end("", Ended::Fin);
}

/// A connection, unless it is refused.
fn dial(port: u16) -> Option<Peer> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        // Where nobody listens, the kernel can connect a socket to itself.
        Ok(stream) if stream.local_addr().ok() == stream.peer_addr().ok() => None,
        Ok(stream) => Some(Peer::new(stream)),
        // The listener closed as the handshake went on: then the next one is refused.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            let again = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.kind());
            assert_eq!(again.err(), Some(ErrorKind::ConnectionRefused), "reset, though it still listens");
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
            None
        }
    }
}

/// Waits until the listener has closed. Each look is a connection that may count as finished.
fn await_refusal(proxy: &Headsnip) {
    until(LIMIT, "the listener to close", || dial(proxy.port()).is_none().then_some(()));
}

/// Waits for the end: exit code 0, and a last line that counts.
fn drained(proxy: Headsnip) -> Drained {
    let (status, log) = proxy.wait(LIMIT);
    assert_eq!(status.code(), Some(0), "{log:#?}");
    let last = log.last().expect("a log");
    counts(last).unwrap_or_else(|| unreachable!("the last line is {last:?}"))
}

/// Of a line `headsnip: drained: N connections finished, M cut`.
fn counts(line: &str) -> Option<Drained> {
    let (finished, cut) = line.strip_prefix("headsnip: drained: ")?.split_once(", ")?;
    let finished = finished.strip_suffix(" finished")?.split(' ').next()?.parse().ok()?;
    let cut = cut.strip_suffix(" cut")?.parse().ok()?;
    Some(Drained { finished, cut })
}

/// Sends the signal and waits until the log says so.
fn signal(proxy: &Headsnip, name: &str) -> Instant {
    let at = Instant::now();
    proxy.signal(name);
    proxy.await_line(&format!("headsnip: SIG{name}: draining; "));
    at
}

/// "If nothing is left it ends at once", and after the delay.
#[test]
fn with_no_client_it_ends_after_the_delay() {
    let origin = Origin::new();
    for (flags, delay) in [(["--drain-delay", "0s"], Duration::ZERO), (["--drain-delay", "1s"], Duration::from_secs(1))]
    {
        let proxy = Headsnip::start(&origin.address(), &flags);
        let at = signal(&proxy, "TERM");
        let drained = drained(proxy);
        assert!(at.elapsed() >= delay, "ended after {:?}", at.elapsed());
        assert!(at.elapsed() < delay + Duration::from_secs(5), "ended after {:?}", at.elapsed());
        assert_eq!((drained.finished, drained.cut), (0, 0));
    }
}

/// `unix:/path`: the socket file goes with the listener.
#[test]
fn a_unix_socket_file_is_gone_after_the_drain() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drain-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for sockets");
    let (front, back) = (folder.join("front"), folder.join("back"));
    let origin = std::os::unix::net::UnixListener::bind(&back).expect("a socket file");
    let upstream = format!("unix:{}", back.display()).parse().expect("an address");
    let listen = format!("unix:{}", front.display());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let proxy = Headsnip::start_at(&listen, &mut command, &upstream, &["--drain-delay", "0s"]);
    let mut client = std::os::unix::net::UnixStream::connect(&front).expect("the proxy listens");
    support::exchange_on_unix(&mut client, &origin, GET, OK);
    signal(&proxy, "TERM");
    let refused = || std::os::unix::net::UnixStream::connect(&front).is_err().then_some(());
    until(LIMIT, "the listener to close", refused);
    drop(client);
    assert_eq!(drained(proxy).cut, 0);
    assert!(!front.exists(), "the socket file is still there");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

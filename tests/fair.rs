//! "No client delays another by more than one bounded turn, and no direction of a connection starves the other."
//!
//! Times are compared with those of the same clients and the same floods without the proxy, in the same run.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

use headsnip::net::address::Address;
use support::headsnip::Headsnip;
use support::{LIMIT, Origin, Peer, body};

const FLOODS: usize = 8;
const EXCHANGES: usize = 100;
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Times are told by one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What a flood consists of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Download,
    ChunksDown,
    ChunksUp,
    Tunnel,
}

impl Kind {
    fn request(self) -> &'static str {
        match self {
            Self::Download => "GET /download HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::ChunksDown => "GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::ChunksUp => "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            Self::Tunnel => UPGRADE,
        }
    }

    /// Floods until the connection is closed.
    fn flood(self, stream: &TcpStream) {
        match self {
            Self::Download | Self::ChunksDown => read_all(stream),
            Self::ChunksUp => write_all(stream, &b"1\r\na\r\n".repeat(8192)),
            Self::Tunnel => both_ways(stream),
        }
    }
}

fn read_all(mut stream: &TcpStream) {
    let mut room = vec![0; 64 * 1024];
    while stream.read(&mut room).is_ok_and(|count| count > 0) {}
}

fn write_all(mut stream: &TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

fn both_ways(stream: &TcpStream) {
    scope(|scope| {
        scope.spawn(|| read_all(stream));
        write_all(stream, &body(64 * 1024));
    });
}

/// An origin that floods as it is asked to, and answers what else it is asked.
fn origin() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").into();
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(mut stream: &TcpStream) {
    stream.set_nodelay(true).expect("a TCP option");
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|count| count > 0) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_for = |target: &str| head.split(|byte| *byte == b' ').nth(1) == Some(target.as_bytes());
        // Who asked may be gone.
        if is_for("/download") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000\r\n\r\n");
            return write_all(stream, &body(64 * 1024));
        } else if is_for("/chunks") {
            let _ = stream.write_all(CHUNKED.as_bytes());
            return write_all(stream, &b"1\r\na\r\n".repeat(8192));
        } else if is_for("/read") {
            return read_all(stream);
        } else if is_for("/switch") {
            let _ = stream.write_all(SWITCHED.as_bytes());
            return both_ways(stream);
        }
        let _ = stream.write_all(OK.as_bytes());
        head.clear();
    }
}

fn dial(port: u16) -> Peer {
    Peer::new(TcpStream::connect(("127.0.0.1", port)).expect("it listens"))
}

/// Connections that are shut when dropped, a test's failure being what drops them: floods end with theirs.
struct Shut<'s>(&'s [TcpStream]);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        for stream in self.0 {
            // It may have ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The usual time of a small exchange beside floods of a kind.
fn beside_floods(port: u16, kind: Kind) -> Duration {
    let streams = [(); FLOODS].map(|()| {
        let mut client = dial(port);
        client.send(kind.request());
        client.into_stream()
    });
    scope(|scope| {
        let _shut = Shut(&streams);
        for stream in &streams {
            scope.spawn(|| kind.flood(stream));
        }
        let mut client = dial(port);
        sleep(Duration::from_millis(200));
        let times = (0..EXCHANGES).map(|_| {
            let begun = Instant::now();
            client.send(GET);
            client.expect(OK);
            begun.elapsed()
        });
        median(times.collect())
    })
}

fn a_bystander_beside(kind: Kind) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let origin = origin();
    let Address::Tcp { port, .. } = origin else { unreachable!("it has a port") };
    let proxy = Headsnip::start(&origin, &[]);
    let direct = beside_floods(port, kind);
    let through = beside_floods(proxy.port(), kind);
    println!("an exchange beside {FLOODS} floods by {kind:?} takes {direct:?} direct, {through:?} through the proxy");
    assert!(through < direct * 20 + Duration::from_millis(30), "{kind:?}: {direct:?} direct, {through:?} through");
}

#[test]
fn a_bystander_is_served_beside_bulk_downloads() {
    a_bystander_beside(Kind::Download);
}

#[test]
fn a_bystander_is_served_beside_small_chunks_to_clients() {
    a_bystander_beside(Kind::ChunksDown);
}

#[test]
fn a_bystander_is_served_beside_small_chunks_from_clients() {
    a_bystander_beside(Kind::ChunksUp);
}

#[test]
fn a_bystander_is_served_beside_tunnels() {
    a_bystander_beside(Kind::Tunnel);
}

/// The origin floods one-byte chunks, and meanwhile the client's single bytes reach it.
#[test]
fn a_flooded_client_is_heard() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let mut client = proxy.dial();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {EXCHANGES}\r\n\r\n");
    client.send(&head);
    let mut origin = listener.accept();
    origin.expect(&head);
    origin.send(CHUNKED);
    let flooded = AtomicUsize::new(0);
    let streams = [origin.twin().into_stream(), client.twin().into_stream()];
    let times = scope(|scope| {
        let _shut = Shut(&streams);
        let [mut flooding, reading] = streams.each_ref();
        let flooded = &flooded;
        scope.spawn(move || {
            let chunks = b"1\r\na\r\n".repeat(4096);
            while flooding.write_all(&chunks).is_ok() {
                flooded.fetch_add(4096, Ordering::Relaxed);
            }
        });
        scope.spawn(|| read_all(reading));
        // It floods before the first byte, and before each.
        let times = (0..EXCHANGES).map(|_| {
            let before = flooded.load(Ordering::Relaxed);
            support::headsnip::until(LIMIT, "more of the flood", || {
                (flooded.load(Ordering::Relaxed) > before).then_some(())
            });
            let begun = Instant::now();
            client.send("a");
            origin.expect("a");
            begun.elapsed()
        });
        times.collect::<Vec<_>>()
    });
    let (usual, worst) = (median(times.clone()), times.iter().max());
    println!("a byte takes {usual:?}, at worst {worst:?}, beside {} chunks", flooded.load(Ordering::Relaxed));
    assert!(usual < Duration::from_millis(50), "a byte takes {usual:?} beside the flood");
}

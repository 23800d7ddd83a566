//! Origins that read requests otherwise than RFC 9112 does, over real sockets: what a client must never see whatever they do.
//!
//! The cases are those of the fuzz target `origin`, by number: `OTHERWISE_SEEDS=5000-9000 cargo test --release --test otherwise` runs more of them.
//! And a relay that does not judge, under which the same cases fail: they can.

mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use headsnip::config::Timeouts;
use headsnip::testing::otherwise::{Action, Broken, Case, Connection, Piece, Server, Timing, input};
use socket2::SockRef;
use support::{Running, timeouts};

/// How long a proxy here waits for anything.
const SHORT: Duration = Duration::from_millis(150);

/// When nothing has come for so long, nothing moves.
const QUIET: Duration = Duration::from_millis(15);

/// No case takes longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Cases that run beside each other: most of them wait.
const LANES: u64 = 16;

fn hasty() -> Timeouts {
    timeouts(|Timeouts { connect, head, idle, exchange, .. }| {
        for limit in [connect, head, idle, exchange] {
            *limit = SHORT;
        }
    })
}

/// What went wrong in which case.
type Failures = BTreeMap<u64, Vec<Broken>>;

/// Runs the cases through what `connect` gives the address of, between a client and that origin.
fn run(seeds: Range<u64>, through: impl Fn(&Case, SocketAddr, &mut dyn FnMut(SocketAddr)) + Sync) -> Failures {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Failures::new());
    let lane = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let case = Case::of(&input(seed));
            let begun = Instant::now();
            let origin = Origin::start(case.server.clone());
            let mut received = Vec::new();
            through(&case, origin.address, &mut |address| received = talk(&case, address));
            drop(origin);
            assert!(begun.elapsed() < LIMIT, "seed {seed} took {:?}", begun.elapsed());
            let broken = case.broken(&received, Timing::Unsure);
            if !broken.is_empty() {
                failures.lock().expect("no lane panics with it").insert(seed, broken);
            }
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    failures.into_inner().expect("no lane panicked")
}

/// Sends what the client of the case sends, and gives what it was sent.
fn talk(case: &Case, address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a TCP option");
    let mut received = Vec::new();
    let mut is_over = false;
    for piece in &case.pieces {
        match piece {
            // Who answers and closes takes no more.
            Piece::Bytes(bytes) => is_over |= stream.write_all(bytes).is_err(),
            Piece::Turn => is_over |= listen(&mut stream, QUIET, &mut received),
            Piece::Await(count) => {
                while !is_over && case.answered(&received) < *count {
                    is_over = listen(&mut stream, SHORT * 4, &mut received) || case.answered(&received) < *count;
                }
                is_over |= listen(&mut stream, QUIET, &mut received);
            }
            // It may have been closed already.
            Piece::Fin => drop(stream.shutdown(Shutdown::Write)),
            Piece::Reset => {
                listen(&mut stream, QUIET, &mut received);
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
                return received;
            }
        }
        if is_over {
            break;
        }
    }
    if !is_over && !listen(&mut stream, SHORT * 3, &mut received) {
        drop(stream.shutdown(Shutdown::Write));
    }
    listen(&mut stream, SHORT * 3, &mut received);
    received
}

/// Reads until nothing comes for so long. Tells whether the connection has ended.
fn listen(stream: &mut TcpStream, limit: Duration, received: &mut Vec<u8>) -> bool {
    stream.set_read_timeout(Some(limit)).expect("a time limit");
    let mut room = [0; 16 * 1024];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return true,
            Ok(count) => received.extend_from_slice(&room[..count]),
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// An origin of the case, until dropped.
struct Origin {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Origin {
    fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let (server, ends) = (Arc::new(Mutex::new(server)), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let (server, ends) = (Arc::clone(&server), Arc::clone(&ends));
                thread::spawn(move || serve(stream, &server, &ends));
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

/// Hears and does what an origin does on a connection.
fn serve(mut stream: TcpStream, server: &Mutex<Server>, is_over: &AtomicBool) {
    stream.set_nodelay(true).expect("a TCP option");
    let mut connection = Connection::default();
    let mut has_ended = false;
    while !is_over.load(Ordering::Relaxed) {
        let mut bytes = Vec::new();
        if !has_ended && listen(&mut stream, Duration::from_millis(2), &mut bytes) {
            has_ended = true;
        }
        server.lock().expect("no connection panics with it").hear(&mut connection, &bytes);
        if has_ended {
            connection.hear_end();
        }
        for action in connection.act() {
            let done = match action {
                Action::Say(bytes) => stream.write_all(&bytes),
                Action::Turn | Action::More => Ok(()),
                Action::Fin => stream.shutdown(Shutdown::Write),
                Action::Reset => {
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
                    return;
                }
            };
            if done.is_err() {
                return;
            }
        }
        if has_ended {
            return;
        }
    }
}

/// A relay that does not judge: each client has an origin connection, and bytes go to and fro.
fn relay(origin: SocketAddr, of_origin: fn(Vec<u8>) -> Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let client = listener.accept().expect("a client").0;
        let origin = TcpStream::connect(origin).expect("the origin listens");
        let twin = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
        let (from, to) = (twin(&client), twin(&origin));
        let inbound = thread::spawn(move || copy(from, to, |bytes| bytes));
        copy(origin, client, of_origin);
        drop(inbound.join());
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, change: fn(Vec<u8>) -> Vec<u8>) {
    from.set_read_timeout(Some(SHORT * 2)).expect("a time limit");
    to.set_nodelay(true).expect("a TCP option");
    let mut room = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut room)
        && to.write_all(&change(room[..count].to_vec())).is_ok()
    {}
    // The other direction may have ended it.
    drop(to.shutdown(Shutdown::Both));
}

/// Takes the usual denied lines from whatever begins like a head: what a relay does that trusts the origin to say one thing at a time.
fn naive(bytes: Vec<u8>) -> Vec<u8> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let Some((head, rest)) = text.split_once("\r\n\r\n").filter(|_| text.starts_with("HTTP/")) else { return bytes };
    let is_denied =
        |line: &&str| ["server:", "x-powered-by:"].iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    let lines: Vec<_> = head.split("\r\n").filter(|line| !is_denied(line)).collect();
    let changed = format!("{}\r\n\r\n{rest}", lines.join("\r\n"));
    changed.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect()
}

/// How many cases showed a denied line, and how many another's response.
fn counts(failures: &Failures) -> (usize, usize) {
    let with = |is: fn(&Broken) -> bool| failures.values().filter(|broken| broken.iter().any(is)).count();
    (with(|broken| matches!(broken, Broken::Denied(_))), with(|broken| matches!(broken, Broken::Crossed(_))))
}

/// The cases to run, of which some may be asked for.
fn seeds(otherwise: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("OTHERWISE_SEEDS") else { return otherwise };
    let number = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("OTHERWISE_SEEDS=FROM-TO, not {text:?}"));
    let (from, to) = text.split_once('-').unwrap_or(("0", &text));
    number(from)..number(to)
}

/// Invariants 11 and 12.
#[test]
fn no_denied_line_and_no_other_response_reaches_a_client() {
    let failures = run(seeds(0..400), |case, origin, talk| {
        let proxy = Running::with(&case.rules, origin.into(), hasty());
        talk(proxy.address.to_string().parse().expect("an IP address"));
    });
    let shown = failures.iter().take(5).map(|(seed, broken)| format!("seed {seed}: {}", broken[0])).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), shown.join("\n"));
}

/// Nor where bodies go by splice: what is behind one is seen all the same.
#[test]
fn nor_where_bodies_are_spliced() {
    let spliced = AtomicU64::new(0);
    let failures = run(0..200, |case, origin, talk| {
        let proxy = Running::splicing(&case.rules, origin.into(), Some(1));
        talk(proxy.address.to_string().parse().expect("an IP address"));
        spliced.fetch_add(proxy.spliced(), Ordering::Relaxed);
    });
    assert!(failures.is_empty(), "{failures:#?}");
    let spliced = spliced.into_inner();
    println!("spliced: {spliced} bytes");
    assert!(spliced > 0, "no body is spliced");
}

#[test]
fn a_relay_that_does_not_judge_fails() {
    let failures = run(0..200, |_, origin, talk| talk(relay(origin, |bytes| bytes)));
    let (denied, crossed) = counts(&failures);
    println!("a relay: denied lines in {denied} cases, another's response in {crossed}");
    assert!(denied > 150 && crossed > 20, "{denied}, {crossed}");
}

#[test]
fn a_relay_that_judges_what_comes_at_once_fails() {
    let failures = run(0..200, |_, origin, talk| talk(relay(origin, naive)));
    let (denied, crossed) = counts(&failures);
    println!(
        "a relay that takes each read for a head: denied lines in {denied} cases, another's response in {crossed}"
    );
    assert!(denied > 20 && denied < 200 && crossed > 20, "{denied}, {crossed}");
}

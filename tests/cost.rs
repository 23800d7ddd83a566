//! What the binary costs: memory of idle clients, and system calls of a request on a warm connection.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use support::headsnip::Headsnip;
use support::{Ended, LIMIT, Origin, Peer};

const MOST_IDLE_CLIENTS: usize = 2_000;

/// The most that an idle keep-alive client may cost, with its origin connection, in bytes.
const BYTES_PER_CLIENT: usize = 1_150;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nserver: a\r\ncontent-length: 2\r\n\r\nok";
const STRIPPED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A client and its origin connection, on which one exchange has been had.
fn connect(proxy: &Headsnip, listener: &Origin) -> (Peer, Peer) {
    let mut client = proxy.dial();
    client.send(REQUEST);
    let mut origin = listener.accept();
    origin.expect(REQUEST);
    origin.send(RESPONSE);
    client.expect(STRIPPED);
    (client, origin)
}

/// One exchange, the origin's side of it on the same thread.
fn exchange(client: &mut Peer, origin: &mut Peer) {
    client.send(REQUEST);
    origin.expect(REQUEST);
    origin.send(RESPONSE);
    client.expect(STRIPPED);
}

#[test]
fn an_idle_client_costs_at_most_1150_bytes() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let first = connect(&proxy, &listener);
    let before = proxy.anonymous_memory();
    let clients = MOST_IDLE_CLIENTS.min((open_file_limit() - 64) / 2);
    let idle: Vec<_> = (0..clients).map(|_| connect(&proxy, &listener)).collect();
    let each = (proxy.anonymous_memory() - before) / clients;
    assert!(each <= BYTES_PER_CLIENT, "an idle client of {clients} costs {each} bytes");
    println!("{each} bytes an idle client, of {clients}");
    drop((first, idle));
}

/// This process has two sockets a client, and so has the proxy, under the same limit.
fn open_file_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("procfs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line of open files");
    line.split_whitespace().nth(3).and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX)
}

/// The system calls of a process while exchanges are had, after which it is dropped. By strace, where it is installed and may trace; with `CI`
/// in the environment it must. `None`: it is not, or may not.
fn traced(proxy: Headsnip, exchanges: impl FnOnce(&Headsnip)) -> Option<String> {
    if Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return None;
    }
    let trace = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("strace-{}", proxy.id()));
    let mut strace = Command::new("strace")
        .args(["-f", "-p", &proxy.id().to_string(), "-o"])
        .arg(&trace)
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace runs");
    let mut attached = String::new();
    // Kept to the end: strace ends if it has more to say and nobody listens.
    let mut said = BufReader::new(strace.stderr.take().expect("a pipe"));
    said.read_line(&mut attached).expect("strace says so");
    if !attached.contains("attached") {
        // As where a process may trace none but its children.
        strace.wait().expect("strace can be waited for");
        assert!(std::env::var_os("CI").is_none(), "{attached}");
        println!("skipped: {attached}");
        return None;
    }
    exchanges(&proxy);
    drop(proxy);
    let deadline = std::time::Instant::now() + LIMIT;
    while strace.try_wait().expect("strace can be waited for").is_none() {
        assert!(std::time::Instant::now() < deadline, "strace did not end with its process");
        std::thread::yield_now();
    }
    let calls = std::fs::read_to_string(&trace).expect("strace wrote its file");
    std::fs::remove_file(trace).expect("the trace is there");
    // A call that another thread interrupts has two lines, and one in which the process is met is told as restarted.
    let is_call = |line: &&str| !line.contains(" <... ") && !line.contains(" restart_syscall(");
    Some(calls.lines().filter(is_call).collect::<Vec<_>>().join("\n"))
}

const REQUESTS: usize = 200;

/// How often one of these system calls was made.
fn count(calls: &str, names: &[&str]) -> usize {
    calls.lines().filter(|line| names.iter().any(|name| line.contains(&format!(" {name}(")))).count()
}

#[test]
fn a_warm_request_takes_four_transfers() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let (mut client, mut origin) = connect(&proxy, &listener);
    let traced = traced(proxy, |_| {
        for _ in 0..REQUESTS {
            exchange(&mut client, &mut origin);
        }
    });
    let Some(calls) = traced else { return };
    let receives = count(&calls, &["recvfrom", "read", "recvmsg"]);
    let sends = count(&calls, &["sendto", "write", "writev", "sendmsg"]);
    assert_eq!((receives, sends), (2 * REQUESTS, 2 * REQUESTS), "{calls}");
    let waits = count(&calls, &["epoll_wait"]);
    assert!(calls.lines().count() - waits <= 4 * REQUESTS + 8, "more than transfers:\n{calls}");
}

/// Whether a response has arrived is asked for sixteen exchanges at once, or once a tick.
#[test]
fn the_access_log_asks_the_kernel_now_and_then() {
    let listener = Origin::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    command.stdout(Stdio::null());
    let proxy = Headsnip::start_by(&mut command, &listener.address(), &["--access-log"]);
    let (mut client, mut origin) = connect(&proxy, &listener);
    let begun = std::time::Instant::now();
    let traced = traced(proxy, |_| {
        for _ in 0..REQUESTS {
            exchange(&mut client, &mut origin);
        }
    });
    let Some(calls) = traced else { return };
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("it fits");
    let asked = calls.lines().filter(|line| line.contains("SOCK_DIAG_BY_FAMILY")).count();
    assert!((2..=2 * (REQUESTS / 16 + 2 * seconds + 8)).contains(&asked), "{asked} calls in {seconds} s:\n{calls}");
}

/// A dial on this machine is over at once, so nothing is waited for but the client, the response and the client's end.
#[test]
fn a_connection_for_one_request_waits_three_times() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let traced = traced(proxy, |proxy| {
        for _ in 0..REQUESTS {
            let mut client = proxy.dial();
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let mut origin = listener.accept();
            origin.expect("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            origin.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
            drop(origin);
            client.expect_end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", Ended::Fin);
        }
    });
    let Some(calls) = traced else { return };
    let waits = count(&calls, &["epoll_wait"]);
    // The request may come after its connection, and the origin's end after its response.
    assert!(waits <= 5 * REQUESTS + 8, "{waits} waits:\n{calls}");
    let others = calls.lines().count() - waits;
    // Where the origin's end comes later, four of these ask the kernel what of the request is unsent.
    assert!(others <= 25 * REQUESTS + 8, "{others} calls:\n{calls}");
    assert!(count(&calls, &["shutdown"]) <= REQUESTS + 8, "only the client's end is waited for:\n{calls}");
    assert_eq!(count(&calls, &["getsockopt"]), 0, "what became of a dial is known at once:\n{calls}");
}

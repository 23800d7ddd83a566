//! Several workers: each has its share of the clients, and together they are one proxy.

mod support;

use std::collections::BTreeSet;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use support::headsnip::{Headsnip, until};
use support::{Ended, LIMIT, Origin, Peer, exchange_on_unix};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn connect(proxy: &Headsnip, listener: &Origin) -> (Peer, Peer) {
    let mut client = proxy.dial();
    client.send(GET);
    let mut origin = listener.accept();
    exchange(&mut client, &mut origin, "");
    (client, origin)
}

/// Answers a GET, after the client has sent what is given.
fn exchange(client: &mut Peer, origin: &mut Peer, sent: &str) {
    client.send(sent);
    origin.expect(GET);
    origin.send(OK);
    client.expect(OK);
}

/// How many descriptors each runtime watches, as the kernel tells it of their epoll instances.
fn watched(proxy: &Headsnip) -> Vec<usize> {
    let folder = format!("/proc/{}/fdinfo", proxy.id());
    let files = std::fs::read_dir(folder).expect("procfs").map_while(Result::ok);
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let watched = texts.map(|text| text.lines().filter(|line| line.starts_with("tfd:")).map(str::to_owned).collect());
    // An instance may have two descriptors.
    let distinct: BTreeSet<Vec<String>> = watched.filter(|lines: &Vec<_>| !lines.is_empty()).collect();
    distinct.iter().map(Vec::len).collect()
}

#[test]
fn each_worker_has_its_share_of_the_clients() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--workers", "2"]);
    let mut pairs: Vec<_> = (0..64).map(|_| connect(&proxy, &listener)).collect();
    let watched = watched(&proxy);
    // Of 64 the kernel's hash gives either at least 10, but for once in a hundred million times.
    assert!(watched.len() == 2 && watched.iter().all(|count| *count > 2 * 10), "{watched:?}");
    for (client, origin) in &mut pairs {
        exchange(client, origin, GET);
    }
}

#[test]
fn auto_is_as_many_as_the_process_may_use() {
    let listener = Origin::new();
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "0", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut taskset, &listener.address(), &["--workers", "auto"]);
    until(LIMIT, "one worker", || (watched(&proxy).len() == 1).then_some(()));
    let proxy = Headsnip::start(&listener.address(), &["--workers", "auto"]);
    let cores = std::thread::available_parallelism().expect("a number").get();
    // It listens before the threads of all have begun.
    until(LIMIT, "as many workers as cores", || (watched(&proxy).len() == cores).then_some(()));
}

/// Ends by itself, or is made to.
fn refused(port: u16) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let command = command.args(["--workers", "2", "--listen", &format!("127.0.0.1:{port}")]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary is built");
    let end = std::time::Instant::now() + LIMIT;
    while child.try_wait().expect("it can be waited for").is_none() {
        if std::time::Instant::now() > end {
            child.kill().expect("it runs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// "A port held by another process is still an error", though both would share it.
#[test]
fn a_port_that_is_held_is_refused_though_it_could_be_shared() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--workers", "2"]);
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    other.set_reuse_port(true).expect("a socket option");
    other.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    other.listen(1).expect("a listener");
    let foreign = other.local_addr().ok().and_then(|address| address.as_socket()).expect("an address").port();
    for port in [proxy.port(), foreign] {
        let output = refused(port);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("another process holds it"), "{said}");
    }
}

#[test]
fn the_most_clients_are_those_of_all_workers() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--workers", "2", "--max-connections", "4"]);
    let mut pairs: Vec<_> = (0..4).map(|_| connect(&proxy, &listener)).collect();
    let mut waiting: Vec<_> = (0..8).map(|_| proxy.dial()).collect();
    for client in &mut waiting {
        client.send(GET);
    }
    proxy.await_line("headsnip: all places for clients are taken");
    for (client, origin) in &mut pairs {
        exchange(client, origin, GET);
    }
    listener.each_waiting(|_| unreachable!("a fifth client was served"));
    drop(pairs);
    // Each leaves when it was served, and makes room for another.
    for _ in 0..waiting.len() {
        let mut origin = listener.accept_speaking();
        origin.expect(GET);
        origin.send(OK);
        let end = std::time::Instant::now() + LIMIT;
        let served = loop {
            if let Some(index) = waiting.iter_mut().position(Peer::is_readable) {
                break index;
            }
            assert!(std::time::Instant::now() < end, "nobody was served");
        };
        waiting.swap_remove(served).expect(OK);
    }
}

#[test]
fn all_workers_drain_and_are_counted_together() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--workers", "2"]);
    let mut pairs: Vec<_> = (0..32).map(|_| connect(&proxy, &listener)).collect();
    let (mut busy, mut origin) = pairs.pop().expect("one of them");
    busy.send(GET);
    origin.expect(GET);
    proxy.signal("INT");
    for (client, _) in &mut pairs {
        client.expect_end("", Ended::Fin);
    }
    origin.send(OK);
    busy.expect_end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", Ended::Fin);
    let (status, log) = proxy.wait(LIMIT);
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert_eq!(log.last().map(String::as_str), Some("headsnip: drained: 32 connections finished, 0 cut"));
}

/// A client that one worker has accepted while the other took the last slot is served though the order to end comes, and
/// does not wait for the end of the delay.
#[test]
fn who_waits_for_a_slot_is_served_in_a_drain() {
    // The kernel's hash decides whether both come to the same worker, and wait in its backlog.
    for delay in ["0s", "1m"].repeat(6) {
        let listener = Origin::new();
        let flags = ["--workers", "2", "--max-connections", "1", "--drain-delay", delay];
        let proxy = Headsnip::start(&listener.address(), &flags);
        let mut first = proxy.dial();
        first.send(GET);
        let mut origin = listener.accept();
        origin.expect(GET);
        let mut second = proxy.dial();
        second.send(GET);
        proxy.await_line("headsnip: all places for clients are taken");
        proxy.signal("TERM");
        proxy.await_line("SIGTERM: draining; ");
        origin.send(OK);
        first.read_head();
        first.expect("ok");
        drop(first);
        let mut origin = listener.accept_speaking();
        origin.expect(GET);
        origin.send(OK);
        let end = std::time::Instant::now() + LIMIT;
        // Its worker hears of the drain in a moment; if not by now, a later response says so.
        while !second.read_head().expect("a response").contains("\r\nConnection: close\r\n") && delay == "0s" {
            assert!(std::time::Instant::now() < end, "the drain does not begin");
            second.expect("ok");
            second.send(GET);
            origin.expect(GET);
            origin.send(OK);
        }
        second.expect("ok");
        if delay == "0s" {
            second.expect_end("", Ended::Fin);
        }
    }
}

/// "A second signal: now", though the worker that listens to signals has no client any more.
#[test]
fn a_second_signal_ends_all_workers() {
    // The kernel's hash decides which worker has the client.
    for _ in 0..4 {
        let listener = Origin::new();
        let flags = ["--workers", "2", "--drain-delay", "0s", "--drain-timeout", "1m"];
        let proxy = Headsnip::start(&listener.address(), &flags);
        let (mut client, mut origin) = connect(&proxy, &listener);
        client.send(GET);
        origin.expect(GET);
        proxy.signal("TERM");
        proxy.await_line("SIGTERM: draining; ");
        // Sooner, it would be the first once more.
        std::thread::sleep(Duration::from_secs(1));
        proxy.signal("TERM");
        let (status, log) = proxy.wait(LIMIT);
        assert_eq!(status.code(), Some(0), "{log:#?}");
    }
}

#[test]
fn workers_share_a_unix_socket() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("workers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for sockets");
    let (front, back) = (folder.join("front"), folder.join("back"));
    let origin = UnixListener::bind(&back).expect("a socket file");
    let upstream = format!("unix:{}", back.display()).parse().expect("an address");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let listen = format!("unix:{}", front.display());
    let proxy = Headsnip::start_at(&listen, &mut command, &upstream, &["--workers", "2", "--drain-delay", "0s"]);
    for _ in 0..16 {
        let mut client = UnixStream::connect(&front).expect("it listens");
        exchange_on_unix(&mut client, &origin, GET, OK);
    }
    proxy.signal("TERM");
    let (status, log) = proxy.wait(LIMIT);
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(!front.exists(), "the socket file is left behind");
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

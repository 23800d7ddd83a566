//! More clients than there are descriptors, or than are allowed.

use std::process::Command;
use std::thread;

use super::support::headsnip::Headsnip;
use super::support::watched::narrow;
use super::support::{Ended, Origin, Peer, body};
use super::{Answering, GET, OK, exchange};

/// Sets the open-file limit of a process that runs.
fn limit(proxy: &Headsnip, files: u32) {
    let (process, files) = (proxy.id().to_string(), format!("--nofile={files}:"));
    let status = Command::new("prlimit").args(["--pid", &process, &files]).status();
    assert!(status.expect("prlimit runs").success(), "the limit cannot be set");
}

/// The descriptor that it would have next. The limit is one of numbers, not of how many there are.
fn next_descriptor(proxy: &Headsnip) -> u32 {
    let is_free = |number: &u32| !std::fs::exists(format!("/proc/{}/fd/{number}", proxy.id())).expect("procfs");
    (0..4096).find(is_free).expect("some number is free")
}

/// "`--max-connections`: from the open-file limit; beyond it, clients wait in the backlog".
#[test]
fn two_hundred_clients_are_served_with_64_descriptors() {
    let origin = Answering::start();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=64:64", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut prlimit, &origin.address, &[]);
    let clients: Vec<_> = (0..200).map(|_| proxy.dial()).collect();
    thread::scope(|scope| {
        for mut client in clients {
            // A thread each: those who have their answer make room for others.
            scope.spawn(move || (0..3).for_each(|_| exchange(&mut client)));
        }
    });
    assert!(proxy.descriptors() <= 64);
    assert!(!proxy.log().iter().any(|line| line.contains(": client ")), "nothing went wrong: {:#?}", proxy.log());
    assert_eq!(proxy.log().iter().filter(|line| line.contains("all places")).count(), 1, "{:#?}", proxy.log());
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let origin = Answering::start();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=32:4096", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut prlimit, &origin.address, &[]);
    let mut clients: Vec<_> = (0..40).map(|_| proxy.dial()).collect();
    clients.iter_mut().for_each(exchange);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.id())).expect("procfs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line of open files");
    assert_eq!(line.split_whitespace().nth(3), Some("4096"), "{line}");
}

#[test]
fn clients_beyond_the_most_wait_their_turn() {
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &["--max-connections", "3"]);
    let mut served: Vec<_> = (0..3).map(|_| proxy.dial()).collect();
    served.iter_mut().for_each(exchange);
    let mut waiting = proxy.dial();
    waiting.send(GET);
    proxy.await_line("headsnip: all places for clients are taken");
    served.iter_mut().for_each(exchange);
    assert_eq!(origin.accepted(), 3, "the fourth was served");
    drop(served.pop());
    waiting.expect(OK);
    served.iter_mut().for_each(exchange);
}

#[test]
fn more_connections_than_descriptors_is_said_and_bounded() {
    let origin = Answering::start();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=64:64", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut prlimit, &origin.address, &["--max-connections", "1000"]);
    let line = "headsnip: the open-file limit is enough for 20 clients at once; raise it";
    assert!(proxy.log().iter().any(|told| told.starts_with(line)), "{:#?}", proxy.log());
}

/// EMFILE, on accepting and on dialling: told once, and nobody is lost for it.
#[test]
fn a_process_out_of_descriptors_recovers_and_loses_nobody() {
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &[]);
    let mut warm = proxy.dial();
    exchange(&mut warm);
    let before = proxy.descriptors();
    // Accepted, and without an origin connection yet.
    let mut cold: Vec<Peer> = (0..5).map(|_| proxy.dial()).collect();
    super::until(super::support::LIMIT, "five more descriptors", || (proxy.descriptors() >= before + 5).then_some(()));
    limit(&proxy, next_descriptor(&proxy));
    for client in &mut cold {
        client.send(GET);
    }
    let mut late = proxy.dial();
    late.send(GET);
    proxy.await_line("cannot accept a connection: ");
    for _ in 0..20 {
        exchange(&mut warm);
    }
    assert_eq!(origin.accepted(), 1, "they wait");
    limit(&proxy, 1024);
    for client in &mut cold {
        client.expect(OK);
    }
    late.expect(OK);
    exchange(&mut warm);
    assert_eq!(proxy.log().len(), 2, "told once, and no bad end: {:#?}", proxy.log());
}

/// A second descriptor is wanted for a moment to be told of room, and not to be had: the response goes on all the same.
#[test]
fn who_reads_slowly_while_no_descriptor_is_left_has_its_response() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let mut client = Peer::new(narrow(proxy.port()));
    client.send(GET);
    let mut origin = listener.accept();
    origin.expect(GET);
    limit(&proxy, next_descriptor(&proxy));
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n", &body(8_000_000)[..]].concat();
    let sent = origin.send_until_blocked_by(&answer);
    assert!((1..answer.len()).contains(&sent), "the client takes nothing");
    thread::scope(|scope| {
        scope.spawn(|| origin.send(&answer[sent..]));
        client.expect(&answer);
    });
}

/// As where whoever started the proxy has left it descriptors of his own: there are fewer than was reckoned with.
#[test]
fn an_idle_client_gives_way_where_descriptors_run_out() {
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &[]);
    let mut idle = proxy.dial();
    exchange(&mut idle);
    limit(&proxy, next_descriptor(&proxy));
    let mut late = proxy.dial();
    late.send(GET);
    late.expect(OK);
    idle.expect_end("", Ended::Fin);
}

/// The same while draining: who has a connection is told to go, and makes room for who waits.
#[test]
fn a_drain_out_of_descriptors_serves_who_waits() {
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &["--drain-delay", "0s"]);
    let mut warm = proxy.dial();
    exchange(&mut warm);
    limit(&proxy, next_descriptor(&proxy));
    let mut late = proxy.dial();
    late.send(GET);
    proxy.await_line("cannot accept a connection: ");
    proxy.signal("TERM");
    proxy.await_line("SIGTERM: draining; ");
    let last = OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    // Some of these may be answered before it begins.
    let end = std::time::Instant::now() + super::support::LIMIT;
    loop {
        warm.send(GET);
        if warm.read_head().is_some_and(|head| head.contains("Connection: close")) {
            warm.expect_end("ok", Ended::Fin);
            break;
        }
        warm.expect("ok");
        assert!(std::time::Instant::now() < end, "the drain does not begin");
    }
    drop(warm);
    late.expect_end(last, Ended::Fin);
}

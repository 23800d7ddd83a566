//! Clients and origins that stop reading.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::support::headsnip::Headsnip;
use super::support::{Ended, Origin, Peer, body, first_exchange};
use super::{GET, await_descriptors};

const STALLED: usize = 20;
const BODY: usize = 200_000_000;
const MEMORY: usize = 20 * 1024 * 1024;

/// Clients with an origin connection each, a request sent on both ways.
fn stalled(proxy: &Headsnip, listener: &Origin, request: &str) -> Vec<(Peer, Peer)> {
    let connect = |_| {
        let mut client = proxy.dial();
        client.send(request);
        let mut origin = listener.accept();
        origin.expect(request);
        (client, origin)
    };
    (0..STALLED).map(connect).collect()
}

/// Has all of them send until nothing is taken any more.
fn fill<'a>(senders: impl Iterator<Item = &'a mut Peer>) {
    thread::scope(|scope| {
        for sender in senders {
            scope.spawn(|| assert!(sender.send_until_blocked(BODY) < BODY, "somebody took it all"));
        }
    });
}

/// How much the proxy's own memory grew by.
fn growth(proxy: &Headsnip, before: usize) -> usize {
    proxy.anonymous_memory().saturating_sub(before)
}

/// "Bounded": twenty clients that read nothing of a body of 200 MB.
#[test]
fn a_client_that_reads_nothing_costs_one_buffer() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let (idle, before) = (proxy.descriptors(), proxy.anonymous_memory());
    let mut pairs = stalled(&proxy, &listener, GET);
    for (_, origin) in &mut pairs {
        origin.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
    }
    fill(pairs.iter_mut().map(|(_, origin)| origin));
    let grown = growth(&proxy, before);
    println!("{STALLED} clients that read nothing: {grown} bytes more");
    assert!(grown < MEMORY, "{grown} bytes for {STALLED} clients");
    drop(pairs);
    await_descriptors(&proxy, idle);
}

/// The same of uploads to an origin that reads nothing.
#[test]
fn an_origin_that_reads_nothing_costs_one_buffer() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let (idle, before) = (proxy.descriptors(), proxy.anonymous_memory());
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n");
    let mut pairs = stalled(&proxy, &listener, &request);
    fill(pairs.iter_mut().map(|(client, _)| client));
    let grown = growth(&proxy, before);
    println!("{STALLED} origins that read nothing: {grown} bytes more");
    assert!(grown < MEMORY, "{grown} bytes for {STALLED} uploads");
    drop(pairs);
    await_descriptors(&proxy, idle);
}

/// "`--exchange-timeout`: no byte either way": whoever stopped reading is named.
#[test]
fn who_stops_reading_is_cut_off_and_named() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--exchange-timeout", "2s", "--workers", "1"]);
    // A pipe that happens to be empty is kept.
    let idle = proxy.descriptors() + 2;

    // Each side sends for as long as anything is taken: one that stopped would be blamed itself.
    let mut client = proxy.dial();
    client.send(GET);
    let mut origin = listener.accept();
    origin.expect(GET);
    origin.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
    let mut download = origin.twin();
    let downloading = thread::spawn(move || download.try_send(body(BODY)));
    proxy.await_line("client connection_write_timeout: exchange_timeout (reset)");
    downloading.join().expect("no panic").expect_err("nobody read it");
    await_descriptors(&proxy, idle);
    drop((client, origin));

    let (mut client, request) = (proxy.dial(), format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n"));
    client.send(&request);
    let mut origin = listener.accept();
    origin.expect(&request);
    let mut upload = client.twin();
    let uploading = thread::spawn(move || upload.try_send(body(BODY)));
    client.expect_end("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Ended::Fin);
    proxy.await_line("origin connection_write_timeout: exchange_timeout (replied 504)");
    // The rest is read and thrown away.
    uploading.join().expect("no panic").expect("somebody read it");
    // An origin that does not end either is waited for.
    drop((client, origin));
    await_descriptors(&proxy, idle);
}

/// What a side takes counts though nobody is told of room yet: the kernel tells of it once a third of a send queue is free, on a socket file
/// once three quarters are.
#[test]
fn who_reads_slowly_but_steadily_is_not_cut_off() {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY / 10);
    let upload = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", BODY / 10);
    let start = |listen: &str, listener: &Origin| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
        Headsnip::start_at(listen, &mut command, &listener.address(), &["--exchange-timeout", "3s"])
    };
    let over_tcp = |request: &str, response: &str| {
        let listener = Origin::new();
        let proxy = start("127.0.0.1:0", &listener);
        let (client, origin) = first_exchange(proxy.dial(), &listener, request, response);
        let (sender, reader) = if response.is_empty() { (client, origin) } else { (origin, client) };
        let reader = reader.into_stream();
        // By its system, too: one with much room tells of it in lumps.
        SockRef::from(&reader).set_recv_buffer_size(16 * 1024).expect("a socket option");
        read_slowly(&proxy, sender, reader);
    };
    let over_a_socket_file = || {
        let listener = Origin::new();
        let path = std::env::temp_dir().join(format!("headsnip-{}-slow", std::process::id()));
        let proxy = start(&format!("unix:{}", path.display()), &listener);
        let mut client = UnixStream::connect(&path).expect("it listens");
        client.write_all(GET.as_bytes()).expect("room");
        let mut origin = listener.accept();
        origin.expect(GET);
        origin.send(&response);
        read_slowly(&proxy, origin, client);
        drop(proxy);
        // It was killed.
        std::fs::remove_file(path).expect("it is there");
    };
    thread::scope(|scope| {
        scope.spawn(|| over_tcp(GET, &response));
        scope.spawn(|| over_tcp(&upload, ""));
        scope.spawn(over_a_socket_file);
    });
}

/// Some 40 KB a second, for several limits.
fn read_slowly(proxy: &Headsnip, mut sender: Peer, mut reader: impl Read) {
    let sending = thread::spawn(move || sender.try_send(body(BODY / 10)));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        reader.read_exact(&mut [0; 1024]).expect("there is more");
        thread::sleep(Duration::from_millis(25));
    }
    drop(reader);
    // The rest of an upload is read and thrown away.
    let _ = sending.join().expect("no panic");
    assert!(proxy.log().iter().all(|line| !line.contains("timeout")), "{:?}", proxy.log());
}

/// "`--tunnel-timeout`: as exchange": a WebSocket may be silent for longer than a request may, or for less long.
#[test]
fn a_tunnel_has_a_time_of_its_own() {
    let listener = Origin::new();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let open = |proxy: &Headsnip| {
        let mut client = proxy.dial();
        client.send(upgrade);
        let mut origin = listener.accept();
        origin.expect(upgrade);
        origin.send(switched);
        client.expect(switched);
        (client, origin)
    };
    let patient = Headsnip::start(&listener.address(), &["--exchange-timeout", "200ms", "--tunnel-timeout", "1h"]);
    let (mut client, mut origin) = open(&patient);
    // An exchange that is waited for to the end of its time says that the tunnel has outlived it.
    let mut other = patient.dial();
    other.send(GET);
    let mut silent = listener.accept();
    silent.expect(GET);
    other.expect_end("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Ended::Fin);
    origin.send("late");
    client.expect("late");
    client.send("late too");
    origin.expect("late too");

    let hasty = Headsnip::start(&listener.address(), &["--exchange-timeout", "1h", "--tunnel-timeout", "200ms"]);
    let (mut client, _origin) = open(&hasty);
    client.expect_end("", Ended::Reset);
    hasty.await_line("origin http_response_timeout: tunnel_timeout (reset)");
    let usual = Headsnip::start(&listener.address(), &["--exchange-timeout", "200ms"]);
    let (mut client, _origin) = open(&usual);
    client.expect_end("", Ended::Reset);
}

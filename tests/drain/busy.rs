//! Clients that come and go while it drains: none of their requests fails.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use headsnip::net::address::Address;

use super::support::headsnip::{Headsnip, until};
use super::support::{Ended, LIMIT, Origin, Peer, body, text};
use super::{ANSWER, GET, LAST, asked, await_refusal, connect, dial, drained, last_exchange, signal};

/// Clients that make one request after another on a connection.
const STAYING: usize = 36;
/// Clients that make each request on a connection of its own.
const COMING: usize = 4;

/// Connections that the kernel may complete between the last accept and the close of the listener, where no program
/// can see them. The window is some microseconds, once.
const LOST: usize = 1;

/// "new connections are still taken ... every final head gets `Connection: close`": no request of 40 clients fails.
#[test]
fn no_request_of_forty_busy_clients_fails() {
    let proxy = Headsnip::start(&echoing_origin(), &["--drain-delay", "300ms"]);
    let port = proxy.port();
    let (made, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..STAYING {
            let made = &made;
            scope.spawn(move || stay(port, client, made));
        }
        for client in STAYING..STAYING + COMING {
            let (made, lost) = (&made, &lost);
            scope.spawn(move || come_and_go(port, client, made, lost));
        }
        let busy = || (made.load(Ordering::Relaxed) > 10 * (STAYING + COMING)).then_some(());
        until(LIMIT, "all clients to be busy", busy);
        signal(&proxy, "TERM");
        let drained = drained(proxy);
        assert!(drained.finished >= STAYING && drained.cut == 0, "{drained:?}");
    });
    let lost = lost.into_inner();
    assert!(lost <= LOST, "{lost} connections were reset without an answer");
    println!("{} exchanges, {lost} connections lost at the close of the listener", made.into_inner());
}

/// Makes requests until the listener has gone; told to go, it goes.
fn stay(port: u16, client: usize, made: &AtomicUsize) {
    let mut number = 0;
    while let Some(mut connection) = dial(port) {
        loop {
            number += 1;
            let target = format!("/{client}/{number}");
            connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            connection
                .expect(format!("HTTP/1.1 200 OK\r\nX-Target: {target}\r\nContent-Length: {}\r\n", length(&target)));
            let is_last = connection.read(2) == b"Co";
            connection.expect(if is_last { "nnection: close\r\n\r\n" } else { "" });
            connection.expect(body(length(&target)));
            made.fetch_add(1, Ordering::Relaxed);
            if is_last {
                connection.expect_end("", Ended::Fin);
                break;
            }
        }
    }
}

fn come_and_go(port: u16, client: usize, made: &AtomicUsize, lost: &AtomicUsize) {
    let mut number = 0;
    while let Some(mut connection) = dial(port) {
        number += 1;
        let target = format!("/{client}/{number}");
        // A connection that was lost shows in what can be read.
        let _ = connection.try_send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let (found, ended) = connection.read_to_end();
        if found.is_empty() {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let head = format!("X-Target: {target}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", length(&target));
        let wanted = [b"HTTP/1.1 200 OK\r\n", head.as_bytes(), &body(length(&target))].concat();
        assert!(found == wanted, "found {:?}\nwanted {:?}", text(&found), text(&wanted));
        assert_eq!(ended, Ended::Fin, "of {target}");
        made.fetch_add(1, Ordering::Relaxed);
    }
}

fn length(target: &str) -> usize {
    target.bytes().map(usize::from).sum::<usize>() * 7_919 % 20_000
}

/// An origin that names the target after a few milliseconds. Its threads end with their connections.
fn echoing_origin() -> Address {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(Peer::new(stream)));
        }
    });
    address.into()
}

fn echo(mut connection: Peer) {
    while let Some(head) = connection.read_head() {
        let target = head.split(' ').nth(1).expect("a request target");
        let length = length(target);
        let close = if head.contains("Connection: close") { "Connection: close\r\n" } else { "" };
        let lines = format!("X-Target: {target}\r\nContent-Length: {length}\r\n{close}Server: a\r\n\r\n");
        thread::sleep(Duration::from_millis(3));
        let head = format!("HTTP/1.1 200 OK\r\nX-Powered-By: a\r\n{lines}");
        let answer = [head.as_bytes(), &body(length)].concat();
        if connection.try_send(answer).is_err() || !close.is_empty() {
            return;
        }
    }
}

/// "new connections are still taken for `--drain-delay`", and treated as ever until then.
#[test]
fn a_connection_opened_during_the_delay_is_served() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "3s"]);
    signal(&proxy, "TERM");
    let mut clients: Vec<_> = (0..5).map(|_| connect(&proxy, &listener)).collect();
    await_refusal(&proxy);
    for (client, origin) in &mut clients {
        last_exchange(client, origin);
    }
    let drained = drained(proxy);
    assert!(drained.finished >= 5 && drained.cut == 0, "{drained:?}");
}

/// "then the backlog is emptied": the process is stopped over the end of the delay, while clients connect.
#[test]
fn connections_in_the_backlog_at_the_end_of_the_delay_are_served() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "1s"]);
    let (mut warm, mut warm_origin) = connect(&proxy, &listener);
    signal(&proxy, "TERM");
    proxy.signal("STOP");
    let mut clients: Vec<_> = (0..20).map(|_| proxy.dial()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    thread::sleep(Duration::from_millis(1_500));
    proxy.signal("CONT");
    for _ in 0..clients.len() {
        let mut origin = asked(&listener);
        origin.send(ANSWER);
        thread::spawn(move || {
            while origin.read_head().is_some() {
                origin.send(ANSWER);
            }
        });
    }
    for client in &mut clients {
        client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
        if client.read(2) == b"Co" {
            client.expect_end("nnection: close\r\n\r\nok", Ended::Fin);
        } else {
            // It was answered in the last moment of the delay, and may ask once more.
            client.expect("ok");
            client.send(GET);
            client.expect_end(LAST, Ended::Fin);
        }
    }
    assert!(dial(proxy.port()).is_none(), "the listener is still open");
    last_exchange(&mut warm, &mut warm_origin);
    let drained = drained(proxy);
    assert!(drained.finished >= 21 && drained.cut == 0, "{drained:?}");
}

/// "Every final head gets `Connection: close`": of a pipelined pair the first is answered, and the client knows that the second must be
/// asked elsewhere (RFC 9112 §9.6).
#[test]
fn of_a_pipelined_pair_the_first_is_answered_and_the_second_goes_nowhere() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let (mut client, mut origin) = connect(&proxy, &listener);
    client.send([GET, GET].concat());
    origin.expect(GET);
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    origin.send(ANSWER);
    client.expect_end(LAST, Ended::Fin);
    origin.expect_end("", Ended::Fin);
    assert_eq!(drained(proxy).cut, 0);
}

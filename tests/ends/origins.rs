//! "An origin connection is reset rather than closed only if it is not on loopback, owes nothing, carried a response that came after the
//! whole request, and our send queue to it is empty; else FIN."

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::support::watched::Watched;
use super::support::{Ended, Origin, Peer, body, first_exchange};
use super::{GET, MEGABYTES, OK, Tests, test};

const TIMES: usize = 50;

pub(super) fn tests() -> Tests {
    vec![
        test("an_origin_that_answers_early_gets_all_of_an_upload", early),
        test("an_origin_on_loopback_sees_the_end_of_an_idle_client", idle),
        test("an_origin_on_loopback_sees_the_end_of_who_was_alone", alone),
        test("an_origin_elsewhere_leaves_no_port_waiting", elsewhere),
    ]
}

fn early() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let upload = body(4 * MEGABYTES);
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", upload.len());
    let mut client = proxy.dial();
    client.send(&head);
    let mut origin = listener.accept();
    origin.expect(&head);
    origin.send(OK);
    client.expect(OK);
    let sending = upload.clone();
    // It leaves once its kernel has taken it all.
    let client = spawn(move || client.send(sending));
    let mut found = Vec::new();
    let mut room = vec![0; 32 * 1024];
    let mut origin = origin.into_stream();
    loop {
        let read = origin.read(&mut room).expect("no reset");
        if read == 0 {
            break;
        }
        found.extend_from_slice(&room[..read]);
        sleep(Duration::from_millis(20));
    }
    assert!(client.join().is_ok());
    assert!(found == upload, "{} of {} bytes", found.len(), upload.len());
}

fn idle() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    for _ in 0..TIMES {
        let (client, mut origin) = first_exchange(proxy.dial(), &listener, GET, OK);
        drop(client);
        origin.expect_end("", Ended::Fin);
    }
}

fn alone() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = proxy.dial();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: PUT\r\n\r\n";
    for turn in 0..TIMES {
        client.send(request);
        let mut origin = listener.accept();
        origin.expect(request);
        // What nobody asked for, behind the response: it is not read, and the connection does not end by a reset for it.
        origin.send(OK.to_owned() + if turn % 2 == 0 { "" } else { "HTTP/1.1 408 Request Timeout\r\n\r\n" });
        client.expect(OK);
        origin.expect_end("", Ended::Fin);
    }
}

/// An address of this machine that is not loopback. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

fn elsewhere() {
    let Some(ip) = own_address() else {
        let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!must_run, "this machine has no address but loopback");
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let proxy = Watched::start(&address.into(), &[]);
    let accept = || Peer::new(listener.accept().expect("the proxy dials").0);
    for request in [GET, "GET / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: PUT\r\n\r\n"] {
        for _ in 0..TIMES / 5 {
            let mut client = proxy.dial();
            client.send(request);
            let mut origin = accept();
            origin.expect(request);
            origin.send(OK);
            client.expect(OK);
            drop(client);
            origin.expect_end("", Ended::Reset);
        }
    }
    assert_eq!(waiting_for(address), 0, "ports wait");
    // One that has not read the whole request is never reset.
    let mut client = proxy.dial();
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n";
    client.send(head);
    let mut origin = accept();
    origin.expect(head);
    origin.send(OK);
    client.expect(OK);
    client.send(body(300_000));
    drop(client);
    sleep(Duration::from_millis(300));
    origin.expect_end(body(300_000), Ended::Fin);
}

/// Connections to an address that are in TIME-WAIT, which keeps their ports.
fn waiting_for(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { unreachable!("it was bound to an IPv4 address") };
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs");
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns.filter(|columns| columns.get(2) == Some(&&*wanted) && columns.get(3) == Some(&"06")).count()
}

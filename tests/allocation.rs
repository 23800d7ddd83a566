//! A request on a warm connection takes no memory from the allocator. Alone in its binary: the count is of the whole process.

mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;

use headsnip::net::address::Address;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Origin, Running};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PUT: &[u8] = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Powered-By: b\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

/// One exchange, both sides of it on this thread and without an allocation of their own.
fn exchange(client: &mut TcpStream, origin: &mut TcpStream, request: &[u8]) {
    let mut room = [0; 256];
    client.write_all(request).expect("the proxy reads");
    origin.read_exact(&mut room[..request.len()]).expect("the request comes");
    assert_eq!(&room[..request.len()], request);
    origin.write_all(ANSWER).expect("the proxy reads");
    client.read_exact(&mut room[..OK.len()]).expect("the answer comes");
    assert_eq!(&room[..OK.len()], OK);
}

#[test]
fn a_warm_request_allocates_nothing() {
    let listener = Origin::new();
    let proxy = Running::before(&listener);
    let Address::Tcp { port, .. } = proxy.address else { unreachable!("it listens on TCP") };
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    client.set_read_timeout(Some(support::LIMIT)).expect("a time limit");
    client.write_all(GET).expect("the proxy reads");
    let mut origin = listener.accept().into_stream();
    origin.read_exact(&mut [0; GET.len()]).expect("the request comes");
    origin.write_all(ANSWER).expect("the proxy reads");
    client.read_exact(&mut [0; OK.len()]).expect("the answer comes");
    let mut round = || {
        exchange(&mut client, &mut origin, GET);
        exchange(&mut client, &mut origin, PUT);
    };
    (0..50).for_each(|_| round());
    let region = Region::new(ALLOCATOR);
    (0..500).for_each(|_| round());
    let counted = region.change();
    assert_eq!((counted.allocations, counted.reallocations), (0, 0), "{counted:?}");
}

//! Who the client is: preambles of the PROXY protocol from balancers and to origins, and request fields in the access log, of the
//! binary as a process of its own.

#[path = "support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use support::watched::Watched;
use support::{Ended, LIMIT, Origin};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const LINE: &str = "PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\r\n";
const LOGGED: [&str; 3] = ["--access-log", "--log-format", "json"];
const REFUSED: &str = "headsnip_failures_total{side=\"client\",reason=\"preamble_refused\"}";

fn start(origin: &Origin, flags: &[&str]) -> Watched {
    Watched::start(&origin.address(), &[&LOGGED[..], flags].concat())
}

/// A request behind those bytes, of which the origin must see these; gives the line of the access log.
fn ask(proxy: &Watched, origin: &Origin, sent: &[u8], seen: &[u8], count: usize) -> Value {
    let mut client = proxy.dial();
    client.send(sent);
    let mut server = origin.accept_speaking();
    server.expect(seen);
    server.send(OK);
    client.expect(OK);
    client.finish();
    client.read_to_end();
    proxy.await_exchanges(count).pop().expect("a line")
}

#[test]
fn the_address_of_the_preamble_is_the_clients_and_goes_on_to_the_origin() {
    let origin = Origin::new();
    let proxy = start(&origin, &["--accept-proxy", "10.0.0.0/8,127.0.0.0/8", "--send-proxy", "v2"]);
    let four = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x13\x88\x00\x50";
    let line = ask(&proxy, &origin, &[LINE.as_bytes(), GET.as_bytes()].concat(), &[four, GET.as_bytes()].concat(), 1);
    assert_eq!(line["client"], "203.0.113.7:5000");
    let line = ask(&proxy, &origin, &[four, GET.as_bytes()].concat(), &[four, GET.as_bytes()].concat(), 2);
    assert_eq!(line["client"], "203.0.113.7:5000");
    // In the error log too.
    let mut client = proxy.dial();
    client.send([LINE, "nonsense\r\n\r\n"].concat());
    client.read_to_end();
    let told = proxy.await_line("request_line_malformed");
    assert!(told.contains("client 203.0.113.7:5000"), "{told}");
}

#[test]
fn a_balancers_own_check_keeps_the_address_of_its_connection() {
    let origin = Origin::new();
    let proxy = start(&origin, &["--accept-proxy", "any", "--send-proxy", "v1"]);
    let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let local_of_another = b"\r\n\r\n\0\r\nQUIT\n\x20\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x13\x88\x00\x50";
    for (count, preamble) in (1..).zip([local, local_of_another, b"PROXY UNKNOWN\r\n"]) {
        let mut client = proxy.dial();
        let own = client.twin().into_stream().local_addr().expect("an address");
        client.send([preamble, GET.as_bytes()].concat());
        let mut server = origin.accept_speaking();
        server.expect(format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n{GET}", own.port(), proxy.port()));
        server.send(OK);
        client.expect(OK);
        client.finish();
        client.read_to_end();
        let line = proxy.await_exchanges(count).pop().expect("a line");
        assert_eq!(line["client"], own.to_string());
    }
}

#[test]
fn what_is_no_preamble_or_from_elsewhere_is_closed_without_a_word_and_told() {
    let origin = Origin::new();
    for (networks, sent, detail) in [
        ("127.0.0.1", GET, "preamble_malformed"),
        ("any", "PROXY TCP4 a b 1 2\r\n", "preamble_malformed"),
        ("any", "\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f", "preamble_too_long"),
        ("10.0.0.0/8,unix", LINE, "network_not_accepted"),
    ] {
        let proxy = start(&origin, &["--accept-proxy", networks]);
        let mut client = proxy.dial();
        // It may be closed already.
        let _ = client.try_send(sent);
        let (read, how) = client.read_to_end();
        assert!(read.is_empty() && matches!(how, Ended::Fin | Ended::Reset), "{detail}");
        proxy.await_line(&format!("client preamble_refused: {detail} (closed)"));
        assert_eq!(proxy.metric(REFUSED), 1);
    }
}

#[test]
fn a_preamble_has_the_time_of_a_head() {
    let origin = Origin::new();
    let proxy = start(&origin, &["--accept-proxy", "any", "--head-timeout", "300ms"]);
    let (mut silent, mut slow) = (proxy.dial(), proxy.dial());
    slow.send(&LINE[..9]);
    for client in [&mut silent, &mut slow] {
        assert!(client.read_to_end().0.is_empty());
    }
    proxy.await_line("client preamble_refused: preamble_timeout (closed)");
    assert_eq!(proxy.metric(REFUSED), 1, "of one that has said nothing, nothing is told");
}

#[test]
fn a_client_of_a_socket_file_may_tell_and_has_no_address_of_its_own() {
    use std::io::{Read, Write};
    let origin = Origin::new();
    let path = std::env::temp_dir().join(format!("headsnip-{}-introduced", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let binary = || Command::new(env!("CARGO_BIN_EXE_headsnip"));
    for (flags, sent, seen) in [
        (&["--accept-proxy", "unix", "--send-proxy", "v1"][..], LINE, LINE),
        (&["--accept-proxy", "unix", "--send-proxy", "v1"], "PROXY UNKNOWN\r\n", "PROXY UNKNOWN\r\n"),
        (&["--send-proxy", "v2"], "", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let _proxy = Watched::start_by(binary(), &listen, &origin.address(), flags);
        let mut client = std::os::unix::net::UnixStream::connect(&path).expect("it listens");
        client.set_read_timeout(Some(LIMIT)).expect("a time limit");
        client.write_all([sent, GET].concat().as_bytes()).expect("it is read");
        let mut server = origin.accept_speaking();
        server.expect([seen, GET].concat());
        server.send(OK);
        let mut read = vec![0; OK.len()];
        client.read_exact(&mut read).expect("a response");
        assert_eq!(read, OK.as_bytes());
    }
}

/// The listener's backlog takes the connection; the preamble is written before it is accepted.
#[test]
fn an_origin_that_never_accepts_is_sent_the_preamble_and_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").into();
    let proxy = Watched::start(&address, &["--send-proxy", "v1", "--exchange-timeout", "300ms"]);
    let mut client = proxy.dial();
    client.send(GET);
    assert!(client.read_to_end().0.starts_with(b"HTTP/1.1 504 "));
}

#[test]
fn request_fields_are_told_in_the_access_log() {
    let origin = Origin::new();
    let proxy = start(&origin, &["--log-fields", "x-forwarded-for,X-Amzn-Trace-Id,host"]);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\nx-forwarded-for: \"b\\\r\n\r\n";
    let line = ask(&proxy, &origin, request.as_bytes(), request.as_bytes(), 1);
    assert_eq!(line["x-forwarded-for"], "203.0.113.7, \"b\\x5c");
    assert_eq!((&line["host"], &line["x-amzn-trace-id"]), (&Value::from("a"), &Value::Null));
}

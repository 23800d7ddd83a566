//! "A client that writes all before it reads must get its 413, of 40 bytes or 2 MB."

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread::{scope, sleep, spawn};
use std::time::Duration;

use super::support::watched::{Watched, narrow, read_slowly};
use super::support::{Ended, Origin, Peer, body, text};
use super::{BAD_REQUEST, MEGABYTES, Tests, test};

const UPLOAD: usize = 6 * MEGABYTES;
const LONG: usize = 2 * MEGABYTES;

/// Longer than the proxy waits for a client with which nothing moves.
const SLOWLY: Duration = Duration::from_secs(6);

/// What an origin does behind an early answer.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// Reads on, as the client sends on.
    Reads,
    /// Ends its side, and reads what comes.
    Finishes,
    /// Closes over what it has not read, so that it is reset.
    Hangs,
}

pub(super) fn tests() -> Tests {
    let length = format!("Content-Length: {LONG}\r\n");
    let mut tests: Tests = Vec::new();
    for (framing, body) in [
        (length.as_str(), body(LONG)),
        ("Transfer-Encoding: chunked\r\n", [b"200000\r\n", &body(LONG)[..], b"\r\n0\r\n\r\n"].concat()),
        ("", body(LONG)),
    ] {
        let head = format!("HTTP/1.1 413 Content Too Large\r\n{framing}Connection: close\r\n\r\n");
        let answer = [head.as_bytes(), &body].concat();
        tests.push(test(&format!("a_long_answer_reaches_who_uploads_and_reads_slowly {framing:?}"), move || {
            slow_both_ways(&answer);
        }));
    }
    for then in [Then::Reads, Then::Finishes, Then::Hangs] {
        let name = format!("a_short_answer_reaches_who_writes_all_before_it_reads {then:?}");
        tests.push(test(&name, move || writes_all_first(then)));
    }
    for (status, head) in [
        ("400 Bad Request", format!("PUT / HTTP/1.1\r\nContent-Length: {UPLOAD}\r\n\r\n")),
        (
            "431 Request Header Fields Too Large",
            format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\nA: {}\r\n\r\n", "a".repeat(70_000)),
        ),
    ] {
        let name = format!("a_reply_of_ours_reaches_who_writes_all_before_it_reads {status}");
        tests.push(test(&name, move || own_reply(status, &head)));
    }
    tests
}

fn upload_head() -> String {
    format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")
}

/// Sends so many bytes in so long, or as many as are taken.
fn upload(client: &mut TcpStream, count: usize, duration: Duration) -> std::io::Result<()> {
    let bytes = body(count);
    let pieces = bytes.chunks(count / 60);
    let pause = duration / 60;
    for piece in pieces {
        client.write_all(piece)?;
        sleep(pause);
    }
    Ok(())
}

/// Answers the next request, of which it has read the head alone.
fn answer(mut origin: Peer, answer: &[u8], then: Then) {
    origin.expect(upload_head());
    origin.send(answer);
    match then {
        Then::Reads => drop(origin.read(UPLOAD)),
        Then::Finishes => {
            origin.finish();
            drop(origin.read_to_end());
        }
        Then::Hangs => {
            // Something is there that it does not read.
            origin.read(1);
            sleep(Duration::from_millis(300));
        }
    }
}

fn slow_both_ways(expected: &[u8]) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = narrow(proxy.port());
    client.write_all(upload_head().as_bytes()).expect("it reads");
    let origin = listener.accept();
    scope(|scope| {
        scope.spawn(|| answer(origin, expected, Then::Finishes));
        let mut uploading = client.try_clone().expect("a descriptor");
        scope.spawn(move || match upload(&mut uploading, UPLOAD, Duration::from_secs(4)) {
            Ok(()) => {}
            // Once the client has its end, the proxy may have gone.
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
            }
        });
        let (found, ended) = read_slowly(&mut client, expected.len(), Duration::from_secs(3));
        assert!(found == expected, "{} of {} bytes, {ended:?}", found.len(), expected.len());
        assert_eq!(ended, Ended::Fin);
    });
}

fn writes_all_first(then: Then) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = narrow(proxy.port());
    client.write_all(upload_head().as_bytes()).expect("it reads");
    let origin = listener.accept();
    let expected = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 40\r\nConnection: close\r\n\r\n".to_owned()
        + &"a".repeat(40);
    let sent = expected.clone();
    let answering = spawn(move || answer(origin, sent.as_bytes(), then));
    upload(&mut client, UPLOAD, SLOWLY).expect("the proxy takes it all");
    Peer::new(client).expect_end(expected, Ended::Fin);
    assert!(answering.join().is_ok());
}

fn own_reply(status: &str, head: &str) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = narrow(proxy.port());
    client.write_all(head.as_bytes()).expect("it reads");
    upload(&mut client, UPLOAD, SLOWLY).expect("the proxy takes it all");
    let (found, ended) = Peer::new(client).read_to_end();
    let expected = BAD_REQUEST.replace("400 Bad Request", status);
    assert_eq!((text(&found), ended), (text(expected.as_bytes()), Ended::Fin));
}

//! "Until its FIN, or until 5 s have passed in which neither our send queue shrank nor a byte came, 30 s in all."

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::support::watched::{Watched, narrow};
use super::support::{Ended, Origin, Peer, body};
use super::{BAD_REQUEST, GET, Tests, test};

/// Its tick may begin before our watch.
const EARLY: Duration = Duration::from_millis(100);

/// The proxy looks once a second, and the tick under way does not count.
const LATE: Duration = Duration::from_millis(2500);

pub(super) fn tests() -> Tests {
    vec![
        test("who_neither_closes_nor_sends_is_waited_for_five_seconds", still),
        test("who_does_not_read_is_waited_for_five_seconds", unread),
        test("who_goes_on_sending_is_waited_for_thirty_seconds", trickling),
    ]
}

/// How long the proxy keeps the client of which there is one.
fn kept(proxy: &Watched, since: Instant, mut meanwhile: impl FnMut()) -> Duration {
    while proxy.metric("headsnip_open_connections") > 0 {
        assert!(since.elapsed() < Duration::from_secs(40), "it is never let go");
        meanwhile();
        sleep(Duration::from_millis(100));
    }
    since.elapsed()
}

fn is_about(taken: Duration, limit: Duration) {
    assert!(taken + EARLY > limit && taken < limit + LATE, "let go after {taken:?}");
}

/// How long a client is kept that was refused, does not close, and does that meanwhile.
fn kept_when_refused(mut meanwhile: impl FnMut(&mut Peer)) -> Duration {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = proxy.dial();
    let begun = Instant::now();
    client.send("GET /\r\n\r\n");
    client.expect_end(BAD_REQUEST, Ended::Fin);
    kept(&proxy, begun, || meanwhile(&mut client))
}

fn still() {
    is_about(kept_when_refused(|_| ()), Duration::from_secs(5));
}

fn unread() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &["--access-log", "--log-format", "json"]);
    let mut client = narrow(proxy.port());
    client.write_all(GET.as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    origin.expect(GET);
    // Less than the proxy's socket takes, and more than the client's.
    let body = body(12_000);
    origin.send([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12000\r\n\r\n", &body[..]].concat());
    origin.expect_end("", Ended::Fin);
    let begun = Instant::now();
    is_about(kept(&proxy, begun, || ()), Duration::from_secs(5));
    assert_eq!(proxy.await_exchanges(1)[0]["detail"], "unacknowledged");
}

fn trickling() {
    // It may be gone before we know.
    let taken = kept_when_refused(|client| drop(client.try_send("a")));
    is_about(taken, Duration::from_secs(30));
}

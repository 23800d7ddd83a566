//! The one line that is added: to which heads, where, and what gives way to it.

use super::support::headsnip::Headsnip;
use super::support::{Ended, Origin};
use super::{GET, asked, await_refusal, drained, signal};

/// What the origin says while it drains, and what the client sees.
const HEADS: [(&str, &str); 10] = [
    (
        "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
    // A line that says otherwise gives way.
    (
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\nX-Powered-By: a\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection:  Keep-Alive \r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
    // One that says it already stays as it is.
    (
        "HTTP/1.1 200 OK\r\nconnection:Close\r\nServer: a\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nconnection:Close\r\nContent-Length: 2\r\n\r\nok",
    ),
    // Only the final head gets it.
    (
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
    (
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
    ),
    // No trailer section does.
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nServer: a\r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    ),
    // A name that only begins so is another name.
    (
        "HTTP/1.1 200 OK\r\nConnection-Id: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection-Id: close\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
    // The origin may be of HTTP/1.0.
    (
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ),
];

/// "every final head gets `Connection: close` added as its last field line (a line `Connection: keep-alive` gives way
/// to it; a head that already says close is left alone)".
#[test]
fn a_final_head_says_close() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let mut waiting = Vec::new();
    for (said, seen) in HEADS {
        let mut client = proxy.dial();
        client.send(GET);
        let origin = asked(&listener);
        waiting.push((client, origin, said, seen));
    }
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    for (client, origin, said, seen) in &mut waiting {
        origin.send(said);
        client.expect_end(seen, Ended::Fin);
    }
    assert_eq!(drained(proxy).cut, 0);
}

/// A body that ends with the connection: its head gets the line too, and it may take its time.
#[test]
fn a_body_until_close_is_carried_to_its_end() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let mut client = proxy.dial();
    client.send(GET);
    let mut origin = asked(&listener);
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    origin.send("HTTP/1.1 200 OK\r\nServer: a\r\n\r\nsome");
    client.expect("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome");
    origin.send(" more");
    origin.finish();
    client.expect_end(" more", Ended::Fin);
    assert_eq!(drained(proxy).cut, 0);
}

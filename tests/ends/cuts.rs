//! "If the origin was reset, so is the client, once it has taken what was relayed or 30 s have passed." "A cut body never looks complete."

use std::io::Write;
use std::time::{Duration, Instant};

use super::support::watched::{Watched, narrow, read_slowly};
use super::support::{Ended, Origin, body};
use super::{GET, MEGABYTES, Tests, test};

pub(super) fn tests() -> Tests {
    let old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    let chunk = "Transfer-Encoding: chunked\r\n";
    let length = "Content-Length: 400000000\r\n";
    [
        ("an undelimited body", GET, "", Some(Ended::Reset)),
        ("an undelimited body for HTTP/1.0", old, "", Some(Ended::Reset)),
        ("chunks for HTTP/1.0, which sees none", old, chunk, Some(Ended::Reset)),
        // Its framing tells that it is cut.
        ("chunks", GET, chunk, None),
        ("a length", GET, length, None),
    ]
    .into_iter()
    .map(|(name, request, framing, ended)| {
        let name = format!("what_was_relayed_arrives_before_a_cut is told: {name}");
        test(&name, move || slow_reader(request, framing, ended))
    })
    .collect()
}

fn slow_reader(request: &str, framing: &str, wanted: Option<Ended>) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = narrow(proxy.port());
    client.write_all(request.as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    origin.expect(request);
    let head = format!("HTTP/1.1 200 OK\r\n{framing}Connection: close\r\n\r\n");
    let start = if framing.contains("chunked") { "10000000\r\n" } else { "" };
    let sent = [head.as_bytes(), start.as_bytes(), &body(64 * MEGABYTES)].concat();
    let taken = origin.send_until_blocked_by(&sent);
    assert!(taken < sent.len(), "the client reads nothing");
    origin.reset();
    let begun = Instant::now();
    let (found, ended) = read_slowly(&mut client, 400_000, Duration::from_secs(4));
    assert!(begun.elapsed() < Duration::from_secs(30), "an end after {:?}", begun.elapsed());
    assert!(wanted.is_none_or(|wanted| wanted == ended), "{ended:?}");
    // What the proxy had read when the origin was reset is what it has counted.
    let relayed = proxy.metric("headsnip_bytes_total{direction=\"outbound\"");
    let relayed = usize::try_from(relayed).expect("few");
    assert!(sent.starts_with(&found), "other bytes");
    assert!(found.len() == relayed && relayed > head.len() + 10_000, "{} of {relayed} bytes, {ended:?}", found.len());
}

//! The origin ends, is reset or falls silent at each point of an exchange: what the client sees of it.
//!
//! `FAULTS_OF=nginx cargo test --test faults -- --nocapture` (or `haproxy`) prints what another proxy makes of the same.

#[path = "../support/mod.rs"]
mod support;

mod origin;
mod peers;
mod points;

use std::thread;
use std::time::Duration;

use points::{FAULTS, Fault, POINTS, Point, Seen};
use support::Peer;
use support::headsnip::{Headsnip, until};

/// How long a proxy here waits for a byte of an exchange.
const SILENCE: Duration = Duration::from_millis(600);

/// What the proxy's own memory may grow by while every case is put to it again.
const MEMORY: usize = 256 * 1024;

/// A case: a point of the exchange, and what happens to the origin there.
type Case = (usize, &'static Point, Fault);

fn cases() -> impl Iterator<Item = Case> {
    POINTS
        .iter()
        .flat_map(|point| FAULTS.map(|fault| (point, fault)))
        .enumerate()
        .map(|(index, (point, fault))| (index, point, fault))
}

/// Puts all cases to the proxy at once.
fn seen(port: u16) -> Vec<(Case, Seen)> {
    let put = |(index, point, fault): Case| {
        let mut client = Peer::new(std::net::TcpStream::connect(("127.0.0.1", port)).expect("the proxy listens"));
        let seen = point.put(index, fault, &mut client);
        ((index, point, fault), seen)
    };
    thread::scope(|scope| {
        let asking: Vec<_> = cases().map(|case| scope.spawn(move || put(case))).collect();
        asking.into_iter().map(|client| client.join().expect("a client saw an end")).collect()
    })
}

/// "In doubt, close", and the rows of responses that end early.
#[test]
fn no_cut_message_ends_cleanly_and_nothing_is_left_behind() {
    let origin = origin::start(cases().collect());
    if let Ok(name) = std::env::var("FAULTS_OF") {
        let proxy = peers::start(&name, &origin);
        return print(&name, &seen(proxy.port));
    }
    let proxy = Headsnip::start(&origin, &["--exchange-timeout", &format!("{}ms", SILENCE.as_millis())]);
    let idle = proxy.descriptors();
    let no_more_than_idle = || (proxy.descriptors() <= idle).then_some(());
    let first = seen(proxy.port());
    until(support::LIMIT, "the descriptors to be closed", no_more_than_idle);
    let memory = proxy.anonymous_memory();
    for _ in 0..3 {
        assert_eq!(seen(proxy.port()), first, "the same, each time");
    }
    print("headsnip", &first);
    for ((_, point, fault), seen) in &first {
        let wanted = point.wanted(*fault);
        assert_eq!(*seen, wanted, "{} {}", fault.name(), point.name);
    }
    until(support::LIMIT, "the descriptors to be closed", no_more_than_idle);
    let after = proxy.anonymous_memory();
    assert!(after < memory + MEMORY, "own memory grew from {memory} to {after} bytes");
    println!("descriptors {idle}, own memory {memory} and then {after} bytes");
}

/// As a table in Markdown.
fn print(name: &str, seen: &[(Case, Seen)]) {
    println!("| {name}: the origin, | {} |", FAULTS.map(Fault::name).join(" | "));
    println!("|---{}|", "|---".repeat(FAULTS.len()));
    for row in seen.chunks(FAULTS.len()) {
        let cells: Vec<_> = row.iter().map(|(_, seen)| seen.to_string()).collect();
        let point = row.first().map_or("", |((_, point, _), _)| point.name);
        println!("| {point} | {} |", cells.join(" | "));
    }
}

//! Proxies within a program of someone else: each has its own observer and counters, and writes nothing itself.

#![allow(clippy::panic, reason = "a test says what fails")]

mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use headsnip::config::Config;
use headsnip::ops::{Event, Format, Log, Observer};
use headsnip::proxy::{Counts, Drained, Handle, Proxy};
use support::{Origin, Peer, exchange_once};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const LEAKY: &str = "HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Length: 2\r\n\r\nok";
const STRIPPED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FOLDED: &str = "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n";
const MENDED: &str = "HTTP/1.1 200 OK\r\nA: b c\r\nContent-Length: 0\r\n\r\n";

/// What one observer was told, in short.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, event: Event<'_>) {
        let told = match event {
            Event::BadEnd { side, reason, .. } => format!("{side} {reason}"),
            Event::Mended { rule, .. } => format!("mended {}", rule.name()),
            Event::WouldRemove { entry, .. } => format!("would remove {entry}"),
            Event::Exchange { record, .. } => {
                format!("{} {} {:?} {}", record.method, record.target, record.status, record.removed)
            }
            Event::Error(_) | Event::Warning(_) | Event::Notice(_) | _ => event.to_string(),
        };
        self.0.lock().expect("no panic").push(told);
    }
}

/// A proxy on a thread of its own, of which an observer is told.
struct Embedded {
    address: String,
    handle: Handle,
    counts: &'static Counts,
    thread: JoinHandle<Drained>,
}

impl Embedded {
    fn before(origin: &Origin, observer: Arc<dyn Observer>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), origin.address());
        change(&mut config);
        let proxy = Proxy::bind(config, observer).expect("a free port");
        let (address, handle, counts) = (proxy.address().to_string(), proxy.handle(), proxy.counts());
        let thread = std::thread::spawn(move || proxy.run(std::future::pending()).expect("threads"));
        Self { address, handle, counts, thread }
    }

    fn exchange(&self, origin: &Origin, request: &str, response: &str) -> String {
        let client = Peer::new(std::net::TcpStream::connect(&self.address).expect("it listens"));
        String::from_utf8(exchange_once(client, origin, request, response)).expect("text")
    }

    /// Ends it, and tells what it counted by then of a metric.
    fn end(self, metric: &str) -> String {
        self.handle.dismiss();
        self.thread.join().expect("no panic");
        let text = self.counts.exposition();
        let value = text.lines().find_map(|line| line.strip_prefix(metric)).unwrap_or_default();
        value.trim().to_owned()
    }
}

#[test]
fn two_proxies_tell_each_its_own_observer_and_nobody_else() {
    let (one, two) = (Arc::<Heard>::default(), Arc::<Heard>::default());
    let observers: [Arc<dyn Observer>; 2] = [one.clone(), two.clone()];
    let [of_dear, of_dry] = observers;
    let (first, second) = (Origin::new(), Origin::new());
    let dear = Embedded::before(&first, of_dear, |config| {
        config.access_log = true;
        config.max_connections = 100.try_into().ok();
    });
    let dry = Embedded::before(&second, of_dry, |config| {
        config.policy.dry_run = true;
        config.max_connections = 100.try_into().ok();
        config.time_first_byte = true;
    });
    assert_eq!(dear.exchange(&first, GET, LEAKY), STRIPPED);
    assert_eq!(
        dear.exchange(&first, GET, ""),
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(dry.exchange(&second, GET, LEAKY), LEAKY);
    assert_eq!(dry.exchange(&second, GET, FOLDED), MENDED);
    assert_eq!(dear.end("headsnip_requests_total"), "2");
    assert_eq!(dry.end("headsnip_first_byte_seconds_count"), "2");
    let heard = |heard: &Heard| heard.0.lock().expect("no panic").clone();
    let of_one = heard(&one);
    assert_eq!(of_one, ["GET /a Some(200) 1", "origin connection_terminated", "GET /a Some(502) 0"]);
    assert_eq!(heard(&two), ["would remove server", "mended fold"]);
}

/// In a process of its own, so that all that it writes is seen.
#[test]
fn what_an_observer_takes_is_written_nowhere() {
    let this = std::env::current_exe().expect("this test");
    let arguments = ["--exact", "two_proxies_tell_each_its_own_observer_and_nobody_else", "--nocapture"];
    let output = Command::new(this).args(arguments).output().expect("it runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
    assert_eq!(complained, "");
    assert!(!said.contains("uvicorn") && !said.contains("client="), "{said}");
}

/// A log, too, may be had twice in one process, and its threads end with it.
#[test]
fn the_threads_of_a_log_end_with_it() {
    let log = Log::start(Format::Text).and_then(Log::with_exchanges).expect("threads");
    let threads = || std::fs::read_dir("/proc/self/task").expect("it is there").flatten();
    let names = || threads().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    let count = || names().filter(|name| name == "log\n").count();
    support::headsnip::until(support::LIMIT, "the threads to begin", || (count() == 2).then_some(()));
    log.flush();
    drop(log);
    support::headsnip::until(support::LIMIT, "the threads to end", || (count() == 0).then_some(()));
}

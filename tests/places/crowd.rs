//! Eight places, clients that ask now and then, and new ones all the time: who is asked to give way may just have sent a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::support::Peer;
use super::support::answering::{Answering, GET, OK};
use super::support::watched::Watched;
use super::{PLACES, exchange, start};

const DURATION: Duration = Duration::from_secs(9);

/// A request that crosses the end on the wire is lost, as it is with any server. On loopback nothing takes longer.
const CROSSING: Duration = Duration::from_millis(50);

/// What came of the requests of a client.
#[derive(Default)]
struct Seen {
    answered: usize,
    crossed: usize,
    lost: Vec<Duration>,
    reconnected: usize,
}

/// Asks at random intervals, and dials again where it finds its connection ended.
fn ask_now_and_then(proxy: &Watched, mut random: u64) -> Seen {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let mut client = proxy.dial();
    exchange(&mut client);
    while begun.elapsed() < DURATION {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        sleep(Duration::from_millis(500 + (random >> 33) % 2000));
        if client.is_readable() {
            client = proxy.dial();
            seen.reconnected += 1;
        }
        let sent = Instant::now();
        if client.try_send(GET).is_ok() && is_answered(&mut client) {
            seen.answered += 1;
            continue;
        }
        let taken = sent.elapsed();
        if taken < CROSSING {
            seen.crossed += 1;
        } else {
            seen.lost.push(taken);
        }
        client = proxy.dial();
    }
    seen
}

fn is_answered(client: &mut Peer) -> bool {
    let Some(head) = client.read_head() else { return false };
    assert_eq!(head, OK.trim_end_matches("ok"));
    client.expect("ok");
    true
}

pub(super) fn nothing_is_lost(workers: &str) {
    let origin = Answering::start();
    let proxy = start(&origin, workers);
    let is_over = AtomicBool::new(false);
    let seen = scope(|scope| {
        let proxy = &proxy;
        let asking: Vec<_> =
            (0..8).map(|client| scope.spawn(move || ask_now_and_then(proxy, 0x9E37_79B9 + client))).collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut client = proxy.dial();
                    // It may give way, too: before its request has come, above all.
                    if client.try_send(GET).is_ok() {
                        is_answered(&mut client);
                    }
                    sleep(Duration::from_millis(100));
                }
            });
        }
        let seen: Vec<_> = asking.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Ordering::Relaxed);
        seen
    });
    let seen: Vec<_> = seen.into_iter().map(|seen| seen.expect("a client saw what it should")).collect();
    let sum = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
    let (answered, crossed, reconnected) =
        (sum(|seen| seen.answered), sum(|seen| seen.crossed), sum(|seen| seen.reconnected));
    let lost: Vec<_> = seen.iter().flat_map(|seen| &seen.lost).collect();
    println!("{answered} answered, {crossed} crossed an end, {reconnected} found one; lost after {lost:?}");
    assert!(lost.is_empty(), "requests were lost: {lost:?}");
    assert!(crossed * 20 <= answered, "{crossed} requests crossed an end, {answered} were answered");
    assert!(proxy.gave_way("idle") > 0, "nobody had to give way");
}

/// The process is stopped meanwhile, so that it finds who waits for a place and the requests all at once.
pub(super) fn just_asked(workers: &str) {
    let origin = Answering::start();
    let proxy = start(&origin, workers);
    let mut clients: Vec<_> = (0..PLACES).map(|_| proxy.dial()).collect();
    clients.iter_mut().for_each(exchange);
    // All are idle for long enough to give way.
    sleep(Duration::from_millis(2500));
    proxy.signal("STOP");
    let mut ninth = proxy.dial();
    ninth.send(GET);
    for client in &mut clients {
        client.send(GET);
    }
    proxy.signal("CONT");
    for client in &mut clients {
        client.expect(OK);
    }
    ninth.expect(OK);
    // Workers share no lock: each may have one give way for the same place.
    let most = workers.parse().expect("a number");
    assert!((1..=most).contains(&proxy.gave_way("idle")), "one of them, once it was idle again");
}

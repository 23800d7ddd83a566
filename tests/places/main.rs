//! "When all are taken and one waits, there give way, in this order: who lingers; who has ended while an origin ignores it; who never
//! completed a request; who is idle over a second, longest first, and has nothing unread. Else clients wait in the backlog."
//!
//! Most of these tests wait, so that they run all at once.

#[path = "../support/mod.rs"]
mod support;

mod crowd;

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use support::answering::{Answering, GET, HOLD, OK};
use support::headsnip::until;
use support::watched::Watched;
use support::{Ended, LIMIT, Peer};

const PLACES: usize = 8;

/// In the order in which they give way.
const REASONS: [&str; 4] = ["lingering", "ended", "no_request", "idle"];

/// What has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It was answered for the last time, and has not closed.
    Lingering,
    /// It has ended, and the origin has not answered.
    Ended,
    /// It has said nothing.
    Silent,
    HalfHead,
    /// It was answered.
    Idle,
}

const KINDS: [Kind; 5] = [Kind::Lingering, Kind::Ended, Kind::Silent, Kind::HalfHead, Kind::Idle];

impl Kind {
    fn why(self) -> &'static str {
        match self {
            Self::Lingering => "lingering",
            Self::Ended => "ended",
            Self::Silent | Self::HalfHead => "no_request",
            Self::Idle => "idle",
        }
    }

    fn connect(self, proxy: &Watched) -> Peer {
        let mut client = proxy.dial();
        match self {
            Self::Lingering => {
                client.send("GET /\r\n\r\n");
                let (reply, ended) = client.read_to_end();
                assert!(reply.starts_with(b"HTTP/1.1 400 ") && ended == Ended::Fin);
            }
            Self::Ended => {
                client.send(HOLD);
                client.finish();
            }
            Self::Silent => {}
            Self::HalfHead => client.send("GET / HTTP/1.1\r\nHos"),
            Self::Idle => exchange(&mut client),
        }
        client
    }

    /// What it sees when it gives way.
    fn sees(self, mut client: Peer) {
        let (found, ended) = client.read_to_end();
        match self {
            Self::HalfHead => {
                assert!(
                    found.starts_with(b"HTTP/1.1 503 ") && ended == Ended::Fin,
                    "{ended:?} {}",
                    support::text(&found)
                );
            }
            // It had its end before; what else comes of it is not told.
            Self::Lingering => {}
            Self::Ended | Self::Silent | Self::Idle => assert!(found.is_empty(), "{}", support::text(&found)),
        }
    }
}

fn exchange(client: &mut Peer) {
    client.send(GET);
    client.expect(OK);
}

fn start(origin: &Answering, workers: &str) -> Watched {
    Watched::start(&origin.address, &["--max-connections", "8", "--workers", workers])
}

/// Waits until so many have a place, and what they have sent has come.
fn settle(proxy: &Watched, clients: u64) {
    proxy.await_metric("headsnip_open_connections", |count| count == clients);
    sleep(Duration::from_millis(100));
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(32);
    let mut tests = Vec::new();
    for workers in ["1", "2"] {
        for kind in KINDS {
            let name = format!("a_ninth_client_is_served_where_eight_are {kind:?}, workers {workers}");
            tests.push(test(name, move || ninth(kind, workers)));
        }
        let name = format!("a_ninth_client_waits_for_who_is_served, workers {workers}");
        tests.push(test(name, move || busy(workers)));
        let name = format!("a_request_that_comes_as_others_wait_is_answered, workers {workers}");
        tests.push(test(name, move || crowd::just_asked(workers)));
        let name = format!("no_request_is_lost_in_a_crowd, workers {workers}");
        tests.push(test(name, move || crowd::nothing_is_lost(workers)));
    }
    tests.push(test("who_has_just_ended_is_answered_though_another_waits", just_ended));
    tests.push(test("they_give_way_in_order", in_order));
    tests.push(test("who_is_idle_longest_gives_way_first", longest_first));
    tests.push(test("what_is_behind_an_urgent_mark_keeps_no_place", marked));
    tests.push(test("unfinished_heads_give_way_one_behind_the_other", half_heads));
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// One that panics fails.
fn test(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

fn ninth(kind: Kind, workers: &str) {
    let origin = Answering::start();
    let proxy = start(&origin, workers);
    let clients: Vec<_> = (0..PLACES).map(|_| kind.connect(&proxy)).collect();
    settle(&proxy, 8);
    let begun = Instant::now();
    let mut client = proxy.dial();
    exchange(&mut client);
    let taken = begun.elapsed();
    let most = if kind == Kind::Idle { 4 } else { 5 };
    assert!(taken < Duration::from_secs(most), "served after {taken:?}");
    let gone: Vec<_> = REASONS.iter().map(|why| proxy.gave_way(why)).collect();
    let wanted = |why: &str| match (kind, why) {
        // It is told, and then lingers.
        (Kind::HalfHead, "lingering") => 0..=2,
        _ if why == kind.why() => 1..=2,
        _ => 0..=0,
    };
    assert!(REASONS.iter().zip(&gone).all(|(why, count)| wanted(why).contains(count)), "{REASONS:?} {gone:?}");
    // It was the first, or, with two workers, the first of one of them.
    if workers == "1" {
        kind.sees(clients.into_iter().next().expect("a client"));
    }
}

fn busy(workers: &str) {
    let origin = Answering::start();
    let proxy = start(&origin, workers);
    let mut clients: Vec<_> = (0..PLACES).map(|_| proxy.dial()).collect();
    for client in &mut clients {
        client.send(HOLD);
    }
    proxy.await_metric("headsnip_requests_total", |count| count == 8);
    let mut ninth = proxy.dial();
    ninth.send(GET);
    sleep(Duration::from_secs(3));
    proxy.await_metric("headsnip_requests_total", |count| count == 8);
    origin.release(1);
    ninth.expect(OK);
    origin.release(PLACES);
    for client in &mut clients {
        client.expect(OK);
    }
    // Who was answered first may have been idle for long enough.
    assert_eq!(REASONS[..3].iter().map(|why| proxy.gave_way(why)).sum::<u64>(), 0);
    assert!(!proxy.log().iter().any(|line| line.contains(": client ")), "{:#?}", proxy.log());
}

/// Who shuts down writing behind a request may well wait for the response. Who is idle for over a second gives way instead, though it would be
/// later in the order.
fn just_ended() {
    let origin = Answering::start();
    let proxy = start(&origin, "1");
    let _idle = Kind::Idle.connect(&proxy);
    settle(&proxy, 1);
    sleep(Duration::from_millis(2500));
    let ended: Vec<_> = (1..PLACES).map(|_| Kind::Ended.connect(&proxy)).collect();
    settle(&proxy, 8);
    exchange(&mut proxy.dial());
    assert_eq!(REASONS.map(|why| proxy.gave_way(why)), [0, 0, 0, 1]);
    origin.release(ended.len());
    for mut client in ended {
        client.expect(OK);
    }
}

fn in_order() {
    let origin = Answering::start();
    let proxy = start(&origin, "1");
    // The dearest first, so that age alone would have them go the other way round.
    let kinds = [Kind::Idle, Kind::HalfHead, Kind::Silent, Kind::Ended].into_iter();
    let mut clients: Vec<_> = kinds.flat_map(|kind| [kind, kind]).take(7).map(|kind| kind.connect(&proxy)).collect();
    settle(&proxy, 7);
    sleep(Duration::from_millis(2500));
    // Who lingers is let go after five seconds.
    clients.push(Kind::Lingering.connect(&proxy));
    settle(&proxy, 8);
    let mut gone = Vec::new();
    for _ in 0..PLACES {
        let before = REASONS.map(|why| proxy.gave_way(why));
        let mut client = proxy.dial();
        client.send(HOLD);
        let counted = until(LIMIT, "somebody to give way", || {
            let now = REASONS.map(|why| proxy.gave_way(why));
            (now != before).then_some(now)
        });
        let is_first = gone.is_empty();
        gone.extend(
            REASONS
                .iter()
                .zip(counted.iter().zip(before))
                .filter(|(_, (now, before))| *now > before)
                .map(|(why, _)| *why)
                // Whose head is refused lingers for a moment.
                .filter(|why| is_first || *why != "lingering"),
        );
        clients.push(client);
        // It is busy from now on.
        settle(&proxy, 8);
    }
    let wanted = ["lingering", "ended", "no_request", "no_request", "no_request", "no_request", "idle", "idle"];
    assert_eq!(gone, wanted);
}

/// "Has nothing unread": of bytes behind an urgent mark the reactor tells once, before they can be read.
fn marked() {
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-connections", "8", "--idle-timeout", "6s"]);
    let mut clients = vec![Kind::Idle.connect(&proxy)];
    proxy.signal("STOP");
    until(LIMIT, "it stops", || proxy.is_stopped().then_some(()));
    clients[0].send("\r\n");
    clients[0].send_urgent(b'x');
    clients[0].send("\r\n");
    proxy.signal("CONT");
    clients.extend((1..PLACES).map(|_| Kind::Idle.connect(&proxy)));
    settle(&proxy, 8);
    sleep(Duration::from_millis(2500));
    let begun = Instant::now();
    exchange(&mut proxy.dial());
    assert!(begun.elapsed() < Duration::from_secs(1), "served after {:?}", begun.elapsed());
    clients.remove(0).expect_end("", Ended::Fin);
}

/// Each is answered and lingers, in front of somebody who waits: it need not be waited for twice.
fn half_heads() {
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-connections", "100"]);
    let _old: Vec<_> = (0..100).map(|_| Kind::HalfHead.connect(&proxy)).collect();
    settle(&proxy, 100);
    sleep(Duration::from_millis(2500));
    let begun = Instant::now();
    let _new: Vec<_> = (1..100).map(|_| Kind::HalfHead.connect(&proxy)).collect();
    exchange(&mut proxy.dial());
    assert!(begun.elapsed() < Duration::from_secs(2), "served after {:?}", begun.elapsed());
    assert_eq!(proxy.gave_way("no_request"), 100);
}

/// "Longest first": of three idle ones, which were asked in another order than they came.
fn longest_first() {
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-connections", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| Kind::Idle.connect(&proxy)).collect();
    for place in [1, 2, 0] {
        // The table of deadlines is of whole seconds.
        sleep(Duration::from_millis(1300));
        exchange(&mut clients[place]);
    }
    sleep(Duration::from_millis(2500));
    let mut new = proxy.dial();
    exchange(&mut new);
    clients.remove(1).expect_end("", Ended::Fin);
    clients.iter_mut().for_each(exchange);
}

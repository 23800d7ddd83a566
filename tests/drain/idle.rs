//! Clients between requests: one more request each, or none; and what becomes of them when the application has gone.

use std::thread;
use std::time::{Duration, Instant};

use super::support::headsnip::{Headsnip, until};
use super::support::{Ended, LIMIT, Origin};
use super::{ANSWER, GET, LAST, asked, await_refusal, connect, drained, last_exchange, signal};

/// "idle clients may make one more request"; one that is silent is closed at `--drain-timeout`, which is no cut.
#[test]
fn an_idle_client_may_make_one_more_request() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "200ms", "--drain-timeout", "2s"]);
    let (mut asking, mut asking_origin) = connect(&proxy, &listener);
    let (silent, _silent_origin) = connect(&proxy, &listener);
    let mut new = proxy.dial();
    let mute = proxy.dial();
    let at = signal(&proxy, "TERM");
    let ends = [silent, mute].map(|mut client| {
        thread::spawn(move || {
            client.expect_end("", Ended::Fin);
            at.elapsed()
        })
    });
    await_refusal(&proxy);
    last_exchange(&mut asking, &mut asking_origin);
    // Its first request is its one more.
    new.send(GET);
    let mut new_origin = asked(&listener);
    new_origin.send(ANSWER);
    new.expect_end(LAST, Ended::Fin);
    for end in ends {
        let after = end.join().expect("an end without a byte");
        assert!(after >= Duration::from_millis(2_200), "closed after {after:?}");
    }
    let drained = drained(proxy);
    assert!(drained.finished >= 4 && drained.cut == 0, "{drained:?}");
}

/// "If nothing is left it ends at once": idle clients that leave are not waited for. Those that left before the signal are not counted.
#[test]
fn it_ends_when_the_last_idle_client_leaves() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let idle = proxy.descriptors();
    drop((0..20).map(|_| connect(&proxy, &listener)).collect::<Vec<_>>());
    until(LIMIT, "twenty clients to be gone", || (proxy.descriptors() <= idle).then_some(()));
    let clients: Vec<_> = (0..3).map(|_| connect(&proxy, &listener)).collect();
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    drop(clients);
    let drained = drained(proxy);
    assert!((3..20).contains(&drained.finished) && drained.cut == 0, "{drained:?}");
}

/// When the application has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gone {
    BeforeTheSignal,
    InTheDelay,
    AfterTheDelay,
}

/// "If the application has gone ... the delay is cut short and idle clients are closed within about a second".
#[test]
fn nobody_waits_for_an_application_that_has_gone() {
    for (gone, delay) in [(Gone::BeforeTheSignal, "20s"), (Gone::InTheDelay, "20s"), (Gone::AfterTheDelay, "0s")] {
        let mut listener = Some(Origin::new());
        let address = listener.as_ref().expect("it was made above").address();
        let proxy = Headsnip::start(&address, &["--drain-delay", delay]);
        let mut clients: Vec<_> =
            listener.iter().flat_map(|listener| (0..3).map(|_| connect(&proxy, listener))).collect();
        let mut mute = proxy.dial();
        let mut end_origin = || {
            listener = None;
            let left = clients.drain(..).map(|(client, origin)| {
                drop(origin);
                client
            });
            (left.collect::<Vec<_>>(), Instant::now())
        };
        let (left, since) = if gone == Gone::BeforeTheSignal {
            let (left, _) = end_origin();
            (left, signal(&proxy, "TERM"))
        } else {
            signal(&proxy, "TERM");
            if gone == Gone::AfterTheDelay {
                await_refusal(&proxy);
            }
            end_origin()
        };
        for mut client in left {
            client.expect_end("", Ended::Fin);
        }
        mute.expect_end("", Ended::Fin);
        let drained = drained(proxy);
        // It should be two seconds; the machine may be busy.
        assert!(since.elapsed() < Duration::from_secs(6), "{gone:?}: ended after {:?}", since.elapsed());
        assert!(drained.finished >= 4 && drained.cut == 0, "{gone:?}: {drained:?}");
    }
}

/// The same, but for a client whose exchange the application still finishes: its last connection is not its end.
#[test]
fn an_application_that_only_closed_its_listener_is_waited_for() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let (mut client, mut origin) = connect(&proxy, &listener);
    let (mut idle, idle_origin) = connect(&proxy, &listener);
    client.send(GET);
    origin.expect(GET);
    drop((listener, idle_origin));
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    // Idle clients are not waited for: it has found out.
    idle.expect_end("", Ended::Fin);
    origin.send(ANSWER);
    client.expect_end(LAST, Ended::Fin);
    assert_eq!(drained(proxy).cut, 0);
}

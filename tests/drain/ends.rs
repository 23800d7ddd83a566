//! What does not end by itself: tunnels and long downloads at `--drain-timeout`, SIGINT, and a second signal.

use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::support::headsnip::Headsnip;
use super::support::{Ended, LIMIT, Origin, Peer};
use super::{ANSWER, GET, LAST, OK, asked, await_refusal, connect, dial, drained, exchange, signal};

const SHORT: [&str; 4] = ["--drain-delay", "0s", "--drain-timeout", "1s"];

/// A tunnel through which nothing has gone.
fn tunnel(proxy: &Headsnip, listener: &Origin) -> (Peer, Peer) {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = proxy.dial();
    client.send(upgrade);
    let mut origin = listener.accept();
    origin.expect(upgrade);
    origin.send(switched.replace("\r\nUpgrade", "\r\nServer: a\r\nUpgrade"));
    client.expect(switched);
    (client, origin)
}

/// Bytes through a tunnel, one way and back.
fn ping(client: &mut Peer, origin: &mut Peer) {
    client.send("ping");
    origin.expect("ping");
    origin.send("pong");
    client.expect("pong");
}

/// "at `--drain-timeout` the rest is cut": a tunnel is carried on until then, and its cut can be seen.
#[test]
fn a_tunnel_is_carried_until_the_time_is_over() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &SHORT);
    let (mut client, mut origin) = tunnel(&proxy, &listener);
    let at = signal(&proxy, "TERM");
    await_refusal(&proxy);
    ping(&mut client, &mut origin);
    client.expect_end("", Ended::Reset);
    assert!(at.elapsed() >= Duration::from_secs(1), "cut after {:?}", at.elapsed());
    origin.expect_end("", Ended::Reset);
    assert_eq!(drained(proxy).cut, 1);
}

/// A tunnel that ends by itself in time is finished.
#[test]
fn a_tunnel_that_ends_in_time_is_not_cut() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
    let (mut client, mut origin) = tunnel(&proxy, &listener);
    signal(&proxy, "TERM");
    await_refusal(&proxy);
    ping(&mut client, &mut origin);
    origin.send("bye");
    origin.finish();
    client.expect_end("bye", Ended::Fin);
    client.send("bye");
    client.finish();
    origin.expect_end("bye", Ended::Fin);
    let drained = drained(proxy);
    assert!(drained.finished >= 1 && drained.cut == 0, "{drained:?}");
}

/// Promise 3 at the limit: a download that would take 30 s is cut, said to be, and does not look complete.
#[test]
fn a_long_download_is_cut_at_the_limit() {
    for (framing, step) in [
        ("Content-Length: 600\r\n", "a"),
        ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n"),
        // With no length only a reset shows the cut.
        ("", "a"),
    ] {
        let listener = Origin::new();
        let proxy = Headsnip::start(&listener.address(), &SHORT);
        let mut client = proxy.dial();
        client.send(GET);
        let mut origin = asked(&listener);
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
        origin.send(format!("{head}{step}"));
        client.expect(&head);
        let at = signal(&proxy, "TERM");
        let dripping = std::thread::spawn(move || {
            // Until the proxy has gone.
            for _ in 1..600 {
                if origin.try_send(step).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let (found, ended) = client.read_to_end();
        assert!(at.elapsed() >= Duration::from_secs(1), "{framing:?}: cut after {:?}", at.elapsed());
        assert!(at.elapsed() < LIMIT, "{framing:?}: cut after {:?}", at.elapsed());
        assert!(step.repeat(600).as_bytes().starts_with(&found) && found.len() < 600 * step.len());
        assert!(ended == Ended::Reset || !framing.is_empty(), "a cut body ended cleanly");
        assert_eq!(drained(proxy).cut, 1, "{framing:?}");
        assert!(dripping.join().is_ok());
    }
}

/// "SIGINT: the same with idle clients closed at once and no delay"; an exchange is finished.
#[test]
fn sigint_closes_idle_clients_at_once() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &[]);
    let (mut idle, _idle_origin) = connect(&proxy, &listener);
    let mut new = proxy.dial();
    let (mut busy, mut busy_origin) = connect(&proxy, &listener);
    busy.send(GET);
    busy_origin.expect(GET);
    let at = signal(&proxy, "INT");
    idle.expect_end("", Ended::Fin);
    new.expect_end("", Ended::Fin);
    assert!(at.elapsed() < Duration::from_secs(5), "closed after {:?}", at.elapsed());
    assert!(dial(proxy.port()).is_none(), "the listener is still open");
    busy_origin.send(ANSWER);
    busy.expect_end(LAST, Ended::Fin);
    let drained = drained(proxy);
    assert!(drained.finished >= 3 && drained.cut == 0, "{drained:?}");
}

/// "SIGHUP is ignored and logged"; SIGUSR1 and SIGUSR2 are ignored, and that the file of a log is full.
#[test]
fn a_hang_up_changes_nothing() {
    let listener = Origin::new();
    let proxy = Headsnip::start(&listener.address(), &["--workers", "2"]);
    let (mut idle, mut idle_origin) = connect(&proxy, &listener);
    let (mut busy, mut busy_origin) = connect(&proxy, &listener);
    busy.send(GET);
    busy_origin.expect(GET);
    for name in ["USR1", "USR2", "XFSZ", "HUP"] {
        proxy.signal(name);
    }
    proxy.await_line("headsnip: SIGHUP: ignored; nothing is reloaded");
    busy_origin.send(ANSWER);
    busy.expect(OK);
    exchange(&mut idle, &mut idle_origin, OK);
    let (mut new, mut new_origin) = connect(&proxy, &listener);
    signal(&proxy, "TERM");
    proxy.signal("HUP");
    exchange(&mut new, &mut new_origin, OK);
}

/// A supervisor's own mask is inherited, and is none of what its user asked for.
#[test]
fn a_signal_that_was_blocked_by_whoever_started_it_ends_it() {
    let origin = Origin::new();
    let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).expect("a set of signals");
    let proxy = Headsnip::start(&origin.address(), &["--drain-delay", "0s"]);
    blocked.thread_set_mask().expect("a set of signals");
    proxy.signal("HUP");
    proxy.await_line("headsnip: SIGHUP: ignored; nothing is reloaded");
    signal(&proxy, "TERM");
    drained(proxy);
}

/// "A repeat within that second counts as the first": a supervisor that sends to the group and to the process sends one.
#[test]
fn a_repeat_of_a_signal_is_no_second_one() {
    for name in ["TERM", "INT"] {
        let listener = Origin::new();
        let proxy = Headsnip::start(&listener.address(), &["--drain-delay", "0s"]);
        let (mut busy, mut busy_origin) = connect(&proxy, &listener);
        busy.send(GET);
        busy_origin.expect(GET);
        let at = signal(&proxy, name);
        for again in [name, "TERM", "INT"] {
            proxy.signal(again);
        }
        assert!(at.elapsed() < Duration::from_secs(1), "too slow to tell");
        busy_origin.send(ANSWER);
        busy.expect_end(LAST, Ended::Fin);
        assert_eq!(drained(proxy).cut, 0, "{name}");
    }
}

/// "A second signal ends headsnip immediately", of either kind, in the delay or after it.
#[test]
fn a_second_signal_ends_it_now() {
    for (first, second, delay) in
        [("TERM", "TERM", "20s"), ("TERM", "INT", "0s"), ("INT", "INT", "0s"), ("INT", "TERM", "20s")]
    {
        let listener = Origin::new();
        let proxy = Headsnip::start(&listener.address(), &["--drain-delay", delay]);
        let (mut idle, _idle_origin) = connect(&proxy, &listener);
        let (mut busy, mut busy_origin) = connect(&proxy, &listener);
        busy.send(GET);
        busy_origin.expect(GET);
        let half = "HTTP/1.1 200 OK\r\n\r\nhalf";
        busy_origin.send(half);
        busy.expect(half);
        signal(&proxy, first);
        // Sooner, it would be the first once more.
        std::thread::sleep(Duration::from_secs(1));
        // The first has cut no exchange.
        busy_origin.send("more");
        busy.expect("more");
        proxy.signal(second);
        busy.expect_end("", Ended::Reset);
        // The end of an idle connection is no loss, whichever way.
        assert!(idle.read_to_end().0.is_empty());
        let drained = drained(proxy);
        assert_eq!((drained.finished, drained.cut), (1, 1), "{first} {second}");
    }
}

/// "SIGINT: idle clients closed at once": one whose request has just come is not idle. The process is stopped meanwhile, so that it
/// finds the signal, the connections and the requests all at once.
#[test]
fn sigint_answers_who_has_just_asked() {
    for _ in 0..5 {
        let listener = Origin::new();
        let proxy = Headsnip::start(&listener.address(), &[]);
        proxy.signal("STOP");
        let mut clients: Vec<_> = (0..5).map(|_| proxy.dial()).collect();
        for client in &mut clients {
            client.send(GET);
        }
        proxy.signal("INT");
        proxy.signal("CONT");
        let mut origins: Vec<_> = (0..5).map(|_| asked(&listener)).collect();
        // Of a stopped process, any thread may take the signal, one that is late too.
        proxy.await_line("SIGINT: draining");
        for origin in &mut origins {
            origin.send(ANSWER);
        }
        for client in &mut clients {
            client.expect_end(LAST, Ended::Fin);
        }
        drop(clients);
        let drained = drained(proxy);
        assert_eq!((drained.finished, drained.cut), (5, 0));
    }
}

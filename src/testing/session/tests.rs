//! What a session does that the properties leave open.

use super::wire::{Hold, Side};
use super::{Bench, COUNTERS, Event, Step};
use crate::ops::reason::{Reason, Side as Fault};
use crate::proxy::handle::Closing;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

fn client(text: &str) -> Event {
    Event::Step(Step::Client(text.into()))
}

fn origin(text: &str) -> Event {
    Event::Step(Step::Origin(text.into()))
}

/// How often an origin has ended a response before its end.
fn cut_responses() -> u64 {
    COUNTERS.with(|counters| counters.failures(Fault::Origin, Reason::HttpResponseIncomplete).value())
}

/// A session after these events.
fn after(events: &[Event]) -> Bench {
    let mut bench = Bench::new();
    for event in events {
        assert!(bench.run(event), "{event:?} can happen");
    }
    bench
}

#[test]
fn what_waits_behind_a_request_that_goes_once_more_is_not_lost() {
    let mut bench = after(&[client(GET), origin(OK), Event::OriginRefuses, client(GET), client(NEXT)]);
    // Whatever has it look again in the meantime.
    bench.run(&Event::OriginFull(false));
    bench.run(&Event::Step(Step::OriginReset));
    assert_eq!(bench.to_origin(), [GET, GET].concat().as_bytes(), "it waits until that is answered");
    bench.run(&origin(OK));
    assert_eq!(bench.to_origin(), [GET, GET, NEXT].concat().as_bytes());
}

#[test]
fn a_request_goes_once_more_wherever_it_began_in_what_was_read() {
    let rest = "a".repeat(30_000);
    let put = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n{}", "b".repeat(20_000));
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n";
    let both = client(&[&*rest, &put].concat());
    let bench = after(&[client(upload), both, origin(OK), Event::Step(Step::OriginEnd)]);
    assert!(bench.to_origin() == [upload, &rest, &put, &put].concat().as_bytes());
}

#[test]
fn who_is_answered_by_an_origin_that_took_nothing_of_the_request_is_not_left_waiting() {
    let bench = after(&[client(GET), origin(OK), Event::OriginRefuses, client(GET), origin(OK)]);
    assert_eq!(bench.client.borrow().received, [OK, OK].concat().as_bytes());
    assert_eq!(bench.client.borrow().seen, Side::Finished, "what it sends next would not be read");
}

#[test]
fn the_rest_of_an_upload_that_nobody_takes_is_read_and_thrown_away() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok";
    let mut bench = after(&[client(UPLOAD), origin(head), Event::OriginRefuses, client("four"), client("more")]);
    assert!(bench.client.borrow().was_read(), "who sends first and reads then does not wait for ever");
    bench.run(&origin("ok"));
    assert_eq!(bench.client.borrow().received, [head, "ok"].concat().as_bytes());
    assert_eq!(bench.client.borrow().seen, Side::Finished, "its connection ends with the response");
}

#[test]
fn an_origin_that_refuses_and_then_ends_has_ended_cleanly() {
    let mut bench = after(&[client(UPLOAD), origin(ENDLESS), Event::OriginRefuses, client("four")]);
    assert_eq!(bench.client.borrow().seen, Side::Open);
    bench.run(&Event::Step(Step::OriginEnd));
    assert_eq!(bench.client.borrow().seen, Side::Finished);
}

#[test]
fn a_tunnel_whose_origin_has_ended_and_is_gone_is_reset() {
    let tunnel = [client(UPGRADE), origin(SWITCHED), Event::Step(Step::OriginEnd)];
    let (mut bench, cut) = (after(&tunnel), cut_responses());
    bench.run(&client("hello"));
    assert_eq!(bench.client.borrow().seen, Side::Finished, "it may still listen");
    bench.run(&Event::OriginRefuses);
    bench.run(&client("hello"));
    assert_eq!(bench.client.borrow().seen, Side::Reset);
    assert_eq!(cut_responses(), cut, "so does a server that closes a WebSocket first");
}

#[test]
fn a_tunnel_that_its_origin_closes_first_is_over_once_its_client_closes() {
    let cut = cut_responses();
    let mut bench = after(&[client(UPGRADE), origin(SWITCHED), Event::Step(Step::OriginEnd), Event::OriginRefuses]);
    bench.client.borrow_mut().send(b"late");
    bench.run(&Event::Step(Step::ClientEnd));
    assert_eq!(bench.client.borrow().hold, Hold::Closed);
    assert_eq!(cut_responses(), cut);
}

#[test]
fn idle_clients_are_dismissed_and_others_are_not() {
    let dismissed = Event::Close(Closing::Dismiss);
    for (events, seen) in [
        (&[client(GET), origin(OK)][..], Side::Finished),
        (&[client(GET)], Side::Open),
        (&[client("GET")], Side::Open),
        (&[client(GET), origin("HTTP/1.1 200 OK\r\n")], Side::Open),
        (&[client(GET), Event::ClientFull(true), origin(OK)], Side::Open),
    ] {
        let mut bench = after(events);
        bench.run(&dismissed);
        assert_eq!(bench.client.borrow().seen, seen, "{events:?}");
    }
    // Not read yet when idle ones are closed.
    let mut bench = after(&[client(GET), origin(OK)]);
    bench.client.borrow_mut().send(NEXT.as_bytes());
    bench.run(&dismissed);
    assert_eq!(bench.to_origin(), [GET, NEXT].concat().as_bytes());
}

#[test]
fn a_request_that_comes_as_the_idle_time_ends_is_relayed() {
    let idle_for = |ticks| {
        let mut bench = after(&[client(GET), origin(OK)]);
        bench.pass(ticks);
        bench
    };
    let ticks = (1..1_000).find(|ticks| idle_for(*ticks).client.borrow().seen != Side::Open).expect("a limit");
    let mut bench = idle_for(ticks - 1);
    bench.client.borrow_mut().send(NEXT.as_bytes());
    bench.pass(1);
    assert_eq!(bench.to_origin(), [GET, NEXT].concat().as_bytes());
    assert_eq!(bench.client.borrow().seen, Side::Open);
    bench.run(&origin(OK));
    bench.finish();
}

/// As where the process was stopped until its drain was over.
#[test]
fn a_response_that_has_come_when_all_is_cut_is_relayed() {
    let mut bench = after(&[client(GET)]);
    let origin = bench.origin().expect("it is asked");
    bench.happen(99, |bench| {
        origin.borrow_mut().send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        bench.worker.close(Closing::Cut);
    });
    let said = bench.client.borrow().received.clone();
    assert_eq!(said, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}

#[test]
fn a_session_that_is_dropped_lies_to_nobody() {
    for (events, seen) in [
        (&[client(GET)][..], Side::Finished),
        (&[client(GET), origin("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")], Side::Finished),
        (&[client(GET), origin(ENDLESS)], Side::Reset),
        (&[client(UPGRADE), origin(SWITCHED)], Side::Reset),
        (&[client(GET), Event::ClientFull(true), origin(ENDLESS), Event::Step(Step::OriginEnd)], Side::Reset),
        (&[Event::ClientFull(true), client("?\r\n\r\n")], Side::Reset),
        (&[client("?\r\n\r\n")], Side::Finished),
    ] {
        let bench = after(events);
        let client = std::rc::Rc::clone(&bench.client);
        drop(bench);
        assert_eq!(client.borrow().seen, seen, "{events:?}");
    }
}

#[test]
fn what_ends_badly_is_counted_by_whose_fault_it_was() {
    let late = Event::TimePasses;
    for (events, side, reason) in [
        (&[client("GET"), late.clone()][..], Fault::Client, Reason::HttpRequestError),
        (&[client(UPLOAD), late.clone()], Fault::Client, Reason::HttpRequestError),
        (&[client(GET), late.clone()], Fault::Origin, Reason::HttpResponseTimeout),
        (
            &[client(GET), Event::ClientFull(true), origin(OK), late.clone()],
            Fault::Client,
            Reason::ConnectionWriteTimeout,
        ),
        (
            &[client(GET), origin(OK), Event::OriginFull(true), client(UPLOAD), late.clone()],
            Fault::Origin,
            Reason::ConnectionWriteTimeout,
        ),
        (&[Event::DialsHang, client(GET), late], Fault::Origin, Reason::ConnectionTimeout),
        (&[client(GET), Event::ClientReset], Fault::Client, Reason::ConnectionTerminated),
        (&[client(GET), Event::Close(Closing::Cut)], Fault::Proxy, Reason::ConnectionTerminated),
    ] {
        let count = || COUNTERS.with(|counters| counters.failures(side, reason).value());
        let before = count();
        drop(after(events));
        assert_eq!(count(), before + 1, "{events:?}");
    }
    let count = || COUNTERS.with(|counters| counters.failures(Fault::Client, Reason::ConnectionTerminated).value());
    let before = count();
    drop(after(&[client(GET), origin(OK), Event::ClientReset]));
    assert_eq!(count(), before, "an idle client may go as it likes");
}

#[test]
fn a_client_is_waited_for_so_that_no_close_eats_its_last_bytes() {
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (request, answer) in [(last, OK), (GET, closing)] {
        let mut bench = after(&[client(request), origin(answer)]);
        let far = std::rc::Rc::clone(&bench.client);
        assert_eq!((far.borrow().seen, far.borrow().hold), (Side::Finished, Hold::Whole));
        bench.run(&client("more"));
        assert!(far.borrow().was_read() && far.borrow().hold == Hold::Whole);
        bench.run(&Event::Step(Step::ClientEnd));
        assert_eq!(far.borrow().hold, Hold::Closed);
    }
}

#[test]
fn who_takes_a_byte_now_and_then_is_waited_for() {
    for events in [
        // An exchange under way, and one of which nothing is left but its last bytes.
        &[client(GET), Event::ClientFull(true), origin("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")][..],
        &[Event::ClientFull(true), client("?\r\n\r\n")],
    ] {
        let mut bench = after(events);
        for taken in 1..10 {
            // Less than a time limit, which is of eight.
            bench.pass(6);
            bench.take(1);
            assert_eq!(bench.client.borrow().received.len(), taken, "{events:?}");
        }
        bench.run(&Event::TimePasses);
        assert_eq!(bench.client.borrow().seen, Side::Reset, "{events:?}");
    }
}

#[test]
fn to_be_woken_is_not_to_move() {
    let mut bench = after(&[client(GET), Event::ClientFull(true), origin("HTTP/1.1 200 OK\r\n\r\n")]);
    for _ in 0..4 {
        bench.pass(6);
        bench.run(&Event::ClientFull(true));
    }
    assert_eq!(bench.client.borrow().seen, Side::Reset);
}

#[test]
fn a_flood_goes_by_turns() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n";
    // The bench counts the reads of each poll.
    let bench = after(&[client(head), Event::Step(Step::Client(vec![b'a'; 3_000_000]))]);
    assert_eq!(bench.to_origin().len(), head.len() + 3_000_000);
}

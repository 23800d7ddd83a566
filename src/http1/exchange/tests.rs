//! What the owner of the connections is told beside the verdicts.

use super::Direction::{Inbound, Outbound};
use super::*;
use crate::http1::Run;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\n";

fn exchange<'p>(policy: &'p Policy, said: &[(Direction, &str)]) -> Exchange<'p> {
    let mut exchange = Exchange::new(policy);
    for (direction, bytes) in said {
        assert_eq!(say(&mut exchange, *direction, bytes), "", "all of {bytes:?} is disposed of");
    }
    exchange
}

/// Shows bytes until no more can be judged; gives those that were not.
fn say<'b>(exchange: &mut Exchange<'_>, direction: Direction, bytes: &'b str) -> &'b str {
    let mut left = bytes;
    loop {
        let count = match exchange.judge(direction, left.as_bytes()).expect("nothing is broken") {
            Verdict::NeedMore | Verdict::Wait => return left,
            Verdict::Add(_) => 0,
            Verdict::Keep(n) | Verdict::Drop(n) | Verdict::Withhold(n) => n.get(),
            Verdict::Pass(run) => {
                let most = if let Run::Exactly(n) = run { n.get() } else { u64::MAX };
                let count = left.len().min(usize::try_from(most).unwrap_or(usize::MAX));
                exchange.passed(direction, u64::try_from(count).expect("64 bits are enough"));
                if count == 0 {
                    return left;
                }
                count
            }
        };
        left = &left[count..];
    }
}

#[test]
fn statuses_are_told_once_and_only_of_heads_that_go_on() {
    let policy = Policy::default();
    let mut of_1_1 = exchange(&policy, &[(Inbound, GET)]);
    assert_eq!(of_1_1.take_status(), None);
    say(&mut of_1_1, Outbound, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_eq!((of_1_1.take_status(), of_1_1.take_status()), (Some(103), None));
    say(&mut of_1_1, Outbound, OK);
    assert_eq!((of_1_1.take_status(), of_1_1.take_status()), (Some(200), None));
    let mut of_1_0 = exchange(&policy, &[(Inbound, "GET / HTTP/1.0\r\n\r\n"), (Outbound, "HTTP/1.1 103 Oh\r\n\r\n")]);
    assert_eq!(of_1_0.take_status(), None);
}

#[test]
fn requests_are_counted_until_they_are_answered_in_full() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[]);
    for count in 1..=MAX_UNANSWERED {
        say(&mut exchange, Inbound, GET);
        assert_eq!(exchange.unanswered(), count);
    }
    assert_eq!(say(&mut exchange, Inbound, GET), GET, "one more waits");
    assert_eq!(exchange.judge(Inbound, GET.as_bytes()), Ok(Verdict::Wait));
    // The client may end in the meantime, which is to be seen.
    assert_eq!(exchange.judge(Inbound, b""), Ok(Verdict::NeedMore));
    say(&mut exchange, Outbound, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(exchange.unanswered(), MAX_UNANSWERED);
    say(&mut exchange, Outbound, "a");
    assert_eq!(exchange.unanswered(), MAX_UNANSWERED - 1);
}

#[test]
fn a_client_that_says_close_is_done_once_its_request_is_whole() {
    let policy = Policy::default();
    let closing = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\n";
    let mut exchange = exchange(&policy, &[(Inbound, closing)]);
    assert!(!exchange.is_last_of_client());
    say(&mut exchange, Inbound, "body");
    assert!(exchange.is_last_of_client() && !exchange.is_finished());
    say(&mut exchange, Outbound, OK);
    assert!(exchange.is_finished());
    let keeping = self::exchange(&policy, &[(Inbound, GET), (Outbound, CLOSING)]);
    assert!(!keeping.is_last_of_client() && keeping.is_finished(), "the origin said so, not the client");
}

#[test]
fn a_fin_of_the_client_goes_on_within_a_request_and_in_a_tunnel() {
    let policy = Policy::default();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    for (said, goes_on) in [
        (&[][..], false),
        (&[(Inbound, GET)], false),
        (&[(Inbound, GET), (Outbound, OK)], false),
        (&[(Inbound, UPLOAD)], true),
        (&[(Inbound, upgrade)], false),
        (&[(Inbound, upgrade), (Outbound, switched)], true),
    ] {
        let mut exchange = exchange(&policy, said);
        assert!(!exchange.passes_client_end(), "it has not ended yet: {said:?}");
        exchange.request_end();
        assert_eq!(exchange.passes_client_end(), goes_on, "{said:?}");
    }
}

#[test]
fn what_the_client_is_doing_is_told() {
    let policy = Policy::default();
    for (said, held, phase) in [
        (&[][..], "", Phase::Idle),
        (&[], "\r\n", Phase::Idle),
        (&[], "\r\n\r\n\r", Phase::Idle),
        (&[], "G", Phase::Head),
        (&[], "\r\nG", Phase::Head),
        (&[], "GET / HTTP/1.1\r\n", Phase::Head),
        (&[], "GET / HTTP/1.1\r\nHost", Phase::Head),
        (&[(Inbound, UPLOAD)], "", Phase::Request),
        (&[(Inbound, GET)], "", Phase::Response),
        (&[(Inbound, GET)], "G", Phase::Response),
        (&[(Inbound, GET), (Outbound, OK)], "", Phase::Idle),
        (&[(Inbound, GET), (Outbound, OK)], "G", Phase::Head),
        (&[(Inbound, UPLOAD), (Outbound, OK)], "", Phase::Request),
    ] {
        let mut exchange = exchange(&policy, said);
        assert_eq!(say(&mut exchange, Inbound, held), held);
        assert_eq!(exchange.phase(held.as_bytes()), phase, "{said:?} {held:?}");
    }
}

#[test]
fn what_is_given_up_ends_by_how_far_it_had_come() {
    let policy = Policy::default();
    let reply = Ending::Reply(Status::GatewayTimeout);
    for (said, ending) in [
        (&[][..], reply),
        (&[(Inbound, GET)], reply),
        (&[(Inbound, UPLOAD)], reply),
        (&[(Inbound, GET), (Outbound, "HTTP/1.1 103 Early Hints\r\n\r\n")], reply),
        (&[(Inbound, GET), (Outbound, OK)], reply),
        (&[(Inbound, UPLOAD), (Outbound, OK)], Ending::Close),
        (&[(Inbound, GET), (Outbound, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")], Ending::Cut),
        (&[(Inbound, GET), (Outbound, ENDLESS)], Ending::Reset),
        (&[(Inbound, GET), (Outbound, CLOSING)], Ending::Close),
    ] {
        assert_eq!(exchange(&policy, said).give_up(Status::GatewayTimeout), ending, "{said:?}");
    }
}

#[test]
fn a_refused_upload_waits_for_what_the_origin_has_said() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, UPLOAD)]);
    exchange.request_refused();
    assert_eq!(exchange.judge(Inbound, b"body"), Ok(Verdict::Wait), "there is nowhere for it to go");
    assert!(!exchange.is_finished());
    say(&mut exchange, Outbound, OK);
    assert!(exchange.is_finished(), "no request may follow");
}

#[test]
fn a_reset_behind_a_response_that_ends_the_connection_breaks_nothing() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, UPLOAD), (Outbound, CLOSING)]);
    assert_eq!(exchange.response_end(OriginEnd::Reset), Ok(()));
    assert!(exchange.is_finished());
}

#[test]
fn the_next_response_comes_on_a_fresh_connection() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, GET), (Outbound, OK)]);
    // It has begun to say what it was not asked, and ends.
    assert_eq!(exchange.judge(Outbound, b""), Ok(Verdict::NeedMore));
    assert_eq!(exchange.response_end(OriginEnd::Fin), Ok(()));
    say(&mut exchange, Inbound, GET);
    assert_eq!(say(&mut exchange, Outbound, OK), "");
}

#[test]
fn a_request_that_broke_within_has_its_answer_cut() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, GET)]);
    let broken = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx";
    let left = say(&mut exchange, Inbound, broken);
    assert_eq!(left, "x");
    say(&mut exchange, Outbound, OK);
    say(&mut exchange, Outbound, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
    let fault = Fault { violation: Violation::ChunkSizeMalformed, ending: Ending::Cut };
    assert_eq!(exchange.judge(Inbound, left.as_bytes()), Err(fault));
}

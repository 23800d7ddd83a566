//! What the owner of the connections is told beside the verdicts.

use super::Direction::{Inbound, Outbound};
use super::*;
use crate::http1::edits::Section;
use crate::http1::{Mended, Reuse, Run};

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
        let verdict = exchange.judge(direction, left.as_bytes(), &mut Edits::default());
        let count = match verdict.expect("nothing is broken") {
            Verdict::NeedMore | Verdict::Wait => return left,
            Verdict::Keep(n) | Verdict::Head(n) | Verdict::Withhold(n) => n.get(),
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

/// What is judged, whatever comes of it.
fn judge(exchange: &mut Exchange<'_>, direction: Direction, bytes: &str) -> Result<Verdict, Fault> {
    exchange.judge(direction, bytes.as_bytes(), &mut Edits::default())
}

#[test]
fn each_section_is_told_of_with_what_does_not_go_on() {
    let policy = Policy::default();
    let mut edits = Edits::default();
    let mut exchange = exchange(&policy, &[]);
    let mut see = |direction, bytes: &str| {
        let judged = exchange.judge(direction, bytes.as_bytes(), &mut edits);
        assert!(matches!(judged, Ok(Verdict::Head(n)) if n.get() == bytes.len()), "{bytes:?}: {judged:?}");
        (edits.section(), edits.denied().collect::<Vec<_>>(), edits.mended().collect::<Vec<_>>())
    };
    assert_eq!(see(Inbound, GET), (Section::Request, vec![], vec![]));
    let hints = "HTTP/1.1 103 Early Hints\r\nserver: a\r\n\r\n";
    assert_eq!(see(Outbound, hints), (Section::Response(103), vec![(0, 26..37)], vec![]));
    let head = "HTTP/1.1 200 OK\r\nX-Powered-By: a\r\nA:\r\n b\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(see(Outbound, head), (Section::Response(200), vec![(1, 17..34)], vec![Mended::Fold]));
    let trailer = "0;a\r\nServer: a\r\n\r\n";
    assert_eq!(see(Outbound, trailer), (Section::Trailer, vec![(0, 5..16)], vec![]));
}

#[test]
fn in_a_dry_run_denied_lines_are_told_of_and_go_on() {
    let policy = Policy { dry_run: true, ..Policy::default() };
    let mut exchange = exchange(&policy, &[(Inbound, GET)]);
    let head = b"HTTP/1.1 204 No\r\nServer: a\r\n b\r\nContent-Length: 0\r\n\r\n";
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    assert!(exchange.judge(Outbound, head, &mut edits).is_ok());
    edits.write(head, &mut out);
    assert_eq!(out.escape_ascii().to_string(), "HTTP/1.1 204 No\\r\\nServer: a b\\r\\n\\r\\n", "but are mended");
    assert_eq!(edits.denied().collect::<Vec<_>>(), [(0, 17..32)]);
}

#[test]
fn a_request_waits_until_the_one_before_it_is_answered_in_full() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, GET)]);
    assert!(exchange.is_under_way());
    assert_eq!(say(&mut exchange, Inbound, GET), GET, "one more waits");
    assert_eq!(judge(&mut exchange, Inbound, GET), Ok(Verdict::Wait));
    say(&mut exchange, Outbound, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(judge(&mut exchange, Inbound, GET), Ok(Verdict::Wait));
    say(&mut exchange, Outbound, "a");
    assert!(!exchange.is_under_way());
    assert_eq!(say(&mut exchange, Inbound, GET), "");
}

#[test]
fn behind_what_is_not_plain_nothing_goes_until_its_connection_is_let_go() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (reuse, said, mark) in [
        (Reuse::Plain, GET, None),
        (Reuse::Plain, head, Some(Mark::Method)),
        (Reuse::Never, GET, Some(Mark::Reuse)),
        (Reuse::Bodyless, GET, None),
    ] {
        let policy = Policy { reuse, ..Policy::default() };
        let mut exchange = exchange(&policy, &[(Inbound, said), (Outbound, OK)]);
        assert_eq!(exchange.spent(), mark, "{said:?}");
        if mark.is_some() {
            assert_eq!(judge(&mut exchange, Inbound, GET), Ok(Verdict::Wait));
            assert_eq!(judge(&mut exchange, Outbound, "more"), Ok(Verdict::Wait), "it goes nowhere");
            exchange.let_go();
        }
        assert_eq!(say(&mut exchange, Inbound, GET), "");
    }
}

#[test]
fn a_response_that_comes_before_its_request_is_written_is_early() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, GET)]);
    exchange.request_written(false);
    say(&mut exchange, Outbound, OK);
    assert_eq!(exchange.spent(), Some(Mark::Early));
}

#[test]
fn a_client_that_says_close_is_done_once_it_is_answered() {
    let policy = Policy::default();
    let closing = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\n";
    let mut exchange = exchange(&policy, &[(Inbound, closing), (Inbound, "body")]);
    assert!(!exchange.is_finished());
    say(&mut exchange, Outbound, OK);
    assert!(exchange.is_finished());
    assert!(self::exchange(&policy, &[(Inbound, GET), (Outbound, CLOSING)]).is_finished(), "the origin may say so too");
}

#[test]
fn a_fin_of_the_client_goes_on_unless_nothing_is_under_way() {
    let policy = Policy::default();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    for (said, waits, goes_on) in [
        (&[][..], "", false),
        (&[], "GE", false),
        (&[(Inbound, GET)], "", true),
        (&[(Inbound, GET)], "\r\n\r", true),
        (&[(Inbound, GET)], "\r\nGET / HTTP/1.1\r\nHost", true),
        (&[(Inbound, GET)], GET, false),
        (&[(Inbound, GET)], "GET /\n", false),
        (&[(Inbound, GET), (Outbound, OK)], "", false),
        (&[(Inbound, UPLOAD)], "", true),
        (&[(Inbound, upgrade)], "", true),
        (&[(Inbound, upgrade)], "a", false),
        (&[(Inbound, upgrade), (Outbound, switched)], "", true),
    ] {
        let mut exchange = exchange(&policy, said);
        assert!(!exchange.passes_client_end(), "it has not ended yet: {said:?}");
        exchange.request_end(waits.as_bytes());
        assert_eq!(exchange.passes_client_end(), goes_on, "{said:?} {waits:?}");
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
        say(&mut exchange, Inbound, held);
        assert_eq!(exchange.phase(), phase, "{said:?} {held:?}");
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
    assert_eq!(judge(&mut exchange, Inbound, "body"), Ok(Verdict::Wait), "there is nowhere for it to go");
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
    assert_eq!(judge(&mut exchange, Outbound, ""), Ok(Verdict::NeedMore));
    assert_eq!(exchange.response_end(OriginEnd::Fin), Ok(()));
    say(&mut exchange, Inbound, GET);
    assert_eq!(say(&mut exchange, Outbound, OK), "");
}

#[test]
fn a_request_that_broke_within_has_its_answer_cut() {
    let policy = Policy::default();
    let broken = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (answer, ending) in [
        ("", Ending::Reply(Status::BadRequest)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", Ending::Cut),
        (ENDLESS, Ending::Reset),
        (OK, Ending::Close),
        (CLOSING, Ending::Close),
    ] {
        let mut exchange = exchange(&policy, &[(Inbound, broken), (Outbound, answer)]);
        let fault = Fault { violation: Violation::ChunkSizeMalformed, ending };
        assert_eq!(judge(&mut exchange, Inbound, "x"), Err(fault), "{answer:?}");
    }
}

#[test]
fn a_client_of_http_1_0_sees_that_chunks_were_cut() {
    let policy = Policy::default();
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    for (request, ending) in [("GET / HTTP/1.0\r\n\r\n", Ending::Reset), (GET, Ending::Cut)] {
        let mut exchange = exchange(&policy, &[(Inbound, request), (Outbound, chunks)]);
        assert_eq!(exchange.give_up(Status::GatewayTimeout), ending);
        let fault = Fault { violation: Violation::ResponseIncomplete, ending };
        assert_eq!(exchange.response_end(OriginEnd::Fin), Err(fault));
    }
}

#[test]
fn who_has_ended_is_told_no_502() {
    let policy = Policy::default();
    let mut exchange = exchange(&policy, &[(Inbound, GET)]);
    assert!(exchange.may_replay());
    exchange.request_end(b"");
    assert!(!exchange.may_replay(), "nor does the request go once more");
    let fault = Fault { violation: Violation::ResponseMissing, ending: Ending::Close };
    assert_eq!(exchange.response_end(OriginEnd::Fin), Err(fault));
}

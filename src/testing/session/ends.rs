//! What must hold of how connections end: nothing that was written is lost by a close of ours, and nobody is reset who owes something.

use super::bench::Bench;
use super::wire::{Far, Side};
use crate::testing::{End, Rules, Step, model};

/// No close of ours destroys what is under way, for as long as the other side goes on reading (invariant 1). Whoever is told that all ends
/// at once, or gives way while it lingers, has no such right; nor has a tunnel's origin, which must see that the tunnel was cut; nor yet who
/// is idle for too long though it reads, and says more behind our close.
pub(super) fn nothing_is_destroyed(bench: &Bench) -> Result<(), String> {
    for (client, _) in bench.clients() {
        let client = client.borrow();
        let is_cut = client.is_late || bench.has_wanted || bench.is_cut || client.sending == Side::Reset;
        if client.destroyed > 0 && !is_cut {
            return Err(format!("{} bytes to a client that reads were destroyed", client.destroyed));
        }
    }
    for origin in bench.worker.upstream.origins.borrow().iter() {
        let origin = origin.borrow();
        // A preamble that no request follows is nothing to anybody.
        let has_request = !origin.went().is_empty();
        if origin.destroyed > 0 && has_request && !origin.is_late && !is_tunnel(&origin) {
            return Err(format!("{} bytes to an origin that reads were destroyed", origin.destroyed));
        }
    }
    Ok(())
}

/// An origin is reset on purpose only if it is on another machine, owes nothing, answered behind the whole of what it was sent, and has
/// taken all of that; or if a tunnel is cut.
pub(super) fn only_who_owes_nothing_is_reset(bench: &Bench, rules: &Rules) -> Result<(), String> {
    for origin in bench.worker.upstream.origins.borrow().iter() {
        let origin = origin.borrow();
        let Some(unsent) = origin.reset_over.filter(|_| !is_tunnel(&origin)) else { continue };
        let wrong = if !origin.is_remote {
            "that is on this machine"
        } else if unsent > 0 {
            "over unsent bytes"
        } else if owes(&origin.history, rules) {
            "that owed something"
        } else {
            continue;
        };
        return Err(format!("an origin was reset {wrong}: {:?}", origin.history));
    }
    Ok(())
}

/// Tells whether an origin has not answered all, or not behind all.
fn owes(history: &[Step], rules: &Rules) -> bool {
    let mut steps = history.to_vec();
    let is_early = matches!(steps.last(), Some(Step::Client(_)));
    steps.push(Step::OriginEnd);
    is_early || matches!(model::outcome(rules, &steps).end, End::Reply(_) | End::Cut | End::Reset)
}

fn is_tunnel(origin: &Far) -> bool {
    let said = origin.history.iter().filter(|step| matches!(step, Step::Origin(_)));
    let said: Vec<u8> = said.flat_map(Step::bytes).copied().collect();
    said.windows(13).any(|bytes| bytes == b"HTTP/1.1 101 ")
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::bench::{MEMORY, ROOMY};
    use super::super::event::script;
    use super::super::wire::Hold;
    use super::*;
    use crate::config::Config;
    use crate::net::networks::{Network, Networks};

    const ENDLESS: &str = "c=GET / HTTP/1.1\r\nHost: a\r\n\r\n|o=HTTP/1.1 200 OK\r\n\r\nhello";
    const UPLOAD: &str = "c=POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
    const ALONE: &str = "c=HEAD / HTTP/1.1\r\nHost: a\r\n\r\n|o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    /// Sessions after events, each a letter and what stands behind it.
    fn after(text: &str) -> Bench {
        let mut bench = Bench::new();
        then(&mut bench, text);
        bench
    }

    fn then(bench: &mut Bench, text: &str) {
        for event in script(&input(text)).events {
            bench.run(&event);
        }
    }

    fn input(text: &str) -> Vec<u8> {
        text.split('|').flat_map(|part| [b"\xFE", part.replacen('=', "", 1).as_bytes()].concat()).collect()
    }

    /// Each response of a client that takes nothing has its lines, though those of the one before are not written yet.
    #[test]
    fn lines_are_added_to_each_of_several_heads_that_are_held() {
        let (get, ok) = (
            "c=GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: b\r\n\r\n",
            "o=HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 1\r\n\r\na",
        );
        for asks in 0..16 {
            let parts = format!("d={asks}|w|{get}|{get}|{get}|{ok}|{ok}|{ok}|W|{get}|D|{ok}");
            super::super::session(&input(&parts));
        }
    }

    #[test]
    fn a_request_is_sent_again_without_the_trailers_that_were_withheld() {
        let get = "c=GET / HTTP/1.1\r\nHost: a\r\n\r\n|o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let put = "c=PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        for trailers in ["X-T: a\r\n", "X-T: a\r\nX-U: b\r\n", "X-U: b\r\nX-T: a\r\n"] {
            for between in ["", "|c="] {
                super::super::session(&input(&format!("d=1|{get}|{put}{between}0\r\n{trailers}\r\n|R|{get}")));
            }
        }
    }

    #[test]
    fn what_was_relayed_before_a_reset_arrives_unless_30_seconds_pass() {
        let mut bench = after(&format!("q=1000|w|{ENDLESS}|R|s=118"));
        let client = Rc::clone(&bench.client);
        assert_eq!((client.borrow().received.len(), client.borrow().seen), (0, Side::Open));
        then(&mut bench, "t=23|s=1");
        assert_eq!((client.borrow().received.len(), client.borrow().seen), (23, Side::Open));
        then(&mut bench, "t=1|s=1");
        assert_eq!((client.borrow().received.len(), client.borrow().seen), (24, Side::Reset));
        let mut bench = after(&format!("q=1000|w|{ENDLESS}|R|s=122"));
        assert_eq!((bench.client.borrow().destroyed, bench.client.borrow().seen), (24, Side::Reset));
        bench.finish();
    }

    #[test]
    fn a_reset_waits_for_the_acknowledgement_and_where_none_is_told_for_30_seconds() {
        for (before, after_some, waits) in [("a", "A", 1), ("u", "w", 122)] {
            let mut bench = after(&format!("{before}|{ENDLESS}|R|s=100"));
            let client = Rc::clone(&bench.client);
            assert_eq!((client.borrow().received.len(), client.borrow().seen), (24, Side::Open), "{before}");
            then(&mut bench, &format!("{after_some}|s={waits}"));
            assert_eq!(client.borrow().seen, Side::Reset, "{before}");
        }
    }

    #[test]
    fn who_writes_all_before_it_reads_has_its_refusal() {
        let refusal = "o=HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 900\r\n\r\n|x=900|O";
        let mut bench = after(&format!("q=5000|w|{UPLOAD}|k=20|{refusal}"));
        for _ in 0..10 {
            then(&mut bench, "k=190|s=10");
        }
        then(&mut bench, "W|k=100|C");
        let client = bench.client.borrow();
        assert_eq!((client.received.len(), client.seen, client.hold), (959, Side::Finished, Hold::Closed));
    }

    /// A client that waits for leave, and then sends all the same, before it reads.
    #[test]
    fn who_sends_a_body_that_is_not_wanted_has_its_refusal() {
        let head = "c=POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n";
        let refusal = "o=HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 900\r\n\r\n|x=900";
        let mut bench = after(&format!("{head}|q=100|w|{refusal}"));
        for _ in 0..10 {
            then(&mut bench, "k=200|s=5");
        }
        assert!(bench.client.borrow().sent.is_empty(), "what comes is read");
        then(&mut bench, "W|C|s=5");
        let client = bench.client.borrow();
        assert_eq!((client.received.len(), client.seen), (959, Side::Finished));
    }

    /// Its end is seen behind bytes that go nowhere.
    #[test]
    fn who_leaves_behind_a_body_that_is_not_wanted_is_gone_for_the_origin() {
        let head = "c=POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n";
        let mut bench = after(&format!("{head}|o=HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 900\r\n\r\n"));
        bench.client.borrow_mut().sent.extend(b"some");
        then(&mut bench, "C");
        let origin = Rc::clone(&bench.worker.upstream.origins.borrow()[0]);
        assert_eq!(origin.borrow().seen, Side::Finished);
    }

    /// The application has closed, which writing told before its answer was read.
    #[test]
    fn an_answer_to_a_request_that_was_refused_says_close() {
        let mut bench = after(&format!("{UPLOAD}|F|k=100|o=HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n|O"));
        let said = String::from_utf8_lossy(&bench.client.borrow().received).into_owned();
        assert_eq!(said, "HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        then(&mut bench, "C|s=5");
        bench.finish();
    }

    #[test]
    fn who_has_its_response_gets_no_other_for_a_request_that_is_not_taken() {
        let early = "o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for end in ["s=20", "K"] {
            let bench = after(&format!("q=100|v|{UPLOAD}|k=2000|{early}|{end}"));
            let said = String::from_utf8_lossy(&bench.client.borrow().received).into_owned();
            assert_eq!(said, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "{end}");
        }
    }

    #[test]
    fn an_upload_arrives_though_its_client_is_gone_or_its_answer_was_early() {
        let early = "o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for end in ["X".to_owned(), "C".to_owned(), format!("{early}|m=more")] {
            let mut bench = after(&format!("q=5000|v|{UPLOAD}|k=1999|{end}|s=50|m=more|y=500|m=more|s=30|V"));
            let origin = Rc::clone(&bench.worker.upstream.origins.borrow()[0]);
            assert_eq!((origin.borrow().received.len(), origin.borrow().destroyed), (2049, 0), "{end}");
            bench.finish();
        }
    }

    #[test]
    fn an_origin_that_began_early_and_has_all_is_told_at_once_that_its_client_is_gone() {
        let bench = after(&format!("{UPLOAD}|k=1999|o=HTTP/1.1 200 OK\r\n\r\n|k=1|x=10|X"));
        let origin = Rc::clone(&bench.worker.upstream.origins.borrow()[0]);
        assert_eq!((origin.borrow().received.len(), origin.borrow().hold), (2050, Hold::Closed));
    }

    /// Of a request that broke a rule behind an early answer, which is not written yet.
    #[test]
    fn who_goes_on_sending_while_its_last_bytes_are_written_has_them() {
        let head = "c=POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = "o=HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n|x=900";
        let mut bench = after(&format!("{head}|q=100|w|{answer}|c=malformed|k=2000"));
        assert!(bench.client.borrow().sent.is_empty(), "what comes is read");
        then(&mut bench, "W|C|s=5");
        assert_eq!(bench.client.borrow().received.len(), 940);
    }

    /// Over several limits of time, each piece within one.
    #[test]
    fn a_response_is_written_as_slowly_as_it_is_taken_though_its_origin_is_gone() {
        let mut bench = after(
            "q=100|w|c=GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\n\r\n|o=HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n|x=900",
        );
        for taken in (50..=900).step_by(50) {
            then(&mut bench, "t=50|s=6");
            assert_eq!(bench.client.borrow().received.len(), taken);
        }
    }

    /// Behind a part of the next one, which is read to see the end.
    #[test]
    fn an_end_behind_a_request_is_seen_once_there_is_room() {
        let get = "c=GET / HTTP/1.1\r\nHost: a\r\n";
        let mut bench = Bench::with(&ROOMY, 16 * 1024);
        then(&mut bench, &format!("{get}\r\n|p|j=1|{get}A: |k=9000|c=\r\n\r\n|j=0|{get}A: |k=7000|C"));
        let client = Rc::clone(&bench.client);
        assert!(!client.borrow().sent.is_empty(), "there is no room");
        then(&mut bench, "j=1|X");
        assert!(client.borrow().sent.is_empty(), "there is room");
    }

    /// A FIN behind bytes that are unread, and then a reset, while the origin is silent, takes nothing, or is dialled.
    #[test]
    fn who_is_reset_behind_an_end_that_was_not_read_is_gone_for_the_origin() {
        let get = "c=GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let upload = "c=POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n";
        for before in [format!("{get}|{upload}|k=80000"), format!("q=100|v|{upload}|k=80000"), format!("p|{get}")] {
            let mut bench = after(&format!("{before}|C|s=1"));
            assert_eq!(bench.client.borrow().hold, Hold::Whole, "{before}: the origin may answer");
            then(&mut bench, "X");
            assert_eq!(bench.client.borrow().hold, Hold::Closed, "{before}");
        }
    }

    #[test]
    fn a_preamble_on_its_way_keeps_its_place() {
        let networks = Networks::new(vec![Network::Any]);
        let config: &Config = Box::leak(Box::new(Config { accept_proxy: networks, ..(**ROOMY).clone() }));
        for (said, seen) in [("TCP4 ", Side::Open), ("", Side::Finished)] {
            let mut bench = Bench::with(config, MEMORY);
            then(&mut bench, &format!("c=PROXY |s=6|g={said}"));
            assert_eq!(bench.client.borrow().seen, seen, "{said:?}");
        }
    }

    #[test]
    fn an_origin_is_reset_where_it_is_remote_and_has_all() {
        for (events, reset_over) in [
            (format!("r|{ALONE}"), Some(0)),
            (ALONE.to_owned(), None),
            (format!("r|a|{ALONE}"), None),
            (format!("r|u|{ALONE}"), None),
        ] {
            let bench = after(&events);
            let origin = Rc::clone(&bench.worker.upstream.origins.borrow()[0]);
            assert_eq!(origin.borrow().reset_over, reset_over, "{events}");
            assert_ne!(origin.borrow().hold, Hold::Whole, "{events}");
            only_who_owes_nothing_is_reset(&bench, &Rules::default()).expect("it owes nothing");
        }
    }

    #[test]
    fn an_origin_that_answered_early_is_not_reset_though_it_has_all() {
        let early = "o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let bench = after(&format!("r|{UPLOAD}|k=1999|{early}|k=1|C"));
        let origin = Rc::clone(&bench.worker.upstream.origins.borrow()[0]);
        assert_eq!((origin.borrow().received.len(), origin.borrow().reset_over), (2050, None));
        assert_ne!(origin.borrow().hold, Hold::Whole);
    }

    /// A close over what it says unasked would be a reset.
    #[test]
    fn an_origin_that_says_more_as_its_client_leaves_sees_an_end() {
        let mut bench = after("c=GET / HTTP/1.1\r\nHost: a\r\n\r\n|o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let (client, origin) = (Rc::clone(&bench.client), bench.origin().expect("it is kept"));
        bench.happen(9, |_| {
            client.borrow_mut().end(Side::Finished);
            origin.borrow_mut().send(b"unasked");
        });
        assert_eq!((origin.borrow().seen, origin.borrow().hold), (Side::Finished, Hold::Departing));
    }

    /// Of exchanges that wait to be acknowledged.
    #[test]
    fn the_notes_of_the_access_log_stay_within_memory() {
        let logged = Config { access_log: true, ..(**ROOMY).clone() };
        let budget = 32 * 1024;
        let mut bench = Bench::with(Box::leak(Box::new(logged)), budget);
        then(&mut bench, "a");
        let target = "a".repeat(900);
        for _ in 0..60 {
            let request = format!("c=GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n");
            then(&mut bench, &format!("{request}|o=HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        }
        let held = bench.worker.account();
        assert!((budget / 2..budget).contains(&held), "{held}");
    }

    /// Who has been refused, or whose head is whole, holds no unfinished head, and need not give way for what it held of one.
    #[test]
    fn only_an_unfinished_head_gives_way_for_memory() {
        let mut bench = Bench::with(&ROOMY, MEMORY);
        then(&mut bench, "q=100|w|k=8000|c=\r\n|G|k=1|W");
        assert!(bench.client.borrow().received.starts_with(b"HTTP/1.1 400 "));
        assert_eq!(bench.client.borrow().seen, Side::Finished);
        let mut bench = Bench::with(&ROOMY, MEMORY);
        then(&mut bench, "p|c=GET / HTTP/1.1\r\nHost: a\r\nA: |k=8000");
        assert!(bench.worker.deadlines.ask_for_memory(usize::MAX));
        let mut bench = Bench::with(&ROOMY, MEMORY);
        then(&mut bench, "p|c=GET / HTTP/1.1\r\nHost: a\r\nA: |k=8000|c=\r\n\r\n");
        assert!(!bench.worker.deadlines.ask_for_memory(usize::MAX));
    }

    #[test]
    fn each_broken_rule_is_seen() {
        let history = |parts: &[&str]| -> Vec<Step> {
            let step = |(at, part): (usize, &&str)| {
                if at % 2 == 0 {
                    Step::Client(part.as_bytes().to_vec())
                } else {
                    Step::Origin(part.as_bytes().to_vec())
                }
            };
            parts.iter().enumerate().map(step).collect()
        };
        let (get, ok) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        for (parts, owed) in [(&[get][..], true), (&[get, ok], true), (&[get, ok, get], true), (&[], false)] {
            assert_eq!(owes(&history(parts), &Rules::default()), owed, "{parts:?}");
        }
        assert!(!owes(&history(&[get, &format!("{ok}ok")]), &Rules::default()));
    }
}

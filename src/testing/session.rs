//! Drives the real session code over connections that are only memory.
//!
//! A corpus file is read as that of an exchange is, with more letters: `n`, and a number: both sides give and take at
//! most so many bytes at once; `b`: every other write is put off for a moment; `h`: what comes is judged while the other side takes
//! nothing, and then it takes again; `w` and `W`, `v` and `V`: the client, the origin take
//! nothing, and take again; `X`: the client is reset; `F`: the origin is gone for who writes to it; `f`, `p` and `P`: dials
//! fail, hang, and work again; `T`: time passes, more than any limit; `I` and `K`: the proxy is told to end, idle clients
//! at once, and everything at once.
//!
//! More letters are about what is under way: `q`, and a number: send queues hold so many bytes; `t` and `y`, and a number: the client, the
//! origin takes so many bytes and no more; `a` and `A`: nothing more is acknowledged, and all is; `u` and `U`: the kernel does not tell what
//! is unsent, and tells; `r`: the origin is on another machine; `m`: it says more on a connection that the session has left; `s`, and a
//! number: so many ticks pass, of which 8 are a limit and 120 half a minute. And about others: `M`, and a number: the sessions may hold so
//! many bytes; `j`, and a number: what happens to the client happens to that one from now on; `k` and `x`, and a number: the client, the
//! origin says so many bytes; `g`: somebody is to give way for another, while the client says what stands there; `G`: somebody is to give
//! way for memory. And about the operator: `d`, and a number: what is asked for, a bit each: lines that go from requests, lines that are added, the
//! client's address, a dry run, and to origins a preamble of the PROXY protocol of version 1 or 2.

pub(super) mod bench;
mod dialler;
mod ends;
pub(super) mod event;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::collections::BTreeSet;

use self::bench::{Bench, COUNTERS, Connections, Heads, MEMORY, setting};
use self::event::{Event, Script, script};
use self::wire::{Far, Side};
use super::{End, Rules, Step, drive, model};
use crate::config::Config;
use crate::http1::{AddedLines, Reuse};

/// Our own reply, by the contract, with the operator's lines.
fn reply(status: u16, added: &AddedLines) -> Vec<u8> {
    let reason = match status {
        400 => "Bad Request",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "HTTP Version Not Supported",
    };
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n");
    [head.as_bytes(), added.bytes(), b"\r\n"].concat()
}

/// All replies of ours.
const REPLIES: [u16; 8] = [400, 408, 431, 501, 502, 503, 504, 505];

/// Holds for the real session, whatever the connections do: no byte is lost or invented, nothing is stuck, and no
/// cut message ends cleanly. With nothing but small and late reads and writes, it does what the core alone would do.
///
/// # Panics
///
/// If that is broken.
pub fn session(input: &[u8]) {
    let Script { events, budget, asks } = script(input);
    // With a budget, heads may be long enough to matter.
    let (rules, config) = setting(if budget.is_none() { Heads::Short } else { Heads::Long }, asks);
    let is_plain = |event: &Event| matches!(event, Event::Step(_) | Event::AtMost(_) | Event::Stutter | Event::Hold);
    let compared = if budget.is_none() && events.iter().all(is_plain) { as_the_core(&events, config) } else { Ok(()) };
    let broken = compared.and_then(|()| in_trouble(&events, (rules, config), budget.unwrap_or(MEMORY))).err();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// Each step is over before the next begins. Ends where the origin speaks before it is asked, or is reset behind its end.
fn as_the_core(events: &[Event], config: &'static Config) -> Result<(), String> {
    // What the origin cannot say, for want of a connection, is no step.
    let mut trial = Bench::with(config, MEMORY);
    let happened: Vec<_> = events.iter().filter(|event| trial.run(event)).collect();
    trial.finish();
    let step = |event: &&Event| if let Event::Step(step) = event { Some(step.clone()) } else { None };
    let steps: Vec<_> = happened.iter().filter_map(step).collect();
    let driven = drive::drive(&config.policy, &steps);
    let mut bench = Bench::with(config, MEMORY);
    let mut count = 0;
    for event in happened {
        if *event == Event::Step(Step::OriginReset) && bench.has_origin_finished() {
            // The next write will tell.
            break;
        }
        bench.run(event);
        if matches!(event, Event::Step(_)) {
            if driven.early[count] {
                break;
            }
            bench.compare(&driven, count).map_err(|error| format!("step {count}, {event:?}: {error}"))?;
            count += 1;
        }
    }
    bench.finish();
    Ok(())
}

/// What is said on each origin connection of an input.
pub(super) fn connections(input: &[u8]) -> Connections {
    let Script { events, budget, asks } = script(input);
    let (_, config) = setting(if budget.is_none() { Heads::Short } else { Heads::Long }, asks);
    bench::replayed(|| {
        let mut bench = Bench::with(config, budget.unwrap_or(MEMORY).min(MEMORY));
        for event in &events {
            bench.run(event);
        }
        bench.finish();
        bench
    })
}

fn in_trouble(events: &[Event], (rules, config): (&Rules, &'static Config), memory: usize) -> Result<(), String> {
    let before = COUNTERS.with(|counters| counters.replays.value());
    let mut bench = Bench::with(config, memory.min(MEMORY));
    for event in events {
        bench.run(event);
    }
    bench.finish();
    let replays = COUNTERS.with(|counters| counters.replays.value()) - before;
    for (owner, (client, from_client)) in bench.clients().enumerate() {
        let origins = bench.worker.upstream.of(owner);
        let received: Vec<_> = origins.iter().map(|far| far.borrow().went()).collect();
        let has_finished = origins.last().is_some_and(|far| far.borrow().has_finished_and_was_read());
        let seen = Seen {
            rules,
            added: &config.policy.added,
            from_client,
            client: &client.borrow(),
            received: &received,
            has_finished,
        };
        // Whether an offer was taken up may be hidden: the client takes nothing.
        let with_tunnel = relayed(&seen, replays, true);
        with_tunnel.or_else(|_| relayed(&seen, replays, false))?;
    }
    ends::nothing_is_destroyed(&bench)?;
    ends::only_who_owes_nothing_is_reset(&bench, &outgrown(rules))
}

/// The rules for what has gone on: lines that were added may have made a head longer than the limit.
fn outgrown(rules: &Rules) -> Rules {
    Rules { max_head: rules.max_head + 256, max_fields: rules.max_fields + 8, ..rules.clone() }
}

/// What there is to be seen of a session from outside.
struct Seen<'s> {
    rules: &'s Rules,
    added: &'s AddedLines,
    from_client: &'s [u8],
    client: &'s Far,
    /// What went to each origin connection.
    received: &'s [Vec<u8>],
    /// Whether the last origin connection ended by FIN.
    has_finished: bool,
}

/// The origin received what the client has sent, and the client what it was answered; where a tunnel was offered, one began.
fn relayed(seen: &Seen<'_>, replays: u64, has_tunnel: bool) -> Result<(), String> {
    let requests = requests(seen.rules, seen.from_client, has_tunnel);
    let goes_inbound = requests.concat();
    let mut inbound = inbound(&requests, seen.received, replays);
    if inbound.is_empty() {
        return Err(format!("the origin's bytes are not the client's: {:?}", seen.received));
    }
    // What the origin says may answer requests that have not reached it yet.
    let windows = goes_inbound.windows(4).enumerate();
    inbound.extend(windows.filter(|(_, bytes)| *bytes == b"\r\n\r\n").map(|(at, _)| at + 4));
    let mut held = inbound.iter().map(|end| outbound(seen, &goes_inbound[..*end]));
    held.clone().find(Result::is_ok).or_else(|| held.next()).unwrap_or(Ok(()))
}

/// What goes on of each request of a client, were each answered; the last perhaps in part. With a tunnel, one begins where it is offered
/// first.
fn requests(rules: &Rules, from_client: &[u8], has_tunnel: bool) -> Vec<Vec<u8>> {
    let rules = Rules { reuse_origin: Reuse::Never, ..rules.clone() };
    let mut steps = vec![Step::Client(from_client.to_vec())];
    loop {
        let gone = model::outcome(&rules, &steps).to_origin;
        let offers =
            gone.last().is_some_and(|request| request.to_ascii_lowercase().windows(9).any(|at| at == b"\nupgrade:"));
        let answer = if offers && has_tunnel {
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
        };
        steps.push(Step::Origin(answer.into()));
        let with_answer = model::outcome(&rules, &steps).to_origin;
        if with_answer == gone || (offers && has_tunnel) {
            return with_answer;
        }
    }
}

/// How much of these requests may have gone to origin connections that received that. Some were sent once more, at most so
/// many: a dial for one may fail.
fn inbound(requests: &[Vec<u8>], received: &[Vec<u8>], replays: u64) -> BTreeSet<usize> {
    let from_client = &*requests.concat();
    let ends = requests.iter().scan(0, |end, request| {
        *end += request.len();
        Some(*end)
    });
    let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let idempotent = ["GET ", "HEAD ", "OPTIONS ", "TRACE ", "PUT ", "DELETE "];
    let may_be_replayed = |start: &usize| {
        let request = from_client[*start..].trim_ascii_start();
        idempotent.iter().any(|method| request.starts_with(method.as_bytes()))
    };
    let mut places = BTreeSet::from([(0, replays)]);
    for bytes in received {
        let goes = |start: &usize| starts.contains(start) && from_client[*start..].starts_with(bytes);
        let next = places.iter().flat_map(|&(at, replays)| {
            let on = goes(&at).then_some((at + bytes.len(), replays));
            let starts = (0..at).filter(move |_| replays > 0).filter(may_be_replayed).filter(goes);
            on.into_iter().chain(starts.map(move |start| ((start + bytes.len()).max(at), replays - 1)))
        });
        places = next.collect();
    }
    places.into_iter().map(|(at, _)| at).collect()
}

/// What the client was sent is what an origin that leaks nothing would have sent, and its end is no lie.
fn outbound(seen: &Seen<'_>, inbound: &[u8]) -> Result<(), String> {
    let client = seen.client;
    let rules = outgrown(seen.rules);
    // Byte by byte, so that each request goes before the answer to it comes.
    let answers = client.received.iter().map(|byte| Step::Origin(vec![*byte]));
    let mut steps: Vec<Step> = std::iter::once(Step::Client(inbound.to_vec())).chain(answers).collect();
    steps.push(Step::ClientEnd);
    let before_end = model::outcome(&rules, &steps);
    let Some(rest) = client.received.strip_prefix(&*before_end.to_client) else {
        return Err(format!("the client's bytes would not pass as they are: {:?}", client.received));
    };
    let is_whole = rest.is_empty() || REPLIES.iter().any(|status| rest == reply(*status, seen.added));
    if client.seen != Side::Reset && client.sending != Side::Reset && !is_whole {
        return Err(format!(
            "the client's bytes end with a piece of a head: {:?}\n inbound {:?}\n model {:?} {:?}",
            String::from_utf8_lossy(rest),
            String::from_utf8_lossy(inbound),
            before_end.end,
            String::from_utf8_lossy(&before_end.to_client)
        ));
    }
    // A reset is told from an end only where the connection's end is the message's.
    let mut ends_by = |last| {
        steps.push(last);
        let end = model::outcome(&rules, &steps).end;
        steps.pop();
        end
    };
    let ends_with_the_connection = before_end.end == End::Open
        && rest.is_empty()
        && ends_by(Step::OriginEnd) == End::Closed
        && ends_by(Step::OriginReset) == End::Reset;
    if ends_with_the_connection && client.seen == Side::Finished && client.sending != Side::Reset && !seen.has_finished
    {
        return Err("a message that ends with the connection was cut, and ended cleanly".to_owned());
    }
    Ok(())
}

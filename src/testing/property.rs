//! The invariants, each written once as a function over steps; vectors, corpus replay and fuzz targets call these.
//!
//! A corpus file is read as steps: 0xFE and a letter begin one (`c` and `o`: bytes of the client and of the origin follow;
//! `C`, `O`, `R` and `D`: the client ends, the origin ends, the origin is reset, the proxy drains). Bytes before the first are the client's. So the
//! file reads as the traffic it stands for.

use std::ops::Range;

use super::drive::{Driven, cut, drive, policy};
use super::{End, Rules, Step, model};
use crate::http1::{Policy, Violation};

/// Begins a step in a corpus file: a byte that UTF-8 never has.
pub(super) const MARK: u8 = 0xFE;

/// Holds the invariants for any bytes in any order. The fuzz target `exchange`.
///
/// # Panics
///
/// If one is broken.
pub fn exchange(input: &[u8]) {
    let steps = steps(input);
    // A small limit, so that inputs of a fuzzer's size reach it.
    let rules = Rules { max_head: 512, ..Rules::default() };
    let broken = holds(&rules, &steps).err();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// The same for a response to requests of all kinds. The first line names them: `GET`, `HEAD`, `POST`, `websocket`, `h2c`, and
/// with `/1.0` behind it, one of that version; what follows is the origin's, a byte at a time, so that each request goes before its
/// answer comes. The fuzz target `response`.
///
/// # Panics
///
/// If one is broken.
pub fn response(input: &[u8]) {
    let steps = response_steps(input);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let usual = Rules { max_head: 512, ..Rules::default() };
    let more = Rules {
        deny: names(&["server", "x-powered-by", "x-*", "via"]),
        keep: names(&["x-k*", "server"]),
        allow_upgrade: names(&["websocket", "not-h2c"]),
        ..usual.clone()
    };
    let broken = [usual, more].iter().find_map(|rules| holds(rules, &steps).err());
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// Tells whether the core refuses or mends an input of the target `response`.
#[must_use]
pub fn response_is_refused_or_mended(input: &[u8]) -> bool {
    let mut steps = response_steps(input);
    steps.pop();
    is_refused(&steps) || drive(&Policy::default(), &steps).mended.last() == Some(&true)
}

/// The steps of an input of the target `response`: the requests, the origin's bytes, and its end.
#[must_use]
pub fn response_steps(input: &[u8]) -> Vec<Step> {
    let (line, bytes) = named_requests(input);
    let words = line.split(|byte| *byte == b' ').take(20);
    let requests = words.flat_map(|word| {
        let (word, version) = word.strip_suffix(b"/1.0").map_or((word, "1.1"), |word| (word, "1.0"));
        let (method, field) = match word {
            b"HEAD" => ("HEAD", ""),
            b"POST" => ("POST", "Content-Length: 0\r\n"),
            b"websocket" => ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            b"h2c" => ("GET", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            _ => ("GET", ""),
        };
        format!("{method} / HTTP/{version}\r\nHost: a\r\n{field}\r\n").into_bytes()
    });
    let answers = bytes.iter().map(|byte| Step::Origin(vec![*byte]));
    std::iter::once(Step::Client(requests.collect())).chain(answers).chain([Step::OriginEnd]).collect()
}

/// The line of an input of the target `response` that names the requests, and what the origin says.
pub(super) fn named_requests(input: &[u8]) -> (&[u8], &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..line], input.get(line + 1..).unwrap_or_default())
}

/// The same for any bytes of a client, each request of which is answered. The fuzz target `request`.
///
/// # Panics
///
/// If one is broken.
pub fn request(input: &[u8]) {
    let broken = holds(&Rules { max_head: 512, ..Rules::default() }, &request_steps(input)).err();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// Tells whether the core refuses an input of the target `request`, and lets no request of that target by.
#[must_use]
pub fn request_is_refused(input: &[u8], smuggled: &[u8]) -> bool {
    let mut steps = request_steps(input);
    steps.pop();
    let driven = drive(&Policy::default(), &steps);
    let to_origin = driven.outcome.to_origin.concat();
    let names = |head: &usize| to_origin[*head..].split(|byte| *byte == b' ').nth(1) == Some(smuggled);
    is_refused(&steps) && !driven.heads.iter().any(names)
}

fn is_refused(steps: &[Step]) -> bool {
    let driven = drive(&Policy::default(), steps);
    driven.outcome.end != End::OriginDropped && driven.violation.is_some()
}

/// The steps of an input of the target `request`: the client's bytes, answers, and its end.
#[must_use]
pub fn request_steps(input: &[u8]) -> Vec<Step> {
    let answer = Step::Origin(b"HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\nok".to_vec());
    let answers = std::iter::repeat_n(answer, 40);
    std::iter::once(Step::Client(input.to_vec())).chain(answers).chain([Step::ClientEnd]).collect()
}

/// The same for the chunked coding of both directions; and both take the same bytes of it, and find the same fault. The
/// fuzz target `chunked`.
///
/// # Panics
///
/// If one is broken.
pub fn chunked(input: &[u8]) {
    let asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let rules = Rules { max_head: 512, ..Rules::default() };
    let response = [Step::Client(asked.to_vec()), Step::Origin([answer, input].concat())];
    let request = [Step::Client([post, input].concat())];
    // With nothing denied, both directions let the same bytes pass.
    let clean = Rules { keep: rules.deny.clone(), ..rules.clone() };
    let checked = holds(&rules, &response).and_then(|_| {
        let (response, request) = (holds(&clean, &response)?, holds(&clean, &request)?);
        let out = &response.outcome.to_client[answer.len()..];
        let inward = request.outcome.to_origin.first().map_or(&[][..], |bytes| &bytes[post.len()..]);
        // Of a response more is taken.
        let is_stricter = matches!(
            request.violation,
            Some(
                Violation::ChunkLineMalformed
                    | Violation::ObsFold
                    | Violation::WhiteSpaceBeforeColon
                    | Violation::TrailerNotAllowed
            )
        );
        if is_stricter {
            return equal("the bytes that pass before that", &out.get(..inward.len()), &Some(inward));
        }
        if response.outcome.end == End::OriginDropped {
            // What follows is another message's.
            return equal("the bytes of the body", &inward.get(..out.len()), &Some(out));
        }
        equal("the bytes that pass", &inward, &out)?;
        equal("the fault", &request.violation, &response.violation)
    });
    let broken = checked.err();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// Holds all invariants that can be told from the steps alone.
pub fn holds(rules: &Rules, steps: &[Step]) -> Result<Driven, String> {
    let policy = policy(rules).ok_or("the core refuses the rules")?;
    let whole = drive(&policy, steps);
    only_denied_lines_go(steps, &whole)?;
    let (outcome, fault) = model::outcome_and_fault(rules, steps);
    equal("the core's outcome, against the model's", &whole.outcome, &outcome)?;
    equal("the core's broken rule, against the model's", &whole.violation.map(Violation::name), &fault)?;
    let length: usize = steps.iter().map(|step| step.bytes().len()).sum();
    if length <= ALL_CUTS {
        cuts_do_not_matter(&policy, steps, &whole, &(1..length).collect::<Vec<_>>())?;
    }
    for part in 1..4 {
        cuts_do_not_matter(&policy, steps, &whole, &[length * part / 4])?;
    }
    rewriting_twice_changes_nothing(&policy, steps, &whole)?;
    Ok(whole)
}

/// Up to so many bytes, every byte is tried by itself.
const ALL_CUTS: usize = 8_000;

/// Invariants 1 and 2, as far as they can be told without judging: each side receives a subsequence of what the other has sent. A request
/// sent once more and a line of our own do not count.
fn only_denied_lines_go(steps: &[Step], whole: &Driven) -> Result<(), String> {
    let all = |is_client: bool| {
        let of_side = steps.iter().filter(move |step| matches!(step, Step::Client(_)) == is_client);
        of_side.flat_map(Step::bytes).copied().collect::<Vec<_>>()
    };
    let mut to_origin = Vec::new();
    let mut start = 0;
    for (connection, bytes) in whole.outcome.to_origin.iter().enumerate() {
        let within =
            whole.added_inbound.iter().map(|range| range.start.wrapping_sub(start)..range.end.wrapping_sub(start));
        let within: Vec<_> = within.filter(|range| range.end <= bytes.len()).collect();
        if !whole.replayed.contains(&connection) {
            to_origin.extend(without(bytes, &within));
        }
        start += bytes.len();
    }
    if !is_within(&to_origin, &all(true)) {
        return Err("the origin's bytes are not a subsequence of the client's".to_owned());
    }
    if !is_within(&without(&whole.outcome.to_client, &whole.added), &all(false)) {
        return Err("the client's bytes are not a subsequence of the origin's".to_owned());
    }
    Ok(())
}

/// Tells whether bytes are a subsequence of others.
fn is_within(bytes: &[u8], others: &[u8]) -> bool {
    let mut rest = others.iter();
    bytes.iter().all(|byte| rest.any(|other| other == byte))
}

/// Bytes less those of the ranges.
fn without(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let is_left = |index: &usize| !ranges.iter().any(|range| range.contains(index));
    (0..bytes.len()).filter(is_left).map(|index| bytes[index]).collect()
}

/// Invariant 3: output and error are the same however the input is cut; unless the origin speaks out of turn, when a cut may have a waiting
/// request go before those bytes are seen.
pub fn cuts_do_not_matter(policy: &Policy, steps: &[Step], whole: &Driven, positions: &[usize]) -> Result<(), String> {
    if whole.early.last() == Some(&true) {
        return Ok(());
    }
    let driven = drive(policy, &cut(steps, positions));
    let what = || format!("the outcome cut at {:?} of {}", positions.first(), positions.len());
    equal(&what(), &driven.outcome, &whole.outcome)?;
    equal(&what(), &driven.violation, &whole.violation)
}

/// Invariant 4: our own output, sent by the origin in place of its own, goes through as it is; unless the line that was added
/// has a head outgrow the limit. Up to the first response that is mended: behind it, requests go by other connections.
pub fn rewriting_twice_changes_nothing(policy: &Policy, steps: &[Step], whole: &Driven) -> Result<(), String> {
    let count = whole.mended.iter().position(|is_mended| *is_mended).map_or(steps.len(), |place| place + 1);
    let (steps, end) = (&steps[..count], whole.ends[..count].last().cloned().unwrap_or(End::Open));
    let again = steps.iter().zip(&whole.sent).map(|(step, sent)| match step {
        Step::Origin(_) => Step::Origin(sent.clone()),
        Step::Client(_) | Step::ClientEnd | Step::OriginEnd | Step::OriginReset | Step::Drain => step.clone(),
    });
    let driven = drive(policy, &again.collect::<Vec<_>>());
    let has_outgrown = matches!(driven.violation, Some(Violation::HeadTooLong | Violation::TooManyFieldLines));
    if !whole.added.is_empty() && has_outgrown {
        return Ok(());
    }
    equal("the client's bytes, rewritten twice", &driven.outcome.to_client, &whole.sent[..count].concat())?;
    if whole.violation.is_none() && matches!(end, End::Open | End::Closed) {
        equal("the end, rewritten twice", &driven.outcome.end, &end)?;
    }
    Ok(())
}

pub(super) fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}")) }
}

/// Reads a corpus file. Nothing of a client comes after its end.
#[must_use]
pub fn steps(input: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (letter, bytes) in parts(input) {
        let step = step(letter, bytes);
        if !matches!(step, Step::Client(_)) || !steps.contains(&Step::ClientEnd) {
            steps.push(step);
        }
    }
    steps
}

/// The parts of a corpus file: the letter of each, and its bytes.
pub(super) fn parts(input: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    input.split(|byte| *byte == MARK).enumerate().filter_map(|(index, part)| match (index, part) {
        (_, []) => None,
        (0, bytes) => Some((b'c', bytes)),
        (_, [letter, bytes @ ..]) => Some((*letter, bytes)),
    })
}

/// The step of that letter.
pub(super) fn step(letter: u8, bytes: &[u8]) -> Step {
    match letter {
        b'o' => Step::Origin(bytes.to_vec()),
        b'C' => Step::ClientEnd,
        b'O' => Step::OriginEnd,
        b'R' => Step::OriginReset,
        b'D' => Step::Drain,
        _ => Step::Client(bytes.to_vec()),
    }
}

/// Writes steps as a corpus file. A mark within their bytes is lost.
#[must_use]
pub fn corpus_file(steps: &[Step]) -> Vec<u8> {
    let letter = |step: &Step| match step {
        Step::Client(_) => b'c',
        Step::Origin(_) => b'o',
        Step::ClientEnd => b'C',
        Step::OriginEnd => b'O',
        Step::OriginReset => b'R',
        Step::Drain => b'D',
    };
    let marked = steps.iter().map(|step| [&[MARK, letter(step)], step.bytes()].concat());
    marked.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_were_written() {
        let steps = vec![
            Step::Client(b"GET".to_vec()),
            Step::Origin(b"HTTP".to_vec()),
            Step::ClientEnd,
            Step::OriginEnd,
            Step::OriginReset,
            Step::Drain,
        ];
        assert_eq!(super::steps(&corpus_file(&steps)), steps);
    }

    #[test]
    fn a_mark_in_strange_places_is_no_fault() {
        for input in [&b"\xfe"[..], b"\xfe\xfe", b"a\xfe", b"\xfec", b"", b"\xfex"] {
            exchange(input);
        }
    }
}

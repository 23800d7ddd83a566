//! Sends one request and follows what comes back.

use std::io;
use std::time::{Duration, Instant};

use super::body::{self, Coding, LONGEST as LONGEST_BODY};
use super::request::{As, Request};
use super::telltale;
use super::way::{Conversation, Way};
use crate::http1::edits::Section;
use crate::http1::{Denylist, Direction, Edits, Exchange, OriginEnd, Policy, Run, Upgrades, Verdict, Violation};

/// Bytes of an answer that are followed, to its trailer section if need be.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// How long is waited for a 100 before the body is sent all the same (RFC 9110 §10.1.1), and for more of what is not HTTP/1.1.
const MOMENT: Duration = Duration::from_secs(1);

/// A type of HTTP/2 frame, and where it stands (RFC 9113 §4.1).
const SETTINGS: (usize, u8) = (3, 4);

/// How much of an answer could be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Whole,
    /// Some of it, and why no more.
    Partly(String),
    /// There was none, and why.
    Nothing(String),
}

/// What a server said to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) request: &'static str,
    /// Whether to say nothing is an answer too.
    pub(super) may_be_none: bool,
    /// Of each head, in order.
    pub(super) statuses: Vec<u16>,
    /// Field lines that disclose something, each with the status of its head.
    pub(super) lines: Vec<(u16, String)>,
    /// Names of the final head.
    pub(super) names: Vec<String>,
    /// Where a redirection leads.
    pub(super) location: String,
    coding: Coding,
    is_chunked: bool,
    pub(super) speaks_http2: bool,
    /// The final body, chunk framing and all, or what is no HTTP/1.1.
    pub(super) body: Vec<u8>,
    pub(super) seen: Seen,
    pub(super) took: Duration,
}

/// Asks, and follows the answer to its end or the time limit. An error: the server cannot be connected to.
pub(super) fn answer(way: &Way<'_>, request: &Request, limit: Duration) -> io::Result<Answer> {
    let begun = Instant::now();
    let mut connection = way.open(limit)?;
    let mut answer = Answer {
        request: request.name,
        may_be_none: request.answered_as == As::Get,
        statuses: Vec::new(),
        lines: Vec::new(),
        names: Vec::new(),
        location: String::new(),
        coding: Coding::None,
        is_chunked: false,
        speaks_http2: false,
        body: Vec::new(),
        seen: Seen::Whole,
        took: Duration::ZERO,
    };
    let policy = policy();
    let mut exchange = Exchange::new(&policy);
    follow_request(
        &mut exchange,
        &match request.answered_as {
            As::Itself => [&request.bytes, request.body].concat(),
            As::Get => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        },
    );
    let mut held = Vec::new();
    let ended = answer.converse(&mut connection, request, &mut exchange, &mut held);
    answer.took = begun.elapsed();
    // What is left was not judged, but it came.
    answer.look_at(&policy.denylist, &held);
    let is_nothing = answer.statuses.is_empty() && held.is_empty();
    let trouble = match ended {
        Ok(None) => return Ok(answer),
        Ok(Some(_)) if is_nothing => "closed without an answer".to_owned(),
        Ok(Some(Violation::ResponseIncomplete | Violation::ResponseMissing)) => "cut short".to_owned(),
        Ok(Some(violation)) => format!("not HTTP/1.1: {violation}"),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => format!("no end in {limit:?}"),
        Err(error) => error.to_string(),
    };
    answer.seen = if is_nothing { Seen::Nothing(trouble) } else { Seen::Partly(trouble) };
    Ok(answer)
}

impl Answer {
    /// Follows the answer. What was not judged is left in `held`. Gives the rule that it breaks, if it does.
    fn converse(
        &mut self,
        connection: &mut Conversation,
        request: &Request,
        exchange: &mut Exchange<'_>,
        held: &mut Vec<u8>,
    ) -> io::Result<Option<Violation>> {
        connection.write(&request.bytes)?;
        if !request.body.is_empty() {
            match connection.read_within(MOMENT) {
                Ok(bytes) => *held = bytes,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
            // A server that has declined may have closed.
            let _ = connection.write(request.body);
        }
        let mut read = held.len();
        loop {
            match self.follow(exchange, held) {
                Ok(true) => return Ok(None),
                Ok(false) if read > LONGEST_ANSWER => return Err(io::Error::other("too long to be followed")),
                Ok(false) => {}
                Err(violation) => {
                    self.speaks_http2 = held.get(SETTINGS.0) == Some(&SETTINGS.1);
                    // The rest may name things all the same.
                    while !self.speaks_http2
                        && held.len() < LONGEST_BODY
                        && let Ok(bytes) = connection.read_within(MOMENT)
                        && !bytes.is_empty()
                    {
                        held.extend_from_slice(&bytes);
                    }
                    return Ok(Some(violation));
                }
            }
            let bytes = connection.read()?;
            if bytes.is_empty() {
                return Ok(exchange.response_end(OriginEnd::Fin).err().map(|fault| fault.violation));
            }
            read += bytes.len();
            held.extend_from_slice(&bytes);
        }
    }

    /// Takes note of what was said so far. Tells whether that is all.
    fn follow(&mut self, exchange: &mut Exchange<'_>, held: &mut Vec<u8>) -> Result<bool, Violation> {
        let mut edits = Edits::default();
        loop {
            if !exchange.is_under_way() {
                return Ok(true);
            }
            let verdict = exchange.judge(Direction::Outbound, held, &mut edits);
            match verdict.map_err(|fault| fault.violation)? {
                Verdict::Keep(count) => self.keep_body(held.drain(..count.get())),
                Verdict::Head(count) => {
                    let section: Vec<u8> = held.drain(..count.get()).collect();
                    self.read(&section, &edits);
                }
                Verdict::Withhold(count) => drop(held.drain(..count.get())),
                // A tunnel: what is said in it is not ours to hear.
                Verdict::Pass(_) if self.statuses.last() == Some(&101) => {
                    held.clear();
                    return Ok(true);
                }
                Verdict::Pass(_) if held.is_empty() => return Ok(false),
                Verdict::Pass(run) => {
                    let count = match run {
                        Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(held.len()),
                        Run::UntilEof => held.len(),
                    };
                    self.keep_body(held.drain(..count));
                    exchange.passed(Direction::Outbound, u64::try_from(count).unwrap_or(u64::MAX));
                }
                Verdict::NeedMore | Verdict::Wait => return Ok(false),
            }
        }
    }

    /// Takes note of a head, or of a trailer section, which is a part of the body too.
    fn read(&mut self, section: &[u8], edits: &Edits) {
        match edits.section() {
            Section::Response(status) => {
                self.statuses.push(status);
                if status >= 200 {
                    self.take_note_of(section);
                }
            }
            Section::Request | Section::Trailer => self.keep_body(section.iter().copied()),
        }
        let mut at = 0;
        for line in section.split_inclusive(|byte| *byte == b'\n') {
            let is_denied = edits.denied().any(|(_, range)| range.contains(&at));
            at += line.len();
            if is_denied || telltale::is_in_line(line) {
                self.note(line);
            }
        }
    }

    /// Of the final head.
    fn take_note_of(&mut self, head: &[u8]) {
        for line in String::from_utf8_lossy(head).lines().skip(1) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let name = name.trim().to_ascii_lowercase();
            match name.as_str() {
                "content-encoding" => self.coding = self.coding.then(Coding::named(value)),
                "transfer-encoding" => value.split(',').for_each(|coding| self.read_transfer_coding(coding.trim())),
                "location" => value.trim().clone_into(&mut self.location),
                _ => {}
            }
            self.names.push(name);
        }
    }

    /// The names of compressions are those of content codings (RFC 9112 §7.2).
    fn read_transfer_coding(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("chunked") {
            self.is_chunked = true;
        } else {
            self.coding = self.coding.then(Coding::named(name));
        }
    }

    /// What the body says, its chunks and its coding undone. `None`: its coding cannot be undone.
    pub(super) fn text(&self) -> Option<Vec<u8>> {
        if self.is_chunked { self.coding.undone(&body::joined(&self.body)) } else { self.coding.undone(&self.body) }
    }

    /// Whether the body is likely the server's own: an error page, a redirection's, or what is no HTTP/1.1.
    pub(super) fn has_own_page(&self) -> bool {
        self.statuses.last().is_none_or(|status| *status >= 300)
    }

    fn keep_body(&mut self, bytes: impl Iterator<Item = u8>) {
        let room = LONGEST_BODY.saturating_sub(self.body.len());
        // The iterator may stand for bytes that are to go in any case.
        bytes.enumerate().for_each(|(place, byte)| {
            if place < room {
                self.body.push(byte);
            }
        });
    }

    /// Looks for lines that disclose something where nothing could be judged.
    fn look_at(&mut self, denylist: &Denylist, bytes: &[u8]) {
        let name = |line: &[u8]| line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii().to_vec();
        for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.contains(&b':')) {
            if denylist.denies(&name(line)) || telltale::is_in_line(line) {
                self.note(line);
            }
        }
        self.keep_body(bytes.iter().copied());
    }

    fn note(&mut self, line: &[u8]) {
        let status = self.statuses.last().copied().unwrap_or_default();
        self.lines.push((status, line.trim_ascii().escape_ascii().to_string()));
    }

    /// Whether HTTP/2 was spoken: heads inside it were not looked at, and no HTTP/1.1 proxy could.
    pub(super) fn is_switched(&self) -> bool {
        self.speaks_http2 || (self.request == "Upgrade: h2c" && self.statuses.last() == Some(&101))
    }

    /// Why it says nothing of what is disclosed, if that is so.
    pub(super) fn is_missed(&self) -> Option<&str> {
        match &self.seen {
            Seen::Partly(why) if !self.is_switched() => Some(why),
            Seen::Nothing(why) if !self.may_be_none => Some(why),
            Seen::Whole | Seen::Partly(_) | Seen::Nothing(_) => None,
        }
    }
}

/// All that OWASP lists is denied, and HTTP/2 is let in, to be seen.
fn policy() -> Policy {
    // It cannot fail.
    let denylist = Denylist::new(["@owasp"], []).unwrap_or_default();
    Policy { denylist, upgrades: Upgrades::with_h2c(), ..Policy::default() }
}

/// Has the core know what was asked.
fn follow_request(exchange: &mut Exchange<'_>, mut bytes: &[u8]) {
    let mut edits = Edits::default();
    while !bytes.is_empty() {
        let count = match exchange.judge(Direction::Inbound, bytes, &mut edits) {
            Ok(Verdict::Keep(count) | Verdict::Head(count)) => count.get(),
            Ok(Verdict::Pass(_)) => {
                exchange.passed(Direction::Inbound, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                bytes.len()
            }
            Ok(Verdict::NeedMore | Verdict::Wait | Verdict::Withhold(_)) | Err(_) => return,
        };
        bytes = bytes.get(count..).unwrap_or_default();
    }
}

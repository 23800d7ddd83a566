//! Sends one request and follows what comes back.

use std::io;
use std::time::Duration;

use super::request::{As, Request};
use crate::http1::{Denylist, Direction, Exchange, OriginEnd, Policy, Run, Upgrades, Verdict};
use crate::net::address::Address;
use crate::ops::client::Connection;

/// Bytes of an answer that are looked at: error pages are shorter.
const LONGEST_ANSWER: usize = 256 * 1024;

/// How long is waited for a 100 before the body is sent all the same (RFC 9110 §10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);

/// A type of HTTP/2 frame, and where it stands (RFC 9113 §4.1).
const SETTINGS: (usize, u8) = (3, 4);

/// What a server said to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) request: &'static str,
    /// Of each head, in order.
    pub(super) statuses: Vec<u16>,
    /// Denied field lines, each with the status of its head.
    pub(super) lines: Vec<(u16, String)>,
    pub(super) speaks_http2: bool,
    /// The bodies.
    pub(super) body: Vec<u8>,
    /// What ended it, if not the end of the message.
    pub(super) trouble: Option<String>,
    /// The server could not be connected to.
    pub(super) unreachable: Option<io::Error>,
}

/// Asks, and follows the answer to its end or the time limit.
pub(super) fn answer(address: &Address, request: &Request, limit: Duration) -> Answer {
    let mut answer = Answer {
        request: request.name,
        statuses: Vec::new(),
        lines: Vec::new(),
        speaks_http2: false,
        body: Vec::new(),
        trouble: None,
        unreachable: None,
    };
    match Connection::open(address, limit) {
        Ok(mut connection) => {
            if let Err(error) = answer.converse(&mut connection, request) {
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                answer.trouble = Some(if is_late { format!("no end in {limit:?}") } else { error.to_string() });
            }
        }
        Err(error) => answer.unreachable = Some(error),
    }
    answer
}

impl Answer {
    fn converse(&mut self, connection: &mut Connection, request: &Request) -> io::Result<()> {
        let policy = policy();
        let mut exchange = Exchange::new(&policy);
        let asked = match request.answered_as {
            As::Itself => [&request.bytes, request.body].concat(),
            As::Get => b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        };
        follow_request(&mut exchange, &asked);
        connection.write(&request.bytes)?;
        let (mut held, mut read) = (Vec::new(), 0);
        if !request.body.is_empty() {
            match connection.read_within(CONTINUE) {
                Ok(bytes) => held = bytes,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => return Err(error),
            }
            // A server that has declined may have closed.
            let _ = connection.write(request.body);
        }
        loop {
            if self.follow(&mut exchange, &policy, &mut held) {
                return Ok(());
            }
            let bytes = connection.read()?;
            read += bytes.len();
            if bytes.is_empty() || read > LONGEST_ANSWER {
                let ended = exchange.response_end(OriginEnd::Fin);
                self.trouble = match ended {
                    Err(_) if self.statuses.is_empty() => Some("closed without an answer".to_owned()),
                    Err(fault) if bytes.is_empty() => Some(fault.violation.to_string()),
                    Ok(()) | Err(_) => None,
                };
                return Ok(());
            }
            held.extend_from_slice(&bytes);
        }
    }

    /// Takes note of what was said so far. Tells whether that is all.
    fn follow(&mut self, exchange: &mut Exchange<'_>, policy: &Policy, held: &mut Vec<u8>) -> bool {
        loop {
            if exchange.unanswered() == 0 {
                return true;
            }
            let verdict = exchange.judge(Direction::Outbound, held);
            if let Some(status) = exchange.take_status() {
                self.statuses.push(status);
            }
            match verdict {
                Ok(Verdict::Keep(count) | Verdict::Withhold(count)) => drop(held.drain(..count.get())),
                Ok(Verdict::Drop(count)) => {
                    let lines: Vec<u8> = held.drain(..count.get()).collect();
                    self.note(&lines);
                }
                // A tunnel: what is said in it is not ours to hear.
                Ok(Verdict::Pass(_)) if self.statuses.last() == Some(&101) => return true,
                Ok(Verdict::Pass(_)) if held.is_empty() => return false,
                Ok(Verdict::Pass(run)) => {
                    let count = match run {
                        Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(held.len()),
                        Run::UntilEof => held.len(),
                    };
                    self.body.extend(held.drain(..count));
                    exchange.passed(Direction::Outbound, u64::try_from(count).unwrap_or(u64::MAX));
                }
                Ok(Verdict::NeedMore | Verdict::Wait | Verdict::Add(_)) => return false,
                Err(fault) => {
                    self.speaks_http2 = held.get(SETTINGS.0) == Some(&SETTINGS.1);
                    self.trouble = Some(format!("not HTTP/1.1: {}", fault.violation));
                    // What headsnip would answer by 502 may name things all the same.
                    let lines = held.split_inclusive(|byte| *byte == b'\n');
                    let denied = |line: &&[u8]| policy.denylist.entries_of(line).any(|entry| entry.is_some());
                    let denied: Vec<u8> = lines.filter(denied).flatten().copied().collect();
                    self.note(&denied);
                    return true;
                }
            }
        }
    }

    fn note(&mut self, lines: &[u8]) {
        let status = self.statuses.last().copied().unwrap_or_default();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.lines.push((status, line.trim_ascii().escape_ascii().to_string()));
        }
    }
}

/// All that OWASP lists is denied, and HTTP/2 is let in, to be seen.
fn policy() -> Policy {
    // Neither can fail.
    let denylist = Denylist::new(["@owasp"], []).unwrap_or_default();
    Policy { denylist, upgrades: Upgrades::new(["websocket", "h2c"]).unwrap_or_default(), ..Policy::default() }
}

/// Has the core know what was asked.
fn follow_request(exchange: &mut Exchange<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = match exchange.judge(Direction::Inbound, bytes) {
            Ok(Verdict::Keep(count)) => count.get(),
            Ok(Verdict::Pass(_)) => {
                exchange.passed(Direction::Inbound, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                bytes.len()
            }
            Ok(Verdict::NeedMore | Verdict::Wait | Verdict::Drop(_) | Verdict::Withhold(_) | Verdict::Add(_))
            | Err(_) => return,
        };
        bytes = bytes.get(count..).unwrap_or_default();
    }
}

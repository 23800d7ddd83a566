//! A request that a server reads otherwise than RFC 9112 does, and a request of somebody else behind it on the same
//! client connection, as a load balancer sends them.
//!
//! Asked directly, the server must show its fault, so that no case passes because the server has none. Through headsnip, the
//! neighbour gets the answer to its own request, and no byte that reaches the client is part of a denied line.
//!
//! The applications tell what they were asked: in `X-Seen` of each answer, and under `/seen` all of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::compare::{content, denied_lines, statuses};
use crate::reader::{End, Piece, Reader, Response, value};
use crate::server::{Check, Running};
use crate::wire::{Endpoint, Order, Request, Transcript, Wire};

/// How long a server may take to come to a request that was smuggled.
const SMUGGLED_LIMIT: Duration = Duration::from_secs(10);

/// The pause between two looks at what the application saw.
const PAUSE: Duration = Duration::from_millis(50);

/// The request of the attacker, and what is made of it.
pub(crate) struct Attack {
    name: &'static str,
    method: &'static str,
    /// The bytes, given a mark that makes the targets of a run its own.
    bytes: fn(&str) -> Vec<u8>,
    /// What of it is sent once the answer is there.
    later: fn(&str) -> Vec<u8>,
    fault: Fault,
    outcome: Outcome,
}

/// What the server does with it when it is asked directly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It takes the request, whose form the RFC forbids or others read in another way.
    Takes,
    /// It takes bytes of the body or of the trailer section for a request.
    Smuggles,
    /// It promises a body and sends none.
    SendsNoBody,
    /// It answers the neighbour by an error.
    RefusesNeighbour,
}

/// What the attacker gets through headsnip.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer of headsnip's own with this status, and a close.
    Refused(u16),
    /// The answer of the server, and the connection goes on.
    Answered,
    /// The answer of the server, and a close.
    AnsweredLast,
    /// The head of the answer, and the end of the connection: the body that it promises does not come.
    Cut,
}

impl Attack {
    pub(crate) fn new(
        name: &'static str,
        method: &'static str,
        bytes: fn(&str) -> Vec<u8>,
        fault: Fault,
        outcome: Outcome,
    ) -> Self {
        Self { name, method, bytes, later: |_| Vec::new(), fault, outcome }
    }

    /// With more bytes, which are sent once the answer is there.
    pub(crate) fn then(self, later: fn(&str) -> Vec<u8>) -> Self {
        Self { later, ..self }
    }

    /// As a test.
    pub(crate) fn into_check(self) -> (String, Check) {
        (self.name.to_owned(), Box::new(move |running| self.run(running)))
    }

    fn run(&self, running: &Running) -> Result<(), Failed> {
        self.show_fault(&running.direct).map_err(|error| format!("directly: {error}"))?;
        for order in [Order::OneByOne, Order::Pipelined] {
            let ran = self.run_through(running, order);
            ran.map_err(|error| format!("through headsnip, {order:?}: {error}"))?;
        }
        Ok(())
    }

    fn show_fault(&self, direct: &Endpoint) -> Result<(), String> {
        let mark = mark();
        let wire = direct.dial()?;
        let mut reader = wire.reader()?;
        wire.write_all(&(self.bytes)(&mark))?;
        let head = final_head(&mut reader)?;
        let answer = Transcript { pieces: vec![Piece::Head(head.clone())], end: End::Open };
        if statuses(&answer)? != [200] || denied_lines(&answer) == 0 {
            return Err(format!("not a 200 with denied lines: {answer:?}"));
        }
        let length = value(&head, "content-length").and_then(|length| length.parse().ok());
        let length = length.ok_or("an answer without a length")?;
        match self.fault {
            Fault::Takes => return Ok(()),
            Fault::SendsNoBody => {}
            Fault::Smuggles | Fault::RefusesNeighbour => drop(reader.exactly(length)?),
        }
        let written = wire.write_all(&[(self.later)(&mark), victim(&mark).head].concat());
        match self.fault {
            Fault::Takes => written,
            Fault::Smuggles => until_smuggled(direct, &mark),
            // Were the body there, it would be in the place of the next head.
            Fault::SendsNoBody => expect_own(&mark, &reader.response("GET")?),
            // It may have closed before the neighbour was written.
            Fault::RefusesNeighbour => {
                let head = reader.head()?;
                let own = crate::reader::status(&head)? == 200;
                if own { Err("the neighbour is answered".to_owned()) } else { Ok(()) }
            }
        }
    }

    fn run_through(&self, running: &Running, order: Order) -> Result<(), String> {
        let mark = mark();
        let neighbours = [victim(&mark).head, last(&mark).head].concat();
        let (first, mut later) = ((self.bytes)(&mark), (self.later)(&mark));
        let wire = running.through.dial()?;
        let mut reader = wire.reader()?;
        let mut pieces = Vec::new();
        match order {
            Order::OneByOne => wire.write_all(&first)?,
            Order::Pipelined if later.is_empty() => wire.write_all(&[first.as_slice(), &neighbours].concat())?,
            Order::Pipelined => {
                wire.write_all(&first)?;
                later.extend(&neighbours);
            }
        }
        let answer = reader.response(self.method)?;
        self.expect_outcome(&answer)?;
        let written = wire.write_all(&later);
        if answer.end == End::Open {
            written?;
        }
        pieces.extend(answer.pieces);
        let together = matches!(order, Order::Pipelined);
        pieces.extend(match self.outcome {
            Outcome::Answered => ask_neighbours(&wire, &mut reader, &mark, !together)?,
            Outcome::Refused(_) | Outcome::AnsweredLast | Outcome::Cut => {
                let wire = running.through.dial()?;
                let mut reader = wire.reader()?;
                ask_neighbours(&wire, &mut reader, &mark, true)?
            }
        });
        expect_nothing_denied(&pieces)?;
        match self.outcome {
            // The attacker's own bytes, and the answer reaches nobody.
            Outcome::Answered => Ok(()),
            Outcome::Refused(_) | Outcome::AnsweredLast | Outcome::Cut => {
                let reached = seen(&running.direct)?.contains(&smuggled(&mark));
                if reached { Err("what was smuggled reached the application".to_owned()) } else { Ok(()) }
            }
        }
    }

    fn expect_outcome(&self, answer: &Response) -> Result<(), String> {
        let heads = answer.pieces.iter().filter(|piece| matches!(piece, Piece::Head(_)));
        let transcript = Transcript { pieces: heads.cloned().collect(), end: answer.end };
        let found = statuses(&transcript)?.pop().unwrap_or_default();
        let expected = match self.outcome {
            Outcome::Refused(status) => (status, End::Closed),
            Outcome::Answered => (200, End::Open),
            Outcome::AnsweredLast => (200, End::Closed),
            Outcome::Cut => (200, End::Cut),
        };
        if (found, answer.end) == expected {
            Ok(())
        } else {
            Err(format!("the attacker gets {found}, {:?}, not {expected:?}", answer.end))
        }
    }
}

/// Where a request that should not exist asks.
pub(crate) fn smuggled(mark: &str) -> String {
    format!("/smuggled/{mark}")
}

/// The same as a whole request.
pub(crate) fn smuggled_request(mark: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: origin.test\r\n\r\n", smuggled(mark))
}

/// A request of the attacker: its request line, Host, these lines, the empty line, and what follows.
pub(crate) fn request(method: &str, mark: &str, lines: &str, after: &str) -> Vec<u8> {
    request_to("front", method, mark, lines, after)
}

/// The same to another target.
pub(crate) fn request_to(target: &str, method: &str, mark: &str, lines: &str, after: &str) -> Vec<u8> {
    format!("{method} /{target}/{mark} HTTP/1.1\r\nHost: origin.test\r\n{lines}\r\n{after}").into_bytes()
}

fn victim(mark: &str) -> Request {
    Request::new("GET", &format!("/victim/{mark}"), &[])
}

/// Behind the answer to this, the connection closes: what is still to come must show before.
fn last(mark: &str) -> Request {
    Request::new("GET", &format!("/victim/last-{mark}"), &["Connection: close"])
}

fn mark() -> String {
    static MARKS: AtomicU64 = AtomicU64::new(1);
    format!("mark{}.", MARKS.fetch_add(1, Ordering::Relaxed))
}

/// The answers to both neighbours, who are asked now, or have been.
fn ask_neighbours(wire: &Wire, reader: &mut Reader<Wire>, mark: &str, now: bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    for (request, mark) in [(victim(mark), mark.to_owned()), (last(mark), format!("last-{mark}"))] {
        if now {
            wire.write_all(&request.head)?;
        }
        let answer = reader.response("GET")?;
        expect_own(&mark, &answer)?;
        pieces.extend(answer.pieces);
    }
    Ok(pieces)
}

fn expect_own(mark: &str, answer: &Response) -> Result<(), String> {
    let Some(Piece::Head(head)) = answer.pieces.first() else {
        return Err("no head".to_owned());
    };
    let (status, seen) = (crate::reader::status(head)?, value(head, "x-seen"));
    if status == 200 && seen.as_deref() == Some(&format!("GET /victim/{mark}")) {
        return Ok(());
    }
    Err(format!("the neighbour is answered by {:?}", head.escape_ascii().to_string()))
}

/// Nowhere, not in what a client reads as a body either: its reading may be the server's.
fn expect_nothing_denied(pieces: &[Piece]) -> Result<(), String> {
    let bytes = pieces.iter().flat_map(|piece| match piece {
        Piece::Head(bytes) | Piece::Body(bytes) | Piece::Trailers(bytes) | Piece::Tunnel(bytes) => bytes,
    });
    let bytes: Vec<u8> = bytes.copied().collect();
    match denied_lines(&Transcript { pieces: vec![Piece::Head(bytes.clone())], end: End::Open }) {
        0 => Ok(()),
        count => Err(format!("{count} denied lines in {:?}", bytes.escape_ascii().to_string())),
    }
}

fn final_head(reader: &mut Reader<Wire>) -> Result<Vec<u8>, String> {
    loop {
        let head = reader.head()?;
        if crate::reader::status(&head)? >= 200 {
            return Ok(head);
        }
    }
}

/// All that the application was asked.
fn seen(direct: &Endpoint) -> Result<String, String> {
    let request = Request::new("GET", "/seen", &["Connection: close"]);
    let answer = direct.converse(&[request], Order::OneByOne)?;
    match answer.pieces.as_slice() {
        [Piece::Head(head), Piece::Body(body), ..] => Ok(String::from_utf8_lossy(&content(head, body)).into_owned()),
        pieces => Err(format!("the application does not tell what it saw: {pieces:?}")),
    }
}

fn until_smuggled(direct: &Endpoint, mark: &str) -> Result<(), String> {
    let end = Instant::now() + SMUGGLED_LIMIT;
    while Instant::now() < end {
        if seen(direct)?.contains(&smuggled(mark)) {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err("nothing was smuggled".to_owned())
}

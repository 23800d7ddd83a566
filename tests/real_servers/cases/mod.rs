//! What is asked of each server: one file a family of servers, and here the form that most cases have.
//!
//! A [`Case`] sends the same raw requests to the server directly and through headsnip. The direct answer must hold as
//! many denied lines as expected, so that no case passes because the server has none; the other must be the same bytes
//! without them.

pub(crate) mod asgi;
pub(crate) mod bentoml;
pub(crate) mod django;
pub(crate) mod express;
pub(crate) mod faulty_node;
pub(crate) mod faulty_python;
pub(crate) mod forwarded;
pub(crate) mod http_server;
pub(crate) mod hypercorn;
pub(crate) mod introduced;
pub(crate) mod java_client;
pub(crate) mod neighbours;
pub(crate) mod readme;
pub(crate) mod story;
pub(crate) mod uvicorn_idle;
pub(crate) mod websocket;

use libtest_mimic::Failed;

use crate::compare::{content, denied_lines, same_but_denied, statuses};
use crate::reader::Piece;
use crate::server::{Check, Running};
use crate::wire::{Order, Request, Transcript};

/// Several MB, and no round number.
pub(crate) const LONG: usize = 4_000_037;

/// Requests over one connection, and what the answers must be.
pub(crate) struct Case {
    name: &'static str,
    requests: Vec<Request>,
    order: Order,
    /// Of every head in order, informational ones too.
    statuses: Vec<u16>,
    /// Denied lines in the direct answer.
    leaks: usize,
    /// Field lines whose value the server makes up each time.
    varies: &'static [&'static str],
    /// What the last body is, where it is known.
    body: Option<Vec<u8>>,
}

impl Case {
    /// One request, the statuses of its heads, and the number of denied lines in them.
    pub(crate) fn new(name: &'static str, request: Request, statuses: &[u16], leaks: usize) -> Self {
        Self {
            name,
            requests: vec![request],
            order: Order::OneByOne,
            statuses: statuses.to_vec(),
            leaks,
            varies: &[],
            body: None,
        }
    }

    /// One more request over the same connection.
    pub(crate) fn then(mut self, request: Request, statuses: &[u16], leaks: usize) -> Self {
        self.requests.push(request);
        self.statuses.extend_from_slice(statuses);
        self.leaks += leaks;
        self
    }

    /// All requests at once.
    pub(crate) fn pipelined(self) -> Self {
        Self { order: Order::Pipelined, ..self }
    }

    /// With field lines that vary.
    pub(crate) fn varying(self, varies: &'static [&'static str]) -> Self {
        Self { varies, ..self }
    }

    /// With this as the last body.
    pub(crate) fn body(self, body: Vec<u8>) -> Self {
        Self { body: Some(body), ..self }
    }

    /// As a test.
    pub(crate) fn into_check(self) -> (String, Check) {
        (self.name.to_owned(), Box::new(move |running| self.run(running)))
    }

    fn run(&self, running: &Running) -> Result<(), Failed> {
        let direct =
            running.direct.converse(&self.requests, self.order).map_err(|error| format!("directly: {error}"))?;
        self.check_direct(&direct)?;
        let through = running
            .through
            .converse(&self.requests, self.order)
            .map_err(|error| format!("through headsnip: {error}"))?;
        Ok(same_but_denied(&direct, &through, self.varies)?)
    }

    /// That the case asks what it means to ask.
    fn check_direct(&self, direct: &Transcript) -> Result<(), Failed> {
        let found = statuses(direct)?;
        if found != self.statuses {
            return Err(format!("the server itself answers {found:?}, not {:?}", self.statuses).into());
        }
        let leaks = denied_lines(direct);
        if leaks != self.leaks {
            return Err(format!("the server itself sends {leaks} denied lines, not {}", self.leaks).into());
        }
        let (mut head, mut body) = (&[][..], &[][..]);
        for piece in &direct.pieces {
            match piece {
                Piece::Head(bytes) => head = bytes,
                Piece::Body(bytes) => body = bytes,
                Piece::Trailers(_) | Piece::Tunnel(_) => {}
            }
        }
        if self.body.as_ref().is_some_and(|expected| *expected != content(head, body)) {
            return Err("the server itself sends another body than expected".into());
        }
        Ok(())
    }
}

/// A test of a form of its own.
pub(crate) fn special(name: &str, check: fn(&Running) -> Result<(), Failed>) -> (String, Check) {
    (name.to_owned(), Box::new(check))
}

/// A body of that length: the counter 0, 1, 2, ... as four bytes each, as the applications make it too.
pub(crate) fn counter(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// A POST of that body in chunks of all sizes, with chunk extensions.
pub(crate) fn chunked_post(target: &str, body: &[u8]) -> Request {
    let mut framed = Vec::with_capacity(body.len() + body.len() / 64);
    let (mut rest, mut size) = (body, 1);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(size));
        framed.extend_from_slice(format!("{:x};part=\"{size}\"\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = after;
        size = if size > 100_000 { 1 } else { size * 3 };
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    Request { body: framed, ..Request::new("POST", target, &["Transfer-Encoding: chunked"]) }
}

/// The same chunked request with a line in its trailer section.
pub(crate) fn with_trailer(mut request: Request, line: &str) -> Request {
    request.body.truncate(request.body.len() - 2);
    request.body.extend_from_slice(format!("{line}\r\n\r\n").as_bytes());
    request
}

/// Says which side an error is about.
pub(crate) fn both_ways<T>(
    running: &Running,
    ask: impl Fn(&crate::wire::Endpoint) -> Result<T, String>,
) -> Result<(T, T), String> {
    let direct = ask(&running.direct).map_err(|error| format!("directly: {error}"))?;
    let through = ask(&running.through).map_err(|error| format!("through headsnip: {error}"))?;
    Ok((direct, through))
}

//! One request and its response, in the plain model: what a response head does to the exchange.

use super::super::{End, Rules};
use super::body::{Body, Framing};
use super::head::{self, Fault, Version};
use super::request::Request;
use super::response::{self, Response};

/// The most heads of 1xx responses to one request, and the most bytes of them and of the empty lines between.
const MAX_INTERIM_HEADS: usize = 4096;
const MAX_INTERIM_BYTES: usize = 1 << 20;
/// The most bytes of a request that are held so that it can be sent once more.
pub(super) const MAX_REPLAY: usize = 65_536;

pub(super) enum Answer {
    /// Its final head has not gone out.
    Awaited,
    /// Its final head has; this follows.
    Body(Body),
    /// All of it has.
    Complete,
    /// A 101 has: the connection is a tunnel.
    Switched,
}

/// What is under way.
pub(super) struct Exchange {
    pub(super) request: Request,
    /// Where it begins in what its origin connection was sent.
    pub(super) start: usize,
    /// The rest of the request, if there is any.
    pub(super) upload: Option<Body>,
    /// The fault of a body that is broken.
    pub(super) broken: Option<Fault>,
    /// Whether a byte of the response has come.
    pub(super) is_heard: bool,
    interim_heads: usize,
    interim_bytes: usize,
    pub(super) answer: Answer,
    /// Whether another may follow on the same origin connection, as far as is known.
    pub(super) is_plain: bool,
    /// Whether the client's connection closes behind it, as far as is known.
    pub(super) closes: bool,
}

impl Exchange {
    /// Its head goes inbound, at this place of its connection.
    pub(super) fn new(request: Request, start: usize) -> Self {
        let has_body = request.framing != Framing::Empty;
        Self {
            start,
            upload: has_body.then(|| Body::of_request(request.framing)),
            broken: None,
            is_heard: false,
            interim_heads: 0,
            interim_bytes: 0,
            answer: Answer::Awaited,
            is_plain: request.is_plain,
            closes: !request.persists,
            request,
        }
    }

    /// Takes a head, or empty lines before one, off the front of the origin's bytes; what goes on to the client.
    pub(super) fn take_head(
        &mut self,
        origin: &mut Vec<u8>,
        is_draining: bool,
        rules: &Rules,
    ) -> Result<Option<Vec<u8>>, Fault> {
        self.is_heard = true;
        let empty_lines = head::empty_lines(origin);
        if empty_lines > 0 {
            self.is_plain = false;
            origin.drain(..empty_lines);
            self.count_interim(empty_lines)?;
            return Ok(Some(Vec::new()));
        }
        let Some(mut response) = response::read(origin, &self.request.method, rules)? else {
            return Ok(None);
        };
        origin.drain(..response.end);
        self.is_plain &= !response.is_mended;
        match response.status {
            101 => {
                self.may_switch(&response, rules)?;
                self.answer = Answer::Switched;
            }
            100..200 => {
                self.interim_heads += 1;
                self.count_interim(response.end)?;
                // RFC 9110 §15.2: a 1xx must not be sent to an HTTP/1.0 client.
                if self.request.version == Version::Http10 {
                    return Ok(Some(Vec::new()));
                }
            }
            _ => self.take_final_head(&mut response, is_draining, rules),
        }
        Ok(Some(response.bytes))
    }

    fn count_interim(&mut self, bytes: usize) -> Result<(), Fault> {
        self.interim_bytes += bytes;
        let is_within = self.interim_heads <= MAX_INTERIM_HEADS && self.interim_bytes <= MAX_INTERIM_BYTES;
        if is_within { Ok(()) } else { Err("too_many_interim_responses") }
    }

    fn take_final_head(&mut self, response: &mut Response, is_draining: bool, rules: &Rules) {
        let is_early = self.upload.is_some();
        let is_taken = self.request.framing == Framing::Empty || (200..300).contains(&response.status);
        let is_doubtful = response.status == 304 && response.has_framing_field;
        self.is_plain &= !is_early && response.version == Version::Http11 && is_taken && !is_doubtful;
        // A client that waits for a 100 will not send the body now, or all of it, and nobody knows which.
        let is_given_up = self.request.expects_continue && self.upload.as_ref().is_some_and(|body| !body.has_begun());
        if is_given_up {
            self.upload = None;
        }
        // A client of HTTP/1.0 takes the end of the connection for that of a chunked body, and of any response without keep-alive.
        let is_granted = response.options.iter().any(|option| option == b"keep-alive");
        let is_unknown =
            self.request.version == Version::Http10 && (response.framing == Framing::Chunked || !is_granted);
        let ends = response.framing == Framing::UntilClose;
        // RFC 9110 §15.3.6: content must not be there, so clients may not read it.
        let may_be_unread = response.status == 205 && response.framing != Framing::Empty;
        self.closes |= is_given_up || !response.persists || ends || is_unknown || may_be_unread;
        // What ends with the connection says so to who reads it, and so does HTTP/1.0 without keep-alive.
        let is_said = (ends && !may_be_unread) || (response.version == Version::Http10 && !response.persists);
        if is_draining || (self.closes && !is_said) {
            response.say_close(rules);
        }
        response.add_missing(rules);
        self.closes |= is_draining;
        self.answer = if response.framing == Framing::Empty {
            Answer::Complete
        } else {
            Answer::Body(Body::of_response(response.framing))
        };
    }

    /// RFC 9110 §7.8: a server switches only to what the client has offered, and never for an HTTP/1.0 request. We let it
    /// switch only to what the operator allows, for a tunnel carries what we cannot judge.
    fn may_switch(&self, response: &Response, rules: &Rules) -> Result<(), Fault> {
        let chosen = &response.switches_to;
        let is_allowed =
            |protocol: &Vec<u8>| rules.allow_upgrade.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(protocol));
        if chosen.is_empty() {
            Err("upgrade_unasked")
        } else if !chosen.iter().all(is_allowed) {
            Err("upgrade_not_allowed")
        } else if self.request.version == Version::Http10
            || !chosen.iter().all(|protocol| self.request.offers.contains(protocol))
        {
            Err("upgrade_unasked")
        } else {
            Ok(())
        }
    }

    /// RFC 9110 §9.2.2, and the safe methods of RFC 9110 §9.2.1 among them.
    pub(super) fn is_idempotent(&self) -> bool {
        let idempotent: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        idempotent.contains(&&self.request.method[..])
    }

    /// How a request whose body is broken ends.
    pub(super) fn end_if_request_is_broken(&self) -> End {
        match self.answer {
            Answer::Awaited => End::Reply(400),
            Answer::Body(_) | Answer::Switched => self.end_if_cut(),
            Answer::Complete => End::Closed,
        }
    }

    /// How a response ends that has begun and is not complete. Where a clean FIN would look like the end of the message,
    /// only a reset shows that it is not.
    pub(super) fn end_if_cut(&self) -> End {
        let looks_complete = match &self.answer {
            Answer::Body(body) => match body.framing {
                Framing::UntilClose => true,
                Framing::Chunked => self.request.version == Version::Http10,
                Framing::Empty | Framing::Length(_) => false,
            },
            Answer::Switched => true,
            Answer::Awaited | Answer::Complete => false,
        };
        if looks_complete { End::Reset } else { End::Cut }
    }
}

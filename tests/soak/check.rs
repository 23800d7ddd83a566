//! What a client may see: every byte of a response that its plan says, or the right sign that it was broken off.

use std::io::{Error, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use super::client::{Behind, Connection};
use super::plan::{After, Fault, Framing, Plan, Timing, Upload};
use super::support::{Ended, text};
use super::wire::{Request, Response, is_alone};

/// A request of that size is still held when its origin connection turns out to be closed.
const REPLAYED: usize = 2_000;

/// What the proxy says where the origin said nothing.
const REFUSED: &str = "502 Bad Gateway";
const REFUSED_START: &[u8] = b"HTTP/1.1 502";

/// What a client did that had made no request when another wanted its place.
pub(crate) const GAVE_WAY: &str = "clients that gave way before their first request";

/// What is to be done with the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Leave,
}

impl Connection<'_> {
    /// Reads the response to the end that its plan says, and checks it.
    pub(crate) fn check(&mut self, plan: &Plan, sent: Result<(), Error>) -> Result<Then, String> {
        if std::mem::take(&mut self.is_fresh) && !self.has_ended && matches!(self.stream.peek(&mut [0]), Ok(0)) {
            self.watch.count(GAVE_WAY, 1);
            return Ok(Then::Leave);
        }
        let response = expected(plan);
        let cut = response.cut(plan);
        let is_end_of_body = plan.framing == Framing::UntilClose && cut >= response.final_head.end;
        let is_whole = plan.fault == Fault::Nothing || (plan.fault == Fault::Fin && is_end_of_body);
        let behind = std::mem::replace(&mut self.behind, Behind::Open);
        let was_closed = behind != Behind::Open;
        self.count(plan, is_whole, was_closed);
        let is_replayed = plan.is_idempotent() && upload_length(plan) <= REPLAYED && !self.has_ended;
        let is_refusable = was_closed && !is_replayed;
        let checked = if is_whole {
            if let (Err(error), false) = (sent, is_refusable || plan.timing == Timing::EarlyClose) {
                Err(format!("cannot send: {error}"))
            } else {
                self.check_whole(plan, &response, is_refusable)
            }
        } else {
            self.check_broken(plan, &response, cut, is_refusable).map(|()| Then::Leave)
        };
        checked.map_err(|failure| format!("{failure}\nin {plan:?}, sent after an idle close: {was_closed}"))
    }

    fn check_whole(&mut self, plan: &Plan, response: &Response, is_refusable: bool) -> Result<Then, String> {
        let wanted = response.kept(response.cut(plan));
        let mut checked = 0;
        if is_refusable {
            checked = REFUSED_START.len();
            match self.first(checked)? {
                start if start == wanted[..checked] => {}
                start if start == REFUSED_START => {
                    self.expect(&reply(REFUSED)[checked..])?;
                    self.expect_end(plan)?;
                    self.watch.count("refused: 502 at an idle close", 1);
                    return Ok(Then::Leave);
                }
                // The origin's end is passed on to who has ended.
                start if start.is_empty() && self.has_ended => {
                    self.watch.count("refused: FIN at an idle close", 1);
                    return Ok(Then::Leave);
                }
                start => return Err(format!("found {:?}", text(&start))),
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() && plan.timing != Timing::Refusing {
            let leave = response.kept(response.first_head).len();
            self.expect(&wanted[checked..leave])?;
            checked = leave;
            self.stream.write_all(&waiting).map_err(|error| format!("cannot send: {error}"))?;
        }
        self.expect(&wanted[checked..])?;
        self.watch.count("bytes down", u64::try_from(wanted.len()).expect("64 bits are enough"));
        if plan.after == After::Close || plan.fault == Fault::Fin || plan.timing == Timing::Refusing {
            self.expect_end(plan)?;
            return Ok(Then::Leave);
        }
        if is_alone(plan, &Request::of(plan), response) {
            self.watch.count("exchanges that are alone", 1);
        } else if matches!(plan.after, After::IdleClose(_)) {
            self.behind = Behind::ClosedIdle;
        }
        Ok(Then::GoOn)
    }

    /// A response that the origin broke off: a reply of the proxy, or a part that does not look complete.
    fn check_broken(&mut self, plan: &Plan, response: &Response, cut: usize, is_refusable: bool) -> Result<(), String> {
        let (found, ended) = self.read_to_end()?;
        if is_refusable && found == reply(REFUSED) {
            self.watch.count("refused: 502 at an idle close", 1);
            return Ok(());
        }
        if is_refusable && self.has_ended && found.is_empty() && ended == Ended::Fin {
            self.watch.count("refused: FIN at an idle close", 1);
            return Ok(());
        }
        let of = |what: &str| Err(format!("{what}: {:?} and {ended:?}, cut at {cut}", text(&found)));
        let interims = response.kept(response.final_head.start);
        let head = response.kept(response.final_head.end).len();
        if self.has_ended
            && interims.starts_with(&found)
            && ended == Ended::Fin
            && (cut < response.final_head.end || plan.fault == Fault::Reset)
        {
            // The origin's end is passed on to who has ended.
            return Ok(());
        }
        let status = if plan.fault == Fault::Stall { "504 Gateway Timeout" } else { REFUSED };
        if let Some(before) = found.strip_suffix(&reply(status)[..])
            && (cut < response.final_head.end || plan.fault == Fault::Reset)
        {
            let is_right = interims.starts_with(before) && ended == Ended::Fin;
            return if is_right { Ok(()) } else { of("a wrong reply") };
        }
        let (all, seen) = (response.kept(response.bytes.len()), response.kept(cut));
        if !seen.starts_with(&found) {
            return of("wrong bytes");
        }
        if found.len() < head {
            return of("no reply and no head");
        }
        if found.len() == all.len() && !(plan.framing == Framing::UntilClose) {
            return of("a cut response looks complete");
        }
        if plan.framing == Framing::UntilClose && ended == Ended::Fin {
            return of("a cut body ended cleanly");
        }
        if plan.framing == Framing::Length && plan.fault == Fault::Fin && found.len() < seen.len() {
            return of("bytes before the end were lost");
        }
        Ok(())
    }

    fn count(&self, plan: &Plan, is_whole: bool, was_closed: bool) {
        self.watch.count(&format!("exchanges: {:?}", plan.method), 1);
        self.watch.count(&format!("framing: {:?}", plan.framing), 1);
        if plan.interims > 0 {
            self.watch.count("framing: with 1xx", 1);
        }
        if plan.timing != Timing::Late {
            self.watch.count(&format!("origin: {:?}", plan.timing), 1);
        }
        if !is_whole {
            self.watch.count(&format!("origin: {:?}", plan.fault), 1);
        }
        if was_closed {
            self.watch.count("exchanges after an idle close", 1);
        }
    }

    /// Reads just these bytes.
    fn expect(&mut self, wanted: &[u8]) -> Result<(), String> {
        let mut room = [0; 16 * 1024];
        let (mut checked, mut reads) = (0, 0);
        while checked < wanted.len() {
            let most = if self.is_slow { 700 } else { room.len() };
            let room = &mut room[..most.min(wanted.len() - checked)];
            let count = self.stream.read(room).map_err(|error| format!("{error} after {checked} bytes"))?;
            if room[..count] != wanted[checked..checked + count] || count == 0 {
                let (found, wanted) = (text(&room[..count]), text(&wanted[checked..]));
                return Err(format!("after {checked} bytes found {found:?}\nwanted {wanted:?}"));
            }
            checked += count;
            reads += 1;
            if self.is_slow && reads < 100 {
                thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    }

    /// Reads that many bytes, or none if the connection ends.
    fn first(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut found = vec![0; count];
        match self.stream.read(&mut found[..1]) {
            Ok(0) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(format!("{error} instead of a response")),
        }
        self.stream.read_exact(&mut found[1..]).map_err(|error| format!("{error} within a response"))?;
        Ok(found)
    }

    /// FIN, or whatever ends a connection on which a request was refused while it was being sent.
    pub(crate) fn expect_end(&mut self, plan: &Plan) -> Result<(), String> {
        let (found, ended) = self.read_to_end()?;
        let is_hasty = plan.has_upload() && ended == Ended::Reset;
        if found.is_empty() && (ended == Ended::Fin || is_hasty) {
            return Ok(());
        }
        Err(format!("wanted FIN after the response, found {:?} and {ended:?}", text(&found)))
    }

    pub(crate) fn expect_silence(&mut self) -> Result<(), String> {
        self.stream.set_nonblocking(true).expect("a socket option");
        match self.stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => Err(format!("wanted silence between requests, found {other:?}")),
        }
    }

    fn read_to_end(&mut self) -> Result<(Vec<u8>, Ended), String> {
        let mut found = Vec::new();
        match self.stream.read_to_end(&mut found) {
            Ok(_) => Ok((found, Ended::Fin)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok((found, Ended::Reset)),
            Err(error) => Err(format!("{error} after {:?}", text(&found))),
        }
    }
}

/// The response as the proxy has it. Where a body was refused before it came, both connections end, and the proxy says so if the origin did not.
pub(crate) fn expected(plan: &Plan) -> Response {
    let response = Response::of(plan);
    let is_said = plan.after == After::Close || plan.framing == Framing::UntilClose;
    if plan.timing == Timing::Refusing && !is_said { response.closing() } else { response }
}

/// A reply of the proxy itself.
fn reply(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

fn upload_length(plan: &Plan) -> usize {
    match plan.upload {
        Upload::Nothing => 0,
        Upload::Length(length) | Upload::Chunked(length) => length,
    }
}

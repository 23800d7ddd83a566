//! Decides what of the origin's responses is forwarded: each head and trailer section is judged as a whole before any byte of it is.
//!
//! ```text
//! Head ──1xx───▶ Head      (to an HTTP/1.0 client: withheld)
//! Head ──101───▶ Tunnel
//! Head ──final─▶ Length, Chunked ──▶ Trailer ──▶ Complete; UntilClose; or Complete at once
//! Complete ──the exchange is over──▶ Head, or Over where the client's connection ends
//! ```

use super::alone;
use super::chunked::{Chunked, Piece};
use super::edits::Edits;
use super::error::Violation;
use super::framing::{Framing, Surplus, response_framing};
use super::head::{Head, Reader};
use super::mend;
use super::message::{Asked, Mark, Sent, Version};
use super::scan::{Form, HeadScan};
use super::{Direction, MAX_INTERIM, MAX_INTERIM_BYTES, Policy, Run, Verdict, empty_lines, keep, pass};

#[derive(Clone, Debug)]
pub(super) struct Responses {
    state: State,
    /// 1xx responses to the request that is being answered; ≤ [`MAX_INTERIM`].
    interim: u16,
    /// Bytes of them, and of empty lines before a status-line; ≤ [`MAX_INTERIM_BYTES`].
    interim_bytes: u32,
    /// Whether a byte has come that is of no head, or of one that is over.
    is_touched: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the end of a head.
    Head(HeadScan),
    /// 0 < left
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    /// In the trailer section, after that many bytes of the last chunk's line.
    Trailer(HeadScan, u16),
    Tunnel,
    /// The response is complete; its request may not be.
    Complete,
    /// No response follows.
    Over,
}

/// How far the response to the request under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No byte of its final head was judged.
    Before,
    /// Within a body whose end the framing tells.
    Within,
    /// Within an until-close body or a tunnel, where a clean end would lie.
    WithinUndelimited,
    Complete,
    /// No response follows.
    Over,
}

impl Responses {
    pub(super) fn new() -> Self {
        Self { state: State::Head(HeadScan::default()), interim: 0, interim_bytes: 0, is_touched: false }
    }

    /// Judges bytes of the response to the request under way, of which so much was sent.
    pub(super) fn judge(
        &mut self,
        policy: &Policy,
        (asked, sent): (&mut Asked, Sent),
        is_draining: bool,
        shown: &[u8],
        edits: &mut Edits,
    ) -> Result<Verdict, Violation> {
        loop {
            match &mut self.state {
                State::Head(_) if shown.is_empty() => return Ok(Verdict::NeedMore),
                State::Head(scan) => {
                    if !scan.has_begun()
                        && let Some(verdict) = empty_lines(shown)
                    {
                        self.is_touched = true;
                        if let Verdict::Withhold(count) = verdict {
                            asked.mark(Some(Mark::Mended));
                            self.add_interim(count.get())?;
                        }
                        return Ok(verdict);
                    }
                    let mut reader = Reader::new(policy, edits);
                    let Some(head) = reader.response(scan, shown)? else {
                        return Ok(Verdict::NeedMore);
                    };
                    *scan = HeadScan::default();
                    return self.head((asked, sent), is_draining, &head, reader, shown);
                }
                State::Length(left) => return Ok(pass(*left)),
                State::Chunked(chunked) => match chunked.scan(shown)? {
                    Piece::Framing(n) => return Ok(keep(n)),
                    Piece::Data(left) => return Ok(pass(left)),
                    Piece::Trailer(line) => self.state = State::Trailer(HeadScan::default(), line),
                },
                State::Trailer(scan, line) => {
                    let line = usize::from(*line);
                    let end = Reader::new(policy, edits).trailer(scan, Form::ResponseTrailer, line, shown)?;
                    let Some(end) = end else {
                        return Ok(Verdict::NeedMore);
                    };
                    asked.mark(edits.is_mended().then_some(Mark::Mended));
                    self.state = State::Complete;
                    return Ok(Verdict::head(end));
                }
                State::UntilClose | State::Tunnel => return Ok(Verdict::Pass(Run::UntilEof)),
                // Whatever the origin adds is not waited for and goes nowhere.
                State::Complete | State::Over => return Ok(Verdict::Wait),
            }
        }
    }

    /// A head is complete: decides how its body is delimited and what of the head is forwarded.
    fn head(
        &mut self,
        (asked, sent): (&mut Asked, Sent),
        is_draining: bool,
        head: &Head<u16>,
        mut reader: Reader<'_>,
        shown: &[u8],
    ) -> Result<Verdict, Violation> {
        let &Head { length, start: status, version, .. } = head;
        let bytes = shown.get(..length).unwrap_or(shown);
        let (edits, fields) = (&mut *reader.edits, &reader.fields);
        let (framing, surplus) = response_framing(asked.method, version, status, fields)?;
        if surplus != Surplus::None {
            mend::withhold_surplus(bytes, surplus, edits);
        }
        asked.mark(edits.is_mended().then_some(Mark::Mended));
        let verdict = Verdict::head(length);
        if framing == Framing::Tunnel {
            // Of HTTP/1.0 no offer has gone on.
            fields.upgrade.unwrap_or_default().check(asked.upgrade)?;
            self.state = State::Tunnel;
            return Ok(verdict);
        }
        if status < 200 {
            if self.interim == MAX_INTERIM {
                return Err(Violation::TooManyInterimResponses);
            }
            self.interim += 1;
            self.is_touched = true;
            self.add_interim(length)?;
            if asked.version == Version::Http10 {
                edits.withhold_all(length);
            }
            return Ok(verdict);
        }
        let is_unwanted = asked.wants_continue && sent == Sent::Head;
        // A client of HTTP/1.0 knows no chunks, and no connection that persists unless the response says so: it waits for the end.
        let is_awaiting_end = asked.version == Version::Http10 && (framing == Framing::Chunked || !fields.keep_alive);
        let is_until_close = framing == Framing::UntilClose;
        // No body belongs there (RFC 9110 §15.3.6), and some clients read none: they would take it for the next response.
        let is_unread = status == 205 && framing != Framing::Empty;
        let is_in_doubt = is_until_close || is_awaiting_end || is_unread;
        asked.closes |= !fields.persists(version) || is_in_doubt || is_unwanted || is_draining;
        let is_said = (is_until_close && !is_unread) || (version == Version::Http10 && !fields.keep_alive);
        if asked.closes && !fields.close && (is_draining || !is_said) {
            mend::close(bytes, edits);
        }
        asked.mark(alone::response(*asked, sent, head, fields));
        reader.add_missing(bytes);
        self.state = match framing {
            Framing::Empty | Framing::Tunnel => State::Complete,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new(Direction::Outbound)),
            Framing::UntilClose => State::UntilClose,
        };
        Ok(verdict)
    }

    fn add_interim(&mut self, count: usize) -> Result<(), Violation> {
        let bytes = self.interim_bytes.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.interim_bytes = bytes;
        if bytes > MAX_INTERIM_BYTES { Err(Violation::TooManyInterimResponses) } else { Ok(()) }
    }

    /// What is left of a body that has a length.
    pub(super) fn length_left(&self) -> Option<u64> {
        if let State::Length(left) = self.state { Some(left) } else { None }
    }

    /// Records that bytes were moved unseen.
    pub(super) fn passed(&mut self, count: u64) {
        match &mut self.state {
            State::Chunked(chunked) => chunked.pass(count),
            State::Length(left) if count < *left => *left -= count,
            State::Length(_) => self.state = State::Complete,
            State::Head(_) | State::UntilClose | State::Trailer(..) | State::Tunnel | State::Complete | State::Over => {
            }
        }
    }

    pub(super) fn progress(&self) -> Progress {
        match self.state {
            State::Head(_) => Progress::Before,
            State::Length(_) | State::Chunked(_) | State::Trailer(..) => Progress::Within,
            State::UntilClose | State::Tunnel => Progress::WithinUndelimited,
            State::Complete => Progress::Complete,
            State::Over => Progress::Over,
        }
    }

    /// Returns whether chunks are under way, which an HTTP/1.0 client cannot see the end of.
    pub(super) fn is_chunked(&self) -> bool {
        matches!(self.state, State::Chunked(_) | State::Trailer(..))
    }

    /// Returns whether no byte of a response to the request under way was judged.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched && matches!(self.state, State::Head(scan) if !scan.has_begun())
    }

    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnel)
    }

    /// The end of the connection was that of the body.
    pub(super) fn complete(&mut self) {
        self.state = State::Complete;
    }

    /// No response follows.
    pub(super) fn finish(&mut self) {
        self.state = State::Over;
    }
}

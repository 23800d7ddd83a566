//! Decides what of the origin's responses goes on: each head and trailer section is judged whole before a byte of it does.
//!
//! ```text
//! Head ──1xx──▶ Lines ──▶ Head      (to an HTTP/1.0 client: withheld)
//! Head ──101──▶ Lines ──▶ Tunnel
//! Head ──final─▶ Lines ──▶ body: none, Length, Chunked ──▶ Trailer ──▶ Lines, or UntilClose
//! then Head for the next request, or Finished where the connection does not persist
//! ```

use super::chunked::{Chunked, Piece};
use super::error::Violation;
use super::exchange::{Asked, Unanswered};
use super::framing::{Framing, response_framing};
use super::head::{self, JudgedLines, ResponseHead, Version};
use super::scan::HeadScan;
use super::{MAX_INTERIM, Policy, Run, Verdict, keep, pass};

#[derive(Debug)]
pub(super) struct Responses {
    state: State,
    /// 1xx responses to the request that is being answered; ≤ [`MAX_INTERIM`].
    interim: u8,
    /// Of a head judged and not yet asked for; 100 ≤ status ≤ 999.
    status: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the end of a head.
    Head(HeadScan),
    /// A head or trailer section was judged; its lines are being disposed of.
    Lines(JudgedLines, Then),
    Body(Body, Persistence),
    Trailer(HeadScan, Persistence),
    Tunnel,
    /// No response follows.
    Finished,
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// 0 < left
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What follows judged lines.
#[derive(Clone, Copy, Debug)]
enum Then {
    Head,
    Body(Body, Persistence),
    End(Persistence),
    Tunnel,
}

/// Whether the client's connection outlives this response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Persistence {
    Persists,
    Closes,
}

/// What happened beside the verdict, for the other direction to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    None,
    /// A final head was judged.
    Answered,
    /// A 101 was judged.
    Switched,
    /// The last byte of a response was judged.
    Complete,
    /// A final head was judged, and there is no more to its response.
    AnsweredInFull,
}

/// How far the response to the request at the front has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No byte of its final head was judged.
    Before,
    /// Within the final response.
    Within,
    /// Within an until-close body or a tunnel, where a clean end would lie.
    WithinUndelimited,
    /// No response follows.
    Finished,
}

impl Responses {
    pub(super) fn new() -> Self {
        Self { state: State::Head(HeadScan::default()), interim: 0, status: None }
    }

    /// Judges bytes of the response to the oldest request unanswered.
    pub(super) fn judge(
        &mut self,
        policy: &Policy,
        unanswered: &Unanswered,
        shown: &[u8],
    ) -> Result<(Verdict, Event), Violation> {
        let none = |verdict| Ok((verdict, Event::None));
        loop {
            match &mut self.state {
                State::Head(_) if shown.is_empty() => return none(Verdict::NeedMore),
                // Whatever the origin adds is not waited for and goes nowhere.
                State::Finished => return none(Verdict::Wait),
                State::Head(scan) => {
                    let asked = unanswered.front().ok_or(Violation::UnsolicitedBytes)?;
                    let Some(head) = head::response(scan, policy, shown)? else {
                        return none(Verdict::NeedMore);
                    };
                    return self.head(policy, asked, head, unanswered, shown);
                }
                State::Lines(lines, then) => {
                    let then = *then;
                    let verdict = lines.judge(&policy.denylist, shown);
                    let event = if lines.is_done() { self.follow(then) } else { Event::None };
                    return Ok((verdict, event));
                }
                State::Body(Body::Length(left), _) => return none(pass(*left)),
                State::Body(Body::Chunked(chunked), persistence) => match chunked.scan(shown)? {
                    Piece::Framing(n) => return none(keep(n)),
                    Piece::Data(left) => return none(pass(left)),
                    Piece::Trailer => self.state = State::Trailer(HeadScan::default(), *persistence),
                },
                State::Trailer(scan, persistence) => {
                    let then = Then::End(*persistence);
                    let Some(lines) = head::trailer(scan, policy, shown)? else {
                        return none(Verdict::NeedMore);
                    };
                    self.state = State::Lines(lines, then);
                }
                State::Body(Body::UntilClose, _) | State::Tunnel => return none(Verdict::Pass(Run::UntilEof)),
            }
        }
    }

    /// A head is whole: decides what its body is and what becomes of its first lines.
    fn head(
        &mut self,
        policy: &Policy,
        asked: Asked,
        head: ResponseHead,
        unanswered: &Unanswered,
        shown: &[u8],
    ) -> Result<(Verdict, Event), Violation> {
        let ResponseHead { mut lines, status, version, fields } = head;
        let framing = response_framing(asked.method, version, status, &fields)?;
        let closes_for_us = asked.is_last && status >= 200;
        // A client of HTTP/1.0 knows no chunks: for it, the end of the connection is that of the body.
        let is_lost_on_client = asked.version == Version::Http10 && framing == Framing::Chunked;
        let persists = asked.persists && fields.persists(version) && !closes_for_us && !is_lost_on_client;
        let persistence = match (persists, framing) {
            (true, Framing::Empty | Framing::Length(_) | Framing::Chunked | Framing::Tunnel) => Persistence::Persists,
            (_, _) => Persistence::Closes,
        };
        let then = match framing {
            Framing::Tunnel => {
                fields.upgrade.unwrap_or_default().check(asked.upgrade.filter(|_| asked.version == Version::Http11))?;
                Then::Tunnel
            }
            Framing::Empty if status < 200 => {
                if self.interim == MAX_INTERIM {
                    return Err(Violation::TooManyInterimResponses);
                }
                self.interim += 1;
                if asked.version == Version::Http10 {
                    self.state = State::Head(HeadScan::default());
                    return Ok((lines.withhold(), Event::None));
                }
                Then::Head
            }
            Framing::Empty => Then::End(persistence),
            Framing::Length(length) => Then::Body(Body::Length(length), persistence),
            Framing::Chunked => Then::Body(Body::Chunked(Chunked::default()), persistence),
            Framing::UntilClose => Then::Body(Body::UntilClose, persistence),
        };
        if closes_for_us && !fields.close {
            lines.close(shown);
        }
        self.status = Some(status);
        self.state = State::Lines(lines, then);
        let (verdict, event) = self.judge(policy, unanswered, shown)?;
        let event = match (then, event) {
            (Then::Head, event) => event,
            (Then::Tunnel, _) => Event::Switched,
            (Then::End(_), Event::Complete) => Event::AnsweredInFull,
            (Then::Body(..) | Then::End(_), _) => Event::Answered,
        };
        Ok((verdict, event))
    }

    fn follow(&mut self, then: Then) -> Event {
        match then {
            Then::Head => self.state = State::Head(HeadScan::default()),
            Then::Body(body, persistence) => self.state = State::Body(body, persistence),
            Then::Tunnel => self.state = State::Tunnel,
            Then::End(persistence) => {
                self.complete(persistence);
                return Event::Complete;
            }
        }
        Event::None
    }

    fn complete(&mut self, persistence: Persistence) {
        self.interim = 0;
        self.state = match persistence {
            Persistence::Persists => State::Head(HeadScan::default()),
            Persistence::Closes => State::Finished,
        };
    }

    /// Takes note that bytes were moved unseen.
    pub(super) fn passed(&mut self, count: u64) -> Event {
        match &mut self.state {
            State::Body(Body::Length(left), persistence) => {
                let persistence = *persistence;
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.complete(persistence);
                    return Event::Complete;
                }
            }
            State::Body(Body::Chunked(chunked), _) => chunked.pass(count),
            State::Head(_)
            | State::Lines(..)
            | State::Body(Body::UntilClose, _)
            | State::Trailer(..)
            | State::Tunnel
            | State::Finished => {}
        }
        Event::None
    }

    pub(super) fn progress(&self) -> Progress {
        match self.state {
            State::Head(_) | State::Lines(_, Then::Head) => Progress::Before,
            State::Lines(..) | State::Body(Body::Length(_) | Body::Chunked(_), _) | State::Trailer(..) => {
                Progress::Within
            }
            State::Body(Body::UntilClose, _) | State::Tunnel => Progress::WithinUndelimited,
            State::Finished => Progress::Finished,
        }
    }

    /// Tells whether the client's connection ends with the response under way.
    pub(super) fn is_closing(&self) -> bool {
        match self.state {
            State::Lines(_, Then::Body(_, persistence) | Then::End(persistence))
            | State::Body(_, persistence)
            | State::Trailer(_, persistence) => persistence == Persistence::Closes,
            State::Head(_) | State::Lines(_, Then::Head | Then::Tunnel) | State::Tunnel => false,
            State::Finished => true,
        }
    }

    /// Tells whether no byte of a response to the request at the front was judged, nor of a 1xx before it.
    pub(super) fn is_untouched(&self) -> bool {
        self.interim == 0 && matches!(self.state, State::Head(scan) if scan == HeadScan::default())
    }

    /// The status of a head that goes on, told once.
    pub(super) fn take_status(&mut self) -> Option<u16> {
        self.status.take()
    }

    pub(super) fn is_tunnel(&self) -> bool {
        matches!(self.state, State::Tunnel)
    }

    /// No response follows.
    pub(super) fn finish(&mut self) {
        self.state = State::Finished;
    }
}

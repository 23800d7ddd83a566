//! Follows the requests of one client: where each ends, and what its response must be told. Changes nothing.
//!
//! ```text
//! Head ──whole──▶ Body ──▶ Trailer (chunked) ──▶ as `Then` says: Head, AwaitAnswer or Last
//! AwaitAnswer: the request asked to upgrade. ──101──▶ Tunnel   ──other final response──▶ Head or Last
//! Last: the client said that no request follows (Connection: close, HTTP/1.0): nothing more goes on.
//! Broken: a rule was broken. Told once the responses to the requests before it are complete.
//! Ended: the client sent FIN.
//! ```

use super::chunked::{Chunked, Piece};
use super::error::Violation;
use super::exchange::{Asked, Unanswered};
use super::framing::{Framing, request_framing};
use super::head::{self, Method, RequestHead, Version};
use super::scan::HeadScan;
use super::{Policy, Run, Verdict, keep, pass};

#[derive(Debug)]
pub(super) struct Requests {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(HeadScan),
    Body(Body, Then),
    Trailer(HeadScan, Then),
    AwaitAnswer,
    Tunnel,
    Last(Said),
    Broken(Violation, Place),
    Ended(Place),
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// 0 < left
    Length(u64),
    Chunked(Chunked),
}

/// What follows a request.
#[derive(Clone, Copy, Debug)]
enum Then {
    Head,
    AwaitAnswer,
    Tunnel,
    Last(Said),
}

/// Who said that no request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    ByClient,
    ByOthers,
}

/// Where a client's bytes came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between requests, or in a head of which nothing went on.
    Between,
    /// In a request whose head went on.
    Within,
    Tunnel,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { state: State::Head(HeadScan::default()) }
    }

    pub(super) fn judge(&mut self, policy: &Policy, unanswered: &mut Unanswered, shown: &[u8]) -> Verdict {
        match self.try_judge(policy, unanswered, shown) {
            Ok(verdict) => verdict,
            Err((violation, place)) => {
                self.state = State::Broken(violation, place);
                Verdict::Wait
            }
        }
    }

    fn try_judge(
        &mut self,
        policy: &Policy,
        unanswered: &mut Unanswered,
        shown: &[u8],
    ) -> Result<Verdict, (Violation, Place)> {
        loop {
            match &mut self.state {
                State::Head(_) if shown.is_empty() => return Ok(Verdict::NeedMore),
                State::Head(_) if !unanswered.takes_more() => return Ok(Verdict::Wait),
                State::Head(scan) => {
                    let read = head::request(scan, policy, shown).and_then(|head| head.map(Self::admit).transpose());
                    return match read.map_err(|violation| (violation, Place::Between))? {
                        Some((length, asked, framing)) => {
                            unanswered.push(asked);
                            self.begin(asked, framing);
                            Ok(keep(length))
                        }
                        None => Ok(Verdict::NeedMore),
                    };
                }
                State::Body(Body::Length(left), _) => return Ok(pass(*left)),
                State::Body(Body::Chunked(chunked), then) => {
                    match chunked.scan(shown).map_err(|violation| (violation, Place::Within))? {
                        Piece::Framing(n) => return Ok(keep(n)),
                        Piece::Data(left) => return Ok(pass(left)),
                        Piece::Trailer => self.state = State::Trailer(HeadScan::default(), *then),
                    }
                }
                State::Trailer(scan, then) => {
                    let then = *then;
                    let read = head::trailer(scan, policy, shown).map_err(|violation| (violation, Place::Within))?;
                    return match read {
                        Some(lines) => {
                            self.follow(then);
                            Ok(keep(lines.left()))
                        }
                        None => Ok(Verdict::NeedMore),
                    };
                }
                State::Tunnel => return Ok(Verdict::Pass(Run::UntilEof)),
                State::AwaitAnswer | State::Last(_) | State::Broken(..) | State::Ended(_) => return Ok(Verdict::Wait),
            }
        }
    }

    /// What a well-formed head means, or the rule that its meaning breaks.
    fn admit(head: RequestHead) -> Result<(usize, Asked, Framing), Violation> {
        let RequestHead { length, method, version, fields } = head;
        if method == Method::Connect {
            return Err(Violation::ConnectUnsupported);
        }
        match fields.hosts {
            0 if version == Version::Http11 => return Err(Violation::NoHost),
            0 | 1 => {}
            _ => return Err(Violation::ManyHosts),
        }
        let framing = request_framing(version, &fields)?;
        let persists = fields.persists(version);
        let asked = Asked { method, version, upgrade: fields.upgrade, persists, is_last: false };
        Ok((length, asked, framing))
    }

    fn begin(&mut self, asked: Asked, framing: Framing) {
        let then = match (asked.upgrade, asked.persists) {
            (Some(_), _) => Then::AwaitAnswer,
            (None, true) => Then::Head,
            (None, false) => Then::Last(Said::ByClient),
        };
        match framing {
            Framing::Length(length) => self.state = State::Body(Body::Length(length), then),
            Framing::Chunked => self.state = State::Body(Body::Chunked(Chunked::default()), then),
            Framing::Empty | Framing::UntilClose | Framing::Tunnel => self.follow(then),
        }
    }

    fn follow(&mut self, then: Then) {
        self.state = match then {
            Then::Head => State::Head(HeadScan::default()),
            Then::AwaitAnswer => State::AwaitAnswer,
            Then::Tunnel => State::Tunnel,
            Then::Last(said) => State::Last(said),
        };
    }

    /// Takes note that bytes were moved unseen.
    pub(super) fn passed(&mut self, count: u64) {
        match &mut self.state {
            State::Body(Body::Length(left), then) => {
                let then = *then;
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.follow(then);
                }
            }
            State::Body(Body::Chunked(chunked), _) => chunked.pass(count),
            State::Head(_)
            | State::Trailer(..)
            | State::AwaitAnswer
            | State::Tunnel
            | State::Last(_)
            | State::Broken(..)
            | State::Ended(_) => {}
        }
    }

    /// The request that asked to upgrade was answered by a 101.
    pub(super) fn switch(&mut self) {
        match &mut self.state {
            State::Body(_, then) | State::Trailer(_, then) => *then = Then::Tunnel,
            State::AwaitAnswer => self.state = State::Tunnel,
            State::Ended(place) => *place = Place::Tunnel,
            State::Head(_) | State::Tunnel | State::Last(_) | State::Broken(..) => {}
        }
    }

    /// The newest request was answered by a final response; if it asked to upgrade, that was declined.
    pub(super) fn decline(&mut self) {
        match &mut self.state {
            State::Body(_, then @ Then::AwaitAnswer) | State::Trailer(_, then @ Then::AwaitAnswer) => {
                *then = Then::Head;
            }
            State::AwaitAnswer => self.follow(Then::Head),
            State::Head(_)
            | State::Body(..)
            | State::Trailer(..)
            | State::Tunnel
            | State::Last(_)
            | State::Broken(..)
            | State::Ended(_) => {}
        }
    }

    /// The connection ends with the response under way, so that no request behind its own may go on (RFC 9112 §9.6). Its
    /// own is the newest, or there are requests behind it already.
    pub(super) fn close(&mut self, is_newest: bool) {
        match &mut self.state {
            State::Body(_, then) | State::Trailer(_, then) if is_newest => *then = Then::Last(Said::ByOthers),
            State::Head(_) | State::Body(..) | State::Trailer(..) | State::AwaitAnswer => {
                self.state = State::Last(Said::ByOthers);
            }
            // Behind the last answer, nobody asks whether it is sound.
            State::Broken(_, place) if !is_newest || *place == Place::Between => {
                self.state = State::Last(Said::ByOthers);
            }
            State::Tunnel | State::Last(_) | State::Broken(..) | State::Ended(_) => {}
        }
    }

    /// Takes note of the client's FIN.
    pub(super) fn end(&mut self) {
        match self.state {
            State::Head(_) | State::AwaitAnswer | State::Last(_) => self.state = State::Ended(Place::Between),
            State::Body(..) | State::Trailer(..) => self.state = State::Ended(Place::Within),
            State::Tunnel => self.state = State::Ended(Place::Tunnel),
            State::Broken(..) | State::Ended(_) => {}
        }
    }

    /// Nothing more of the client goes on, since there is nowhere for it to go.
    pub(super) fn abandon(&mut self) {
        self.state = State::Last(Said::ByOthers);
    }

    /// The rule that the client broke, and where.
    pub(super) fn broken(&self) -> Option<(Violation, Place)> {
        if let State::Broken(violation, place) = self.state { Some((violation, place)) } else { None }
    }

    /// Where the client ended, if it has.
    pub(super) fn ended(&self) -> Option<Place> {
        if let State::Ended(place) = self.state { Some(place) } else { None }
    }

    /// Tells whether a request has gone on in part and the rest is still to come.
    pub(super) fn is_within(&self) -> bool {
        matches!(self.state, State::Body(..) | State::Trailer(..))
    }

    /// Tells whether the client has said that it sends nothing more, and has sent all of its last request.
    pub(super) fn is_last_of_client(&self) -> bool {
        matches!(self.state, State::Last(Said::ByClient))
    }

    /// Tells whether nothing more of the client goes on.
    pub(super) fn is_last(&self) -> bool {
        matches!(self.state, State::Last(_))
    }

    /// Tells whether a tunnel is open, or will be once the request is whole.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(
            self.state,
            State::Tunnel
                | State::Body(_, Then::Tunnel)
                | State::Trailer(_, Then::Tunnel)
                | State::Ended(Place::Tunnel)
        )
    }

    /// Tells whether a head has begun, given its bytes: empty lines before a request-line are not yet a request.
    pub(super) fn has_begun_a_head(&self, held: &[u8]) -> bool {
        matches!(self.state, State::Head(scan) if scan.has_begun(held))
    }
}

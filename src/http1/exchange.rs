//! Both directions of one client connection, joined by the queue of requests sent on and not yet answered.
//!
//! What each direction must tell the other: a response needs the method of its request, whether it asked to upgrade and its
//! version; the client's bytes behind an Upgrade need the answer to it; the reply to a broken request waits for the responses to
//! those before it. One object, owned by the session that owns the sockets.

use super::error::{Ending, Fault, Status, Violation};
use super::head::{Method, Version};
use super::request::{Place, Requests};
use super::response::{Event, Progress, Responses};
use super::upgrade::Protocols;
use super::{MAX_UNANSWERED, Policy, Verdict};

/// The state of one client connection: of all exchanges on it, one after another and pipelined, whatever origin connections they
/// are carried on.
#[derive(Debug)]
pub struct Exchange<'p> {
    policy: &'p Policy,
    requests: Requests,
    responses: Responses,
    unanswered: Unanswered,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the origin.
    Inbound,
    /// From the origin to the client.
    Outbound,
}

/// How an origin's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginEnd {
    /// By FIN.
    Fin,
    /// By a reset or another error.
    Reset,
}

impl<'p> Exchange<'p> {
    /// A client connection on which nothing has been said.
    #[must_use]
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy, requests: Requests::new(), responses: Responses::new(), unanswered: Unanswered::default() }
    }

    /// Judges bytes of one direction: those read and not yet disposed of. May be shown none.
    pub fn judge(&mut self, direction: Direction, shown: &[u8]) -> Result<Verdict, Fault> {
        match direction {
            Direction::Inbound => self.request(shown),
            Direction::Outbound => self.response(shown),
        }
    }

    /// Takes note that bytes of one direction were moved unseen, at most as many as `Pass` allowed.
    pub fn passed(&mut self, direction: Direction, count: u64) {
        match direction {
            Direction::Inbound => self.requests.passed(count),
            Direction::Outbound => {
                let event = self.responses.passed(count);
                self.note(event);
            }
        }
    }

    fn request(&mut self, shown: &[u8]) -> Result<Verdict, Fault> {
        let verdict = self.requests.judge(self.policy, &mut self.unanswered, shown);
        match self.requests.broken() {
            Some((violation, place)) => self.broken_request(violation, place),
            None => Ok(verdict),
        }
    }

    /// A broken request is told when those before it have been answered.
    fn broken_request(&self, violation: Violation, place: Place) -> Result<Verdict, Fault> {
        let own = usize::from(place == Place::Within);
        let ending = match (self.unanswered.len().cmp(&own), self.responses.progress()) {
            (std::cmp::Ordering::Greater, _) => return Ok(Verdict::Wait),
            // It was answered in full before it broke.
            (std::cmp::Ordering::Less, _) | (_, Progress::Finished) => Ending::Close,
            (std::cmp::Ordering::Equal, Progress::Before) if place == Place::Within => {
                Ending::Reply(Status::BadRequest)
            }
            (std::cmp::Ordering::Equal, Progress::Before) => Ending::Reply(violation.request_status()),
            (std::cmp::Ordering::Equal, Progress::Within) => Ending::Cut,
            (std::cmp::Ordering::Equal, Progress::WithinUndelimited) => Ending::Reset,
        };
        Err(Fault { violation, ending })
    }

    /// Takes note of the client's FIN, once all before it was judged or waits.
    pub fn request_end(&mut self) {
        self.requests.end();
    }

    fn response(&mut self, shown: &[u8]) -> Result<Verdict, Fault> {
        if self.responses.progress() == Progress::Finished && self.requests.is_within() && !shown.is_empty() {
            return Err(Fault { violation: Violation::UnsolicitedBytes, ending: Ending::Close });
        }
        match self.responses.judge(self.policy, &self.unanswered, shown) {
            Ok((verdict, event)) => {
                self.note(event);
                Ok(verdict)
            }
            Err(violation) => Err(self.response_fault(violation)),
        }
    }

    /// Takes note of the end of the origin's connection, once all before it was judged. After `Ok`, the next request may go on a
    /// fresh one, unless the client is [finished](Self::is_finished).
    pub fn response_end(&mut self, how: OriginEnd) -> Result<(), Fault> {
        let fault = |violation, ending| Err(Fault { violation, ending });
        match self.responses.progress() {
            Progress::Before if !self.unanswered.is_empty() => {
                fault(Violation::ResponseMissing, Ending::Reply(Status::BadGateway))
            }
            // The response was complete and early: the rest of the request has nowhere to go.
            Progress::Before if self.requests.is_within() || self.requests.ended() == Some(Place::Within) => {
                self.requests.abandon();
                self.responses.finish();
                Ok(())
            }
            Progress::Before => Ok(()),
            Progress::Within => fault(Violation::ResponseIncomplete, Ending::Cut),
            Progress::WithinUndelimited if how == OriginEnd::Reset => {
                fault(Violation::ResponseIncomplete, Ending::Reset)
            }
            Progress::WithinUndelimited if self.responses.is_tunnel() => {
                self.unanswered.pop();
                self.responses.finish();
                Ok(())
            }
            Progress::WithinUndelimited => {
                self.note(Event::Complete);
                self.requests.abandon();
                self.responses.finish();
                Ok(())
            }
            // It had ended its side of a tunnel before.
            Progress::Finished if how == OriginEnd::Reset && self.requests.is_tunnel() => {
                fault(Violation::ResponseIncomplete, Ending::Reset)
            }
            Progress::Finished => {
                if self.requests.is_within() {
                    self.requests.abandon();
                }
                Ok(())
            }
        }
    }

    fn response_fault(&mut self, violation: Violation) -> Fault {
        let ending = match self.responses.progress() {
            Progress::Before if !self.unanswered.is_empty() => Ending::Reply(Status::BadGateway),
            Progress::Before if self.requests.is_within() => Ending::Close,
            Progress::Before => Ending::DropOrigin,
            Progress::Within => Ending::Cut,
            Progress::WithinUndelimited => Ending::Reset,
            Progress::Finished => Ending::Close,
        };
        Fault { violation, ending }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::None => {}
            Event::Switched => self.requests.switch(),
            Event::Answered => self.answer(),
            Event::AnsweredInFull => {
                self.answer();
                self.unanswered.pop();
            }
            Event::Complete => self.unanswered.pop(),
        }
    }

    /// A final head was judged.
    fn answer(&mut self) {
        let is_newest = self.unanswered.len() == 1;
        if self.responses.is_closing() {
            self.requests.close(is_newest);
        } else if is_newest {
            self.requests.decline();
        }
    }

    /// Tells whether the client's connection is done with: every judged byte may be written and both sides closed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.requests.ended() {
            Some(_) => self.responses.progress() == Progress::Finished || self.is_unoccupied(),
            None if self.requests.is_last() && self.is_unoccupied() => true,
            None => self.responses.progress() == Progress::Finished && !self.requests.is_within() && !self.is_tunnel(),
        }
    }

    /// Tells whether the client has said that its last request was the last, and sent all of it: to close is all that is left,
    /// and nothing is to be expected of the client that would turn the close into a reset.
    #[must_use]
    pub fn is_last_of_client(&self) -> bool {
        self.requests.is_last_of_client()
    }

    /// Tells whether the client's FIN must reach the origin: in a tunnel, and within a request, where it shows the origin
    /// that the request is incomplete. Between requests it stays here, since many origins drop a response at a FIN.
    #[must_use]
    pub fn passes_client_end(&self) -> bool {
        matches!(self.requests.ended(), Some(Place::Within | Place::Tunnel))
    }

    /// Tells whether the origin's FIN must reach the client: in a tunnel.
    #[must_use]
    pub fn passes_origin_end(&self) -> bool {
        self.is_tunnel()
    }

    /// Tells whether the origin owes nothing: no request is unanswered and no response under way.
    #[must_use]
    pub fn is_unoccupied(&self) -> bool {
        self.unanswered.is_empty() && self.responses.progress() == Progress::Before
    }

    /// How many requests were sent on and are not yet answered in full.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The status of a response head that was judged and goes on, 1xx too: told once, right after the verdict on its first
    /// lines.
    pub fn take_status(&mut self) -> Option<u16> {
        self.responses.take_status()
    }

    /// What the client is doing, given its bytes that were judged undecided.
    #[must_use]
    pub fn phase(&self, held: &[u8]) -> Phase {
        if self.requests.is_within() {
            Phase::Request
        } else if !self.is_unoccupied() {
            Phase::Response
        } else if self.requests.has_begun_a_head(held) {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// Tells whether the request under way may be sent once more, should the origin's connection end now: it is the only
    /// one, sending it twice is as sending it once (RFC 9110 §9.2.2), and nothing of a response to it has come. Who owns the
    /// connections must hold all its bytes, up to [`MAX_REPLAY`](super::MAX_REPLAY), and instead of telling the end writes
    /// them once more, unjudged.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        let is_idempotent = self.unanswered.front().is_some_and(|asked| asked.method.is_idempotent());
        let is_only = self.unanswered.len() == 1 && self.requests.ended() != Some(Place::Within);
        is_idempotent && is_only && self.responses.is_untouched()
    }

    /// Has every connection close after the response to its last request: each final head judged from now on says
    /// `Connection: close`, but for those with a request behind theirs, and no further request goes behind another.
    pub fn drain(&mut self) {
        self.unanswered.drain();
    }

    /// Takes note that the origin takes no more of the client's bytes. What it has said may still be judged.
    pub fn request_refused(&mut self) {
        self.requests.abandon();
    }

    /// How an exchange ends that cannot go on for a reason outside the messages: a time limit, an origin out of reach.
    #[must_use]
    pub fn give_up(&self, status: Status) -> Ending {
        match self.responses.progress() {
            // It was answered in full, early.
            Progress::Before if self.unanswered.is_empty() && self.requests.is_within() => Ending::Close,
            Progress::Before => Ending::Reply(status),
            Progress::Within => Ending::Cut,
            Progress::WithinUndelimited => Ending::Reset,
            Progress::Finished => Ending::Close,
        }
    }

    fn is_tunnel(&self) -> bool {
        self.responses.is_tunnel() || self.requests.is_tunnel()
    }
}

/// What the client is doing, for the choice of a time limit and of whose fault it is that nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is owed by either side.
    Idle,
    /// The client is within a head.
    Head,
    /// The client is within a request that goes on.
    Request,
    /// The origin owes a response, or a tunnel is open.
    Response,
}

/// What a response must know of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    /// What its `Upgrade` lines name, if it has any.
    pub(super) upgrade: Option<Protocols>,
    /// Whether the client means to send more (RFC 9112 §9.3).
    pub(super) persists: bool,
    /// Whether, since the proxy drains, no request may follow.
    pub(super) is_last: bool,
}

/// The requests sent on and not yet answered in full, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    ring: [Option<Asked>; MAX_UNANSWERED],
    /// Where the oldest is; < [`MAX_UNANSWERED`].
    first: u8,
    /// How many there are; ≤ [`MAX_UNANSWERED`].
    count: u8,
    /// Whether a request may go on only while no other is unanswered.
    is_draining: bool,
}

impl Unanswered {
    /// Tells whether another request may be sent on.
    pub(super) fn takes_more(&self) -> bool {
        if self.is_draining { self.is_empty() } else { self.len() < MAX_UNANSWERED }
    }

    fn drain(&mut self) {
        self.is_draining = true;
    }

    pub(super) fn push(&mut self, asked: Asked) {
        debug_assert!(self.takes_more(), "a head is not judged while none may be sent on");
        self.ring[(usize::from(self.first) + self.len()) % MAX_UNANSWERED] = Some(asked);
        self.count += 1;
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn len(&self) -> usize {
        usize::from(self.count)
    }

    pub(super) fn front(&self) -> Option<Asked> {
        let oldest = if self.is_empty() { None } else { self.ring[usize::from(self.first)] };
        oldest.map(|asked| Asked { is_last: self.is_draining && self.len() == 1, ..asked })
    }

    fn pop(&mut self) {
        if !self.is_empty() {
            self.first += 1;
            if usize::from(self.first) == MAX_UNANSWERED {
                self.first = 0;
            }
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests;

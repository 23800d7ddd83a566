//! Both directions of one client connection, joined: one request at a time, plain or alone.
//!
//! What the directions must share: a response needs the method of its request, whether it asked to upgrade and its
//! version; the client's bytes after a request wait until its response is complete; and an origin connection that has carried
//! an exchange that was not plain carries no other. One object, owned by the session that owns the sockets.

use core::net::IpAddr;

use super::edits::Edits;
use super::error::{Ending, Fault, Status, Violation};
use super::message::{Asked, Mark, Sent, Version};
use super::request::{Place, Requests};
use super::response::{Progress, Responses};
use super::{Direction, Policy, Verdict};

/// The state of one client connection: of all exchanges on it, one after another, whatever origin connections they are carried on.
#[derive(Clone, Debug)]
pub struct Exchange<'p> {
    policy: &'p Policy,
    /// The client's address, if requests are to name it. Boxed, and few are.
    client: Option<Box<IpAddr>>,
    requests: Requests,
    responses: Responses,
    /// The request whose exchange is under way.
    asked: Option<Asked>,
    /// The mark of the exchange that is over and was not plain, until its connection is let go.
    spent: Option<Mark>,
    /// Whether all that was judged of the request was written.
    is_written: bool,
    is_draining: bool,
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
        Self {
            policy,
            client: None,
            requests: Requests::new(),
            responses: Responses::new(),
            asked: None,
            spent: None,
            is_written: true,
            is_draining: false,
        }
    }

    /// Records the client's address, before its first request. `None`: it has none, or it is not known.
    pub fn set_client(&mut self, address: Option<IpAddr>) {
        self.client = address.filter(|_| self.policy.forwarded_for).map(Box::new);
    }

    /// Judges bytes of one direction: those read and not yet disposed of. May be shown none. What a
    /// [`Head`](Verdict::Head) does not let go on is in `edits`.
    pub fn judge(&mut self, direction: Direction, shown: &[u8], edits: &mut Edits) -> Result<Verdict, Fault> {
        let verdict = match direction {
            Direction::Inbound => self.request(shown, edits),
            Direction::Outbound => self.response(shown, edits),
        };
        self.settle();
        verdict
    }

    /// How many of the bytes that come next are of a body that has a length: [`judge`](Self::judge) would let them
    /// [pass](Verdict::Pass).
    #[must_use]
    pub fn length_left(&self, direction: Direction) -> Option<u64> {
        match direction {
            Direction::Inbound => self.requests.length_left(),
            Direction::Outbound => self.responses.length_left(),
        }
    }

    /// Records that bytes of one direction were moved unseen, at most as many as `Pass` allowed.
    pub fn passed(&mut self, direction: Direction, count: u64) {
        match direction {
            Direction::Inbound => self.requests.passed(count),
            Direction::Outbound => self.responses.passed(count),
        }
        self.settle();
    }

    /// An exchange is over once its response is complete and its request whole, or given up.
    fn settle(&mut self) {
        if self.responses.progress() != Progress::Complete || self.requests.is_within() {
            return;
        }
        let Some(asked) = self.asked.take() else { return };
        let is_whole = self.requests.is_whole();
        if is_whole && !asked.closes {
            (self.requests, self.responses) = (Requests::new(), Responses::new());
            self.spent = asked.mark;
            return;
        }
        if is_whole {
            self.requests.abandon();
        }
        self.responses.finish();
    }

    fn request(&mut self, shown: &[u8], edits: &mut Edits) -> Result<Verdict, Fault> {
        if self.spent.is_some() {
            return Ok(Verdict::Wait);
        }
        self.requests.judge((self.policy, self.client.as_deref()), &mut self.asked, shown, edits).map_err(
            |(violation, place)| {
                self.requests.refuse(violation, place);
                let status = if place == Place::Within { Status::BadRequest } else { violation.request_status() };
                Fault { violation, ending: self.give_up(status) }
            },
        )
    }

    /// How the client sees that the response under way is not complete.
    fn cut(&self) -> Ending {
        // For a client of HTTP/1.0, chunks end with the connection.
        let is_old = self.asked.is_some_and(|asked| asked.version == Version::Http10);
        let is_undelimited = self.responses.progress() == Progress::WithinUndelimited;
        if is_undelimited || (is_old && self.responses.is_chunked()) { Ending::Reset } else { Ending::Cut }
    }

    /// Records whether all that was judged of the client's bytes has been written: a response that comes before that is early.
    pub fn request_written(&mut self, is_written: bool) {
        self.is_written = is_written;
    }

    /// Returns whether a request is not complete, or not all of it was written: a response that comes now is early.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.requests.is_within() || !self.is_written
    }

    /// Records the client's FIN, once all before it was judged or waits; shown what waits. To be called again after
    /// each verdict on it, for as long as the client is not [ended](Self::has_client_ended).
    pub fn request_end(&mut self, shown: &[u8]) {
        if self.spent.is_some() {
            // What waits has not been judged, though its turn has come.
            return;
        }
        self.requests.end(self.policy, self.asked.as_ref(), shown);
        self.settle();
    }

    fn response(&mut self, shown: &[u8], edits: &mut Edits) -> Result<Verdict, Fault> {
        let progress = self.responses.progress();
        let Some(asked) = &mut self.asked else {
            return if self.spent.is_some() || progress == Progress::Over {
                // The connection is let go; what is after its last response goes nowhere.
                Ok(Verdict::Wait)
            } else if shown.is_empty() {
                Ok(Verdict::NeedMore)
            } else {
                Err(Fault { violation: Violation::UnsolicitedBytes, ending: Ending::DropOrigin })
            };
        };
        if progress == Progress::Complete && !shown.is_empty() {
            // The rest of the request has nowhere to go.
            return Err(Fault { violation: Violation::UnsolicitedBytes, ending: Ending::Close });
        }
        let sent = self.requests.sent();
        let is_unwritten = sent == Sent::Whole && !self.is_written;
        let is_awaiting_leave = asked.wants_continue && sent == Sent::Head;
        let asking = (asked, if is_unwritten { Sent::Part } else { sent });
        let judged = self.responses.judge(self.policy, asking, self.is_draining, shown, edits);
        let verdict = judged.map_err(|violation| Fault { violation, ending: self.give_up(Status::BadGateway) })?;
        if progress == Progress::Before && self.responses.progress() != Progress::Before {
            if self.responses.is_tunnel() {
                self.requests.switch();
            } else if is_awaiting_leave {
                // The body is not wanted.
                self.requests.abandon();
            }
        }
        Ok(verdict)
    }

    /// Records the end of the origin's connection, once all before it was judged. After `Ok`, the next request may go on a
    /// fresh one, unless the client is [finished](Self::is_finished).
    pub fn response_end(&mut self, how: OriginEnd) -> Result<(), Fault> {
        let fault = |violation, ending| Err(Fault { violation, ending });
        match self.responses.progress() {
            Progress::Before if self.asked.is_some() => {
                // The client's own end may have caused it.
                let ending = if self.is_deserted() { Ending::Close } else { Ending::Reply(Status::BadGateway) };
                fault(Violation::ResponseMissing, ending)
            }
            Progress::Before => {
                self.spent = None;
                Ok(())
            }
            Progress::WithinUndelimited if how == OriginEnd::Fin => {
                if self.responses.is_tunnel() {
                    self.asked = None;
                    self.responses.finish();
                } else {
                    if self.requests.is_within() {
                        self.requests.abandon();
                    }
                    self.responses.complete();
                    self.settle();
                }
                Ok(())
            }
            Progress::Within | Progress::WithinUndelimited => fault(Violation::ResponseIncomplete, self.cut()),
            // The response was early: the rest of the request has nowhere to go.
            Progress::Complete => {
                self.requests.abandon();
                self.settle();
                Ok(())
            }
            // It had ended its side of a tunnel before.
            Progress::Over if how == OriginEnd::Reset && self.requests.is_tunnel() => {
                fault(Violation::ResponseIncomplete, Ending::Reset)
            }
            Progress::Over => Ok(()),
        }
    }

    /// Returns whether the client's connection is done with: every judged byte may be written and both sides closed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.responses.progress() {
            Progress::Over => self.requests.ended().is_some() || !self.requests.is_tunnel(),
            Progress::Before => self.asked.is_none() && self.has_client_ended(),
            Progress::Within | Progress::WithinUndelimited | Progress::Complete => false,
        }
    }

    /// Returns whether the client's FIN was taken note of, all before it being judged.
    #[must_use]
    pub fn has_client_ended(&self) -> bool {
        self.requests.ended().is_some()
    }

    /// Returns whether the client's FIN must reach the origin, once all before it is written: it shows that a request is incomplete, that nobody
    /// waits for a response, or that a tunnel's side is over.
    #[must_use]
    pub fn passes_client_end(&self) -> bool {
        match self.requests.ended() {
            Some(Place::Unbegun | Place::Within | Place::Behind | Place::Tunnel) => true,
            Some(Place::Between) | None => self.is_deserted() && self.asked.is_some(),
        }
    }

    /// Returns whether the client has ended, and nothing that waits of it will be asked.
    fn is_deserted(&self) -> bool {
        let is_last = self.is_draining || self.asked.is_some_and(|asked| asked.closes);
        self.has_client_ended() || (is_last && self.requests.has_ended_behind_more())
    }

    /// Returns whether the origin's FIN must reach the client: in a tunnel.
    #[must_use]
    pub fn passes_origin_end(&self) -> bool {
        self.responses.is_tunnel() || self.requests.is_tunnel()
    }

    /// Returns whether an exchange is under way: a request's head was judged, and the request and its response are not both over.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }

    /// Returns whether the origin owes nothing: no exchange is under way.
    #[must_use]
    pub fn is_unoccupied(&self) -> bool {
        self.asked.is_none() && self.responses.progress() == Progress::Before
    }

    /// Why the origin's connection may carry no other request: the exchange on it is over, and was not plain. Nothing of the client is judged
    /// until the connection is [let go](Self::let_go).
    #[must_use]
    pub fn spent(&self) -> Option<Mark> {
        self.spent
    }

    /// Records that the origin's connection was let go.
    pub fn let_go(&mut self) {
        self.spent = None;
    }

    /// What the client is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.requests.is_within() {
            Phase::Request
        } else if !self.is_unoccupied() {
            Phase::Response
        } else if self.requests.has_begun_a_head() {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// Returns whether the request under way may be sent again, should the origin's connection end now: sending it twice is as sending it
    /// once (RFC 9110 §9.2.2), the client still waits, and nothing of a response to it has come. Who owns the
    /// connections must hold all its bytes, up to [`MAX_REPLAY`](super::MAX_REPLAY), and instead of telling the end writes
    /// them again, unjudged.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        let is_idempotent = self.asked.is_some_and(|asked| asked.method.is_idempotent());
        is_idempotent && !self.is_deserted() && self.responses.is_untouched()
    }

    /// Returns whether the client has asked for leave to send its body, and neither got it nor sent a byte: it is the origin's turn
    /// (RFC 9110 §10.1.1).
    #[must_use]
    pub fn awaits_continue(&self) -> bool {
        self.asked.is_some_and(|asked| asked.wants_continue)
            && self.requests.sent() == Sent::Head
            && self.responses.is_untouched()
    }

    /// Returns whether what comes of the client has nowhere to go.
    #[must_use]
    pub fn has_given_up_requests(&self) -> bool {
        self.requests.is_given_up()
    }

    /// Closes the connection after the next final response: its head says `Connection: close`.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Records that the origin takes no more of the client's bytes. What it has said may still be judged.
    pub fn request_refused(&mut self) {
        self.requests.abandon();
        match &mut self.asked {
            Some(asked) => asked.closes = true,
            // It was answered in full before it was written, and what was held after it went with it.
            None => self.responses.finish(),
        }
        self.settle();
    }

    /// How an exchange ends that cannot continue for a reason outside the messages: a time limit, an origin out of reach.
    #[must_use]
    pub fn give_up(&self, status: Status) -> Ending {
        match self.responses.progress() {
            Progress::Before => Ending::Reply(status),
            Progress::Within | Progress::WithinUndelimited => self.cut(),
            // It was answered in full, early or before its request broke.
            Progress::Complete | Progress::Over => Ending::Close,
        }
    }
}

/// What the client is doing, for the choice of a time limit and of whose fault it is that nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is owed by either side.
    Idle,
    /// The client is within a head.
    Head,
    /// The client is within a request that is being forwarded.
    Request,
    /// The origin owes a response, or a tunnel is open.
    Response,
}

#[cfg(test)]
mod tests;

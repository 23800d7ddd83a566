//! One client connection, and the origin connection that belongs to it alone.
//!
//! ```text
//! Relaying ──finished, or a rule broken──▶ Flushing ──▶ Lingering ──client's FIN or LINGER──▶ gone
//! Relaying ──client gone, or reset due──▶ gone
//! ```
//!
//! The close is staged: after the last byte the writing side is shut down, and what the client still sends is read and
//! thrown away for a moment, since a socket closed over unread bytes is reset, and the reset can overtake the reply.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::deadline::Key;
use super::handle::Closing;
use super::relay::{Ends, Relay, Rest};
use super::reply;
use super::worker::Worker;
use crate::http1::exchange::Phase;
use crate::http1::{Direction, Ending, Exchange, Fault, OriginEnd, Status};
use crate::net::dial::{is_absent, is_dns_error};
use crate::net::stream::Stream;
use crate::ops::log;
use crate::ops::reason::{Reason, Side as Of};

/// How long the client's bytes are thrown away after our last. A client that sees our FIN ends well before.
const LINGER: Duration = Duration::from_secs(2);

/// The state of one client connection.
pub(super) struct Session {
    worker: Rc<Worker>,
    client: Stream,
    client_reading: Side,
    origin: Origin,
    exchange: Exchange<'static>,
    inbound: Relay,
    outbound: Relay,
    deadline: Option<Key>,
    /// What the deadline is for.
    waited: Option<Phase>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Open,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Relaying,
    Flushing,
    Lingering,
    Gone,
}

enum Origin {
    Absent,
    Dialling(Pin<Box<dyn Future<Output = io::Result<Stream>>>>),
    Open { stream: Stream, reading: Side, writing: Writing },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// FIN was sent.
    ShutDown,
    /// The origin takes no more bytes; what it has said is still relayed. The kernel tells of a reset once, and told the
    /// writer: the reader will see an end like any other.
    Refused(OriginEnd),
}

impl Session {
    pub(super) fn new(worker: Rc<Worker>, client: Stream) -> Self {
        let exchange = Exchange::new(&worker.config.policy);
        worker.join();
        Self {
            worker,
            client,
            client_reading: Side::Open,
            origin: Origin::Absent,
            exchange,
            inbound: Relay::default(),
            outbound: Relay::default(),
            deadline: None,
            waited: None,
            stage: Stage::Relaying,
        }
    }

    /// Relays both ways until nothing moves. `Some`: what comes next.
    fn relay(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        if self.worker.deadlines.has_passed(deadline) {
            return Some(self.time_out());
        }
        match self.worker.closing() {
            Closing::No => {}
            Closing::Drain | Closing::Dismiss => self.exchange.drain(),
            Closing::Cut => return Some(self.cut()),
        }
        let mut moved = false;
        loop {
            if let Some(stage) = self.poll_dial(context) {
                return Some(stage);
            }
            // The origin first: if it has hung up while idle, that must be known before a request is sent to it.
            if let Some(stage) = self.pump_outbound(context, &mut moved) {
                return Some(stage);
            }
            if let Some(stage) = self.pump_inbound(context, &mut moved) {
                return Some(stage);
            }
            if self.is_finished() || self.is_dismissed() {
                return Some(Stage::Flushing);
            }
            match self.origin {
                Origin::Absent if !self.inbound.is_flushed() => self.begin_dial(),
                Origin::Absent | Origin::Dialling(_) | Origin::Open { .. } => break,
            }
        }
        self.set_deadline(deadline, moved);
        None
    }

    fn begin_dial(&mut self) {
        let worker = Rc::clone(&self.worker);
        self.waited = None;
        self.origin =
            Origin::Dialling(Box::pin(async move { worker.upstream.dial(worker.config.timeouts.connect).await }));
    }

    fn poll_dial(&mut self, context: &mut Context<'_>) -> Option<Stage> {
        let Origin::Dialling(dialling) = &mut self.origin else {
            return None;
        };
        match dialling.as_mut().poll(context) {
            Poll::Pending => None,
            Poll::Ready(Ok(stream)) => {
                self.origin = Origin::Open { stream, reading: Side::Open, writing: Writing::Open };
                self.waited = None;
                None
            }
            Poll::Ready(Err(error)) => {
                let (status, reason) = dial_failure(&error);
                Some(self.end(self.exchange.give_up(status), Of::Origin, reason, &error))
            }
        }
    }

    fn pump_outbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        let Origin::Open { stream, reading, .. } = &mut self.origin else {
            return None;
        };
        let source = (*reading == Side::Open).then_some(stream);
        let ends = Ends { source, sink: Some(&mut self.client), moved };
        let rest = self.outbound.pump(Direction::Outbound, context, &self.worker.memory, &mut self.exchange, ends);
        self.settle_replay();
        match rest {
            Rest::Blocked | Rest::Waiting | Rest::NoSink => None,
            Rest::SourceEnded => {
                let refused = if let Origin::Open { writing: Writing::Refused(how), .. } = self.origin {
                    Some(how)
                } else {
                    None
                };
                self.origin_ended(refused.unwrap_or(OriginEnd::Fin))
            }
            Rest::SourceFailed => self.origin_ended(OriginEnd::Reset),
            Rest::SinkFailed(_) => Some(self.client_lost()),
            Rest::Broken(fault) => self.break_off(fault, Of::Origin),
        }
    }

    /// Gives up a request kept for a replay once there can be none.
    fn settle_replay(&mut self) {
        if !self.inbound.is_keeping() || self.exchange.may_replay() {
            return;
        }
        self.inbound.forget(&self.worker.memory);
        if matches!(self.origin, Origin::Open { writing: Writing::Refused(_), .. }) {
            self.give_up_request();
        }
    }

    /// The rest of the request under way has nowhere to go.
    fn give_up_request(&mut self) {
        self.inbound.clear(&self.worker.memory);
        self.exchange.request_refused();
    }

    fn origin_ended(&mut self, how: OriginEnd) -> Option<Stage> {
        if self.inbound.is_keeping() {
            // The origin had closed its idle connection before the request reached it, as far as anyone can tell.
            self.inbound.rewind();
            self.origin = Origin::Absent;
            self.worker.counters.count_replay();
            return None;
        }
        if let Err(fault) = self.exchange.response_end(how) {
            return self.break_off(fault, Of::Origin);
        }
        if self.exchange.passes_origin_end() {
            if let Origin::Open { reading, .. } = &mut self.origin {
                *reading = Side::Ended;
            }
            // A client that is gone already needs no FIN; reading from it will tell.
            let _ = self.client.shut_down_write();
            None
        } else {
            self.drop_origin()
        }
    }

    fn pump_inbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        let sink = match &mut self.origin {
            Origin::Absent => None,
            Origin::Dialling(_) => return None,
            // How the origin's side ends, or what it says, tells whether the request can be sent once more.
            Origin::Open { writing: Writing::Refused(_), .. } if self.inbound.is_keeping() => return None,
            Origin::Open { writing: Writing::Refused(_), .. } => return self.discard(context),
            Origin::Open { stream, .. } => Some(stream),
        };
        let source = (self.client_reading == Side::Open).then_some(&mut self.client);
        let ends = Ends { source, sink, moved };
        let rest = self.inbound.pump(Direction::Inbound, context, &self.worker.memory, &mut self.exchange, ends);
        self.settle_replay();
        match rest {
            Rest::Blocked | Rest::Waiting | Rest::NoSink => {}
            Rest::SourceEnded => {
                self.client_reading = Side::Ended;
                let phase = self.phase();
                self.exchange.request_end();
                if matches!(phase, Phase::Head | Phase::Request) {
                    self.log(Of::Client, Reason::HttpRequestError, &"request_incomplete", Ending::Close);
                }
            }
            Rest::SourceFailed => return Some(self.client_lost()),
            Rest::SinkFailed(kind) => {
                if let Origin::Open { writing, .. } = &mut self.origin {
                    // A reset that follows its FIN breaks the pipe alone.
                    let is_after_fin = kind == io::ErrorKind::BrokenPipe;
                    *writing = Writing::Refused(if is_after_fin { OriginEnd::Fin } else { OriginEnd::Reset });
                }
                if !self.inbound.is_keeping() {
                    self.give_up_request();
                }
            }
            Rest::Broken(fault) => return self.break_off(fault, Of::Client),
        }
        self.pass_client_end();
        None
    }

    /// Passes the client's FIN on where the origin must see it.
    fn pass_client_end(&mut self) {
        if self.client_reading == Side::Ended
            && self.inbound.is_flushed()
            && self.exchange.passes_client_end()
            && let Origin::Open { stream, writing: writing @ Writing::Open, .. } = &mut self.origin
        {
            *writing = Writing::ShutDown;
            // An origin that is gone already needs no FIN; reading from it will tell.
            let _ = stream.shut_down_write();
        }
    }

    /// Reads and throws away what the client sends.
    fn discard(&mut self, context: &mut Context<'_>) -> Option<Stage> {
        let mut room = [0; 4096];
        while self.client_reading == Side::Open {
            match self.client.poll_read(context, &mut room) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.client_reading = Side::Ended,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Some(Stage::Gone),
            }
        }
        None
    }

    fn is_finished(&self) -> bool {
        let inbound_is_done = self.inbound.is_flushed() || matches!(self.origin, Origin::Absent);
        self.exchange.is_finished() && self.outbound.is_flushed() && inbound_is_done
    }

    /// Tells whether nothing more is to come of this client, though it has not said so: it is idle while idle ones are
    /// closed, or could only be told that the application is gone.
    fn is_dismissed(&self) -> bool {
        // What has just come is not read yet, on a connection that was just accepted above all.
        let is_idle = || self.phase() == Phase::Idle && !self.client.has_unread();
        match self.worker.closing() {
            Closing::No | Closing::Cut => false,
            Closing::Drain => self.worker.origin_is_gone() && matches!(self.origin, Origin::Absent) && is_idle(),
            Closing::Dismiss => is_idle(),
        }
    }

    /// What the client is doing; one that has not taken the whole of its last response is not idle.
    fn phase(&self) -> Phase {
        let phase = self.exchange.phase(self.inbound.unjudged());
        if phase == Phase::Idle && !self.outbound.is_flushed() { Phase::Response } else { phase }
    }

    fn client_lost(&mut self) -> Stage {
        if self.phase() != Phase::Idle {
            self.log(Of::Client, Reason::ConnectionTerminated, &"client_gone", Ending::Close);
        }
        self.cut_tunnel();
        Stage::Gone
    }

    /// Has the origin see that its tunnel, if there is one, was cut.
    fn cut_tunnel(&self) {
        if let Origin::Open { stream, .. } = &self.origin
            && self.exchange.passes_origin_end()
        {
            stream.reset_on_close();
        }
    }

    /// Drops an origin connection on which no request is waiting. What is still to be written to it is the rest of a
    /// request that was answered early; on another connection it would be taken for a request, so the client goes too.
    fn drop_origin(&mut self) -> Option<Stage> {
        self.origin = Origin::Absent;
        self.outbound.clear(&self.worker.memory);
        (!self.inbound.is_flushed()).then_some(Stage::Flushing)
    }

    fn time_out(&mut self) -> Stage {
        let stalled = (Status::GatewayTimeout, Reason::ConnectionWriteTimeout);
        let (of, (status, reason), detail) = match (&self.origin, self.waited) {
            (_, None | Some(Phase::Idle)) => return Stage::Gone,
            (Origin::Dialling(_), _) => {
                (Of::Origin, (Status::GatewayTimeout, Reason::ConnectionTimeout), "connect_timeout")
            }
            (_, Some(Phase::Head)) => (Of::Client, (Status::RequestTimeout, Reason::HttpRequestError), "head_timeout"),
            (_, Some(Phase::Request | Phase::Response)) if !self.outbound.is_flushed() => {
                // It would not read a last word either.
                self.log(Of::Client, Reason::ConnectionWriteTimeout, &"exchange_timeout", Ending::Reset);
                self.client.reset_on_close();
                return Stage::Gone;
            }
            (_, Some(Phase::Request | Phase::Response)) if !self.inbound.is_flushed() => {
                (Of::Origin, stalled, "exchange_timeout")
            }
            (_, Some(Phase::Request)) => {
                (Of::Client, (Status::RequestTimeout, Reason::HttpRequestError), "exchange_timeout")
            }
            (_, Some(Phase::Response)) => {
                (Of::Origin, (Status::GatewayTimeout, Reason::HttpResponseTimeout), "exchange_timeout")
            }
        };
        self.end(self.exchange.give_up(status), of, reason, &detail)
    }

    /// Ends what is under way because the proxy ends.
    fn cut(&mut self) -> Stage {
        if self.phase() == Phase::Idle {
            return Stage::Gone;
        }
        self.worker.count_cut();
        let ending = self.exchange.give_up(Status::GatewayTimeout);
        self.end(ending, Of::Proxy, Reason::ConnectionTerminated, &"drain_over")
    }

    fn break_off(&mut self, fault: Fault, of: Of) -> Option<Stage> {
        let reason = match of {
            Of::Origin => Reason::of_response(fault.violation),
            Of::Client | Of::Proxy => Reason::HttpRequestError,
        };
        if fault.ending == Ending::DropOrigin {
            self.log(of, reason, &fault.violation, fault.ending);
            return self.drop_origin();
        }
        Some(self.end(fault.ending, of, reason, &fault.violation))
    }

    /// Ends the client's connection in the way given.
    fn end(&mut self, ending: Ending, of: Of, reason: Reason, detail: &dyn fmt::Display) -> Stage {
        self.cut_tunnel();
        self.origin = Origin::Absent;
        let memory = &self.worker.memory;
        self.inbound.clear(memory);
        let last = if let Ending::Reply(status) = ending { reply::bytes(status) } else { b"" };
        self.outbound.close_with(memory, last);
        self.log(of, reason, detail, ending);
        if ending == Ending::Reset {
            self.client.reset_on_close();
            return Stage::Gone;
        }
        Stage::Flushing
    }

    fn log(&self, of: Of, reason: Reason, detail: &dyn fmt::Display, ending: Ending) {
        log::bad_end(&self.client, of, reason, detail, ending);
    }

    /// Writes the last bytes. `Some`: what comes next.
    fn flush(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        self.origin = Origin::Absent;
        let is_over = self.worker.closing() == Closing::Cut;
        let before = self.outbound.unwritten();
        match self.outbound.flush(context, &self.worker.memory, &mut self.client) {
            Poll::Pending if !is_over && self.outbound.unwritten() < before => {
                self.worker.deadlines.set(deadline, self.worker.config.timeouts.exchange);
                None
            }
            Poll::Pending if is_over || self.worker.deadlines.has_passed(deadline) => {
                // For a body that ends with the connection, a plain close would be a lie.
                self.client.reset_on_close();
                Some(Stage::Gone)
            }
            Poll::Pending => None,
            Poll::Ready(Err(_)) => Some(Stage::Gone),
            Poll::Ready(Ok(())) if is_over || self.client_reading == Side::Ended => Some(Stage::Gone),
            Poll::Ready(Ok(())) if self.is_safely_closed() => Some(Stage::Gone),
            Poll::Ready(Ok(())) => match self.client.shut_down_write() {
                Ok(()) => Some(Stage::Lingering),
                Err(_) => Some(Stage::Gone),
            },
        }
    }

    /// Tells whether a plain close will do: who said that it sends no more, and did not, cannot turn it into a reset.
    fn is_safely_closed(&self) -> bool {
        self.exchange.is_last_of_client() && self.inbound.unjudged().is_empty() && !self.client.has_unread()
    }

    fn linger(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        let is_over = self.worker.closing() == Closing::Cut || self.worker.deadlines.has_passed(deadline);
        self.discard(context).or((is_over || self.client_reading == Side::Ended).then_some(Stage::Gone))
    }

    /// Sets the deadline anew where something else is waited for, or something moved. A head's deadline stands from its
    /// first byte, and empty lines between requests do not put off the end of the idle time.
    fn set_deadline(&mut self, deadline: Key, moved: bool) {
        let timeouts = &self.worker.config.timeouts;
        let phase = self.phase();
        if self.waited == Some(phase) && (!moved || matches!(phase, Phase::Head | Phase::Idle)) {
            return;
        }
        self.waited = Some(phase);
        let wait = match (&self.origin, phase) {
            (Origin::Dialling(_), _) => timeouts.connect,
            (_, Phase::Idle) => timeouts.idle,
            (_, Phase::Head) => timeouts.head,
            (_, Phase::Request | Phase::Response) => timeouts.exchange,
        };
        self.worker.deadlines.set(deadline, wait);
    }
}

/// What is told of an origin that could not be reached.
fn dial_failure(error: &io::Error) -> (Status, Reason) {
    if is_dns_error(error) {
        (Status::BadGateway, Reason::DnsError)
    } else if error.kind() == io::ErrorKind::TimedOut {
        (Status::GatewayTimeout, Reason::ConnectionTimeout)
    } else if is_absent(error) {
        (Status::BadGateway, Reason::ConnectionRefused)
    } else {
        (Status::BadGateway, Reason::DestinationUnavailable)
    }
}

impl Future for Session {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let session = self.get_mut();
        let deadline = *session.deadline.get_or_insert_with(|| session.worker.deadlines.join(context.waker().clone()));
        loop {
            let next = match session.stage {
                Stage::Relaying => session.relay(context, deadline),
                Stage::Flushing => session.flush(context, deadline),
                Stage::Lingering => session.linger(context, deadline),
                Stage::Gone => return Poll::Ready(()),
            };
            let Some(stage) = next else {
                return Poll::Pending;
            };
            session.stage = stage;
            match stage {
                Stage::Flushing => session.worker.deadlines.set(deadline, session.worker.config.timeouts.exchange),
                Stage::Lingering => session.worker.deadlines.set(deadline, LINGER),
                Stage::Relaying | Stage::Gone => {}
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ended from outside, as at the end of the process: a clean end to an undelimited body would be a lie.
        let is_cut = match self.stage {
            Stage::Relaying => self.exchange.give_up(Status::BadGateway) == Ending::Reset,
            Stage::Flushing => !self.outbound.is_flushed(),
            Stage::Lingering | Stage::Gone => false,
        };
        if is_cut {
            self.client.reset_on_close();
        }
        if let Some(deadline) = self.deadline {
            self.worker.deadlines.leave(deadline);
        }
        self.inbound.clear(&self.worker.memory);
        self.outbound.clear(&self.worker.memory);
        self.worker.leave();
    }
}

//! One client connection, and the origin connection that belongs to it alone.
//!
//! ```text
//! Relaying ──finished, or a rule broken──▶ Flushing ──▶ Lingering ──client's FIN or LINGER──▶ gone
//! Relaying ──client gone, or reset due──▶ gone
//! ```
//!
//! The close is staged: after the last byte the writing side is shut down, and what the client still sends is read and
//! thrown away for a moment, since a socket closed over unread bytes is reset, and the reset can overtake the reply.

mod ending;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use self::ending::dial_failure;
use super::deadline::Key;
use super::followed::Followed;
use super::handle::Closing;
use super::memory::HEADROOM;
use super::relay::{Ends, MOST_READS, Relay, Rest};
use super::worker::Worker;
use crate::http1::exchange::Phase;
use crate::http1::{Direction, Ending, Exchange, OriginEnd, Status};
use crate::net::dial::Dial;
use crate::net::stream::{Ended, Peer, Transport};
use crate::ops::counters::DialResult;
use crate::ops::reason::{Reason, Side as Of};

/// How long the client's bytes are thrown away after our last. A client that sees our FIN ends well before.
const LINGER: Duration = Duration::from_secs(2);

/// The state of one client connection.
pub(crate) struct Session<D: Dial> {
    worker: Rc<Worker<D>>,
    client: D::Stream,
    client_reading: Side,
    origin: Origin<D::Stream>,
    followed: Followed,
    inbound: Relay,
    outbound: Relay,
    /// Whether the origin was not read to the end of what it has sent, for want of turns.
    is_origin_unread: bool,
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

enum Origin<S> {
    Absent,
    Dialling(Pin<Box<dyn Future<Output = io::Result<S>>>>),
    Open { stream: S, reading: Side, writing: Writing },
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

impl<D: Dial> Session<D> {
    pub(crate) fn new(worker: Rc<Worker<D>>, client: D::Stream, peer: Peer) -> Self {
        let followed = Followed::new(Exchange::new(&worker.config.policy), peer);
        worker.join();
        Self {
            worker,
            client,
            client_reading: Side::Open,
            origin: Origin::Absent,
            followed,
            inbound: Relay::default(),
            outbound: Relay::default(),
            is_origin_unread: false,
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
            Closing::Drain | Closing::Dismiss => self.followed.exchange.drain(),
            Closing::Cut => return Some(self.cut()),
        }
        let mut moved = false;
        loop {
            if let Some(stage) = self.poll_dial(context) {
                return Some(stage);
            }
            // The origin first: if it has hung up while idle, or says more than it was asked, that must be known before a request is sent
            // to it.
            if let Some(stage) = self.pump_outbound(context, &mut moved) {
                return Some(stage);
            }
            if let Some(stage) = self.pump_inbound(context, &mut moved) {
                return Some(stage);
            }
            if self.is_finished() || self.is_dismissed() {
                return Some(Stage::Flushing);
            }
            let has_let_go = self.let_go_of_spent();
            match self.origin {
                Origin::Absent if !self.inbound.is_flushed() => self.begin_dial(),
                Origin::Absent if has_let_go => {}
                Origin::Absent | Origin::Dialling(_) | Origin::Open { .. } => break,
            }
        }
        if self.outbound.is_flushed() {
            self.followed.tell(&self.worker);
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
                self.worker.counters.dials(DialResult::Connected).count();
                self.origin = Origin::Open { stream, reading: Side::Open, writing: Writing::Open };
                self.waited = None;
                None
            }
            Poll::Ready(Err(error)) => {
                let (status, reason) = dial_failure(&error);
                self.worker.counters.dials(DialResult::Failed(reason)).count();
                Some(self.end(self.followed.exchange.give_up(status), Of::Origin, reason, &error))
            }
        }
    }

    fn pump_outbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        let Origin::Open { stream, reading, .. } = &mut self.origin else {
            self.is_origin_unread = false;
            return self.flush_outbound(context, moved);
        };
        self.is_origin_unread = false;
        if *reading == Side::Open && self.outbound.is_idle() && stream.is_quiet() {
            return None;
        }
        self.followed.exchange.request_written(self.inbound.is_flushed());
        let source = (*reading == Side::Open).then_some(stream);
        let ends = Ends { source, sink: Some(&mut self.client), moved, reads: MOST_READS };
        let rest = self.outbound.pump(Direction::Outbound, context, &self.worker, &mut self.followed, ends);
        self.settle_replay();
        match rest {
            Rest::Paused => {
                self.is_origin_unread = true;
                None
            }
            Rest::Blocked | Rest::Waiting | Rest::NoSink | Rest::NoSource => None,
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

    /// Writes what is left of a response whose origin connection is gone.
    fn flush_outbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        let before = self.outbound.unwritten();
        if before == 0 {
            return None;
        }
        let flushed = self.outbound.flush(context, &self.worker.memory, &mut self.client);
        *moved |= self.outbound.unwritten() < before;
        match flushed {
            Poll::Ready(Err(_)) => Some(self.client_lost()),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Lets go of an origin connection whose exchange is over and was not plain, once all of the request is written. Tells whether it did.
    fn let_go_of_spent(&mut self) -> bool {
        let is_refused = matches!(self.origin, Origin::Open { writing: Writing::Refused(_), .. });
        let Some(mark) = self.followed.exchange.spent().filter(|_| self.inbound.is_flushed() || is_refused) else {
            return false;
        };
        self.worker.counters.alone(mark).count();
        self.followed.exchange.let_go();
        self.origin = Origin::Absent;
        // What the origin has said behind its response is nobody's.
        self.outbound.close_with(&self.worker.memory, b"");
        true
    }

    /// Gives up a request kept for a replay once there can be none.
    fn settle_replay(&mut self) {
        if !self.inbound.is_keeping() || self.followed.exchange.may_replay() {
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
        self.followed.exchange.request_refused();
    }

    fn origin_ended(&mut self, how: OriginEnd) -> Option<Stage> {
        if self.inbound.is_keeping() {
            // The origin had closed its idle connection before the request reached it, as far as anyone can tell.
            self.inbound.rewind();
            self.origin = Origin::Absent;
            self.followed.replay(&self.worker);
            return None;
        }
        if let Err(fault) = self.followed.exchange.response_end(how) {
            return self.break_off(fault, Of::Origin);
        }
        if self.followed.exchange.passes_origin_end() {
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
        // The next request waits until the client has taken the response before it, and nothing of the origin is left unread.
        if self.followed.exchange.is_unoccupied() && (self.is_origin_unread || !self.outbound.is_flushed()) {
            return None;
        }
        if self.client_reading == Side::Open && self.inbound.is_idle() && self.client.is_quiet() {
            return None;
        }
        let sink = match &mut self.origin {
            Origin::Absent => None,
            Origin::Dialling(_) => return None,
            // How the origin's side ends, or what it says, tells whether the request can be sent once more.
            Origin::Open { writing: Writing::Refused(_), .. } if self.inbound.is_keeping() => return None,
            Origin::Open { writing: Writing::Refused(_), .. } => {
                return self.discard(context).is_err().then(|| self.client_lost());
            }
            Origin::Open { stream, .. } => Some(stream),
        };
        let source = (self.client_reading == Side::Open).then_some(&mut self.client);
        let ends = Ends { source, sink, moved, reads: MOST_READS };
        let rest = self.inbound.pump(Direction::Inbound, context, &self.worker, &mut self.followed, ends);
        self.settle_replay();
        match rest {
            // An origin that takes nothing keeps us from reading, and so from seeing that the client is gone.
            Rest::Blocked if self.client_reading == Side::Open && !self.inbound.is_flushed() => {
                if self.client.poll_end(context) == Poll::Ready(Ended::Reset) {
                    return Some(self.client_lost());
                }
            }
            Rest::Blocked | Rest::NoSink | Rest::Paused => {}
            Rest::Waiting if self.client_reading == Side::Open => {
                if let Some(stage) = self.watch_client(context) {
                    return Some(stage);
                }
            }
            Rest::Waiting | Rest::NoSource => self.end_request(),
            Rest::SourceEnded => {
                self.client_reading = Side::Ended;
                self.end_request();
            }
            Rest::SourceFailed => return Some(self.client_lost()),
            Rest::SinkFailed(_) if self.has_origin_ended() => return self.tunnel_broken(),
            Rest::SinkFailed(kind) => {
                if let Origin::Open { writing, .. } = &mut self.origin {
                    // A reset that follows its FIN breaks the pipe alone.
                    let is_after_fin = kind == io::ErrorKind::BrokenPipe;
                    *writing = Writing::Refused(if is_after_fin { OriginEnd::Fin } else { OriginEnd::Reset });
                }
                if !self.inbound.is_keeping() {
                    self.give_up_request();
                    // Who reads nothing before all is sent must not wait for ever.
                    return self.discard(context).is_err().then(|| self.client_lost());
                }
            }
            Rest::Broken(fault) => return self.break_off(fault, Of::Client),
        }
        self.pass_client_end()
    }

    /// Looks whether the client has ended behind a request that waits for its turn, or behind a part of one.
    fn watch_client(&mut self, context: &mut Context<'_>) -> Option<Stage> {
        match self.client.poll_end(context) {
            Poll::Pending => return None,
            Poll::Ready(Ended::Finished) => {}
            Poll::Ready(Ended::Reset) => return Some(self.client_lost()),
        }
        // In more bytes than a head may have there is a whole one, or one that is refused.
        let most = HEADROOM + self.worker.config.policy.max_head + 1;
        match self.inbound.read_on(context, &self.worker.memory, most, &mut self.client) {
            Ok(true) => {
                self.client_reading = Side::Ended;
                self.end_request();
                None
            }
            Ok(false) => None,
            Err(_) => Some(self.client_lost()),
        }
    }

    /// Takes note of the client's end, all before it being judged or waiting.
    fn end_request(&mut self) {
        if self.followed.exchange.has_client_ended() {
            return;
        }
        let phase = self.phase();
        self.followed.exchange.request_end(self.inbound.unjudged());
        if matches!(phase, Phase::Head | Phase::Request) {
            self.log(Of::Client, Reason::HttpRequestError, &"request_incomplete", Ending::Close);
        }
        self.settle_replay();
    }

    /// Passes the client's FIN on where the origin must see it.
    fn pass_client_end(&mut self) -> Option<Stage> {
        if self.client_reading == Side::Ended
            && self.inbound.is_flushed()
            && self.followed.exchange.passes_client_end()
            && let Origin::Open { stream, writing: writing @ Writing::Open, .. } = &mut self.origin
        {
            *writing = Writing::ShutDown;
            // An origin that is gone already needs no FIN; reading from it will tell, if that is still done.
            if stream.shut_down_write().is_err() && self.has_origin_ended() {
                return self.tunnel_broken();
            }
        }
        None
    }

    /// Tells whether the origin has ended its side of a tunnel.
    fn has_origin_ended(&self) -> bool {
        matches!(self.origin, Origin::Open { reading: Side::Ended, .. })
    }

    /// The origin is gone that had ended its side of a tunnel: reading will not tell of it.
    fn tunnel_broken(&mut self) -> Option<Stage> {
        let fault = self.followed.exchange.response_end(OriginEnd::Reset).err()?;
        self.break_off(fault, Of::Origin)
    }

    /// Reads and throws away what the client sends.
    fn discard(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let mut room = [0; 4096];
        while self.client_reading == Side::Open
            && let Poll::Ready(count) = self.client.poll_read(context, &mut room)
        {
            if count? == 0 {
                self.client_reading = Side::Ended;
            }
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        let inbound_is_done = self.inbound.is_flushed() || matches!(self.origin, Origin::Absent);
        self.followed.exchange.is_finished() && self.outbound.is_flushed() && inbound_is_done
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

    /// What the client is doing; one that has not taken the whole of its last response, or whose request the origin has not, is not idle.
    fn phase(&self) -> Phase {
        let phase = self.followed.exchange.phase();
        let is_written = self.outbound.is_flushed() && self.inbound.is_flushed();
        if phase == Phase::Idle && !is_written { Phase::Response } else { phase }
    }

    /// Drops an origin connection on which no request is waiting. What is still to be written to it is the rest of a
    /// request that was answered early; on another connection it would be taken for a request, so the client goes too.
    fn drop_origin(&mut self) -> Option<Stage> {
        self.origin = Origin::Absent;
        self.outbound.close_with(&self.worker.memory, b"");
        (!self.inbound.is_flushed()).then_some(Stage::Flushing)
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

impl<D: Dial> Future for Session<D>
where
    D::Stream: Unpin,
{
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

impl<D: Dial> Drop for Session<D> {
    fn drop(&mut self) {
        // Ended from outside, by who embeds this: a clean end to an undelimited body would be a lie.
        let is_cut = match self.stage {
            Stage::Relaying => self.followed.exchange.give_up(Status::BadGateway) == Ending::Reset,
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
        self.followed.close(&self.worker);
        self.worker.leave();
    }
}

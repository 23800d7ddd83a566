//! One client connection, and the origin connection that belongs to it alone.
//!
//! ```text
//! Relaying ──finished, or a rule broken──▶ Flushing ──▶ Lingering ──client's FIN, or nothing moves──▶ Gone
//! Relaying ──a cut must be seen──▶ Resetting ──the client has what was relayed──▶ Gone
//! Relaying ──client gone──▶ Gone
//! Introducing ──its preamble is complete──▶ Relaying, ──else──▶ Gone: with --accept-proxy alone
//! ```
//!
//! Each direction has its turns: see `relay`. How a session ends is in `ending`.

mod ending;
mod inbound;
mod outbound;
mod preamble;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use self::ending::{Linger, dial_failure};
use super::deadline::{Due, Key};
use super::followed::Followed;
use super::handle::Closing;
use super::relay::{MOST_MOVES, MOST_VERDICTS, Relay, Turn, write_all};
use super::worker::Worker;
use crate::http1::exchange::Phase;
use crate::http1::{Direction, Exchange, OriginEnd};
use crate::net::dial::Dial;
use crate::net::stream::{Peer, Transport};
use crate::ops::counters::DialResult;
use crate::ops::reason::{GaveWay, Side};

/// The state of one client connection.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that was seen or not")]
pub(crate) struct Session<D: Dial> {
    worker: Rc<Worker<D>>,
    client: D::Stream,
    client_reading: Reading,
    /// Whether the client's end has come, though bytes before it are unread.
    is_client_ending: bool,
    origin: Origin<D::Stream>,
    followed: Followed,
    /// The address that the client connected to, by its preamble, if origins get one.
    destination: Option<Box<SocketAddr>>,
    inbound: Relay,
    outbound: Relay,
    /// Whether the origin was not read to the end of what it has sent, for lack of turns or room.
    is_origin_unread: bool,
    /// Whether it has completed a request.
    has_asked: bool,
    deadline: Option<Key>,
    /// What the deadline is for.
    waited: Option<Phase>,
    /// Whether it is but half of the limit away: there are bytes to write, which is tried again then.
    is_halved: bool,
    /// The round of waiting for room in which it takes part.
    round: u32,
    /// The epoch of the deadlines in which it has looked last.
    seen: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Who the client is must come before its first request.
    Introducing,
    Relaying,
    Flushing,
    Lingering(Linger),
    /// Since then.
    Resetting(u64),
    Gone,
}

enum Origin<S> {
    Absent,
    Dialling(Pin<Box<dyn Future<Output = io::Result<S>>>>),
    Open { stream: S, reading: Reading, writing: Writing },
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
        let policy = &worker.config.policy;
        let followed = Followed::new(Exchange::new(policy), peer);
        let stage = if worker.config.accept_proxy.is_some() { Stage::Introducing } else { Stage::Relaying };
        let [inbound, outbound] =
            [Direction::Inbound, Direction::Outbound].map(|way| Relay::new(policy.most_added(way)));
        worker.join();
        Self {
            worker,
            client,
            client_reading: Reading::Open,
            is_client_ending: false,
            origin: Origin::Absent,
            followed,
            destination: None,
            inbound,
            outbound,
            is_origin_unread: false,
            has_asked: false,
            deadline: None,
            waited: None,
            is_halved: false,
            round: 0,
            seen: 0,
            stage,
        }
    }

    /// Relays both ways until nothing moves. `Some`: what comes next.
    fn relay(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        let mut is_over = false;
        match self.worker.deadlines.due(deadline, &mut self.seen) {
            None => {}
            // Its next request has come in time.
            Some(Due::Late) if self.waited == Some(Phase::Idle) && self.client.has_unread() => self.waited = None,
            Some(Due::Late) if self.awaits_exchange() => is_over = self.try_to_write(deadline, self.limit()),
            Some(Due::Late) => return Some(self.time_out()),
            Some(Due::GiveWay(why)) => {
                if let Some(stage) = self.give_way(why) {
                    return Some(stage);
                }
            }
        }
        if self.worker.closing() > Closing::No {
            self.followed.exchange.drain();
        }
        self.look_for_acknowledgement(deadline);
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
            // Nothing can be over then, and nothing needs to be dialled.
            if self.followed.exchange.is_under_way() && !matches!(self.origin, Origin::Absent) {
                break;
            }
            if self.is_finished() {
                return Some(Stage::Flushing);
            }
            if self.is_dismissed() {
                return Some(self.close_idle());
            }
            let has_let_go = self.let_go_of_spent();
            match self.origin {
                Origin::Absent if !self.inbound.is_flushed() => self.begin_dial(),
                Origin::Absent if has_let_go => {}
                Origin::Absent | Origin::Dialling(_) | Origin::Open { .. } => break,
            }
        }
        // What has come by now, as while the process was stopped, has gone on.
        if self.worker.closing() == Closing::Cut {
            return Some(self.cut());
        }
        if is_over && !moved && self.awaits_exchange() {
            return Some(self.time_out());
        }
        if self.outbound.is_flushed() && self.followed.tell(&self.worker) {
            self.worker.deadlines.watch(deadline, true);
        }
        self.set_deadline(deadline, moved);
        if (self.has_client_ended() || self.has_origin_ended())
            && let Some(stage) = self.watch_for_resets(context, deadline)
        {
            return Some(stage);
        }
        if self.worker.memory.is_short() {
            self.worker.deadlines.ask_for_memory(self.worker.memory.worth_waking());
        }
        None
    }

    fn begin_dial(&mut self) {
        let worker = Rc::clone(&self.worker);
        self.waited = None;
        let introduction = self.introduction();
        self.origin = Origin::Dialling(Box::pin(async move {
            let mut stream = worker.upstream.dial(worker.config.timeouts.connect).await?;
            if let Some(preamble) = introduction? {
                write_all(&mut stream, &preamble).await?;
            }
            Ok(stream)
        }));
    }

    fn poll_dial(&mut self, context: &mut Context<'_>) -> Option<Stage> {
        let Origin::Dialling(dialling) = &mut self.origin else {
            return None;
        };
        match dialling.as_mut().poll(context) {
            Poll::Pending => None,
            Poll::Ready(Ok(stream)) => {
                self.worker.counters.dials(DialResult::Connected).count();
                self.origin = Origin::Open { stream, reading: Reading::Open, writing: Writing::Open };
                self.waited = None;
                None
            }
            Poll::Ready(Err(error)) => {
                let (status, reason) = dial_failure(&error);
                self.worker.counters.dials(DialResult::Failed(reason)).count();
                Some(self.end(self.followed.exchange.give_up(status), Side::Origin, reason, &error))
            }
        }
    }

    /// Lets go of an origin connection whose exchange is over and was not plain, once all of the request is written. Returns whether it did.
    fn let_go_of_spent(&mut self) -> bool {
        let Some(mark) = self.followed.exchange.spent() else {
            return false;
        };
        if !self.inbound.is_flushed() && !matches!(self.origin, Origin::Open { writing: Writing::Refused(_), .. }) {
            return false;
        }
        self.worker.counters.alone(mark).count();
        self.part_from_origin();
        self.followed.exchange.let_go();
        // What the origin has said after its response is nobody's.
        self.outbound.close_with(&self.worker.memory, b"");
        true
    }

    /// Tells of the exchanges that the client's side has acknowledged since.
    fn look_for_acknowledgement(&mut self, deadline: Key) {
        if !self.followed.is_to_ask(self.worker.deadlines.now()) {
            return;
        }
        if let Some(unsent) = self.client.unsent() {
            self.followed.acknowledge(&self.worker, self.outbound.unwritten() + unsent);
        }
        if !self.followed.is_waiting() {
            self.worker.deadlines.watch(deadline, false);
        }
    }

    fn is_finished(&self) -> bool {
        let inbound_is_done = self.inbound.is_flushed() || matches!(self.origin, Origin::Absent);
        self.followed.exchange.is_finished() && self.outbound.is_flushed() && inbound_is_done
    }

    /// Returns whether nothing more is to come of this client, though it has not said so: it is idle while idle ones are
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
        let is_idle = phase == Phase::Idle && self.outbound.is_flushed() && self.inbound.is_flushed();
        if phase == Phase::Idle && !is_idle { Phase::Response } else { phase }
    }

    /// Sets the deadline anew where something else is waited for, or something moved. A head's deadline stands from its
    /// first byte, and empty lines between requests do not put off the end of the idle time.
    fn set_deadline(&mut self, deadline: Key, moved: bool) {
        let phase = self.phase();
        if self.waited != Some(phase) || (moved && !matches!(phase, Phase::Head | Phase::Idle)) {
            self.wait_for(phase, deadline);
        }
        if phase == Phase::Head {
            self.worker.deadlines.hold_head(deadline, self.inbound.footprint());
        }
    }

    fn wait_for(&mut self, phase: Phase, deadline: Key) {
        self.waited = Some(phase);
        self.has_asked |= phase == Phase::Response;
        let standing = match phase {
            Phase::Idle | Phase::Head if !self.has_asked => Some(GaveWay::NoRequest),
            Phase::Idle => Some(GaveWay::Idle),
            Phase::Response if self.has_deserted() => Some(GaveWay::Ended),
            Phase::Head | Phase::Request | Phase::Response => None,
        };
        let limit = self.limit();
        self.worker.deadlines.set(deadline, limit, standing);
        self.is_halved = false;
        let is_written = self.inbound.is_flushed() && self.outbound.is_flushed();
        if !is_written && self.awaits_exchange() {
            self.begin_to_write(deadline, limit);
        }
    }

    /// Returns whether the rest of a request is waited for, or a response, and no connection to have it from.
    fn awaits_exchange(&self) -> bool {
        matches!(self.waited, Some(Phase::Request | Phase::Response)) && !matches!(self.origin, Origin::Dialling(_))
    }

    /// How long what is waited for may take.
    fn limit(&self) -> Duration {
        let limits = &self.worker.config.timeouts;
        match (&self.origin, self.waited) {
            (Origin::Dialling(_), _) => limits.connect,
            (_, Some(Phase::Idle)) => limits.idle,
            (_, Some(Phase::Head)) => limits.head,
            (_, Some(Phase::Response)) if self.followed.exchange.passes_origin_end() => limits.tunnel(),
            (_, Some(Phase::Request | Phase::Response) | None) => limits.exchange,
        }
    }

    /// Returns whether the client has ended, and only the origin is waited for.
    fn has_deserted(&self) -> bool {
        self.has_client_ended() && self.outbound.is_flushed() && !self.followed.exchange.passes_origin_end()
    }

    /// Returns whether the client has ended, as far as is known: bytes before that may be unread.
    fn has_client_ended(&self) -> bool {
        self.is_client_ending || self.client_reading == Reading::Ended
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
                Stage::Introducing => session.introduce(context, deadline),
                Stage::Flushing => session.flush(context, deadline),
                Stage::Lingering(linger) => session.linger(context, deadline, linger),
                Stage::Resetting(since) => session.reset(context, deadline, since),
                Stage::Gone => return Poll::Ready(()),
            };
            match next {
                Some(stage) => session.enter(stage, deadline),
                None => return Poll::Pending,
            }
        }
    }
}

impl<D: Dial> Drop for Session<D> {
    fn drop(&mut self) {
        self.leave();
    }
}

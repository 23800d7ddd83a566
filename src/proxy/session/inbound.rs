//! The client's bytes, and its end.

use std::io;
use std::task::{Context, Poll};

use super::{
    Direction, Key, MOST_MOVES, MOST_VERDICTS, Origin, OriginEnd, Reading, Session, Side, Stage, Turn, Writing,
};
use crate::http1::Ending;
use crate::http1::exchange::Phase;
use crate::net::dial::Dial;
use crate::net::stream::{Ended, Transport};
use crate::ops::reason::Reason;
use crate::proxy::relay::Rest;

impl<D: Dial> Session<D> {
    pub(super) fn pump_inbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        // The next request waits until the client has taken the response before it, and nothing of the origin is left unread.
        if self.followed.exchange.is_unoccupied() && (self.is_origin_unread || !self.outbound.is_flushed()) {
            return None;
        }
        if self.client_reading == Reading::Open && self.inbound.is_idle() && self.client.is_quiet() {
            return None;
        }
        let sink = match &mut self.origin {
            Origin::Absent => None,
            Origin::Dialling(_) => {
                let is_open = self.client_reading == Reading::Open;
                return if is_open { self.watch_client(context).err() } else { None };
            }
            // How the origin's side ends, or what it says, tells whether the request can be sent again.
            Origin::Open { writing: Writing::Refused(_), .. } if self.inbound.is_keeping() => return None,
            Origin::Open { writing: Writing::Refused(_), .. } => {
                return self.discard_request(context, moved);
            }
            Origin::Open { stream, .. } => Some(stream),
        };
        let mut turn = Turn {
            direction: Direction::Inbound,
            context,
            worker: &self.worker,
            followed: &mut self.followed,
            source: (self.client_reading == Reading::Open).then_some(&mut self.client),
            sink,
            elsewhere: self.outbound.footprint(),
            moves: MOST_MOVES,
            moved: false,
            verdicts: MOST_VERDICTS,
        };
        let rest = self.inbound.run(&mut turn);
        *moved |= turn.moved;
        self.settle_replay();
        match rest {
            // An origin that takes nothing keeps us from reading, and so from seeing that the client is gone.
            Rest::Blocked if self.client_reading == Reading::Open && !self.inbound.is_flushed() => {
                if let Err(stage) = self.watch_client(context) {
                    return Some(stage);
                }
            }
            Rest::Blocked | Rest::NoSink | Rest::Paused => {}
            Rest::NoRoom => self.await_room(context),
            Rest::Waiting if self.client_reading == Reading::Open && self.followed.exchange.has_given_up_requests() => {
                self.inbound.clear(&self.worker.memory);
                if let Some(stage) = self.discard_request(context, moved) {
                    return Some(stage);
                }
                if self.client_reading == Reading::Ended {
                    self.client_ended();
                }
            }
            Rest::Waiting if self.client_reading == Reading::Open => {
                if let Some(stage) = self.look_for_end(context) {
                    return Some(stage);
                }
            }
            Rest::Waiting | Rest::NoSource => self.end_request(),
            Rest::SourceEnded => self.client_ended(),
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
                    return self.discard_request(context, moved);
                }
            }
            Rest::Broken(fault) => return self.break_off(fault, Side::Client),
        }
        self.pass_client_end()
    }

    /// Gives up a request kept for a replay once there can be none.
    #[inline]
    pub(super) fn settle_replay(&mut self) {
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

    /// Reads what comes of a request that has nowhere to go: who reads nothing before all is sent must not wait for ever.
    fn discard_request(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        match self.discard(context) {
            Ok(count) => {
                *moved |= count > 0;
                None
            }
            Err(_) => Some(self.client_lost()),
        }
    }

    /// Looks whether a side that has ended was reset since, which reading does not tell: a client whose request is under way, or either side
    /// of a tunnel.
    pub(super) fn watch_for_resets(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        // Where the reactor cannot tell.
        self.worker.deadlines.watch(deadline, true);
        if self.has_client_ended() && self.client.poll_reset(context).is_ready() {
            return Some(self.client_lost());
        }
        match &self.origin {
            Origin::Open { stream, reading: Reading::Ended, .. } if stream.poll_reset(context).is_ready() => {
                self.tunnel_broken()
            }
            Origin::Absent | Origin::Dialling(_) | Origin::Open { .. } => None,
        }
    }

    /// Looks whether the client has ended behind bytes that are unread. `Err`: it was reset.
    fn watch_client(&mut self, context: &mut Context<'_>) -> Result<bool, Stage> {
        match self.client.poll_end(context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ended::Reset) => return Err(self.client_lost()),
            Poll::Ready(Ended::Finished) => {}
        }
        if !std::mem::replace(&mut self.is_client_ending, true) {
            // It has another place among those who give way.
            self.waited = None;
        }
        Ok(true)
    }

    /// Looks whether the client has ended after a request that waits for its turn, or after a part of one.
    fn look_for_end(&mut self, context: &mut Context<'_>) -> Option<Stage> {
        match self.watch_client(context) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(stage) => return Some(stage),
        }
        // In more bytes than a head may have there is a whole one, or one that is refused.
        let most = self.inbound.headroom() + self.worker.config.policy.max_head + 1;
        match self.inbound.read_on(context, &self.worker.memory, most, &mut self.client) {
            Ok(true) => {
                self.client_ended();
                None
            }
            Ok(false) => {
                if self.worker.memory.room(self.inbound.footprint()) == 0 {
                    self.await_room(context);
                }
                None
            }
            Err(_) => Some(self.client_lost()),
        }
    }

    fn client_ended(&mut self) {
        self.client_reading = Reading::Ended;
        // Another deadline, and another place among those who give way.
        self.waited = None;
        self.end_request();
    }

    /// Records the client's end, all before it being judged or waiting.
    fn end_request(&mut self) {
        if self.followed.exchange.has_client_ended() {
            return;
        }
        let phase = self.phase();
        self.followed.exchange.request_end(self.inbound.unjudged());
        if matches!(phase, Phase::Head | Phase::Request) {
            self.log(Side::Client, Reason::HttpRequestError, &"request_incomplete", Ending::Close);
        }
        if self.followed.exchange.has_client_ended() {
            self.waited = None;
        }
        self.settle_replay();
    }

    /// Passes the client's FIN on where the origin must see it.
    fn pass_client_end(&mut self) -> Option<Stage> {
        if self.client_reading == Reading::Ended
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

    /// The origin is gone that had ended its side of a tunnel: reading will not tell of it. The client is to see it; but it is no failure, since
    /// so goes each `WebSocket` that the application closes before the client has said that it closes too.
    fn tunnel_broken(&mut self) -> Option<Stage> {
        let fault = self.followed.exchange.response_end(OriginEnd::Reset).err()?;
        Some(self.end_silently(fault.ending))
    }
}

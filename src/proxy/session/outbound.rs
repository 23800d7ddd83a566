//! The origin's bytes, and its end.

use std::task::{Context, Poll};

use super::{Direction, MOST_MOVES, MOST_VERDICTS, Origin, OriginEnd, Reading, Session, Side, Stage, Turn, Writing};
use crate::net::dial::Dial;
use crate::net::stream::Transport;
use crate::proxy::relay::Rest;

impl<D: Dial> Session<D> {
    pub(super) fn pump_outbound(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Option<Stage> {
        self.is_origin_unread = false;
        let Origin::Open { stream, reading, .. } = &mut self.origin else {
            return self.flush_outbound(context, moved);
        };
        if *reading == Reading::Open && self.outbound.is_idle() && stream.is_quiet() {
            return None;
        }
        self.followed.exchange.request_written(self.inbound.is_flushed());
        let mut turn = Turn {
            direction: Direction::Outbound,
            context,
            worker: &self.worker,
            followed: &mut self.followed,
            source: (*reading == Reading::Open).then_some(stream),
            sink: Some(&mut self.client),
            elsewhere: self.inbound.footprint(),
            moves: MOST_MOVES,
            moved: false,
            verdicts: MOST_VERDICTS,
        };
        let rest = self.outbound.run(&mut turn);
        *moved |= turn.moved;
        self.settle_replay();
        self.is_origin_unread = matches!(rest, Rest::Paused | Rest::NoRoom);
        match rest {
            Rest::NoRoom => {
                self.await_room(context);
                None
            }
            Rest::Blocked | Rest::Waiting | Rest::NoSink | Rest::NoSource | Rest::Paused => None,
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
            Rest::Broken(fault) => self.break_off(fault, Side::Origin),
        }
    }

    /// Goes on once there is room to read to.
    pub(super) fn await_room(&mut self, context: &Context<'_>) {
        self.worker.memory.wait(&mut self.round, context.waker());
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

    fn origin_ended(&mut self, how: OriginEnd) -> Option<Stage> {
        if self.inbound.is_keeping() {
            // The origin had closed its idle connection before the request reached it, as far as anyone can tell.
            self.inbound.rewind();
            self.origin = Origin::Absent;
            self.followed.replay(&self.worker);
            return None;
        }
        if let Origin::Open { reading, .. } = &mut self.origin {
            *reading = Reading::Ended;
        }
        if let Err(fault) = self.followed.exchange.response_end(how) {
            return self.break_off(fault, Side::Origin);
        }
        if self.followed.exchange.passes_origin_end() {
            // A client that is gone already needs no FIN; reading from it will tell.
            let _ = self.client.shut_down_write();
            None
        } else {
            self.drop_origin()
        }
    }

    /// Drops an origin connection on which no request is waiting. What is still to be written to it is the rest of a
    /// request that was answered early; on another connection it would be taken for a request, so the client goes too.
    pub(super) fn drop_origin(&mut self) -> Option<Stage> {
        self.part_from_origin();
        self.outbound.close_with(&self.worker.memory, b"");
        (!self.inbound.is_flushed()).then_some(Stage::Flushing)
    }

    /// Returns whether the origin has ended its side of a tunnel.
    pub(super) fn has_origin_ended(&self) -> bool {
        matches!(self.origin, Origin::Open { reading: Reading::Ended, .. })
    }
}

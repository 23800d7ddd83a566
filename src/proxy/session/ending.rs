//! How a session ends: replies, log lines, and the staged close.

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Direction, Due, GaveWay, Origin, Reading, Session, Side, Stage};
use crate::http1::exchange::Phase;
use crate::http1::{Ending, Fault, Status};
use crate::net::departure::Until;
use crate::net::dial::{Dial, is_absent, is_dns_error};
use crate::net::stream::Transport;
use crate::ops::counters::{DialResult, Means};
use crate::ops::reason::Reason;
use crate::proxy::deadline::Key;
use crate::proxy::followed::UNACKNOWLEDGED;
use crate::proxy::handle::Closing;
use crate::proxy::memory::LEAST;
use crate::proxy::relay::{MOST_MOVES, yield_turn};
use crate::proxy::reply;

/// How long to wait for a client after our last byte while nothing moves.
const LINGER_STILL: Duration = Duration::from_secs(5);

/// How long to wait in all: to close after our last byte, or to take what was relayed before a reset.
const LINGER: Duration = Duration::from_secs(30);

/// How the wait for a client's FIN goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linger {
    begun: u64,
    /// When something moved last.
    moved: u64,
    /// Bytes in our send queue when it was last asked; the most there can be: it was not yet.
    unsent: usize,
}

impl<D: Dial> Session<D> {
    pub(super) fn client_lost(&mut self) -> Stage {
        if self.phase() != Phase::Idle {
            self.log(Side::Client, Reason::ConnectionTerminated, &"client_gone", Ending::Close);
        }
        Stage::Gone
    }

    /// Closes the connection of a client of which nothing is awaited, and which may not have the whole of its last response yet.
    pub(super) fn close_idle(&self) -> Stage {
        if self.client.unsent() == Some(0) { Stage::Gone } else { Stage::Flushing }
    }

    /// Others want what this client has, for the reason given. `None`: there is nothing to give any more.
    pub(super) fn give_way(&mut self, why: GaveWay) -> Option<Stage> {
        let phase = self.phase();
        let (reason, detail) = match why {
            GaveWay::Memory if phase == Phase::Head && self.inbound.footprint() > LEAST => {
                (Reason::MemoryLimitReached, "unfinished_head")
            }
            // A request on its way to us is never lost.
            GaveWay::NoRequest | GaveWay::Idle if self.client.has_unread() => return None,
            GaveWay::NoRequest if phase == Phase::Head => (Reason::ConnectionLimitReached, "unfinished_head"),
            GaveWay::NoRequest | GaveWay::Idle if phase == Phase::Idle => {
                self.worker.counters.gave_way(why).count();
                return Some(self.close_idle());
            }
            GaveWay::Ended if phase == Phase::Response && self.has_deserted() => {
                self.worker.counters.gave_way(why).count();
                return Some(self.client_lost());
            }
            GaveWay::Memory | GaveWay::NoRequest | GaveWay::Idle | GaveWay::Ended | GaveWay::Lingering => return None,
        };
        self.worker.counters.gave_way(why).count();
        let ending = self.followed.exchange.give_up(Status::ServiceUnavailable);
        Some(self.end(ending, Side::Proxy, reason, &detail))
    }

    /// What was judged is to be written within the limit.
    #[cold]
    pub(super) fn begin_to_write(&mut self, deadline: Key, limit: Duration) {
        self.is_halved = true;
        self.worker.deadlines.put_off(deadline, limit / 2);
    }

    /// Has the next writes ask the kernel, which tells of room only once a slow reader has made much of it. Returns whether the limit is over; if only
    /// its first half is, the other begins.
    #[cold]
    pub(super) fn try_to_write(&mut self, deadline: Key, limit: Duration) -> bool {
        self.client.try_to_write();
        if let Origin::Open { stream, .. } = &mut self.origin {
            stream.try_to_write();
        }
        let is_over = !std::mem::take(&mut self.is_halved);
        if !is_over {
            self.worker.deadlines.put_off(deadline, limit / 2);
        }
        is_over
    }

    pub(super) fn time_out(&mut self) -> Stage {
        let stalled = (Status::GatewayTimeout, Reason::ConnectionWriteTimeout);
        let is_tunnel = self.followed.exchange.passes_origin_end();
        let limit = if is_tunnel { "tunnel_timeout" } else { "exchange_timeout" };
        let (of, (status, reason), detail) = match (&self.origin, self.waited) {
            (_, None | Some(Phase::Idle)) => return self.close_idle(),
            (Origin::Dialling(_), _) => {
                self.worker.counters.dials(DialResult::Failed(Reason::ConnectionTimeout)).count();
                (Side::Origin, (Status::GatewayTimeout, Reason::ConnectionTimeout), "connect_timeout")
            }
            (_, Some(Phase::Head)) => {
                (Side::Client, (Status::RequestTimeout, Reason::HttpRequestError), "head_timeout")
            }
            (_, Some(Phase::Request | Phase::Response)) if !self.outbound.is_flushed() => {
                // It would not read a last word either.
                self.log(Side::Client, Reason::ConnectionWriteTimeout, &limit, Ending::Reset);
                self.client.reset_on_close();
                return Stage::Gone;
            }
            (_, Some(Phase::Request | Phase::Response)) if !self.inbound.is_flushed() => (Side::Origin, stalled, limit),
            (_, Some(Phase::Request)) if !self.followed.exchange.awaits_continue() => {
                (Side::Client, (Status::RequestTimeout, Reason::HttpRequestError), limit)
            }
            (_, Some(Phase::Request | Phase::Response)) => {
                (Side::Origin, (Status::GatewayTimeout, Reason::HttpResponseTimeout), limit)
            }
        };
        self.end(self.given_up(status), of, reason, &detail)
    }

    /// How the client's connection ends: with a reply only if something is owed to it. What is not over may be the writing alone.
    fn given_up(&self, status: Status) -> Ending {
        let exchange = &self.followed.exchange;
        if exchange.phase() == Phase::Idle { Ending::Close } else { exchange.give_up(status) }
    }

    /// Ends what is under way because the proxy ends.
    pub(super) fn cut(&mut self) -> Stage {
        if self.phase() == Phase::Idle {
            return Stage::Gone;
        }
        self.worker.count_cut();
        let ending = self.given_up(Status::GatewayTimeout);
        self.end(ending, Side::Proxy, Reason::ConnectionTerminated, &"drain_over")
    }

    pub(super) fn break_off(&mut self, fault: Fault, of: Side) -> Option<Stage> {
        let reason = match of {
            Side::Origin => Reason::of_response(fault.violation),
            Side::Client | Side::Proxy => Reason::HttpRequestError,
        };
        if fault.ending == Ending::DropOrigin {
            self.log(of, reason, &fault.violation, fault.ending);
            return self.drop_origin();
        }
        Some(self.end(fault.ending, of, reason, &fault.violation))
    }

    /// Ends the client's connection in the way given, and tells why.
    pub(super) fn end(&mut self, ending: Ending, of: Side, reason: Reason, detail: &dyn fmt::Display) -> Stage {
        self.log(of, reason, detail, ending);
        self.end_silently(ending)
    }

    /// The same of an end that is no failure.
    pub(super) fn end_silently(&mut self, ending: Ending) -> Stage {
        self.part_from_origin();
        let memory = &self.worker.memory;
        self.inbound.clear(memory);
        let added = &self.worker.config.policy.added;
        let last = if let Ending::Reply(status) = ending { reply::bytes(status, added) } else { Vec::new() };
        self.outbound.close_with(memory, &last);
        self.followed.count(&self.worker, Direction::Outbound, last.len(), Means::Copy);
        if ending == Ending::Reset {
            return Stage::Resetting(self.worker.deadlines.now());
        }
        Stage::Flushing
    }

    pub(super) fn log(&mut self, of: Side, reason: Reason, detail: &dyn fmt::Display, ending: Ending) {
        self.followed.fail(&self.worker, (of, reason), detail, ending);
    }

    /// Enters a stage, with the deadline that it has.
    pub(super) fn enter(&mut self, stage: Stage, deadline: Key) {
        let deadlines = &self.worker.deadlines;
        match stage {
            Stage::Flushing => {
                let limit = self.worker.config.timeouts.exchange;
                deadlines.set(deadline, limit, None);
                self.begin_to_write(deadline, limit);
            }
            // Looked at with each tick.
            Stage::Lingering(_) | Stage::Resetting(_) => {
                deadlines.set(deadline, Duration::ZERO, Some(GaveWay::Lingering));
                self.worker.places.tell_of_lingering();
            }
            Stage::Introducing | Stage::Relaying | Stage::Gone => {}
        }
        self.stage = stage;
    }

    /// Writes the last bytes. `Some`: what comes next.
    pub(super) fn flush(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        self.part_from_origin();
        let is_over = self.worker.closing() == Closing::Cut;
        let limit = self.worker.config.timeouts.exchange;
        let is_late = self.worker.deadlines.due(deadline, &mut self.seen) == Some(Due::Late)
            && self.try_to_write(deadline, limit);
        let before = self.outbound.unwritten();
        let flushed = self.outbound.flush(context, &self.worker.memory, &mut self.client);
        let has_moved = self.outbound.unwritten() < before;
        match flushed {
            Poll::Pending if is_over || (is_late && !has_moved) => {
                // For a body that ends with the connection, a plain close would be a lie.
                self.client.reset_on_close();
                Some(Stage::Gone)
            }
            // Who writes all before it reads must not wait for ever.
            Poll::Pending => {
                let Ok(count) = self.discard(context) else { return Some(Stage::Gone) };
                if has_moved || count > 0 {
                    self.begin_to_write(deadline, limit);
                }
                None
            }
            Poll::Ready(Err(_)) => Some(Stage::Gone),
            Poll::Ready(Ok(())) => {
                let is_told_of = !self.followed.finish(&self.worker);
                let is_over = is_over || (is_told_of && self.client_reading == Reading::Ended);
                if is_over {
                    return Some(Stage::Gone);
                }
                // One that has had its end already, as behind a tunnel, needs no other; reading tells how it has ended.
                let _ = self.client.shut_down_write();
                let now = self.worker.deadlines.now();
                Some(Stage::Lingering(Linger { begun: now, moved: now, unsent: usize::MAX }))
            }
        }
    }

    /// Waits for the client's FIN for as long as something moves: its bytes to us, or ours out of our send queue. For the access log,
    /// waits until those have arrived.
    pub(super) fn linger(&mut self, context: &mut Context<'_>, deadline: Key, mut linger: Linger) -> Option<Stage> {
        let deadlines = &self.worker.deadlines;
        let due = deadlines.due(deadline, &mut self.seen);
        let gives_way = self.gives_way(due);
        let now = self.worker.deadlines.now();
        let discarded = self.discard(context);
        let has_ended = self.client_reading == Reading::Ended;
        // Reading does not tell of it any more.
        let is_reset = has_ended && self.followed.is_waiting() && self.client.poll_reset(context).is_ready();
        // Of a connection that both have ended in order, the kernel tells nothing more.
        let of_ended = if has_ended && !is_reset { 0 } else { linger.unsent };
        // To ask costs system calls: once a tick, or for the access log.
        let is_asked = due.is_some() || self.followed.is_waiting();
        let unsent = if is_asked { self.client.unsent().unwrap_or(of_ended) } else { linger.unsent };
        self.followed.acknowledge(&self.worker, unsent);
        let has_shrunk = linger.unsent != usize::MAX && unsent < linger.unsent;
        if discarded.as_ref().is_ok_and(|count| *count > 0) || has_shrunk {
            linger.moved = now;
        }
        linger.unsent = unsent;
        self.stage = Stage::Lingering(linger);
        let deadlines = &self.worker.deadlines;
        let is_over = gives_way
            || is_reset
            || self.worker.closing() == Closing::Cut
            || deadlines.is_past(linger.moved, LINGER_STILL)
            || deadlines.is_past(linger.begun, LINGER);
        if (is_over || discarded.is_err()) && (1..usize::MAX).contains(&unsent) {
            self.log(Side::Client, Reason::ConnectionTerminated, &UNACKNOWLEDGED, Ending::Close);
        }
        let is_done = has_ended && !self.followed.is_waiting();
        (is_over || discarded.is_err() || is_done).then_some(Stage::Gone)
    }

    /// Returns whether the wait for a client is to end now for others, and counts that.
    fn gives_way(&self, due: Option<Due>) -> bool {
        let gives_way = due == Some(Due::GiveWay(GaveWay::Lingering));
        if gives_way {
            self.worker.counters.gave_way(GaveWay::Lingering).count();
        }
        gives_way
    }

    /// Resets the client's connection once the client has what was relayed: a reset destroys what is under way.
    pub(super) fn reset(&mut self, context: &mut Context<'_>, deadline: Key, since: u64) -> Option<Stage> {
        self.part_from_origin();
        let due = self.worker.deadlines.due(deadline, &mut self.seen);
        let is_over = self.gives_way(due)
            || self.worker.closing() == Closing::Cut
            || self.worker.deadlines.is_past(since, LINGER);
        let is_taken = match self.outbound.flush(context, &self.worker.memory, &mut self.client) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => self.client.unsent() == Some(0),
            Poll::Ready(Err(_)) => true,
        };
        let discarded = self.discard(context);
        let has_ended = self.client_reading == Reading::Ended;
        let is_reset = discarded.is_err() || (has_ended && self.client.poll_reset(context).is_ready());
        // As behind a tunnel, whose end it had before.
        let is_done = has_ended && !is_reset && self.client.is_over();
        if is_done {
            self.followed.acknowledge(&self.worker, 0);
        }
        if is_over || is_taken || is_reset || is_done {
            self.client.reset_on_close();
            return Some(Stage::Gone);
        }
        None
    }

    /// Reads and throws away what the client sends; tells how much.
    pub(super) fn discard(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let mut room = [0; 4096];
        let mut discarded = 0;
        for _ in 0..MOST_MOVES {
            if self.client_reading == Reading::Ended {
                return Ok(discarded);
            }
            let Poll::Ready(count) = self.client.poll_read(context, &mut room) else { return Ok(discarded) };
            match count? {
                0 => self.client_reading = Reading::Ended,
                count => discarded += count,
            }
        }
        yield_turn(context);
        Ok(discarded)
    }

    /// Ends the origin's connection. Closed over bytes that were not read, it would be a reset, which destroys what of the request is still
    /// under way; closed first, it would keep a port for a minute.
    pub(super) fn part_from_origin(&mut self) {
        let Origin::Open { stream, reading, .. } = std::mem::replace(&mut self.origin, Origin::Absent) else {
            return;
        };
        let exchange = &self.followed.exchange;
        let is_early = self.followed.was_early() || !self.inbound.is_flushed();
        if exchange.passes_origin_end() && (exchange.is_under_way() || reading == Reading::Open) {
            // A tunnel that is cut must not look ended.
            stream.reset_on_close();
        } else if reading == Reading::Ended {
            // Nothing comes that could make the close a reset, and the port waits at its side.
        } else if exchange.is_under_way() {
            // What it says is for nobody; what it was sent must arrive.
            if stream.unsent() != Some(0) {
                self.worker.upstream.depart(stream, Until::Arrival);
            }
        } else if is_early {
            self.worker.upstream.depart(stream, Until::End);
        } else if stream.is_remote() && stream.unsent() == Some(0) {
            stream.reset_on_close();
        } else if !stream.is_quiet() || stream.unsent() != Some(0) {
            self.worker.upstream.depart(stream, Until::End);
        }
    }

    /// What an operator and the other side see of a session that is over.
    pub(super) fn leave(&mut self) {
        // Ended from outside, by who embeds this: a clean end to an undelimited body would be a lie.
        let is_cut = match self.stage {
            Stage::Relaying => self.followed.exchange.give_up(Status::BadGateway) == Ending::Reset,
            Stage::Flushing => !self.outbound.is_flushed(),
            Stage::Resetting(_) => true,
            Stage::Introducing | Stage::Lingering(_) | Stage::Gone => false,
        };
        if is_cut {
            self.client.reset_on_close();
        }
        self.part_from_origin();
        if let Some(deadline) = self.deadline {
            self.worker.deadlines.leave(deadline);
        }
        let (client, unwritten) = (&self.client, self.outbound.unwritten());
        self.followed.close(&self.worker, || client.unsent().map(|unsent| unwritten + unsent));
        self.inbound.clear(&self.worker.memory);
        self.outbound.clear(&self.worker.memory);
        self.worker.leave();
    }
}

/// What is told of an origin that could not be reached.
pub(super) fn dial_failure(error: &io::Error) -> (Status, Reason) {
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

//! How a session ends: what is told to whom, and the staged close.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use super::{Of, Origin, Session, Side, Stage};
use crate::http1::exchange::Phase;
use crate::http1::{Ending, Fault, Status};
use crate::net::dial::{Dial, is_absent, is_dns_error};
use crate::net::stream::Transport;
use crate::ops::counters::DialResult;
use crate::ops::reason::Reason;
use crate::proxy::deadline::Key;
use crate::proxy::handle::Closing;
use crate::proxy::reply;

impl<D: Dial> Session<D> {
    pub(super) fn client_lost(&mut self) -> Stage {
        if self.phase() != Phase::Idle {
            self.log(Of::Client, Reason::ConnectionTerminated, &"client_gone", Ending::Close);
        }
        self.cut_tunnel();
        Stage::Gone
    }

    /// Has the origin see that its tunnel, if there is one, was cut.
    pub(super) fn cut_tunnel(&self) {
        if let Origin::Open { stream, .. } = &self.origin
            && self.followed.exchange.passes_origin_end()
        {
            stream.reset_on_close();
        }
    }

    pub(super) fn time_out(&mut self) -> Stage {
        let stalled = (Status::GatewayTimeout, Reason::ConnectionWriteTimeout);
        let (of, (status, reason), detail) = match (&self.origin, self.waited) {
            (_, None | Some(Phase::Idle)) => return Stage::Gone,
            (Origin::Dialling(_), _) => {
                self.worker.counters.dials(DialResult::Failed(Reason::ConnectionTimeout)).count();
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
        self.end(self.followed.exchange.give_up(status), of, reason, &detail)
    }

    /// Ends what is under way because the proxy ends.
    pub(super) fn cut(&mut self) -> Stage {
        if self.phase() == Phase::Idle {
            return Stage::Gone;
        }
        self.worker.count_cut();
        let ending = self.followed.exchange.give_up(Status::GatewayTimeout);
        self.end(ending, Of::Proxy, Reason::ConnectionTerminated, &"drain_over")
    }

    pub(super) fn break_off(&mut self, fault: Fault, of: Of) -> Option<Stage> {
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
    pub(super) fn end(&mut self, ending: Ending, of: Of, reason: Reason, detail: &dyn fmt::Display) -> Stage {
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

    pub(super) fn log(&mut self, of: Of, reason: Reason, detail: &dyn fmt::Display, ending: Ending) {
        self.followed.fail(&self.worker, (of, reason), detail, ending);
    }

    /// Writes the last bytes. `Some`: what comes next.
    pub(super) fn flush(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
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
            Poll::Ready(Ok(())) => match self.client.shut_down_write() {
                Ok(()) => Some(Stage::Lingering),
                Err(_) => Some(Stage::Gone),
            },
        }
    }

    pub(super) fn linger(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        let is_over = self.worker.closing() == Closing::Cut || self.worker.deadlines.has_passed(deadline);
        let is_gone = self.discard(context).is_err() || self.client_reading == Side::Ended;
        (is_over || is_gone).then_some(Stage::Gone)
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

//! Before the first request: the preamble in which a load balancer names its client, and the one that is sent to an origin.
//!
//! Until the preamble is complete, its bytes are held as those of an unfinished head, within a head's time. A client that sends anything else, or comes
//! from elsewhere, is closed without a reply, since it does not speak HTTP.

use std::fmt::Display;
use std::io;
use std::task::Context;

use super::{Due, GaveWay, Reading, Session, Side, Stage};
use crate::http1::Ending;
use crate::http1::exchange::Phase;
use crate::net::dial::Dial;
use crate::net::preamble::{self, Ends};
use crate::net::stream::{Peer, Transport};
use crate::ops::reason::Reason;
use crate::proxy::deadline::Key;
use crate::proxy::handle::Closing;

impl<D: Dial> Session<D> {
    /// Reads the preamble. `Some`: what comes next.
    #[cold]
    pub(super) fn introduce(&mut self, context: &mut Context<'_>, deadline: Key) -> Option<Stage> {
        if self.waited.is_none() {
            let networks = self.worker.config.accept_proxy.as_ref();
            if !networks.is_some_and(|networks| networks.contain(self.followed.client().0.map(|address| address.ip())))
            {
                return Some(self.turn_away(&"network_not_accepted"));
            }
            self.waited = Some(Phase::Head);
            self.worker.deadlines.set(deadline, self.worker.config.timeouts.head, Some(GaveWay::NoRequest));
        }
        match self.worker.deadlines.due(deadline, &mut self.seen) {
            None => {}
            Some(Due::Late) => return Some(self.unintroduced(&"preamble_timeout")),
            Some(Due::GiveWay(why)) if why == GaveWay::Memory || !self.client.has_unread() => {
                self.worker.counters.gave_way(why).count();
                return Some(Stage::Gone);
            }
            Some(Due::GiveWay(_)) => {}
        }
        if self.worker.closing() == Closing::Cut || self.is_dismissed() {
            return Some(Stage::Gone);
        }
        let memory = &self.worker.memory;
        let most = self.inbound.headroom() + preamble::LONGEST;
        let Ok(has_ended) = self.inbound.read_on(context, memory, most, &mut self.client) else {
            return Some(Stage::Gone);
        };
        match preamble::read(self.inbound.unjudged()) {
            Ok(Some((ends, length))) => {
                self.inbound.withhold(memory, length);
                if let Some(Ends { source, destination }) = ends {
                    self.followed.set_client(Peer(Some(source)));
                    self.destination = self.worker.config.send_proxy.map(|_| Box::new(destination));
                }
                if has_ended {
                    self.client_reading = Reading::Ended;
                }
                self.waited = None;
                Some(Stage::Relaying)
            }
            Ok(None) if has_ended => Some(self.unintroduced(&"preamble_incomplete")),
            Ok(None) => {
                self.worker.deadlines.hold_head(deadline, self.inbound.footprint());
                if memory.room(self.inbound.footprint()) == 0 {
                    memory.wait(&mut self.round, context.waker());
                }
                None
            }
            Err(malformed) => Some(self.unintroduced(&malformed)),
        }
    }

    /// Closes the connection of a client that has not said who it is. Of one that has said nothing at all, as balancers look whether somebody
    /// listens, nothing is told.
    fn unintroduced(&mut self, detail: &dyn Display) -> Stage {
        if self.inbound.unjudged().is_empty() { Stage::Gone } else { self.turn_away(detail) }
    }

    fn turn_away(&mut self, detail: &dyn Display) -> Stage {
        self.log(Side::Client, Reason::PreambleRefused, detail, Ending::Close);
        Stage::Gone
    }

    /// What an origin connection begins with, if anything.
    #[cold]
    pub(super) fn introduction(&self) -> io::Result<Option<Vec<u8>>> {
        self.worker.config.send_proxy.map(|version| preamble::written(version, self.ends())).transpose()
    }

    /// Who has connected to whom, as far as it has addresses.
    fn ends(&self) -> Option<Ends> {
        let destination = self.destination.as_deref().copied().or_else(|| self.client.own_address());
        Some(Ends { source: self.followed.client().0?, destination: destination? })
    }
}

//! A worker: one thread, one current-thread runtime, one listener. What its sessions share is here; its life is in `life`.

use std::cell::Cell;
use std::sync::Arc;

use tokio::sync::Notify;

use super::deadline::Deadlines;
use super::handle::Closing;
use super::memory::Memory;
use super::places::Places;
use crate::config::Config;
use crate::http1::Direction;
use crate::net::descriptors::wake_waiting;
use crate::net::dial::Dial;
use crate::ops::Observer;
use crate::ops::counters::Counters;

/// What a worker may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Pipes.
    pub(crate) pipes: usize,
    /// Bytes held for clients.
    pub(crate) memory: usize,
}

/// What the sessions of a worker share.
#[derive(Debug)]
pub(crate) struct Worker<D> {
    pub(crate) config: &'static Config,
    pub(super) counters: &'static Counters,
    pub(super) observer: Arc<dyn Observer>,
    /// Whether anyone is told how long responses take: who is not need not look at the clock.
    pub(super) is_timed: bool,
    /// Whether the kernel tells what of a client's bytes has arrived: in some sandboxes it does not.
    pub(super) is_told_of_arrival: bool,
    pub(crate) deadlines: Deadlines,
    pub(super) memory: Memory,
    pub(crate) upstream: D,
    closing: Cell<Closing>,
    origin_is_gone: Cell<bool>,
    /// The places of all workers' clients.
    pub(super) places: Arc<Places>,
    /// How many sessions have ended by being cut.
    cut: Cell<u64>,
    /// A session ended.
    left: Notify,
}

impl<D: Dial> Worker<D> {
    pub(crate) fn new(
        config: &'static Config,
        counters: &'static Counters,
        observer: Arc<dyn Observer>,
        places: Arc<Places>,
        share: Allowance,
        upstream: D,
    ) -> Self {
        let headroom = [Direction::Inbound, Direction::Outbound].map(|way| config.policy.most_added(way));
        let headroom = headroom.into_iter().sum();
        Self {
            config,
            counters,
            observer,
            is_timed: config.admin.is_some() || config.access_log || config.time_first_byte,
            is_told_of_arrival: true,
            deadlines: Deadlines::new(config.timeouts.shortest()),
            memory: Memory::new(share.pipes, share.memory, headroom, &counters.memory),
            upstream,
            closing: Cell::default(),
            origin_is_gone: Cell::default(),
            places,
            cut: Cell::default(),
            left: Notify::new(),
        }
    }

    /// Bytes held for clients, with what only waits in pools given back.
    #[cfg(feature = "testing")]
    pub(crate) fn account(&self) -> usize {
        self.memory.account()
    }

    /// How far it is told to end, as far as that concerns its sessions.
    pub(super) fn closing(&self) -> Closing {
        self.closing.get()
    }

    /// Returns whether the application was found gone while draining: a client without an origin connection can have no
    /// more responses.
    pub(super) fn origin_is_gone(&self) -> bool {
        self.origin_is_gone.get()
    }

    /// A session begins.
    pub(super) fn join(&self) {
        self.counters.connections_opened.count();
    }

    /// A session ends.
    pub(super) fn leave(&self) {
        self.counters.connections_closed.count();
        self.places.give_back();
        self.left.notify_one();
    }

    /// A session with an exchange under way is cut.
    pub(super) fn count_cut(&self) {
        self.cut.set(self.cut.get() + 1);
    }

    /// How many sessions have ended, and of those by being cut.
    pub(super) fn ended(&self) -> (u64, u64) {
        (self.counters.connections_closed.value(), self.cut.get())
    }

    /// The application was found gone.
    pub(super) fn lose_origin(&self) {
        self.origin_is_gone.set(true);
        self.deadlines.wake_all();
    }

    pub(super) async fn await_empty(&self) {
        while self.counters.connections_opened.value() != self.counters.connections_closed.value() {
            self.left.notified().await;
        }
    }

    /// A tick of the sweep is over.
    pub(crate) fn tick(&self) {
        self.memory.wake_all();
        wake_waiting();
        if self.places.are_wanted() {
            self.deadlines.ask_for_a_place();
        }
    }

    /// Has every session look how far the worker is told to end.
    pub(crate) fn close(&self, closing: Closing) {
        self.closing.set(closing.max(self.closing.get()));
        self.deadlines.wake_all();
    }
}

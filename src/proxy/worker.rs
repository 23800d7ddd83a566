//! A worker: one thread, one current-thread runtime, one listener. What its sessions share is here, and its life: it
//! accepts until it is told to end, drains, and cuts what is left.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use super::Drained;
use super::deadline::Deadlines;
use super::handle::Closing;
use super::memory::Memory;
use super::session::Session;
use crate::config::Config;
use crate::net::dial::{Dial, Upstream, is_absent};
use crate::net::listener::{Accepting, Backlog, MOST_WAITING};
use crate::net::stream::{Peer, Stream};
use crate::ops::counters::Counters;
use crate::ops::log;
use crate::ops::trouble::{Fullness, Trouble};

/// How often a draining worker looks whether the application is still there.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// What the sessions of a worker share.
#[derive(Debug)]
pub(crate) struct Worker<D> {
    pub(super) config: &'static Config,
    pub(super) counters: &'static Counters,
    pub(crate) deadlines: Deadlines,
    pub(super) memory: Memory,
    pub(crate) upstream: D,
    /// A client that was accepted and waits for a slot: another worker took the last one.
    waiting: RefCell<Option<(Stream, Peer)>>,
    closing: Cell<Closing>,
    origin_is_gone: Cell<bool>,
    /// How many sessions there are.
    clients: Cell<usize>,
    /// How many more there may be, in all workers.
    slots: Arc<Semaphore>,
    /// How many sessions have ended, and of those by being cut.
    ended: Cell<usize>,
    cut: Cell<usize>,
    /// A session ended.
    left: Notify,
}

impl<D: Dial> Worker<D> {
    pub(crate) fn new(
        config: &'static Config,
        counters: &'static Counters,
        slots: Arc<Semaphore>,
        pipes: usize,
        upstream: D,
    ) -> Self {
        Self {
            config,
            counters,
            deadlines: Deadlines::new(config.timeouts.shortest()),
            memory: Memory::new(pipes),
            upstream,
            waiting: RefCell::default(),
            closing: Cell::default(),
            origin_is_gone: Cell::default(),
            clients: Cell::default(),
            slots,
            ended: Cell::default(),
            cut: Cell::default(),
            left: Notify::new(),
        }
    }

    /// How far it is told to end, as far as that concerns its sessions.
    pub(super) fn closing(&self) -> Closing {
        self.closing.get()
    }

    /// Tells whether the application was found gone while draining: a client without an origin connection can have no
    /// more responses.
    pub(super) fn origin_is_gone(&self) -> bool {
        self.origin_is_gone.get()
    }

    /// A session begins.
    pub(super) fn join(&self) {
        self.clients.set(self.clients.get() + 1);
        self.counters.connections_opened.count();
    }

    /// A session ends.
    pub(super) fn leave(&self) {
        self.clients.set(self.clients.get() - 1);
        self.counters.connections_closed.count();
        self.ended.set(self.ended.get() + 1);
        self.slots.add_permits(1);
        self.left.notify_one();
    }

    /// A session with an exchange under way is cut.
    pub(super) fn count_cut(&self) {
        self.cut.set(self.cut.get() + 1);
    }

    /// Has every session look how far the worker is told to end.
    pub(crate) fn close(&self, closing: Closing) {
        self.closing.set(closing.max(self.closing.get()));
        self.deadlines.wake_all();
    }
}

impl Worker<Upstream> {
    /// Waits for a slot, which the session gives back. The semaphore is never closed.
    async fn take_slot(&self) {
        if let Ok(slot) = self.slots.acquire().await {
            slot.forget();
        }
    }

    /// Serves a client in a slot taken for it.
    fn serve(self: &Rc<Self>, (client, peer): (Stream, Peer)) {
        drop(spawn_local(Session::new(Rc::clone(self), client, peer)));
    }

    async fn accept(self: &Rc<Self>, listener: &Accepting) -> Infallible {
        let (mut trouble, mut fullness) = (Trouble::default(), Fullness::default());
        loop {
            // Who was accepted is not held here: this may be given up at any time, and begun again.
            if self.waiting.borrow().is_none() {
                // A slot kept while nobody comes would be one less for the other workers.
                if self.slots.available_permits() == 0 {
                    fullness.tell();
                    drop(self.slots.acquire().await);
                }
                match listener.accept().await {
                    Ok(client) => {
                        trouble.is_over();
                        self.waiting.replace(Some(client));
                    }
                    Err(error) => {
                        trouble.pause(&error).await;
                        continue;
                    }
                }
            }
            self.take_slot().await;
            if let Some(client) = self.waiting.take() {
                self.serve(client);
            }
        }
    }

    /// Serves who waits in the backlog, closes the listener, and returns when all clients are gone.
    async fn finish(self: &Rc<Self>, listener: Accepting, closing: Closing) {
        match listener.into_backlog() {
            Err(error) => log::event(format_args!("cannot empty the backlog: {error}")),
            Ok(backlog) => self.empty(&backlog, closing).await,
        }
        self.close(closing);
        self.await_empty().await;
    }

    async fn empty(self: &Rc<Self>, backlog: &Backlog, closing: Closing) {
        let mut trouble = Trouble::default();
        // Who comes later than a full backlog came when it was to be closed.
        for _ in 0..=MOST_WAITING {
            let next = self.waiting.take().map_or_else(|| backlog.next(), |client| Ok(Some(client)));
            match next {
                Ok(Some(client)) => {
                    self.waiting.replace(Some(client));
                    if let Ok(slot) = self.slots.try_acquire() {
                        slot.forget();
                    } else {
                        // Who waits is served when others have closed.
                        self.close(closing);
                        self.take_slot().await;
                    }
                    if let Some(client) = self.waiting.take() {
                        self.serve(client);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.close(closing);
                    trouble.pause(&error).await;
                }
            }
        }
    }

    async fn await_empty(&self) {
        while self.clients.get() > 0 {
            self.left.notified().await;
        }
    }

    /// Returns when nothing listens where the application did.
    async fn await_origin_gone(&self) {
        loop {
            let dialled = self.upstream.dial(self.config.timeouts.connect).await;
            if dialled.is_err_and(|error| is_absent(&error)) {
                self.origin_is_gone.set(true);
                return self.deadlines.wake_all();
            }
            sleep(PROBE_PAUSE).await;
        }
    }

    /// Serves until it is told to end, and then as far as it may.
    async fn live(self: &Rc<Self>, listener: Accepting, mut orders: watch::Receiver<Closing>) -> Drained {
        let mut closing = tokio::select! {
            closing = ordered(&mut orders, Closing::Drain) => closing,
            never = self.accept(&listener) => match never {},
        };
        let before = (self.ended.get(), self.cut.get());
        let drain = self.config.drain;
        if closing == Closing::Drain {
            tokio::select! {
                ordered = ordered(&mut orders, Closing::Dismiss) => closing = ordered,
                () = sleep(drain.delay) => {}
                () = self.await_origin_gone() => {}
                never = self.accept(&listener) => match never {},
            }
        }
        let dismissal = async {
            if ordered(&mut orders, Closing::Dismiss).await == Closing::Dismiss {
                self.close(Closing::Dismiss);
                ordered(&mut orders, Closing::Cut).await;
            }
        };
        let looking = async {
            self.await_origin_gone().await;
            std::future::pending::<Infallible>().await
        };
        if closing < Closing::Cut {
            tokio::select! {
                () = self.finish(listener, closing) => {}
                () = dismissal => {}
                () = sleep(drain.timeout) => {}
                never = looking => match never {},
            }
        }
        self.close(Closing::Cut);
        self.await_empty().await;
        let cut = self.cut.get() - before.1;
        let finished = self.ended.get() - before.0 - cut;
        // Who waited for a slot to the last had one request at least to make.
        Drained { finished, cut: cut + usize::from(self.waiting.take().is_some()) }
    }
}

/// Serves until the orders and the clients have it end. Another task goes on alongside until `others` have ended too.
pub(super) async fn serve(
    worker: Worker<Upstream>,
    listener: Accepting,
    orders: watch::Receiver<Closing>,
    alongside: impl Future<Output = ()> + 'static,
    others: impl Future<Output = ()>,
) -> Drained {
    let worker = Rc::new(worker);
    let sessions = LocalSet::new();
    let sweeping = Rc::clone(&worker);
    sessions.spawn_local(async move { sweeping.deadlines.sweep().await });
    sessions.spawn_local(alongside);
    let lived = async {
        let drained = worker.live(listener, orders).await;
        others.await;
        drained
    };
    sessions.run_until(lived).await
}

/// The order to end, once it goes at least so far.
async fn ordered(orders: &mut watch::Receiver<Closing>, least: Closing) -> Closing {
    match orders.wait_for(|closing| *closing >= least).await {
        Ok(closing) => *closing,
        // Nobody is left who could order anything.
        Err(_) => std::future::pending().await,
    }
}

//! The life of a worker: it accepts until it is ordered to end, drains, and cuts what is left.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{spawn_local, unconstrained};
use tokio::time::sleep;

use super::Drained;
use super::handle::Closing;
use super::session::Session;
use super::sessions::Sessions;
use super::worker::Worker;
use crate::net::descriptors::are_exhausted;
use crate::net::dial::{Dial, Upstream, is_absent};
use crate::net::listener::{Accepting, MOST_WAITING};
use crate::net::stream::{Peer, Stream};
use crate::net::unsent::open_line;
use crate::ops::trouble::{Fullness, Trouble};

/// How often a draining worker looks whether the application is still there.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// A worker that lives.
struct Life {
    worker: Rc<Worker<Upstream>>,
    sessions: Sessions<Session<Upstream>>,
    /// A client that was accepted and waits for a place.
    waiting: RefCell<Option<(Stream, Peer)>>,
}

impl Life {
    /// Serves the client that waits, once it has a place.
    async fn serve_waiting(&self) {
        self.worker.places.take(|| self.worker.deadlines.ask_for_a_place()).await;
        self.serve();
    }

    /// Serves the client that waits, in a place taken for it.
    fn serve(&self) {
        match self.waiting.take() {
            Some((client, peer)) => self.sessions.add(Session::new(Rc::clone(&self.worker), client, peer)),
            None => self.worker.places.give_back(),
        }
    }

    async fn accept(&self, listener: &Accepting) -> Infallible {
        let (mut trouble, mut fullness) = (Trouble::default(), Fullness::default());
        loop {
            // Who was accepted is not held here: this may be given up at any time, and begun again.
            if self.waiting.borrow().is_none() {
                match listener.accept().await {
                    Ok(client) => {
                        trouble.is_over();
                        self.waiting.replace(Some(client));
                    }
                    Err(error) => {
                        // Where others have taken descriptors that were counted on, there are fewer places than it seems.
                        if are_exhausted(&error) {
                            self.worker.deadlines.ask_for_a_place();
                        }
                        trouble.pause(&error, &*self.worker.observer).await;
                        continue;
                    }
                }
            }
            if self.worker.places.try_take() {
                self.serve();
            } else {
                fullness.tell(&*self.worker.observer);
                self.serve_waiting().await;
            }
        }
    }

    /// Serves the clients that wait in the backlog, closes the listener, and returns when all clients are gone.
    async fn finish(&self, listener: Accepting, closing: Closing) {
        listener.turn_away();
        self.empty(&listener, closing).await;
        drop(listener);
        self.worker.close(closing);
        self.worker.await_empty().await;
    }

    async fn empty(&self, listener: &Accepting, closing: Closing) {
        let mut trouble = Trouble::default();
        // Clients beyond a full backlog came after the close was due.
        for _ in 0..=MOST_WAITING {
            let next = self.waiting.take().map_or_else(|| listener.try_accept(), |client| Ok(Some(client)));
            match next {
                Ok(Some(client)) => {
                    self.waiting.replace(Some(client));
                    if self.worker.places.try_take() {
                        self.serve();
                    } else {
                        // Who waits is served when others have closed.
                        self.worker.close(closing);
                        self.serve_waiting().await;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    self.worker.close(closing);
                    trouble.pause(&error, &*self.worker.observer).await;
                }
            }
        }
    }

    /// Returns when nothing listens where the application did.
    async fn await_origin_gone(&self) {
        loop {
            let dialled = self.worker.upstream.dial(self.worker.config.timeouts.connect).await;
            if dialled.is_err_and(|error| is_absent(&error)) {
                return self.worker.lose_origin();
            }
            sleep(PROBE_PAUSE).await;
        }
    }

    /// Serves until it is told to end, and then as far as it may.
    async fn live(&self, listener: Accepting, mut orders: watch::Receiver<Closing>) -> Drained {
        let mut closing = tokio::select! {
            closing = ordered(&mut orders, Closing::Drain) => closing,
            never = self.accept(&listener) => match never {},
        };
        let before = self.worker.ended();
        let drain = self.worker.config.drain;
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
                self.worker.close(Closing::Dismiss);
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
        self.worker.close(Closing::Cut);
        self.worker.await_empty().await;
        let (ended, cut) = self.worker.ended();
        let cut = cut - before.1;
        let finished = ended - before.0 - cut;
        // A client that still waits for a place counts as cut: it had a request at least.
        Drained { finished, cut: cut + u64::from(self.waiting.take().is_some()) }
    }
}

/// Serves until the orders and the clients have it end. Another task goes on alongside until `others` have ended too. Must be called
/// within a `LocalRuntime`.
pub(super) async fn serve(
    mut worker: Worker<Upstream>,
    listener: Accepting,
    orders: watch::Receiver<Closing>,
    alongside: impl Future<Output = ()> + 'static,
    others: impl Future<Output = ()>,
) -> Drained {
    worker.is_told_of_arrival = open_line();
    let worker = Rc::new(worker);
    let sweeping = Rc::clone(&worker);
    spawn_local(async move { sweeping.deadlines.sweep(|| sweeping.tick()).await });
    spawn_local(alongside);
    let life = Life { worker, sessions: Sessions::new(), waiting: RefCell::default() };
    // Sessions bound their turns themselves. One that `life` takes is polled after it, in the same turn.
    let serving = unconstrained(poll_fn(|context| {
        life.sessions.poll(context);
        Poll::<Infallible>::Pending
    }));
    let drained = tokio::select! {
        biased;
        drained = life.live(listener, orders) => drained,
        never = serving => match never {},
    };
    others.await;
    drained
}

/// The order to end, once it goes at least so far.
async fn ordered(orders: &mut watch::Receiver<Closing>, least: Closing) -> Closing {
    match orders.wait_for(|closing| *closing >= least).await {
        Ok(closing) => *closing,
        // Nobody is left who could order anything.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The set of sessions adds 72 bytes: with one byte more, each client would have a block of 640 bytes instead of 512.
    #[test]
    fn a_session_fits_a_block_of_512_bytes() {
        assert!(size_of::<Session<Upstream>>() <= 440, "{}", size_of::<Session<Upstream>>());
    }
}

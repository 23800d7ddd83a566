//! The places for clients, of all workers together. A client without a place waits, and somebody whose place is less dear gives way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// How long a client waits for somebody to give way before another is asked.
const PATIENCE: Duration = Duration::from_millis(20);

/// The places that are free, and who waits for one.
#[derive(Debug)]
pub(crate) struct Places {
    free: Semaphore,
    /// Shared by the clients of a worker that has nobody to ask, for as long as they wait.
    wanted: Arc<()>,
    /// A client has begun to linger.
    lingers: Notify,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        let free = Semaphore::new(count.min(Semaphore::MAX_PERMITS));
        Self { free, wanted: Arc::default(), lingers: Notify::new() }
    }

    /// Takes a place if one is free; its owner gives it back.
    pub(super) fn try_take(&self) -> bool {
        self.free.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// Takes a place. While none is free, asks for one: `ask` tells whether this worker has somebody who can give way; else the other
    /// workers are to look.
    pub(super) async fn take(&self, ask: impl Fn() -> bool) {
        while !self.try_take() {
            let lingers = self.lingers.notified();
            let wanting = (!ask()).then(|| Arc::clone(&self.wanted));
            let taken = tokio::select! {
                biased;
                taken = timeout(PATIENCE, self.free.acquire()) => taken.ok(),
                () = lingers => None,
            };
            drop(wanting);
            // The semaphore is never closed.
            if let Some(Ok(place)) = taken {
                return place.forget();
            }
        }
    }

    /// A client has begun to linger: it gives way first.
    pub(super) fn tell_of_lingering(&self) {
        self.lingers.notify_waiters();
    }

    pub(super) fn give_back(&self) {
        self.free.add_permits(1);
    }

    /// Returns whether another worker wants a place.
    pub(super) fn are_wanted(&self) -> bool {
        Arc::strong_count(&self.wanted) > 1
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn others_are_to_look_while_one_waits_that_has_nobody_to_ask() {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _within = runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        for has_somebody in [true, false] {
            let places = Places::new(0);
            let mut waiting = pin!(places.take(|| has_somebody));
            assert!(waiting.as_mut().poll(&mut context).is_pending());
            assert_ne!(places.are_wanted(), has_somebody);
            places.give_back();
            assert_eq!(waiting.poll(&mut context), Poll::Ready(()));
            assert!(!places.are_wanted());
        }
    }
}

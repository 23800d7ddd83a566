//! Coarse deadlines, swept by the worker.
//!
//! A runtime timer would cost a registration for each request. Here a deadline is a number in a table, written at will;
//! once a tick the worker looks through the table and wakes who is late. A wait is longer than its limit by up to two ticks.

use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;

/// The longest tick: looking through 10,000 deadlines takes some 20 µs, and a limit of seconds needs no better.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// The shortest tick, for limits of milliseconds as tests set them.
const SHORTEST_TICK: Duration = Duration::from_millis(5);

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(crate) struct Deadlines {
    tick: Duration,
    now: Cell<u64>,
    table: RefCell<Slab<Slot>>,
    first_came: Notify,
}

#[derive(Debug)]
struct Slot {
    /// In ticks.
    at: u64,
    waker: Waker,
}

/// A place in the table, counted from one. In 32 bits: a connection costs a descriptor, and those are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(NonZeroU32);

impl Key {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).map_or(NonZeroU32::MAX, |index| NonZeroU32::MIN.saturating_add(index)))
    }

    fn index(self) -> usize {
        usize::try_from(self.0.get() - 1).unwrap_or(usize::MAX)
    }
}

/// In 64 bits, enough for 500 years: each request divides by it.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Deadlines {
    /// A table for time limits of which the shortest is given.
    pub(super) fn new(shortest: Duration) -> Self {
        Self {
            tick: (shortest / 8).clamp(SHORTEST_TICK, LONGEST_TICK),
            now: Cell::new(0),
            table: RefCell::default(),
            first_came: Notify::new(),
        }
    }

    /// Takes a place; its task will be woken at every sweep past its deadline.
    pub(super) fn join(&self, waker: Waker) -> Key {
        let mut table = self.table.borrow_mut();
        if table.is_empty() {
            self.first_came.notify_one();
        }
        Key::new(table.insert(Slot { at: u64::MAX, waker }))
    }

    pub(super) fn leave(&self, key: Key) {
        self.table.borrow_mut().try_remove(key.index());
    }

    /// Sets a deadline that much from now.
    pub(super) fn set(&self, key: Key, wait: Duration) {
        if let Some(slot) = self.table.borrow_mut().get_mut(key.index()) {
            // The tick under way may be nearly over, so it does not count.
            let ticks = nanoseconds(wait).div_ceil(nanoseconds(self.tick));
            slot.at = self.now.get().saturating_add(ticks).saturating_add(1);
        }
    }

    pub(super) fn has_passed(&self, key: Key) -> bool {
        self.table.borrow().get(key.index()).is_some_and(|slot| slot.at <= self.now.get())
    }

    /// Wakes everyone, as when all must look at what has changed.
    pub(super) fn wake_all(&self) {
        self.table.borrow().iter().for_each(|(_, slot)| slot.waker.wake_by_ref());
    }

    /// Sweeps the table, for ever. While it is empty, sleeps.
    pub(super) async fn sweep(&self) {
        loop {
            if self.table.borrow().is_empty() {
                self.first_came.notified().await;
            }
            tokio::time::sleep(self.tick).await;
            self.tick();
        }
    }

    /// A tick is over: wakes everyone who is late.
    pub(crate) fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        for (_, slot) in self.table.borrow().iter() {
            if slot.at <= now {
                slot.waker.wake_by_ref();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::time::{advance, timeout};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn is(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn place(deadlines: &Deadlines) -> (Key, Arc<Count>) {
        let count = Arc::<Count>::default();
        (deadlines.join(Arc::clone(&count).into()), count)
    }

    #[test]
    fn who_is_late_is_woken_at_every_tick() {
        let deadlines = Deadlines::new(Duration::from_millis(80));
        assert_eq!(deadlines.tick, Duration::from_millis(10));
        let ((late, late_count), (_, never_count)) = (place(&deadlines), place(&deadlines));
        deadlines.set(late, Duration::from_millis(21));
        for passed in [false, false, false, true, true] {
            deadlines.tick();
            assert_eq!(deadlines.has_passed(late), passed);
        }
        assert_eq!((late_count.is(), never_count.is()), (2, 0));
        deadlines.wake_all();
        assert_eq!((late_count.is(), never_count.is()), (3, 1));
        deadlines.leave(late);
        deadlines.tick();
        deadlines.wake_all();
        assert_eq!((late_count.is(), never_count.is()), (3, 2));
        assert!(!deadlines.has_passed(late));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_swept_while_it_is_not_empty() {
        let deadlines = Deadlines::new(Duration::from_millis(80));
        let sweeping = async {
            advance(Duration::from_secs(1)).await;
            let (key, count) = place(&deadlines);
            deadlines.set(key, Duration::from_millis(10));
            tokio::time::sleep(Duration::from_millis(15)).await;
            assert_eq!(count.is(), 0, "it is woken no sooner");
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(count.is(), 1);
        };
        let ended = timeout(Duration::from_secs(9), async {
            tokio::select! {
                () = sweeping => {}
                () = deadlines.sweep() => {}
            }
        });
        ended.await.expect("it ends in time");
    }
}

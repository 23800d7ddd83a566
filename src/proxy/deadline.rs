//! Coarse deadlines, swept by the worker; and which of its clients give way to others.
//!
//! A runtime timer would cost a registration for each request. Here a deadline is a number in a table, written at will;
//! once per tick the worker goes through the table and wakes those that are late. A wait is longer than its limit by up to two ticks, one with a look
//! in its midst by up to four; and by as long as the process is stopped, in which nobody could be served.
//!
//! What a session waits for also says how valuable its place is, so the table knows which one should give way.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::num::NonZeroU32;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;

use super::memory::LEAST;
use crate::ops::reason::GaveWay;

/// The longest tick: looking through 10,000 deadlines takes some 20 µs, and a limit of seconds needs no better.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// The shortest tick, for limits of milliseconds as tests set them.
const SHORTEST_TICK: Duration = Duration::from_millis(5);

/// How long a client is left alone in which nothing moves, though others wait: a request may be on its way, or the response to one that has
/// ended.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// In nanoseconds, as all times.
    tick: u64,
    /// When the tick under way began.
    now: Cell<u64>,
    /// Rises with each tick and each call: who has seen it has nothing to look for.
    epoch: Cell<u64>,
    table: RefCell<Slab<Slot>>,
    first_came: Notify,
}

#[derive(Debug)]
struct Slot {
    at: u64,
    /// As what it would give way, and since when. `None`: it is served.
    standing: Option<GaveWay>,
    since: u64,
    /// Bytes that it holds of a head that is not finished.
    head: usize,
    /// Why it is to give way now.
    call: Option<GaveWay>,
    /// Whether it is woken at each tick, late or not.
    is_watched: bool,
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

/// What a session must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Its deadline has passed.
    Late,
    /// Others want what it has.
    GiveWay(GaveWay),
}

impl Deadlines {
    /// A table for time limits of which the shortest is given.
    pub(super) fn new(shortest: Duration) -> Self {
        Self {
            tick: nanoseconds((shortest / 8).clamp(SHORTEST_TICK, LONGEST_TICK)),
            now: Cell::new(0),
            epoch: Cell::new(0),
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
        let since = self.now.get();
        let slot = Slot { at: u64::MAX, standing: None, since, head: 0, call: None, is_watched: false, waker };
        Key::new(table.insert(slot))
    }

    pub(super) fn leave(&self, key: Key) {
        self.table.borrow_mut().try_remove(key.index());
    }

    /// Sets a deadline that much from now, and what is waited for: no head, unless that is said afterwards.
    pub(super) fn set(&self, key: Key, wait: Duration, standing: Option<GaveWay>) {
        if let Some(slot) = self.table.borrow_mut().get_mut(key.index()) {
            slot.at = self.after(self.now.get(), wait);
            (slot.standing, slot.since, slot.head) = (standing, self.now.get(), 0);
        }
    }

    /// Sets the deadline that much from now, of what is waited for already.
    pub(super) fn put_off(&self, key: Key, wait: Duration) {
        if let Some(slot) = self.table.borrow_mut().get_mut(key.index()) {
            slot.at = self.after(self.now.get(), wait);
        }
    }

    /// Has the session woken at each tick, or no longer.
    pub(super) fn watch(&self, key: Key, is_watched: bool) {
        if let Some(slot) = self.table.borrow_mut().get_mut(key.index()) {
            slot.is_watched = is_watched;
        }
    }

    /// Records how much is held of an unfinished head.
    pub(super) fn hold_head(&self, key: Key, bytes: usize) {
        if let Some(slot) = self.table.borrow_mut().get_mut(key.index()) {
            slot.head = bytes;
        }
    }

    /// When the tick under way began.
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// The time from which on so much has passed since another. The tick that was under way may have been nearly over, so it does not count.
    fn after(&self, since: u64, wait: Duration) -> u64 {
        since.saturating_add(nanoseconds(wait)).saturating_add(self.tick)
    }

    /// Returns whether so much time has passed since then, at the least.
    pub(super) fn is_past(&self, since: u64, wait: Duration) -> bool {
        self.now.get() >= self.after(since, wait)
    }

    /// What a session must do now, if anything, that has looked last in that epoch.
    pub(super) fn due(&self, key: Key, seen: &mut u64) -> Option<Due> {
        if std::mem::replace(seen, self.epoch.get()) == self.epoch.get() {
            return None;
        }
        let mut table = self.table.borrow_mut();
        let slot = table.get_mut(key.index())?;
        let late = (slot.at <= self.now.get()).then_some(Due::Late);
        slot.call.take().map(Due::GiveWay).or(late)
    }

    /// Asks the session whose place is the least dear to give it up. Returns whether there was one.
    pub(crate) fn ask_for_a_place(&self) -> bool {
        let mut table = self.table.borrow_mut();
        let standing = |slot: &Slot| {
            let standing = slot.standing.filter(|_| slot.call.is_none())?;
            let is_left_alone = standing != GaveWay::Lingering && !self.is_past(slot.since, LEFT_ALONE);
            (!is_left_alone).then_some((standing, slot.since))
        };
        self.epoch.set(self.epoch.get() + 1);
        let next = table.iter_mut().filter_map(|(_, slot)| Some((standing(slot)?, slot))).min_by_key(|(key, _)| *key);
        next.map(|((standing, _), slot)| slot.call(standing)).is_some()
    }

    /// Asks the session that holds the largest unfinished head to give it up, of several the oldest, unless what those hold that were asked
    /// already is enough. Returns whether there was one.
    pub(crate) fn ask_for_memory(&self, enough: usize) -> bool {
        let mut table = self.table.borrow_mut();
        self.epoch.set(self.epoch.get() + 1);
        let called = table.iter().filter(|(_, slot)| slot.call == Some(GaveWay::Memory));
        if called.map(|(_, slot)| slot.head).sum::<usize>() >= enough {
            return true;
        }
        let large = table.iter_mut().filter(|(_, slot)| slot.head > LEAST && slot.call.is_none());
        let largest = large.max_by_key(|(_, slot)| (slot.head, Reverse(slot.since)));
        largest.map(|(_, slot)| slot.call(GaveWay::Memory)).is_some()
    }

    /// Wakes everyone, as when all must look at what has changed.
    pub(super) fn wake_all(&self) {
        self.table.borrow().iter().for_each(|(_, slot)| slot.waker.wake_by_ref());
    }

    /// Sweeps the table, for ever, and does what else is to be done with each tick. While it is empty, sleeps.
    pub(super) async fn sweep(&self, each: impl Fn()) {
        loop {
            if self.table.borrow().is_empty() {
                self.first_came.notified().await;
            }
            tokio::time::sleep(Duration::from_nanos(self.tick)).await;
            self.tick();
            each();
        }
    }

    /// A tick is over: wakes everyone who is late.
    pub(crate) fn tick(&self) {
        let now = self.now.get().saturating_add(self.tick);
        self.now.set(now);
        self.epoch.set(self.epoch.get() + 1);
        for (_, slot) in self.table.borrow().iter() {
            if slot.at <= now || slot.is_watched {
                slot.waker.wake_by_ref();
            }
        }
    }
}

fn nanoseconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_mul(1_000_000_000).saturating_add(wait.subsec_nanos().into())
}

impl Slot {
    /// Makes the session look at once.
    fn call(&mut self, why: GaveWay) {
        self.call = Some(why);
        self.waker.wake_by_ref();
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
        assert_eq!(deadlines.tick, 10_000_000);
        let ((late, late_count), (_, never_count)) = (place(&deadlines), place(&deadlines));
        deadlines.set(late, Duration::from_millis(21), None);
        let mut seen = 0;
        for passed in [false, false, false, true, true] {
            deadlines.tick();
            assert_eq!(deadlines.due(late, &mut seen).is_some(), passed);
        }
        assert_eq!((late_count.is(), never_count.is()), (2, 0));
        deadlines.wake_all();
        assert_eq!((late_count.is(), never_count.is()), (3, 1));
        deadlines.leave(late);
        deadlines.tick();
        deadlines.wake_all();
        assert_eq!((late_count.is(), never_count.is()), (3, 2));
        assert_eq!(deadlines.due(late, &mut seen), None);
    }

    /// It need not wait for the next tick.
    #[test]
    fn who_is_asked_to_give_way_sees_it_at_once() {
        let deadlines = Deadlines::new(Duration::from_secs(8));
        let ((idle, _), (lingering, count)) = (place(&deadlines), place(&deadlines));
        deadlines.set(idle, Duration::MAX, Some(GaveWay::Idle));
        assert!(!deadlines.ask_for_a_place(), "it is left alone for a moment");
        let mut seen = deadlines.epoch.get();
        deadlines.set(lingering, Duration::MAX, Some(GaveWay::Lingering));
        assert!(deadlines.ask_for_a_place(), "nothing is to come of it");
        assert_eq!(deadlines.due(lingering, &mut seen), Some(Due::GiveWay(GaveWay::Lingering)));
        assert_eq!((deadlines.due(lingering, &mut seen), count.is()), (None, 1));
    }

    #[test]
    fn the_largest_head_above_the_least_gives_way_unless_enough_do() {
        let deadlines = Deadlines::new(Duration::from_secs(8));
        let [(least, _), (large, _), (larger, _)] = [(); 3].map(|()| place(&deadlines));
        let mut seen = [deadlines.epoch.get(); 3];
        deadlines.hold_head(least, LEAST);
        assert!(!deadlines.ask_for_memory(1), "that much each may have");
        deadlines.hold_head(large, LEAST + 1);
        deadlines.hold_head(larger, LEAST + 2);
        assert!(deadlines.ask_for_memory(1) && deadlines.ask_for_memory(LEAST + 2));
        let due = |key, seen: &mut u64| deadlines.due(key, seen);
        let gives_way = Some(Due::GiveWay(GaveWay::Memory));
        assert_eq!(
            [due(least, &mut seen[0]), due(large, &mut seen[1]), due(larger, &mut seen[2])],
            [None, None, gives_way]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_swept_while_it_is_not_empty() {
        let deadlines = Deadlines::new(Duration::from_millis(80));
        let sweeping = async {
            advance(Duration::from_secs(1)).await;
            let (key, count) = place(&deadlines);
            deadlines.set(key, Duration::from_millis(10), None);
            tokio::time::sleep(Duration::from_millis(15)).await;
            assert_eq!(count.is(), 0, "it is woken no sooner");
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(count.is(), 1);
        };
        let ended = timeout(Duration::from_secs(9), async {
            tokio::select! {
                () = sweeping => {}
                () = deadlines.sweep(|| ()) => {}
            }
        });
        ended.await.expect("it ends in time");
    }
}

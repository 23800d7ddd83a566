//! What the sessions of a worker lend each other (a scratch buffer, buffers for what could not be written at once, pipes),
//! and the budget that all of it stays within.
//!
//! Before bytes are read that may have to be held, there must be room for them. Without room, reading waits; but a client may
//! always hold [`LEAST`], so that everybody makes progress, if only a little. That may exceed the budget: then the session with the largest
//! unfinished head gives way by itself.

use std::cell::{Cell, RefCell, RefMut};
use std::task::Waker;

use bytes::BytesMut;

use crate::http1::Edits;
use crate::net::pipe::{self, Pipe};
use crate::ops::Record;
use crate::ops::counters::Gauge;

/// Bytes read at once. Measured on bodies of 1 MiB: more than 64 KiB gains nothing on loopback.
pub(super) const SCRATCH: usize = 64 * 1024;

/// Bytes of the buffers that wait in the pool; more are given back to the allocator.
const POOLED: usize = 4 * 1024 * 1024;

/// Bytes that each client may hold whatever the others do: a usual head.
pub(super) const LEAST: usize = 4096;

/// The part of the budget that must be free before those who wait are woken, all at once: a sixteenth.
const WORTH_WAKING: usize = 16;

/// The part of the budget that is left to what each client may always hold: an eighth.
const SPARED: usize = 8;

/// What one session at a time works with.
#[derive(Debug)]
pub(super) struct Lent {
    /// Where bytes are read to, after the room that is kept for lines added to a head.
    pub(super) scratch: Box<[u8]>,
    /// What of a head is forwarded.
    pub(super) edits: Edits,
}

/// The memory and the pipes that the sessions of a worker share.
#[derive(Debug)]
pub(super) struct Memory {
    lent: RefCell<Lent>,
    buffers: RefCell<Vec<BytesMut>>,
    /// Bytes of these; ≤ [`POOLED`].
    pooled: Cell<usize>,
    /// Bytes that are kept free before those held for a client, of both directions.
    headroom: usize,
    pipes: RefCell<Vec<Pipe>>,
    /// How many pipes may still be opened.
    unopened: Cell<usize>,
    /// Whether they are of use here.
    has_pipes: Cell<bool>,
    /// Bytes that may be held, except for those that are spared, and that are: pooled ones too, except for idle pipes, in which the kernel
    /// keeps nothing.
    budget: usize,
    held: Cell<usize>,
    gauge: &'static Gauge,
    /// Who waits for room, and the number of this round of waiting: each joins it once.
    waiting: RefCell<Vec<Waker>>,
    round: Cell<u32>,
}

impl Memory {
    /// With at most that many pipes, and so many bytes; so many are kept free before those held for a client.
    pub(super) fn new(pipes: usize, budget: usize, headroom: usize, gauge: &'static Gauge) -> Self {
        Self {
            lent: RefCell::new(Lent { scratch: vec![0; headroom + SCRATCH].into(), edits: Edits::default() }),
            buffers: RefCell::default(),
            pooled: Cell::new(0),
            headroom,
            pipes: RefCell::default(),
            unopened: Cell::new(pipes),
            has_pipes: Cell::new(true),
            budget: budget - budget / SPARED,
            held: Cell::new(0),
            gauge,
            waiting: RefCell::default(),
            round: Cell::new(1),
        }
    }

    /// What a session is lent for as long as nothing is awaited.
    pub(super) fn lend(&self) -> RefMut<'_, Lent> {
        self.lent.borrow_mut()
    }

    /// How many bytes may be read for a client that holds so many.
    pub(super) fn room(&self, own: usize) -> usize {
        if self.left() >= 2 * SCRATCH { SCRATCH } else { self.scarce_room(own) }
    }

    #[cold]
    fn scarce_room(&self, own: usize) -> usize {
        // What waits in the pool is of more use elsewhere.
        self.trim();
        // A buffer grows by as much again, as a rule, and the free bytes before what it holds count too.
        (self.left() / 2).max(LEAST.saturating_sub(own.saturating_sub(self.headroom))).min(SCRATCH)
    }

    /// Bytes of the budget that anyone may take.
    fn left(&self) -> usize {
        self.budget.saturating_sub(self.held.get())
    }

    /// Returns whether nothing may be held but what each client always may.
    pub(super) fn is_full(&self) -> bool {
        if self.left() == 0 {
            self.trim();
        }
        self.left() == 0
    }

    /// Returns whether somebody must give way.
    pub(super) fn is_short(&self) -> bool {
        let left = self.left();
        // Of less than two bytes nobody may read any: see `scarce_room`.
        left < self.worth_waking() && (left == 0 || !self.waiting.borrow().is_empty())
    }

    /// How many bytes must be free before those who wait are woken.
    pub(super) fn worth_waking(&self) -> usize {
        (self.budget / WORTH_WAKING).max(2)
    }

    /// Wakes this task when there is room again; the round in which it began to wait is remembered.
    pub(super) fn wait(&self, since: &mut u32, waker: &Waker) {
        if *since != self.round.get() {
            *since = self.round.get();
            self.waiting.borrow_mut().push(waker.clone());
        }
    }

    /// Wakes all that wait.
    pub(super) fn wake_all(&self) {
        let waiting = self.waiting.take();
        if !waiting.is_empty() {
            self.round.set(self.round.get().wrapping_add(1));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn charge(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
        self.gauge.set(self.held.get());
    }

    fn discharge(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
        self.gauge.set(self.held.get());
        if !self.waiting.borrow().is_empty() && !self.is_short() {
            self.wake_all();
        }
    }

    /// Bytes that are held, with what is pooled given back.
    #[cfg(feature = "testing")]
    pub(super) fn account(&self) -> usize {
        self.trim();
        self.held.get()
    }

    /// Gives what is pooled back to the allocator.
    fn trim(&self) {
        drop(self.buffers.take());
        self.discharge(self.pooled.take());
    }

    /// A buffer with these bytes in it.
    pub(super) fn hold(&self, bytes: &[u8]) -> BytesMut {
        self.hold_behind(0, bytes)
    }

    /// A buffer with these bytes in it, and room before them.
    pub(super) fn hold_behind(&self, room: usize, bytes: &[u8]) -> BytesMut {
        let mut buffer = self.buffers.borrow_mut().pop().unwrap_or_default();
        self.pooled.set(self.pooled.get() - buffer.capacity());
        self.grow(&mut buffer, room + bytes.len());
        buffer.resize(room, 0);
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Holds more bytes after those of a buffer.
    pub(super) fn extend(&self, buffer: &mut BytesMut, bytes: &[u8]) {
        self.grow(buffer, bytes.len());
        buffer.extend_from_slice(bytes);
    }

    /// Has a buffer have room for so many bytes more. It grows by as much again while that is left, else by what is needed.
    #[inline]
    fn grow(&self, buffer: &mut BytesMut, more: usize) {
        let (capacity, needed) = (buffer.capacity(), buffer.len() + more);
        if needed > capacity {
            let doubled = needed.max(2 * capacity);
            let mut grown = BytesMut::with_capacity(if doubled <= self.left() / 2 { doubled } else { needed });
            grown.extend_from_slice(buffer);
            self.charge(grown.capacity());
            *buffer = grown;
            self.discharge(capacity);
        }
    }

    /// Takes a buffer back.
    pub(super) fn release(&self, mut buffer: BytesMut) {
        buffer.clear();
        let capacity = buffer.capacity();
        let pooled = self.pooled.get() + capacity;
        if (1..=SCRATCH).contains(&capacity) && pooled <= POOLED && self.waiting.borrow().is_empty() {
            self.pooled.set(pooled);
            self.buffers.borrow_mut().push(buffer);
        } else {
            drop(buffer);
            self.discharge(capacity);
        }
    }

    /// Holds the note of an exchange.
    pub(super) fn hold_record(&self, record: Record) -> Box<Record> {
        self.charge(record.footprint());
        Box::new(record)
    }

    /// Takes a note back.
    pub(super) fn release_record(&self, record: Box<Record>) {
        let footprint = record.footprint();
        drop(record);
        self.discharge(footprint);
    }

    /// An empty pipe. `None`: there is no room or none left, or the kernel gives no more.
    pub(super) fn pipe(&self) -> Option<Pipe> {
        if !self.has_pipes.get() || self.left() < pipe::SIZE {
            return None;
        }
        let mut lent = self.pipes.borrow_mut().pop();
        if lent.is_none() && self.unopened.get() > 0 {
            lent = Pipe::open().ok();
            self.unopened.set(self.unopened.get() - usize::from(lent.is_some()));
        }
        self.charge(if lent.is_some() { pipe::SIZE } else { 0 });
        lent
    }

    /// Takes a pipe back; one that holds bytes is closed.
    pub(super) fn release_pipe(&self, pipe: Pipe) {
        self.discharge(pipe::SIZE);
        if pipe.held() == 0 {
            self.pipes.borrow_mut().push(pipe);
        } else {
            self.unopened.set(self.unopened.get() + 1);
        }
    }

    /// Lends no more pipes, since the kernel does not splice here.
    pub(super) fn renounce_pipes(&self) {
        self.has_pipes.set(false);
        self.pipes.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::Wake;
    use std::time::Instant;

    use super::*;
    use crate::http1::LogFields;

    /// How often a waker was called.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    const BUDGET: usize = 8 * 1024 * 1024;

    fn memory(pipes: usize, budget: usize) -> Memory {
        Memory::new(pipes, budget, 0, Box::leak(Box::default()))
    }

    #[test]
    fn buffers_are_used_again_unless_they_are_large_or_many() {
        let memory = memory(0, BUDGET);
        let pooled = |memory: &Memory| memory.buffers.borrow().len();
        let buffer = memory.hold(b"a few bytes");
        let place = buffer.as_ptr();
        memory.release(buffer);
        assert_eq!(pooled(&memory), 1);
        let buffer = memory.hold(b"others");
        assert_eq!((buffer.as_ptr(), &*buffer, pooled(&memory)), (place, &b"others"[..], 0));
        memory.release(BytesMut::new());
        let large = memory.hold(&vec![0; SCRATCH + 1]);
        memory.release(large);
        assert_eq!(pooled(&memory), 0);
        let most = POOLED / SCRATCH;
        let buffers: Vec<_> = (0..=most).map(|_| memory.hold(&vec![0; SCRATCH])).collect();
        for buffer in buffers {
            memory.release(buffer);
        }
        assert_eq!((pooled(&memory), memory.pooled.get()), (most, POOLED));
        let held: Vec<_> = (0..most).map(|_| memory.hold(b"")).collect();
        assert_eq!((pooled(&memory), memory.pooled.get(), held.len()), (0, 0, most));
    }

    #[test]
    fn pipes_are_bounded_and_lent_again() {
        let memory = memory(2, BUDGET);
        let (one, two) = (memory.pipe().expect("a pipe"), memory.pipe().expect("a pipe"));
        assert!(memory.pipe().is_none());
        memory.release_pipe(one);
        memory.release_pipe(two);
        assert!(memory.pipe().is_some());
        memory.renounce_pipes();
        assert!(memory.pipe().is_none());
    }

    /// All that is held is counted to the byte, and given back is given back.
    #[test]
    fn the_account_is_what_is_held() {
        let memory = memory(1, BUDGET);
        let (mut one, two) = (memory.hold(&[1; 1000]), memory.hold(&[2; 3000]));
        memory.extend(&mut one, &[1; 5000]);
        assert_eq!((&one[..], memory.held.get()), (&[1; 6000][..], one.capacity() + two.capacity()));
        let pipe = memory.pipe().expect("a pipe");
        let record = memory.hold_record(Record::of(b"", Instant::now(), &LogFields::default()));
        let held = one.capacity() + two.capacity() + pipe::SIZE + size_of::<Record>();
        assert_eq!((memory.held.get(), memory.gauge.value()), (held, u64::try_from(held).expect("few")));
        memory.release_pipe(pipe);
        memory.release(one);
        memory.release(two);
        memory.release_record(record);
        assert_eq!(memory.account(), 0);
    }

    /// A buffer that must grow for what is read doubles, as a rule.
    #[test]
    fn where_little_is_left_half_of_it_is_read() {
        let memory = memory(0, 8 * SCRATCH);
        let held: Vec<_> = std::iter::repeat_with(|| memory.hold(&vec![0; SCRATCH])).take(6).collect();
        assert_eq!((memory.left(), memory.room(LEAST)), (SCRATCH, SCRATCH / 2));
        memory.discharge(SCRATCH / 2);
        assert_eq!(memory.room(LEAST), SCRATCH / 4 * 3);
        drop(held);
    }

    #[test]
    fn a_buffer_that_is_full_has_room_for_as_much_again() {
        let memory = memory(0, BUDGET);
        let mut buffer = memory.hold(&[1; 1000]);
        let (place, left) = (buffer.as_ptr(), buffer.capacity() - buffer.len());
        memory.extend(&mut buffer, &vec![2; left]);
        assert_eq!(buffer.as_ptr(), place, "it had room");
        let capacity = buffer.capacity();
        memory.extend(&mut buffer, &[3]);
        assert_eq!(buffer.capacity(), 2 * capacity);
    }

    /// What waits in the pool is nobody's, and the last pipe may take all that is left.
    #[test]
    fn all_of_the_budget_can_be_had() {
        let memory = memory(1, BUDGET);
        memory.charge(memory.left() - pipe::SIZE);
        assert!(memory.pipe().is_some() && memory.is_full());
        memory.discharge(SCRATCH);
        let buffer = memory.hold(&vec![0; SCRATCH]);
        assert!(memory.is_full());
        memory.release(buffer);
        assert!(memory.left() == 0 && !memory.is_full());
    }

    #[test]
    fn others_give_way_to_who_waits_until_enough_is_free_for_all() {
        let memory = memory(0, BUDGET);
        assert_eq!(memory.worth_waking(), memory.budget / WORTH_WAKING);
        memory.charge(memory.left() - memory.worth_waking());
        let (mut since, woken) = (0, Arc::<Count>::default());
        memory.wait(&mut since, &Waker::from(Arc::clone(&woken)));
        assert!(!memory.is_short(), "enough is free");
        memory.charge(2);
        assert!(memory.is_short());
        memory.discharge(1);
        assert_eq!(woken.0.load(Relaxed), 0, "not yet");
        memory.discharge(1);
        assert_eq!(woken.0.load(Relaxed), 1);
        memory.charge(1);
        assert!(!memory.is_short(), "nobody waits");
    }

    /// With the budget used up, reading waits, pipes are not lent, and each client has its least.
    #[test]
    fn without_room_a_client_has_its_least() {
        let memory = memory(1, 1024 * 1024);
        assert_eq!(memory.room(0), SCRATCH);
        let all: Vec<_> = std::iter::repeat_with(|| memory.hold(&vec![0; SCRATCH])).take(14).collect();
        assert!(memory.is_short() && memory.pipe().is_none());
        assert_eq!([0, 1000, LEAST].map(|own| memory.room(own)), [LEAST, LEAST - 1000, 0]);
        let (mut since, woken) = (0, Arc::<Count>::default());
        let waker = Waker::from(Arc::clone(&woken));
        memory.wait(&mut since, &waker);
        memory.wait(&mut since, &waker);
        assert_eq!((memory.waiting.borrow().len(), woken.0.load(Relaxed)), (1, 0));
        for buffer in all {
            memory.release(buffer);
        }
        assert!(memory.waiting.borrow().is_empty() && !memory.is_short());
        assert_eq!(woken.0.load(Relaxed), 1);
    }
}

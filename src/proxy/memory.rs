//! What the sessions of a worker lend each other: a scratch buffer, buffers for what could not be written at once, pipes.

use std::cell::{Cell, RefCell, RefMut};

use bytes::BytesMut;

use crate::http1::Edits;
use crate::http1::edits::MAX_ADDED;
use crate::net::pipe::Pipe;
use crate::ops::access::Record;

/// Bytes read at once. Measured on bodies of 1 MiB: more than 64 KiB gains nothing on loopback.
const SCRATCH: usize = 64 * 1024;

/// Buffers, and notes, that wait in the pool; more are given back to the allocator.
const POOLED_BUFFERS: usize = 64;

/// The largest buffer that is pooled, in bytes.
const POOLED_CAPACITY: usize = SCRATCH;

/// Bytes kept free before those that are read or held: a line may be added to a head.
pub(super) const HEADROOM: usize = MAX_ADDED;

/// The note of an exchange as connections hold it: most hold none.
pub(super) type Pooled = Box<Record>;

/// What one session at a time works with.
#[derive(Debug)]
pub(super) struct Lent {
    /// Where bytes are read to, behind [`HEADROOM`].
    pub(super) scratch: Box<[u8]>,
    /// What of a head goes on.
    pub(super) edits: Edits,
}

/// The memory and the pipes that the sessions of a worker share.
#[derive(Debug)]
pub(super) struct Memory {
    lent: RefCell<Lent>,
    buffers: RefCell<Vec<BytesMut>>,
    pipes: RefCell<Vec<Pipe>>,
    records: RefCell<Vec<Pooled>>,
    /// How many pipes may still be opened.
    unopened: Cell<usize>,
    /// Whether they are of use here.
    has_pipes: Cell<bool>,
}

impl Memory {
    /// With at most that many pipes.
    pub(super) fn new(pipes: usize) -> Self {
        Self {
            lent: RefCell::new(Lent { scratch: vec![0; HEADROOM + SCRATCH].into(), edits: Edits::default() }),
            buffers: RefCell::default(),
            pipes: RefCell::default(),
            records: RefCell::default(),
            unopened: Cell::new(pipes),
            has_pipes: Cell::new(true),
        }
    }

    /// What a session is lent for as long as nothing is awaited.
    pub(super) fn lend(&self) -> RefMut<'_, Lent> {
        self.lent.borrow_mut()
    }

    /// A buffer with these bytes in it, the first [`HEADROOM`] of which are free.
    pub(super) fn hold(&self, bytes: &[u8]) -> BytesMut {
        let mut buffer = self.buffers.borrow_mut().pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn release(&self, mut buffer: BytesMut) {
        buffer.clear();
        // Its capacity does not count what stands before its start; reclaiming tells.
        let is_pooled = buffer.try_reclaim(1) && !buffer.try_reclaim(POOLED_CAPACITY + 1);
        let mut buffers = self.buffers.borrow_mut();
        if is_pooled && buffers.len() < POOLED_BUFFERS {
            buffers.push(buffer);
        }
    }

    /// A note that may be of another exchange.
    pub(super) fn record(&self) -> Pooled {
        self.records.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a note back.
    pub(super) fn release_record(&self, record: Pooled) {
        let mut records = self.records.borrow_mut();
        if records.len() < POOLED_BUFFERS {
            records.push(record);
        }
    }

    /// An empty pipe. `None`: there is none left, or the kernel gives no more.
    pub(super) fn pipe(&self) -> Option<Pipe> {
        if !self.has_pipes.get() {
            return None;
        }
        let pooled = self.pipes.borrow_mut().pop();
        if pooled.is_some() || self.unopened.get() == 0 {
            return pooled;
        }
        let opened = Pipe::open().ok()?;
        self.unopened.set(self.unopened.get() - 1);
        Some(opened)
    }

    /// Takes a pipe back; one that holds bytes is closed.
    pub(super) fn release_pipe(&self, pipe: Pipe) {
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
    use super::*;

    #[test]
    fn buffers_are_used_again_unless_they_are_large_or_many() {
        let memory = Memory::new(0);
        let held = |memory: &Memory| memory.buffers.borrow().len();
        let buffer = memory.hold(b"a few bytes");
        let place = buffer.as_ptr();
        memory.release(buffer);
        assert_eq!(held(&memory), 1);
        let buffer = memory.hold(b"others");
        assert_eq!((buffer.as_ptr(), &*buffer, held(&memory)), (place, &b"others"[..], 0));
        memory.release(BytesMut::new());
        memory.release(BytesMut::with_capacity(POOLED_CAPACITY + 1));
        assert_eq!(held(&memory), 0);
        for _ in 0..=POOLED_BUFFERS {
            memory.release(BytesMut::with_capacity(POOLED_CAPACITY));
        }
        assert_eq!(held(&memory), POOLED_BUFFERS);
    }

    #[test]
    fn pipes_are_bounded_and_lent_again() {
        let memory = Memory::new(2);
        let (one, two) = (memory.pipe().expect("a pipe"), memory.pipe().expect("a pipe"));
        assert!(memory.pipe().is_none());
        memory.release_pipe(one);
        memory.release_pipe(two);
        assert!(memory.pipe().is_some());
        memory.renounce_pipes();
        assert!(memory.pipe().is_none());
    }
}

//! A connection that is only memory: the test holds the far end of the wire, and chooses how little it gives and takes.
//!
//! Between the two ends is what a kernel has there. What is written goes into a send queue, and from there to the far end as that takes it.
//! A close over bytes that were not read is a reset, and a reset destroys the queue. Closed otherwise, the queue still goes, and FIN behind
//! it; but the first byte that comes to a closed end is answered by a reset.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::net::stream::{Ended, Stream, Transport};
use crate::testing::Step;

/// The address of each near end.
pub(in crate::testing) const OWN: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 80);

/// What a side has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Open,
    /// FIN was sent.
    Finished,
    Reset,
}

/// Whose end of the connection the proxy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    Whole,
    /// The session has left it to depart.
    Departing,
    Closed,
}

/// The far end: what it has sent, what it has received; and what is under way to it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that happens or does not")]
pub(crate) struct Far {
    pub(crate) sent: VecDeque<u8>,
    pub(crate) sending: Side,
    /// FIN was sent, and perhaps a reset after it.
    has_finished: bool,
    pub(crate) received: Vec<u8>,
    /// What it has seen of the proxy's side.
    pub(crate) seen: Side,
    /// What of the near end is left.
    pub(crate) hold: Hold,
    /// Written, and not taken yet; and whether FIN stands behind that.
    queue: VecDeque<u8>,
    pub(crate) has_fin: bool,
    /// The most bytes that the queue holds.
    pub(crate) most_queued: usize,
    /// How much of what it has taken is acknowledged; `None`: all.
    pub(crate) acknowledged: Option<usize>,
    /// The kernel does not tell what is unsent.
    pub(crate) is_untold: bool,
    pub(crate) is_remote: bool,
    /// How the bytes went, for the near end: those of the client are what it wrote.
    pub(crate) history: Vec<Step>,
    /// Bytes that a close of ours destroyed.
    pub(crate) destroyed: usize,
    /// The bytes unsent when it was reset on purpose.
    pub(crate) reset_over: Option<usize>,
    is_to_be_reset: bool,
    /// Reads of the near end that brought something, since it was last looked at.
    pub(crate) reads: usize,
    /// With what the proxy must begin, which is taken off: neither received nor part of the history.
    pub(super) introduction: Introduction,
    /// For whose session it is.
    pub(crate) owner: usize,
    /// Ticks for which something was queued: in all, and since any was taken.
    pub(crate) queued_for: usize,
    pub(crate) still_for: usize,
    /// It was too slow for a limit.
    pub(crate) is_late: bool,
    /// The most bytes that go at once; 0: as many as there are.
    pub(crate) most: usize,
    /// Every other time it takes nothing, and a moment later something.
    pub(crate) stutters: bool,
    has_stuttered: bool,
    /// It takes nothing until it does again.
    pub(crate) is_full: bool,
    /// It is full once it has taken so many bytes.
    pub(crate) room: Option<usize>,
    /// It is gone for who writes to it.
    pub(crate) refuses: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The bytes with which a connection begins, and how many of them were written and have arrived.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    bytes: Vec<u8>,
    written: usize,
    arrived: usize,
}

impl Introduction {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, written: 0, arrived: 0 }
    }

    /// How many of the bytes that are written are of it.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let left = &self.bytes[self.written..];
        let count = left.len().min(bytes.len());
        assert!(bytes[..count] == left[..count], "an origin connection begins otherwise: {}", bytes.escape_ascii());
        self.written += count;
        count
    }

    /// How many of so many bytes that arrive are of it.
    fn arrive(&mut self, count: usize) -> usize {
        let count = count.min(self.bytes.len() - self.arrived);
        self.arrived += count;
        count
    }
}

impl Far {
    /// Like another, but for what has happened to that.
    pub(super) fn like(&mut self, other: &Self) {
        (self.most, self.stutters, self.is_full) = (other.most, other.stutters, other.is_full);
        self.room = other.room;
        (self.most_queued, self.is_remote, self.is_untold) = (other.most_queued, other.is_remote, other.is_untold);
        self.acknowledged = other.acknowledged;
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.hold != Hold::Closed {
            self.sent.extend(bytes);
        } else if !bytes.is_empty() && !self.queue.is_empty() {
            self.destroy();
        }
        self.wake();
    }

    pub(crate) fn end(&mut self, how: Side) {
        if self.sending == Side::Open || how == Side::Reset {
            self.sending = how;
            self.has_finished |= how == Side::Finished;
        }
        if how == Side::Reset {
            self.queue.clear();
        }
        self.wake();
    }

    /// Is gone for who writes to it.
    pub(crate) fn refuse(&mut self) {
        self.refuses = true;
        self.queue.clear();
        self.wake();
    }

    /// Takes so many bytes, and no more until it is told to.
    pub(crate) fn take(&mut self, count: usize) {
        (self.room, self.is_full) = (Some(count), count == 0);
        self.advance();
    }

    /// Takes what it takes, and has the proxy look again.
    pub(crate) fn wake(&mut self) {
        // Told to take again, it takes all.
        self.room = self.room.filter(|room| *room > 0 || self.is_full);
        self.advance();
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Tells whether it has ended by FIN and the proxy has read all before that.
    pub(crate) fn has_finished_and_was_read(&self) -> bool {
        self.has_finished && self.was_read()
    }

    /// Tells whether the proxy has read all.
    pub(crate) fn was_read(&self) -> bool {
        self.sent.is_empty()
    }

    /// What was written to it, though it was destroyed on its way.
    pub(super) fn went(&self) -> Vec<u8> {
        let written = self.history.iter().filter(|step| matches!(step, Step::Client(_)));
        written.flat_map(Step::bytes).copied().collect()
    }

    /// A tick is over. Who takes nothing for so many, or not all for so many, is late.
    pub(super) fn tick(&mut self, most_still: usize, most_queued: usize) {
        if self.queue.is_empty() {
            (self.queued_for, self.still_for) = (0, 0);
        } else {
            (self.queued_for, self.still_for) = (self.queued_for + 1, self.still_for + 1);
        }
        self.is_late |= self.still_for >= most_still || self.queued_for >= most_queued;
    }

    /// Moves what is queued to the far end, as far as that takes it.
    fn advance(&mut self) {
        let count = if self.is_full { 0 } else { self.queue.len().min(self.room.unwrap_or(usize::MAX)) };
        if count > 0 {
            let skipped = self.introduction.arrive(count);
            self.received.extend(self.queue.drain(..count).skip(skipped));
            self.room = self.room.map(|room| room - count);
            self.is_full = self.room == Some(0);
            self.still_for = 0;
            self.writer.take().into_iter().for_each(Waker::wake);
        }
        if self.has_fin && self.queue.is_empty() && self.seen == Side::Open {
            self.seen = Side::Finished;
        }
    }

    /// A reset of ours: what was under way does not arrive.
    fn destroy(&mut self) {
        self.destroyed += self.queue.len();
        self.queue.clear();
        self.seen = Side::Reset;
    }

    fn unsent(&self) -> usize {
        let taken = self.received.len();
        self.queue.len() + taken - self.acknowledged.unwrap_or(taken).min(taken)
    }

    /// Both sides have ended, and all has arrived.
    fn is_over(&self) -> bool {
        self.sending == Side::Finished && self.sent.is_empty() && self.seen == Side::Finished && self.unsent() == 0
    }

    /// How many of so many bytes go at once.
    fn share(&self, count: usize) -> usize {
        if self.most == 0 { count } else { count.min(self.most) }
    }

    /// How many bytes can be written.
    fn free(&self) -> usize {
        let taken = if self.is_full { 0 } else { self.room.unwrap_or(usize::MAX) };
        self.most_queued.saturating_sub(self.queue.len()).saturating_add(taken)
    }

    fn is_idle(&self) -> bool {
        self.sent.is_empty() && self.sending == Side::Open
    }

    /// Takes note of what was read or written.
    fn note(&mut self, step: Step) {
        match (self.history.last_mut(), step) {
            (Some(Step::Client(last)), Step::Client(more)) | (Some(Step::Origin(last)), Step::Origin(more)) => {
                last.extend(more);
            }
            (_, step) => self.history.push(step),
        }
    }
}

/// The proxy's end.
#[derive(Debug)]
pub(crate) struct Near {
    far: Rc<RefCell<Far>>,
    /// Whether a read was pending last, so that it will be woken.
    is_watched: bool,
}

impl Near {
    pub(crate) fn pair() -> (Self, Rc<RefCell<Far>>) {
        let far = Rc::default();
        (Self { far: Rc::clone(&far), is_watched: false }, far)
    }

    pub(super) fn far(&self) -> &Rc<RefCell<Far>> {
        &self.far
    }
}

impl Transport for Near {
    /// Each write tries.
    fn try_to_write(&mut self) {}

    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut far = self.far.borrow_mut();
        let count = far.share(far.sent.len().min(room.len()));
        self.is_watched = false;
        if count > 0 {
            for (place, byte) in room.iter_mut().zip(far.sent.drain(..count)) {
                *place = byte;
            }
            // In a kernel, what comes in little pieces is one.
            let is_whole = count == room.len() || far.sent.is_empty();
            far.reads += usize::from(is_whole);
            far.note(Step::Origin(room[..count].to_vec()));
            return Poll::Ready(Ok(count));
        }
        match far.sending {
            Side::Open => {
                self.is_watched = true;
                far.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Side::Finished => Poll::Ready(Ok(0)),
            Side::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut far = self.far.borrow_mut();
        assert!(far.seen == Side::Open && !far.has_fin, "nothing is written behind the end");
        if far.refuses || far.sending == Side::Reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        far.has_stuttered = far.stutters && !far.has_stuttered;
        let free = far.free();
        if free == 0 {
            far.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if far.has_stuttered {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = far.share(bytes.len()).min(free);
        far.queue.extend(&bytes[..count]);
        let introduced = far.introduction.write(&bytes[..count]);
        if introduced < count {
            far.note(Step::Client(bytes[introduced..count].to_vec()));
        }
        far.advance();
        Poll::Ready(Ok(count))
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let mut far = self.far.borrow_mut();
        self.is_watched = false;
        match far.sending {
            Side::Open => {
                far.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Side::Finished => Poll::Ready(Ended::Finished),
            Side::Reset => Poll::Ready(Ended::Reset),
        }
    }

    fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut far = self.far.borrow_mut();
        if far.sending == Side::Reset {
            return Poll::Ready(());
        }
        far.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn is_quiet(&self) -> bool {
        let far = self.far.borrow();
        self.is_watched && far.reader.is_some() && far.is_idle()
    }

    fn has_unread(&self) -> bool {
        !self.far.borrow().sent.is_empty()
    }

    fn shut_down_write(&self) -> io::Result<()> {
        let mut far = self.far.borrow_mut();
        if far.sending == Side::Reset {
            return Err(io::ErrorKind::NotConnected.into());
        }
        far.has_fin = true;
        far.advance();
        Ok(())
    }

    fn reset_on_close(&self) {
        self.far.borrow_mut().is_to_be_reset = true;
    }

    fn unsent(&self) -> Option<usize> {
        let far = self.far.borrow();
        (far.sending != Side::Reset && !far.refuses && !far.is_untold && !far.is_over()).then(|| far.unsent())
    }

    fn is_over(&self) -> bool {
        self.far.borrow().is_over()
    }

    fn is_remote(&self) -> bool {
        self.far.borrow().is_remote
    }

    fn own_address(&self) -> Option<SocketAddr> {
        Some(OWN.into())
    }

    fn in_kernel(&mut self) -> Option<&mut Stream> {
        None
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let has_unread = self.has_unread();
        let mut far = self.far.borrow_mut();
        far.hold = Hold::Closed;
        if far.is_to_be_reset {
            far.reset_over = Some(far.unsent());
        }
        if has_unread || far.is_to_be_reset {
            far.destroy();
        } else {
            far.has_fin = true;
            far.advance();
        }
    }
}

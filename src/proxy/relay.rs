//! One direction of a session: read, let the core judge, write; in one step, with nothing awaited in between, and in turns.
//!
//! Bytes are read into the worker's scratch buffer, judged there, and written from there. Only what could not be disposed
//! of (a partial head, a write that the sink did not take, bytes that wait for the other direction) moves to a buffer of the
//! connection's own, from the worker's pool, and that goes back when it is empty.
//!
//! The withheld parts of a head are cut out in place: the bytes before them, usually a few lines, move up. For added lines, room is kept
//! before the bytes.
//!
//! What needs no look and comes in bulk goes by a pipe instead; see `splice`.
//!
//! A request on a connection that has served before is kept until the first byte of its response: the origin may have
//! closed that connection already, and then the request can be sent again.

mod splice;
mod turn;
mod window;

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

pub(super) use self::turn::{MOST_MOVES, MOST_VERDICTS, Rest, Turn, yield_turn};
use self::window::{Window, narrow, widen, write};
use super::memory::{Lent, Memory};
use crate::http1::edits::Section;
use crate::http1::{Edits, Run, Verdict};
use crate::net::dial::Dial;
use crate::net::pipe::Pipe;
use crate::net::stream::Transport;
use crate::ops::counters::Means;

/// The bytes of one direction that are not done with. Those in the pipe, if there is one, go before those held.
#[derive(Debug)]
pub(super) struct Relay {
    held: BytesMut,
    /// Where the bytes held stand.
    window: Window,
    /// By how many bytes a head may grow: so many are kept free before what is to be judged.
    headroom: u16,
    /// Whether so much came at once that a pipe is worth it.
    is_bulky: bool,
    /// Never empty: an empty one is the pool's.
    pipe: Option<Pipe>,
}

impl Relay {
    /// With nothing in it, for heads that grow by at most so many bytes.
    pub(super) fn new(headroom: usize) -> Self {
        // Two bytes are enough, and fit beside the next field.
        let headroom = u16::try_from(headroom).unwrap_or(u16::MAX);
        Self { held: BytesMut::new(), window: Window::default(), headroom, is_bulky: false, pipe: None }
    }

    /// Moves what can be moved, until a socket or the other direction must move first, or the turn is over.
    pub(super) fn run<D: Dial>(&mut self, turn: &mut Turn<'_, '_, D>) -> Rest {
        let memory = &turn.worker.memory;
        let Lent { scratch, edits } = &mut *memory.lend();
        let headroom = self.headroom();
        // What is held may have had to wait for its turn alone.
        let mut is_at_hand = self.window.start() < self.held.len();
        loop {
            if (self.is_bulky || self.pipe.is_some())
                && let Some(rest) = self.splice(turn, edits)
            {
                return rest;
            }
            let mut count = 0;
            if !is_at_hand {
                count = match self.read(turn, &mut scratch[headroom..]) {
                    Ok(count) => count,
                    Err(rest) => return rest,
                };
                if !self.held.is_empty() {
                    self.extend(memory, &scratch[headroom..headroom + count]);
                }
            }
            is_at_hand = false;
            let is_lent = self.held.is_empty();
            let bytes = if is_lent {
                self.window = Window::at(self.headroom.into());
                &mut scratch[..headroom + count]
            } else {
                if self.window.low() < headroom {
                    self.make_headroom(memory);
                }
                &mut *self.held
            };
            let rest = dispose(turn, bytes, &mut self.window, edits);
            let low = self.window.low();
            if !is_lent {
                self.settle(memory);
            } else if low < bytes.len() {
                let free = low.saturating_sub(headroom);
                self.held = memory.hold(&bytes[free..]);
                self.window.follow(free, 0);
            } else {
                self.window = Window::default();
            }
            if let Some(rest) = rest {
                return rest;
            }
            if turn.source.as_ref().is_some_and(|source| source.is_quiet()) {
                return Rest::Blocked;
            }
        }
    }

    /// Reads what has come, if it may; tells how much.
    #[inline(always)]
    fn read<D: Dial>(&mut self, turn: &mut Turn<'_, '_, D>, scratch: &mut [u8]) -> Result<usize, Rest> {
        let Some(source) = &mut turn.source else {
            return Err(Rest::NoSource);
        };
        if turn.moves == 0 {
            yield_turn(turn.context);
            return Err(Rest::Paused);
        }
        let room = turn.worker.memory.room(turn.elsewhere + self.footprint());
        if room == 0 {
            return Err(Rest::NoRoom);
        }
        match source.poll_read(turn.context, &mut scratch[..room]) {
            Poll::Pending => Err(Rest::Blocked),
            Poll::Ready(Ok(0)) => Err(Rest::SourceEnded),
            Poll::Ready(Ok(count)) => {
                turn.move_on(count, room);
                self.is_bulky = splice::is_bulk(turn.worker.config, count);
                Ok(count)
            }
            Poll::Ready(Err(_)) => Err(Rest::SourceFailed),
        }
    }

    /// Holds more bytes, in the place of those that are done with where that saves growing.
    fn extend(&mut self, memory: &Memory, bytes: &[u8]) {
        let free = self.window.low().saturating_sub(self.headroom());
        if free > 0 && self.held.len() + bytes.len() > self.held.capacity() {
            self.held.copy_within(free.., 0);
            self.held.truncate(self.held.len() - free);
            self.window.follow(free, 0);
        }
        memory.extend(&mut self.held, bytes);
    }

    /// Makes room before the bytes where lines were added to a head that is not written yet: lines are added to no more than one head of a
    /// direction before the other has moved.
    #[cold]
    fn make_headroom(&mut self, memory: &Memory) {
        let (low, headroom) = (self.window.low(), self.headroom());
        let held = memory.hold_behind(headroom, &self.held[low..]);
        memory.release(std::mem::replace(&mut self.held, held));
        self.window.follow(low, headroom);
    }

    /// By how many bytes a head may grow.
    pub(super) fn headroom(&self) -> usize {
        self.headroom.into()
    }

    /// Reads on after bytes that are held and not to be judged yet, until the source has no more or so much is held. Returns whether the source has ended.
    pub(super) fn read_on(
        &mut self,
        context: &mut Context<'_>,
        memory: &Memory,
        most: usize,
        source: &mut impl Transport,
    ) -> io::Result<bool> {
        let Lent { scratch, .. } = &mut *memory.lend();
        while self.held.len() < most {
            let room = memory.room(self.footprint());
            if room == 0 {
                return Ok(false);
            }
            match source.poll_read(context, &mut scratch[..room]) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(0)) => return Ok(true),
                Poll::Ready(Ok(count)) => self.extend(memory, &scratch[..count]),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Writes what is judged, and no more.
    pub(super) fn flush(
        &mut self,
        context: &mut Context<'_>,
        memory: &Memory,
        sink: &mut impl Transport,
    ) -> Poll<io::Result<()>> {
        ready!(self.drain(context, memory, sink))?;
        let written = write(context, &self.held, &mut self.window, sink);
        self.settle(memory);
        written
    }

    /// Gives up the bytes that are not judged and puts a reply in their place, or nothing.
    pub(super) fn close_with(&mut self, memory: &Memory, reply: &[u8]) {
        self.held.truncate(self.window.judged());
        memory.extend(&mut self.held, reply);
        self.window.judged = narrow(self.held.len());
        self.settle(memory);
    }

    /// Throws away so many of the bytes that are to be judged; all before them are written.
    pub(super) fn withhold(&mut self, memory: &Memory, count: usize) {
        self.window.judged += narrow(count);
        self.window.start = self.window.judged;
        self.settle(memory);
    }

    /// Gives up all bytes.
    pub(super) fn clear(&mut self, memory: &Memory) {
        let Self { held, pipe, .. } = std::mem::replace(self, Self::new(self.headroom()));
        memory.release(held);
        if let Some(pipe) = pipe {
            memory.release_pipe(pipe);
        }
    }

    /// Returns whether all that was judged is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.window.start == self.window.judged && self.pipe.is_none()
    }

    /// Returns whether there is nothing at hand to be judged or written.
    pub(super) fn is_idle(&self) -> bool {
        self.window.start() == self.held.len() && self.pipe.is_none()
    }

    /// Bytes that are judged and not yet written.
    pub(super) fn unwritten(&self) -> usize {
        let piped = self.pipe.as_ref().map_or(0, Pipe::held);
        piped + widen(self.window.judged - self.window.start)
    }

    /// The bytes that are not yet judged.
    pub(super) fn unjudged(&self) -> &[u8] {
        &self.held[self.window.judged()..]
    }

    /// Returns whether a request is kept that may have to be sent again.
    pub(super) fn is_keeping(&self) -> bool {
        self.window.kept.is_some()
    }

    /// Keeps no request any longer.
    pub(super) fn forget(&mut self, memory: &Memory) {
        self.window.kept = None;
        self.settle(memory);
    }

    /// Has the request that is kept written again.
    pub(super) fn rewind(&mut self) {
        if let Some(kept) = self.window.kept.take() {
            self.window.start = kept;
        }
    }

    /// Bytes of memory that are held.
    pub(super) fn footprint(&self) -> usize {
        self.held.capacity()
    }

    /// Gives up the bytes once all are done with.
    fn settle(&mut self, memory: &Memory) {
        if self.window.low() == self.held.len() {
            self.window = Window::default();
            memory.release(std::mem::take(&mut self.held));
        }
    }
}

/// Judges bytes as far as may be and writes what is forwarded. `None`: more must be read.
#[inline(always)]
fn dispose<D: Dial>(
    turn: &mut Turn<'_, '_, D>,
    bytes: &mut [u8],
    window: &mut Window,
    edits: &mut Edits,
) -> Option<Rest> {
    let rest = loop {
        // With nothing at hand, what comes next may be read, though it may be held until its turn.
        let judged = window.judged();
        let left = bytes.len() - judged;
        if left == 0 {
            break None;
        }
        // Most bodies: of what the core would say of them, this much is known.
        if let Some(length) = turn.followed.exchange.length_left(turn.direction) {
            let count = usize::try_from(length).unwrap_or(usize::MAX).min(left);
            window.judged += narrow(count);
            turn.pass(count, Means::Copy);
            continue;
        }
        if turn.verdicts == 0 {
            yield_turn(turn.context);
            break Some(Rest::Paused);
        }
        turn.verdicts -= 1;
        match turn.judge(&bytes[judged..], edits) {
            Ok(Verdict::Head(count)) => {
                let end = judged + count.get().min(left);
                if edits.changes() {
                    // What stands before it may have to be written again.
                    let low = window.low();
                    window.follow(low, edits.apply(&mut bytes[..end], low, judged));
                }
                window.judged = narrow(end);
                // With a connection at hand, that has served before.
                if edits.section() == Section::Request && turn.sink.is_some() && turn.followed.exchange.may_replay() {
                    window.kept = Some(window.start);
                }
            }
            Ok(Verdict::Keep(count)) => window.judged += narrow(count.get().min(left)),
            Ok(Verdict::Withhold(count)) => {
                let (low, count) = (window.low(), count.get().min(left));
                bytes.copy_within(low..judged, low + count);
                window.follow(low, low + count);
            }
            Ok(Verdict::Pass(run)) => {
                let count = match run {
                    Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(left),
                    Run::UntilEof => left,
                };
                window.judged += narrow(count);
                turn.pass(count, Means::Copy);
            }
            Ok(Verdict::NeedMore) => break None,
            Ok(Verdict::Wait) => break Some(Rest::Waiting),
            Err(fault) => break Some(Rest::Broken(fault)),
        }
    };
    window.bound();
    write_out(turn, bytes, window).or(rest)
}

/// Writes all that is judged. `Some`: it does not all go.
#[inline(always)]
fn write_out<D: Dial>(turn: &mut Turn<'_, '_, D>, bytes: &[u8], window: &mut Window) -> Option<Rest> {
    if window.start == window.judged {
        return None;
    }
    let Some(sink) = turn.sink.as_deref_mut() else {
        return Some(Rest::NoSink);
    };
    let before = window.start;
    let written = write(turn.context, bytes, window, sink);
    turn.moved |= window.start > before;
    match written {
        Poll::Pending => Some(Rest::Blocked),
        Poll::Ready(Ok(())) => None,
        Poll::Ready(Err(error)) => Some(Rest::SinkFailed(error.kind())),
    }
}

/// Writes all of these bytes.
pub(super) async fn write_all(sink: &mut impl Transport, bytes: &[u8]) -> io::Result<()> {
    let mut window = Window { judged: narrow(bytes.len()), ..Window::default() };
    poll_fn(|context| write(context, bytes, &mut window, sink)).await
}

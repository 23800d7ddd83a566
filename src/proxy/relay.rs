//! One direction of a session: reads, has the core judge, writes; in one step, with nothing awaited between.
//!
//! Bytes are read into the worker's scratch buffer, judged there, and written from there. Only what could not be disposed
//! of (a partial head, a write that the sink did not take, bytes that wait for the other direction) moves to a buffer of the
//! connection's own, from the worker's pool, and that goes back when it is empty.
//!
//! Denied lines are cut out in place: the judged bytes before them, a few lines as a rule, move up.
//!
//! What needs no look and comes in bulk goes by a pipe instead; see `splice`.
//!
//! A request on a connection that has served before is kept until the first byte of its response: the origin may have
//! closed that connection already, and then the request can be sent once more.

mod splice;

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use super::followed::Followed;
use super::memory::Memory;
use super::worker::Worker;
use crate::http1::{Direction, Fault, MAX_REPLAY, Run, Verdict};
use crate::net::dial::Dial;
use crate::net::pipe::Pipe;
use crate::net::stream::Transport;
use crate::ops::counters::Path;

/// Why a direction came to rest.
#[derive(Debug)]
pub(super) enum Rest {
    /// A socket must move first.
    Blocked,
    /// The other direction must move first.
    Waiting,
    /// Judged bytes have nowhere to go yet.
    NoSink,
    SourceEnded,
    SourceFailed,
    SinkFailed(io::ErrorKind),
    /// A rule was broken; all bytes before it were written.
    Broken(Fault),
}

/// What became of the bytes at hand.
enum Disposed {
    /// All that can be is judged and written: more must be read.
    Fully,
    /// These bytes of our own are due behind the judged ones, of which none was written yet.
    UpTo(&'static [u8]),
    Stopped(Rest),
}

/// The two ends of a direction.
pub(super) struct Ends<'a, S> {
    /// `None`: it has ended.
    pub(super) source: Option<&'a mut S>,
    /// `None`: there is none yet.
    pub(super) sink: Option<&'a mut S>,
    /// Set when a byte is read or written.
    pub(super) moved: &'a mut bool,
}

/// The bytes of one direction that are not done with. Those in the pipe, if there is one, go before those held.
#[derive(Debug, Default)]
pub(super) struct Relay {
    held: BytesMut,
    /// Of the bytes held, those before this are written, and there because they are kept.
    start: u32,
    /// Those before this are judged.
    judged: u32,
    /// Whether what is held begins with a request that may have to be sent once more.
    is_keeping: bool,
    /// Whether so much came at once that a pipe is worth it.
    is_bulky: bool,
    /// Never empty: an empty one is the pool's.
    pipe: Option<Pipe>,
}

/// Where bytes stand in a buffer: those from `start` to `judged` are to be written, those behind are to be judged.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: usize,
    judged: usize,
    /// Where the request begins that may have to be sent once more, if there is one; all before it is written.
    kept: Option<usize>,
}

impl Window {
    /// The bytes before this are done with.
    fn low(&self) -> usize {
        self.kept.map_or(self.start, |kept| kept.min(self.start))
    }

    /// Keeps no longer what has become too long.
    fn bound(&mut self) {
        self.kept = self.kept.filter(|kept| self.judged - kept <= MAX_REPLAY);
    }
}

impl Relay {
    /// Moves what can be moved, until a socket or the other direction must move first.
    pub(super) fn pump<D: Dial>(
        &mut self,
        direction: Direction,
        context: &mut Context<'_>,
        worker: &Worker<D>,
        followed: &mut Followed,
        mut ends: Ends<'_, D::Stream>,
    ) -> Rest {
        let memory = &worker.memory;
        let scratch = &mut *memory.scratch();
        loop {
            if (self.is_bulky || self.pipe.is_some())
                && let Some(rest) = self.splice(direction, context, worker, followed, &mut ends)
            {
                return rest;
            }
            let mut window = self.window();
            if window.start < self.held.len() {
                let disposed = dispose(direction, context, worker, &mut self.held, &mut window, followed, &mut ends);
                self.settle(memory, window);
                match disposed {
                    Disposed::Fully if self.is_bulky && self.held.is_empty() => continue,
                    Disposed::Fully => {}
                    Disposed::UpTo(added) => {
                        self.add(added);
                        continue;
                    }
                    Disposed::Stopped(rest) => return rest,
                }
            }
            let Some(source) = &mut ends.source else {
                return Rest::Blocked;
            };
            let count = match source.poll_read(context, scratch) {
                Poll::Pending => return Rest::Blocked,
                Poll::Ready(Ok(0)) => return Rest::SourceEnded,
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(_)) => return Rest::SourceFailed,
            };
            *ends.moved = true;
            self.is_bulky = count >= splice::bulk(worker.config, scratch.len());
            if !self.held.is_empty() {
                self.held.extend_from_slice(&scratch[..count]);
                continue;
            }
            let mut window = Window::default();
            let disposed = dispose(direction, context, worker, &mut scratch[..count], &mut window, followed, &mut ends);
            let low = window.low();
            if low < count {
                self.held = memory.hold(&scratch[low..count]);
                self.keep(window, low);
            }
            match disposed {
                Disposed::Fully => {}
                Disposed::UpTo(added) => self.add(added),
                Disposed::Stopped(rest) => return rest,
            }
        }
    }

    /// Writes what is judged, and no more.
    pub(super) fn flush(
        &mut self,
        context: &mut Context<'_>,
        memory: &Memory,
        sink: &mut impl Transport,
    ) -> Poll<io::Result<()>> {
        ready!(self.drain(context, memory, sink))?;
        let mut window = self.window();
        let written = write(context, &self.held, &mut window, sink);
        self.settle(memory, window);
        written
    }

    /// Puts bytes of our own behind what is judged.
    fn add(&mut self, bytes: &[u8]) {
        let unjudged = self.held.split_off(self.judged());
        self.held.extend_from_slice(bytes);
        self.judged = narrow(self.held.len());
        self.held.extend_from_slice(&unjudged);
    }

    /// Gives up the bytes that are not judged and puts a reply in their place.
    pub(super) fn close_with(&mut self, memory: &Memory, reply: &[u8]) {
        self.held.truncate(self.judged());
        if self.held.is_empty() && !reply.is_empty() {
            self.held = memory.hold(reply);
        } else {
            self.held.extend_from_slice(reply);
        }
        self.judged = narrow(self.held.len());
    }

    /// Gives up all bytes.
    pub(super) fn clear(&mut self, memory: &Memory) {
        let Self { held, pipe, .. } = std::mem::take(self);
        memory.release(held);
        if let Some(pipe) = pipe {
            memory.release_pipe(pipe);
        }
    }

    /// Tells whether all that was judged is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.unwritten() == 0
    }

    /// Bytes that are judged and not yet written.
    pub(super) fn unwritten(&self) -> usize {
        let piped = self.pipe.as_ref().map_or(0, Pipe::held);
        piped + widen(self.judged - self.start)
    }

    /// The bytes that are not yet judged.
    pub(super) fn unjudged(&self) -> &[u8] {
        &self.held[self.judged()..]
    }

    /// Tells whether a request is kept that may have to be sent once more.
    pub(super) fn is_keeping(&self) -> bool {
        self.is_keeping
    }

    /// Keeps no request any longer.
    pub(super) fn forget(&mut self, memory: &Memory) {
        self.settle(memory, Window { kept: None, ..self.window() });
    }

    /// Has the request that is kept written once more.
    pub(super) fn rewind(&mut self) {
        if self.is_keeping {
            self.start = 0;
            self.is_keeping = false;
        }
    }

    fn judged(&self) -> usize {
        widen(self.judged)
    }

    fn window(&self) -> Window {
        Window { start: widen(self.start), judged: self.judged(), kept: self.is_keeping.then_some(0) }
    }

    /// Gives up the bytes that are done with.
    fn settle(&mut self, memory: &Memory, window: Window) {
        let low = window.low();
        if low == self.held.len() {
            (self.start, self.judged, self.is_keeping) = (0, 0, false);
            memory.release(std::mem::take(&mut self.held));
        } else {
            self.held.advance(low);
            self.keep(window, low);
        }
    }

    /// Takes note of where the bytes held stand, the first `low` being gone.
    fn keep(&mut self, window: Window, low: usize) {
        self.start = narrow(window.start - low);
        self.judged = narrow(window.judged - low);
        self.is_keeping = window.kept.is_some();
    }
}

/// Positions in what is held, which is never more than a head and what is read at once, fit both types.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

fn widen(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Judges bytes as far as may be and writes what goes on.
fn dispose<D: Dial>(
    direction: Direction,
    context: &mut Context<'_>,
    worker: &Worker<D>,
    bytes: &mut [u8],
    window: &mut Window,
    followed: &mut Followed,
    ends: &mut Ends<'_, D::Stream>,
) -> Disposed {
    let disposed = loop {
        // With nothing at hand, what comes next may be read, though it may be held until its turn.
        let left = bytes.len() - window.judged;
        if left == 0 {
            break Disposed::Fully;
        }
        // With a connection at hand and nothing under way, that connection has served before.
        let may_keep = direction == Direction::Inbound && ends.sink.is_some() && followed.exchange.is_unoccupied();
        if may_keep && let Some(rest) = write_out(context, bytes, window, ends) {
            // The rest of a request that was answered early: it must not stand before one that is sent once more.
            return Disposed::Stopped(rest);
        }
        match followed.judge(worker, direction, &bytes[window.judged..]) {
            Ok(Verdict::Keep(count)) => {
                if may_keep && followed.exchange.may_replay() {
                    window.kept = Some(window.judged);
                }
                window.judged += count.get().min(left);
            }
            Ok(Verdict::Drop(count) | Verdict::Withhold(count)) => {
                let count = count.get().min(left);
                bytes.copy_within(window.start..window.judged, window.start + count);
                window.start += count;
                window.judged += count;
            }
            Ok(Verdict::Add(added)) => return Disposed::UpTo(added),
            Ok(Verdict::Pass(run)) => {
                let count = match run {
                    Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(left),
                    Run::UntilEof => left,
                };
                window.judged += count;
                followed.passed(worker, direction, count, Path::Copy);
            }
            Ok(Verdict::NeedMore) => break Disposed::Fully,
            Ok(Verdict::Wait) => break Disposed::Stopped(Rest::Waiting),
            Err(fault) => break Disposed::Stopped(Rest::Broken(fault)),
        }
    };
    window.bound();
    write_out(context, bytes, window, ends).map_or(disposed, Disposed::Stopped)
}

/// Writes all that is judged. `Some`: it does not all go.
fn write_out<S: Transport>(
    context: &mut Context<'_>,
    bytes: &[u8],
    window: &mut Window,
    ends: &mut Ends<'_, S>,
) -> Option<Rest> {
    if window.start == window.judged {
        return None;
    }
    let Some(sink) = ends.sink.as_deref_mut() else {
        return Some(Rest::NoSink);
    };
    let before = window.start;
    let written = write(context, bytes, window, sink);
    *ends.moved |= window.start > before;
    match written {
        Poll::Pending => Some(Rest::Blocked),
        Poll::Ready(Ok(())) => None,
        Poll::Ready(Err(error)) => Some(Rest::SinkFailed(error.kind())),
    }
}

/// Writes all that is judged.
fn write(
    context: &mut Context<'_>,
    bytes: &[u8],
    window: &mut Window,
    sink: &mut impl Transport,
) -> Poll<io::Result<()>> {
    while window.start < window.judged {
        match sink.poll_write(context, &bytes[window.start..window.judged]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => window.start += count,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

//! Bytes that need no look and come in bulk, moved by a pipe; only as many as the core lets pass unseen.

use std::io;
use std::task::{Context, Poll};

use bytes::BytesMut;

use super::{Ends, Relay, Rest, narrow, widen};
use crate::config::Config;
use crate::http1::{Direction, Run, Verdict};
use crate::net::dial::Dial;
use crate::net::pipe::{Pipe, is_refusal};
use crate::net::stream::Transport;
use crate::ops::counters::Path;
use crate::proxy::followed::Followed;
use crate::proxy::memory::Memory;
use crate::proxy::worker::Worker;

/// A pipe filled with fewer bytes was not worth its system calls.
const WORTH: u64 = 16 * 1024;

/// How many bytes must come at once for a pipe to be tried: all that is read at once, unless pipes are wanted for less.
pub(super) fn bulk(config: &Config, room: usize) -> usize {
    config.splice_from.and_then(|from| usize::try_from(from).ok()).map_or(room, |from| from.min(room))
}

impl Relay {
    /// Moves bytes by the pipe while that is worth it. `None`: what comes next is to be read.
    pub(super) fn splice<D: Dial>(
        &mut self,
        direction: Direction,
        context: &mut Context<'_>,
        worker: &Worker<D>,
        followed: &mut Followed,
        ends: &mut Ends<'_, D::Stream>,
    ) -> Option<Rest> {
        let sink = ends.sink.as_deref_mut()?;
        loop {
            let before = self.unwritten();
            let drained = self.drain(context, &worker.memory, sink);
            *ends.moved |= self.unwritten() < before;
            match drained {
                Poll::Pending => return Some(Rest::Blocked),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(Rest::SinkFailed(error.kind())),
            }
            if !self.is_bulky || !self.held.is_empty() {
                return None;
            }
            let source = ends.source.as_ref()?.in_kernel()?;
            let most = match followed.exchange.judge(direction, &[]) {
                Ok(Verdict::Pass(Run::Exactly(left))) => left.get(),
                Ok(Verdict::Pass(Run::UntilEof)) => u64::MAX,
                Ok(_) | Err(_) => return None,
            };
            let from = worker.config.splice_from.filter(|from| most >= *from)?;
            let mut pipe = worker.memory.pipe()?;
            let filled = pipe.poll_fill(context, source, most);
            if let Poll::Ready(Ok(count @ 1..)) = filled {
                followed.passed(worker, direction, widen(count), Path::Splice);
                self.is_bulky = u64::from(count) >= from.min(WORTH);
                self.pipe = Some(pipe);
                *ends.moved = true;
                continue;
            }
            worker.memory.release_pipe(pipe);
            match filled {
                Poll::Pending => return Some(Rest::Blocked),
                Poll::Ready(Ok(_)) => {
                    self.is_bulky = false;
                    return None;
                }
                Poll::Ready(Err(error)) if is_refusal(&error) => {
                    worker.memory.renounce_pipes();
                    return None;
                }
                Poll::Ready(Err(_)) => return Some(Rest::SourceFailed),
            }
        }
    }

    /// Moves what is in the pipe to the sink and gives the pipe back. What the kernel will not move so is held.
    pub(super) fn drain(
        &mut self,
        context: &mut Context<'_>,
        memory: &Memory,
        sink: &impl Transport,
    ) -> Poll<io::Result<()>> {
        let (Some(mut pipe), Some(sink)) = (self.pipe.take(), sink.in_kernel()) else {
            return Poll::Ready(Ok(()));
        };
        let mut drained = pipe.poll_drain(context, sink);
        if let Poll::Ready(Err(error)) = &drained
            && is_refusal(error)
        {
            drained = self.take_back(memory, &mut pipe);
        }
        if drained.is_pending() {
            self.pipe = Some(pipe);
        } else {
            memory.release_pipe(pipe);
        }
        drained
    }

    fn take_back(&mut self, memory: &Memory, pipe: &mut Pipe) -> Poll<io::Result<()>> {
        memory.renounce_pipes();
        let mut taken = BytesMut::from(&*pipe.take_back()?);
        taken.extend_from_slice(&self.held);
        self.judged += narrow(taken.len() - self.held.len());
        self.held = taken;
        Poll::Ready(Ok(()))
    }
}

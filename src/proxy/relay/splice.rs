//! Bytes that need no look and come in bulk, moved by a pipe; only as many as the core lets pass unseen.

use std::io;
use std::task::{Context, Poll};

use super::window::{Window, narrow, widen};
use super::{Relay, Rest, Turn, yield_turn};
use crate::config::Config;
use crate::http1::{Edits, Run, Verdict};
use crate::net::dial::Dial;
use crate::net::pipe::{self, Pipe, is_refusal};
use crate::net::stream::Transport;
use crate::ops::counters::Means;
use crate::proxy::memory::{Memory, SCRATCH};

/// A pipe filled with fewer bytes was not worth its system calls.
const WORTH: u64 = 16 * 1024;

/// Returns whether so many bytes at once are worth trying a pipe: as many as are read at once, unless pipes are wanted for less.
pub(super) fn is_bulk(config: &Config, count: usize) -> bool {
    config.splice_from.is_some_and(|from| count >= usize::try_from(from).unwrap_or(SCRATCH).min(SCRATCH))
}

impl Relay {
    /// Moves bytes by the pipe while that is worth it. `None`: what comes next is to be read.
    pub(super) fn splice<D: Dial>(&mut self, turn: &mut Turn<'_, '_, D>, edits: &mut Edits) -> Option<Rest> {
        let memory = &turn.worker.memory;
        loop {
            let before = self.unwritten();
            let drained = self.drain(turn.context, memory, turn.sink.as_deref_mut()?);
            turn.moved |= self.unwritten() < before;
            match drained {
                Poll::Pending => return Some(Rest::Blocked),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(Rest::SinkFailed(error.kind())),
            }
            if !self.is_bulky || !self.held.is_empty() {
                return None;
            }
            turn.source.as_mut()?.in_kernel()?;
            let most = match turn.judge(&[], edits) {
                Ok(Verdict::Pass(Run::Exactly(left))) => left.get(),
                Ok(Verdict::Pass(Run::UntilEof)) => u64::MAX,
                Ok(_) | Err(_) => return None,
            };
            let from = turn.worker.config.splice_from.filter(|from| most >= *from)?;
            let mut pipe = memory.pipe()?;
            // Only what moves is a move: or else a turn could pass without any.
            if turn.moves == 0 {
                memory.release_pipe(pipe);
                yield_turn(turn.context);
                return Some(Rest::Paused);
            }
            let filled = pipe.poll_fill(turn.context, turn.source.as_mut()?.in_kernel()?, most);
            if let Poll::Ready(Ok(count @ 1..)) = filled {
                turn.pass(widen(count), Means::Splice);
                turn.move_on(widen(count), pipe::SIZE);
                self.is_bulky = u64::from(count) >= from.min(WORTH);
                self.pipe = Some(pipe);
                continue;
            }
            memory.release_pipe(pipe);
            match filled {
                Poll::Pending => return Some(Rest::Blocked),
                Poll::Ready(Ok(_)) => {
                    self.is_bulky = false;
                    return None;
                }
                Poll::Ready(Err(error)) if is_refusal(&error) => {
                    memory.renounce_pipes();
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
        sink: &mut impl Transport,
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
        let taken = pipe.take_back()?;
        let headroom = self.headroom();
        let mut held = memory.hold_behind(headroom, &taken);
        memory.extend(&mut held, self.held.get(self.window.start()..).unwrap_or_default());
        let judged = taken.len() + widen(self.window.judged - self.window.start);
        self.window = Window { judged: narrow(headroom + judged), ..Window::at(narrow(headroom)) };
        memory.release(std::mem::replace(&mut self.held, held));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{MOST_MOVES, MOST_VERDICTS};
    use bytes::BytesMut;

    use super::*;
    use crate::http1::{Direction, Exchange};
    use crate::net::address::Address;
    use crate::net::dial::Upstream;
    use crate::net::stream::{Peer, Stream};
    use crate::ops::counters::Counters;
    use crate::proxy::followed::Followed;
    use crate::proxy::places::Places;
    use crate::proxy::worker::{Allowance, Worker};

    /// Bytes that may be held: enough.
    const MEMORY: usize = 8 * 1024 * 1024;

    /// Bytes before those that are taken back.
    const HEADROOM: usize = 30;

    /// The time limit of an exchange begins anew with each byte that goes out of a pipe, and only then.
    #[tokio::test]
    async fn to_empty_a_pipe_is_to_move() {
        let nowhere = || Address::Unix("nowhere".into());
        let config: &'static Config = Box::leak(Box::new(Config::new(nowhere(), nowhere())));
        let counters = Box::leak(Box::new(Counters::new(&config.policy)));
        let (places, share) = (Arc::new(Places::new(0)), Allowance { pipes: 1, memory: MEMORY });
        let worker = Worker::new(config, counters, Arc::new(()), places, share, Upstream::new(&config.upstream, &[]));
        let mut followed = Followed::new(Exchange::new(&config.policy), Peer(None));
        let ((mut source, mut sender), (mut sink, mut reader)) = (Stream::pair(), Stream::pair());

        // As much as the sink takes, and what stays in the pipe.
        let mut pipe = worker.memory.pipe().expect("a pipe");
        let (mut taken, mut is_blocked) = (0, false);
        while !is_blocked {
            sender.write_all(&[b'a'; 4096]).expect("room");
            poll_fn(|context| pipe.poll_fill(context, &source, u64::MAX)).await.expect("bytes");
            let filled = pipe.held();
            is_blocked = poll_fn(|context| Poll::Ready(pipe.poll_drain(context, &mut sink).is_pending())).await;
            taken += filled - pipe.held();
        }
        let mut relay = Relay { pipe: Some(pipe), ..Relay::new(0) };
        let mut splice = async |relay: &mut Relay| {
            let (rest, moved) = poll_fn(|context| {
                let mut turn = Turn {
                    direction: Direction::Outbound,
                    context,
                    worker: &worker,
                    followed: &mut followed,
                    source: Some(&mut source),
                    sink: Some(&mut sink),
                    elsewhere: 0,
                    moves: MOST_MOVES,
                    moved: false,
                    verdicts: MOST_VERDICTS,
                };
                let rest = relay.splice(&mut turn, &mut Edits::default());
                Poll::Ready((rest, turn.moved))
            })
            .await;
            (rest.is_some(), moved)
        };
        assert_eq!(splice(&mut relay).await, (true, false), "nothing goes");
        reader.read_exact(&mut vec![0; taken]).expect("it was taken");
        let emptied = async {
            loop {
                match splice(&mut relay).await {
                    // The reactor has not seen the room yet.
                    (true, false) => tokio::task::yield_now().await,
                    emptied => return emptied,
                }
            }
        };
        let emptied = tokio::time::timeout(Duration::from_secs(10), emptied).await;
        assert_eq!(emptied, Ok((false, true)), "the rest goes");
        assert!(relay.is_flushed());
    }

    #[tokio::test]
    async fn what_is_taken_back_goes_before_what_is_held() {
        let (source, mut sender) = Stream::pair();
        sender.write_all(b"hello").expect("room");
        let mut pipe = Pipe::open().expect("a pipe");
        poll_fn(|context| pipe.poll_fill(context, &source, u64::MAX)).await.expect("bytes");
        let window = Window { start: 1, judged: 8, kept: None };
        let mut relay = Relay { held: BytesMut::from(&b"-, world"[..]), window, ..Relay::new(HEADROOM) };
        let memory = Memory::new(1, MEMORY, 0, Box::leak(Box::default()));
        assert!(relay.take_back(&memory, &mut pipe).is_ready());
        assert_eq!((&relay.held[HEADROOM..], relay.unwritten()), (&b"hello, world"[..], 12));
    }
}

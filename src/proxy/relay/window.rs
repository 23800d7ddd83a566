//! Where bytes stand in a buffer, which of them are written, and which may have to be written again.

use std::io;
use std::task::{Context, Poll};

use crate::http1::MAX_REPLAY;
pub(super) use crate::http1::edits::{narrow, widen};
use crate::net::stream::Transport;

/// Where bytes stand in a buffer: those from `start` to `judged` are to be written, those after are to be judged. In 32 bits: what
/// is held is never more than a head and what is read at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) start: u32,
    pub(super) judged: u32,
    /// Where the request begins that may have to be sent again, if there is one; all before it is written.
    pub(super) kept: Option<u32>,
}

impl Window {
    /// Where nothing is judged yet of what begins there.
    pub(super) fn at(start: u32) -> Self {
        Self { start, judged: start, kept: None }
    }

    /// The bytes before this are done with.
    pub(super) fn low(&self) -> usize {
        widen(self.kept.map_or(self.start, |kept| kept.min(self.start)))
    }

    pub(super) fn start(&self) -> usize {
        widen(self.start)
    }

    pub(super) fn judged(&self) -> usize {
        widen(self.judged)
    }

    /// Goes with the bytes, of which those that began at `from` begin at `to` now.
    pub(super) fn follow(&mut self, from: usize, to: usize) {
        let shifted = |position: u32| position - narrow(from) + narrow(to);
        self.start = shifted(self.start);
        self.judged = shifted(self.judged);
        self.kept = self.kept.map(shifted);
    }

    /// Keeps no longer what has become too long.
    pub(super) fn bound(&mut self) {
        self.kept = self.kept.filter(|kept| widen(self.judged - kept) <= MAX_REPLAY);
    }
}

/// Writes all that is judged.
#[inline(always)]
pub(super) fn write(
    context: &mut Context<'_>,
    bytes: &[u8],
    window: &mut Window,
    sink: &mut impl Transport,
) -> Poll<io::Result<()>> {
    while window.start < window.judged {
        match sink.poll_write(context, &bytes[window.start()..window.judged()]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => window.start += narrow(count),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

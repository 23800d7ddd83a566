//! Where bytes stand in a buffer, and which of them may have to be written again.

use crate::http1::MAX_REPLAY;
pub(super) use crate::http1::edits::{narrow, widen};

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

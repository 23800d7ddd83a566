//! One turn of a direction: what it moves, by what, how much at the most, and why it came to rest.

use std::io;
use std::pin::pin;
use std::task::Context;

use tokio::task::yield_now;

use crate::http1::{Direction, Edits, Fault, Verdict};
use crate::net::dial::Dial;
use crate::ops::counters::Means;
use crate::proxy::followed::Followed;
use crate::proxy::worker::Worker;

/// Why a direction came to rest.
#[derive(Debug)]
pub(in crate::proxy) enum Rest {
    /// A socket must move first.
    Blocked,
    /// The other direction must move first.
    Waiting,
    /// Judged bytes have nowhere to go yet.
    NoSink,
    SourceEnded,
    /// It had ended before, and all that came of it was looked at.
    NoSource,
    /// Others have their turn; the task is woken for another.
    Paused,
    /// There is no room to read to.
    NoRoom,
    SourceFailed,
    SinkFailed(io::ErrorKind),
    /// A rule was broken; all bytes before it were written.
    Broken(Fault),
}

/// One turn of a direction: what it moves, by what, and how much at the most.
pub(in crate::proxy) struct Turn<'t, 'c, D: Dial> {
    pub(in crate::proxy) direction: Direction,
    pub(in crate::proxy) context: &'t mut Context<'c>,
    pub(in crate::proxy) worker: &'t Worker<D>,
    pub(in crate::proxy) followed: &'t mut Followed,
    /// `None`: it has ended.
    pub(in crate::proxy) source: Option<&'t mut D::Stream>,
    /// `None`: there is none yet.
    pub(in crate::proxy) sink: Option<&'t mut D::Stream>,
    /// Bytes held for the same client by the other direction.
    pub(in crate::proxy) elsewhere: usize,
    /// How often more may be read, or moved to a pipe.
    pub(in crate::proxy) moves: u8,
    /// Set when a byte is read or written.
    pub(in crate::proxy) moved: bool,
    /// How many verdicts more the core may give.
    pub(in crate::proxy) verdicts: u8,
}

/// How often a direction moves bytes in a turn, before the reactor is asked again, and the other direction and the other clients have
/// theirs.
pub(in crate::proxy) const MOST_MOVES: u8 = 8;

/// For how many moves one counts that leaves no room: two of these end a turn. Measured beside eight downloads: with eight of these, a small
/// exchange took 9 ms, with one 1.6 (direct 1.3); but with one alone, a body of 64 KiB, which its head has come in two reads, costs 7 % more
/// CPU time, since the reactor is asked between them.
const FULL_MOVE: u8 = MOST_MOVES / 2;

/// Verdicts of a turn: a stream of small chunks takes many, each for as many chunks as the core looks at at once.
pub(in crate::proxy) const MOST_VERDICTS: u8 = 8;

impl<D: Dial> Turn<'_, '_, D> {
    /// Records a move of so many bytes into so much room.
    pub(super) fn move_on(&mut self, count: usize, room: usize) {
        self.moved = true;
        self.moves = self.moves.saturating_sub(if count < room { 1 } else { FULL_MOVE });
    }

    pub(super) fn judge(&mut self, shown: &[u8], edits: &mut Edits) -> Result<Verdict, Fault> {
        self.followed.judge(self.worker, self.direction, shown, edits)
    }

    /// Records that bytes pass unseen.
    pub(super) fn pass(&mut self, count: usize, path: Means) {
        self.followed.passed(self.worker, self.direction, count, path);
    }
}

/// Has the task woken for another turn: not at once, but when the runtime has asked the reactor.
pub(in crate::proxy) fn yield_turn(context: &mut Context<'_>) {
    let _ = pin!(yield_now()).poll(context);
}

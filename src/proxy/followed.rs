//! What a session follows of its exchanges beside relaying them: the numbers and the lines that an operator sees.
//!
//! Notes are taken as bytes are judged, so that each byte belongs to the request that it is part of, or answers, though
//! several be under way. An idle connection holds no note.

use std::collections::VecDeque;
use std::fmt::Display;

use super::memory::Pooled;
use super::reply;
use super::worker::Worker;
use crate::config::Config;
use crate::http1::exchange::Phase;
use crate::http1::{Direction, Ending, Exchange, Fault, Verdict};
use crate::net::dial::Dial;
use crate::net::stream::Peer;
use crate::ops::access::{Failure, Record};
use crate::ops::counters::Path;
use crate::ops::log;
use crate::ops::reason::{Reason, Side};

/// The exchanges of one client connection, with what was noted of those that are not over.
pub(super) struct Followed {
    pub(super) exchange: Exchange<'static>,
    /// Boxed: a session must fit a block of 512 bytes with what the runtime adds.
    told: Box<Told>,
}

/// What lines of the log are made of.
struct Told {
    client: Peer,
    notes: Option<Pooled>,
    /// Whether it was told why this connection ends badly: what else comes of it has the same reason.
    has_failed: bool,
}

/// What was noted of exchanges that are not over, oldest first.
#[derive(Debug, Default)]
pub(super) struct Notes {
    records: VecDeque<Record>,
    /// How many of them, the oldest, were answered in full; ≤ their number.
    answered: usize,
}

impl Notes {
    /// The one whose response is under way or awaited.
    fn oldest(&mut self) -> Option<&mut Record> {
        self.records.get_mut(self.answered)
    }

    /// Tells of the oldest exchanges, and forgets them.
    fn tell(&mut self, count: usize, config: &Config, client: &Peer) {
        self.answered = self.answered.saturating_sub(count);
        for record in self.records.drain(..count) {
            if config.access_log {
                log::access(client, &record);
            }
        }
    }
}

impl Followed {
    pub(super) fn new(exchange: Exchange<'static>, client: Peer) -> Self {
        Self { exchange, told: Box::new(Told { client, notes: None, has_failed: false }) }
    }

    /// Has the core judge, and counts what it found.
    pub(super) fn judge<D: Dial>(
        &mut self,
        worker: &Worker<D>,
        direction: Direction,
        shown: &[u8],
    ) -> Result<Verdict, Fault> {
        let unanswered = self.exchange.unanswered();
        let mut verdict = self.exchange.judge(direction, shown)?;
        match verdict {
            Verdict::Keep(count) => {
                let kept = shown.get(..count.get()).unwrap_or(shown);
                if self.exchange.unanswered() > unanswered {
                    self.begin(worker, Record::of_request(kept, worker.config.access_log));
                }
                self.count(worker, direction, kept.len(), Path::Copy);
            }
            Verdict::Add(added) => self.count(worker, direction, added.len(), Path::Copy),
            Verdict::Drop(count) => {
                let lines = shown.get(..count.get()).unwrap_or(shown);
                self.remove(worker, lines);
                if worker.config.dry_run {
                    verdict = Verdict::Keep(count);
                    self.count(worker, direction, lines.len(), Path::Copy);
                }
            }
            Verdict::NeedMore | Verdict::Wait | Verdict::Withhold(_) | Verdict::Pass(_) => {}
        }
        if direction == Direction::Outbound {
            if let Some(status) = self.exchange.take_status() {
                self.answer(worker, status);
            }
            self.settle();
        }
        Ok(verdict)
    }

    /// Takes note that bytes were moved unseen.
    pub(super) fn passed<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, count: usize, path: Path) {
        self.count(worker, direction, count, path);
        self.exchange.passed(direction, u64::try_from(count).unwrap_or(u64::MAX));
        self.settle();
    }

    fn begin<D: Dial>(&mut self, worker: &Worker<D>, record: Record) {
        worker.counters.requests.count();
        self.notes(worker).records.push_back(record);
    }

    fn notes<D: Dial>(&mut self, worker: &Worker<D>) -> &mut Notes {
        self.told.notes.get_or_insert_with(|| worker.memory.notes())
    }

    fn count<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, count: usize, path: Path) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        worker.counters.bytes(direction, path).add(count);
        let Some(notes) = &mut self.told.notes else { return };
        match direction {
            Direction::Inbound => notes.records.back_mut().map(|record| record.bytes_in += count),
            Direction::Outbound => notes.oldest().map(|record| record.bytes_out += count),
        };
    }

    /// Counts denied lines.
    fn remove<D: Dial>(&mut self, worker: &Worker<D>, lines: &[u8]) {
        let denylist = &worker.config.policy.denylist;
        for (entry, line) in denylist.entries_of(lines).zip(lines.split_inclusive(|byte| *byte == b'\n')) {
            let Some((entry, removed)) = entry.and_then(|entry| Some((entry, worker.counters.removed(entry)?))) else {
                continue;
            };
            if worker.config.dry_run {
                log::would_remove(line.trim_ascii_end(), &denylist.entries().nth(entry).unwrap_or_default());
            }
            removed.count();
            if let Some(record) = self.told.notes.as_mut().and_then(|notes| notes.oldest()) {
                record.removed += 1;
            }
        }
    }

    fn answer<D: Dial>(&mut self, worker: &Worker<D>, status: u16) {
        worker.counters.responses(status).count();
        let Some(record) = self.told.notes.as_mut().and_then(|notes| notes.oldest()) else { return };
        record.status = Some(status);
        if status >= 200 || status == 101 {
            let took = record.begun.elapsed();
            record.first_byte = Some(took);
            worker.counters.first_byte.observe(took);
        }
    }

    /// Takes note of what has been answered in full.
    fn settle(&mut self) {
        if let Some(notes) = &mut self.told.notes {
            notes.answered = notes.records.len().saturating_sub(self.exchange.unanswered());
        }
    }

    /// The request under way goes to the origin once more.
    pub(super) fn replay<D: Dial>(&mut self, worker: &Worker<D>) {
        worker.counters.replays.count();
        if let Some(record) = self.told.notes.as_mut().and_then(|notes| notes.oldest()) {
            record.is_replayed = true;
        }
    }

    /// Something ended badly: tells so, and counts it.
    pub(super) fn fail<D: Dial>(
        &mut self,
        worker: &Worker<D>,
        (side, reason): (Side, Reason),
        detail: &dyn Display,
        ending: Ending,
    ) {
        if !self.told.has_failed {
            worker.counters.failures(side, reason).count();
            log::bad_end(&self.told.client, side, reason, detail, ending);
        }
        self.told.has_failed |= ending != Ending::DropOrigin;
        self.settle();
        if let Ending::Reply(status) = ending {
            worker.counters.responses(status.code()).count();
            if self.exchange.unanswered() == 0 {
                // Its head was refused.
                self.notes(worker).records.push_back(Record::of_request(b"", false));
            }
            if let Some(record) = self.told.notes.as_mut().and_then(|notes| notes.oldest()) {
                record.status = Some(status.code());
            }
            self.count(worker, Direction::Outbound, reply::bytes(status).len(), Path::Copy);
        }
        if worker.config.access_log && ending != Ending::DropOrigin {
            let failure = Failure::new(side, reason, detail, ending);
            let unanswered = self.told.notes.iter_mut().flat_map(|notes| notes.records.range_mut(notes.answered..));
            // The first reason is the cause of the others.
            unanswered.for_each(|record| record.failure = record.failure.take().or_else(|| Some(failure.clone())));
        }
    }

    /// Tells of the exchanges that are over: answered in full, and the answer written.
    pub(super) fn tell<D: Dial>(&mut self, worker: &Worker<D>) {
        self.settle();
        let Some(notes) = &mut self.told.notes else { return };
        // An early answer does not end the last request.
        let is_within = self.exchange.phase(&[]) == Phase::Request;
        let over = notes.answered - usize::from(is_within && notes.answered == notes.records.len());
        notes.tell(over, worker.config, &self.told.client);
        if notes.records.is_empty()
            && let Some(notes) = self.told.notes.take()
        {
            worker.memory.release_notes(notes);
        }
    }

    /// Tells of all exchanges: the connection is over.
    pub(super) fn close<D: Dial>(&mut self, worker: &Worker<D>) {
        if let Some(mut notes) = self.told.notes.take() {
            notes.tell(notes.records.len(), worker.config, &self.told.client);
            worker.memory.release_notes(notes);
        }
    }
}

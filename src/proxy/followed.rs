//! What a session follows of its exchanges beside relaying them: the numbers and the lines that an operator sees.
//!
//! For the access log a note is taken of an exchange, and held until the client's side has acknowledged its last byte.

use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Instant;

use super::worker::Worker;
use crate::http1::edits::Section;
use crate::http1::{Direction, Edits, Ending, Exchange, Fault, Mended, Verdict};
use crate::net::dial::Dial;
use crate::net::stream::Peer;
use crate::ops::counters::Means;
use crate::ops::{Event, Failure, Reason, Record, Side};

/// Exchanges of one connection whose end waits to be acknowledged; beyond that, and where memory is full, the oldest is logged as it is.
const MOST_UNACKNOWLEDGED: usize = 64;

/// Exchanges of one connection for which the kernel is asked at once what has arrived; for fewer once a tick, since to ask costs system calls.
const WORTH_ASKING: usize = 16;

/// The detail for bytes that were written, but not acknowledged by the client.
pub(super) const UNACKNOWLEDGED: &str = "unacknowledged";

/// What is relayed to a client, for the access log alone.
#[derive(Default)]
struct Written {
    /// Bytes that have gone to the client in all.
    relayed: u64,
    /// Exchanges that are over for us, each with the number of bytes that had then gone to the client.
    over: VecDeque<(u64, Box<Record>)>,
    /// The tick in which the kernel was last asked what has arrived.
    asked: u64,
}

/// The exchanges of one client connection, with what lines of the log are made of.
pub(super) struct Followed {
    pub(super) exchange: Exchange<'static>,
    client: Peer,
    /// When the head of the request under way was complete, until its response begins, if an operator is told how long that takes.
    begun: Option<Instant>,
    /// For the access log: the exchange under way.
    record: Option<Box<Record>>,
    /// Boxed, and most have none.
    written: Option<Box<Written>>,
    /// Whether the last response came before the complete request was written.
    is_early: bool,
    /// Whether it was told why this connection ends badly: what else comes of it has the same reason.
    has_failed: bool,
}

impl Followed {
    pub(super) fn new(exchange: Exchange<'static>, client: Peer) -> Self {
        let mut followed =
            Self { exchange, client, begun: None, record: None, written: None, is_early: false, has_failed: false };
        followed.set_client(client);
        followed
    }

    /// Records who the client is, before its first request: for logs, and for requests that name it.
    pub(super) fn set_client(&mut self, client: Peer) {
        self.exchange.set_client(client.0.map(|address| address.ip()));
        self.client = client;
    }

    /// Who the client is.
    pub(super) fn client(&self) -> Peer {
        self.client
    }

    /// Lets the core judge, and counts what it found.
    pub(super) fn judge<D: Dial>(
        &mut self,
        worker: &Worker<D>,
        direction: Direction,
        shown: &[u8],
        edits: &mut Edits,
    ) -> Result<Verdict, Fault> {
        let verdict = self.exchange.judge(direction, shown, edits)?;
        match verdict {
            Verdict::Head(count) => {
                let section = shown.get(..count.get()).unwrap_or(shown);
                self.see(worker, direction, section, edits);
            }
            Verdict::Keep(count) => self.count(worker, direction, count.get(), Means::Copy),
            Verdict::Withhold(_) => self.mend(worker, Mended::EmptyLine),
            Verdict::NeedMore | Verdict::Wait | Verdict::Pass(_) => {}
        }
        Ok(verdict)
    }

    /// Records that bytes were moved unseen.
    pub(super) fn passed<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, count: usize, path: Means) {
        self.count(worker, direction, count, path);
        self.exchange.passed(direction, u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Records a head or a trailer section.
    fn see<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, section: &[u8], edits: &Edits) {
        match edits.section() {
            Section::Request => self.begin(worker, section),
            Section::Response(_) if edits.is_not_for_client() => {}
            Section::Response(status) => self.answer(worker, status),
            Section::Trailer => {}
        }
        if edits.are_told() {
            for (entry, range) in edits.denied() {
                self.remove(worker, direction, entry, section.get(range).unwrap_or_default());
            }
            for mended in edits.mended() {
                self.mend(worker, mended);
            }
        }
        self.count(worker, direction, edits.going_on(section.len()), Means::Copy);
    }

    fn begin<D: Dial>(&mut self, worker: &Worker<D>, head: &[u8]) {
        worker.counters.requests.count();
        // The one before it is over, and written.
        self.put_away(worker);
        self.is_early = false;
        self.begun = worker.is_timed.then(Instant::now);
        self.note(worker, head);
    }

    /// Has the access log tell of an exchange.
    #[inline]
    fn note<D: Dial>(&mut self, worker: &Worker<D>, head: &[u8]) {
        if worker.config.access_log {
            let begun = self.begun.unwrap_or_else(Instant::now);
            self.record = Some(worker.memory.hold_record(Record::of(head, begun, &worker.config.log_fields)));
            self.written.get_or_insert_default();
        }
    }

    pub(super) fn count<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, count: usize, path: Means) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        worker.counters.bytes(direction, path).add(count);
        let Some(record) = &mut self.record else { return };
        match direction {
            Direction::Inbound => record.bytes_in += count,
            Direction::Outbound => {
                record.bytes_out += count;
                if let Some(written) = &mut self.written {
                    written.relayed += count;
                }
            }
        }
    }

    /// Counts a denied line.
    fn remove<D: Dial>(&mut self, worker: &Worker<D>, direction: Direction, entry: u16, line: &[u8]) {
        let policy = &worker.config.policy;
        if policy.dry_run {
            let by = match direction {
                Direction::Inbound => policy.request_denylist.entries().nth(entry.into()),
                Direction::Outbound => policy.denylist.entries().nth(entry.into()),
            };
            let (line, entry) = (line.trim_ascii_end(), &*by.unwrap_or_default());
            worker.observer.observe(Event::WouldRemove { direction, line, entry });
        }
        if let Some(removed) = worker.counters.removed(direction, entry) {
            removed.count();
        }
        if let Some(record) = &mut self.record {
            record.removed += 1;
        }
    }

    fn mend<D: Dial>(&mut self, worker: &Worker<D>, rule: Mended) {
        worker.counters.mended(rule).count();
        worker.observer.observe(Event::Mended { client: self.client, rule });
    }

    fn answer<D: Dial>(&mut self, worker: &Worker<D>, status: u16) {
        worker.counters.responses(status).count();
        let is_final = status >= 200 || status == 101;
        if is_final {
            self.is_early = self.exchange.is_asking();
        }
        let first_byte = self.begun.take_if(|_| is_final).map(|begun| begun.elapsed());
        if let Some(took) = first_byte {
            worker.counters.first_byte.observe(took);
        }
        if let Some(record) = &mut self.record {
            record.status = Some(status);
            record.first_byte = first_byte;
        }
    }

    /// The request under way goes to the origin again.
    pub(super) fn replay<D: Dial>(&mut self, worker: &Worker<D>) {
        worker.counters.replays.count();
        if let Some(record) = &mut self.record {
            record.is_replayed = true;
        }
    }

    /// Logs and counts a failure.
    pub(super) fn fail<D: Dial>(
        &mut self,
        worker: &Worker<D>,
        (side, reason): (Side, Reason),
        detail: &dyn Display,
        ending: Ending,
    ) {
        if !self.has_failed {
            worker.counters.failures(side, reason).count();
            let (client, detail) = (self.client, format_args!("{detail}"));
            worker.observer.observe(Event::BadEnd { client, side, reason, detail, ending });
        }
        if ending == Ending::DropOrigin {
            return;
        }
        self.has_failed = true;
        if let Ending::Reply(status) = ending {
            worker.counters.responses(status.code()).count();
            if !self.exchange.is_under_way() {
                // Its head was refused; the exchange before it is over.
                self.put_away(worker);
                self.note(worker, b"");
            }
            if let Some(record) = &mut self.record {
                record.status = Some(status.code());
            }
        }
        if (self.exchange.is_under_way() || matches!(ending, Ending::Reply(_)))
            && let Some(record) = &mut self.record
        {
            // The first reason is the cause of the others.
            record.failure.get_or_insert_with(|| Failure::new(side, reason, detail, ending));
        }
    }

    /// Returns whether the last response came before the complete request was written.
    pub(super) fn was_early(&self) -> bool {
        self.is_early
    }

    /// Puts away the exchange that is over, its response being written. Returns whether its end is waited for.
    pub(super) fn tell<D: Dial>(&mut self, worker: &Worker<D>) -> bool {
        let is_over = self.record.is_some() && !self.exchange.is_under_way();
        if is_over {
            self.put_away(worker);
        }
        is_over && self.is_waiting()
    }

    /// Puts away the exchange there is: its last byte is written. Returns whether the end of one is waited for.
    pub(super) fn finish<D: Dial>(&mut self, worker: &Worker<D>) -> bool {
        self.put_away(worker);
        self.is_waiting()
    }

    /// The exchange there is has nothing more to come.
    #[inline]
    fn put_away<D: Dial>(&mut self, worker: &Worker<D>) {
        let Some(mut record) = self.record.take() else { return };
        let Some(written) = &mut self.written else { return };
        record.end();
        written.over.push_back((written.relayed, record));
        if !worker.is_told_of_arrival {
            self.log_first(worker, None);
        } else if written.over.len() > MOST_UNACKNOWLEDGED || worker.memory.is_full() {
            self.log_first(worker, Some(UNACKNOWLEDGED));
        }
    }

    /// Returns whether exchanges wait to be acknowledged.
    pub(super) fn is_waiting(&self) -> bool {
        self.first_written().is_some()
    }

    /// Returns whether the kernel is to be asked which of them have arrived.
    pub(super) fn is_to_ask(&mut self, now: u64) -> bool {
        let Some(written) = self.written.as_mut().filter(|written| !written.over.is_empty()) else { return false };
        written.over.len() >= WORTH_ASKING || std::mem::replace(&mut written.asked, now) != now
    }

    fn first_written(&self) -> Option<&(u64, Box<Record>)> {
        self.written.as_ref()?.over.front()
    }

    /// Tells of the exchanges whose end has arrived: so many bytes at the end have not.
    pub(super) fn acknowledge<D: Dial>(&mut self, worker: &Worker<D>, outstanding: usize) {
        let relayed = self.written.as_ref().map_or(0, |written| written.relayed);
        let arrived = relayed.saturating_sub(u64::try_from(outstanding).unwrap_or(u64::MAX));
        while self.first_written().is_some_and(|(end, _)| *end <= arrived) {
            self.log_first(worker, None);
        }
    }

    fn log_first<D: Dial>(&mut self, worker: &Worker<D>, detail: Option<&str>) {
        let Some((_, mut record)) = self.written.as_mut().and_then(|written| written.over.pop_front()) else {
            return;
        };
        if let Some(detail) = detail {
            let failure = || Failure::new(Side::Client, Reason::ConnectionTerminated, &detail, Ending::Close);
            record.failure.get_or_insert_with(failure);
        }
        let (client, fields) = (self.client, &worker.config.log_fields);
        worker.observer.observe(Event::Exchange { client, record: &record, fields });
        worker.memory.release_record(record);
    }

    /// Tells of all exchanges there are: the connection is over. So many bytes at the end have not arrived, if that is known.
    pub(super) fn close<D: Dial>(&mut self, worker: &Worker<D>, outstanding: impl FnOnce() -> Option<usize>) {
        self.put_away(worker);
        if self.is_waiting()
            && let Some(outstanding) = outstanding()
        {
            self.acknowledge(worker, outstanding);
        }
        while self.is_waiting() {
            self.log_first(worker, Some(UNACKNOWLEDGED));
        }
    }
}

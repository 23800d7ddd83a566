//! What a worker counts. One thread writes, any may read.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::reason::{GaveWay, Reason, Side};
use crate::http1::{Direction, Mark, Mended, Policy};

/// A number that rises, written by one thread alone.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Without a lock of the bus, which two writers would need.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(crate) fn count(&self) {
        self.add(1);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls, written by one thread alone.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, value: usize) {
        self.0.store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How bytes were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Copy,
    Splice,
}

/// What became of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialResult {
    Connected,
    Failed(Reason),
}

/// What a worker counts. On cache lines of its own (processors fetch two of 64 bytes): workers share nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) connections_opened: Counter,
    pub(crate) connections_closed: Counter,
    pub(crate) requests: Counter,
    /// By the first digit of the status.
    responses: [Counter; CLASSES],
    /// Of requests and of responses, by the entry of the denylist.
    removed: [Box<[Counter]>; 2],
    bytes: [[Counter; 2]; 2],
    dials: [Counter; 1 + Reason::ALL.len()],
    pub(crate) replays: Counter,
    /// By the rule.
    pub(super) mended: [Counter; Mended::ALL.len()],
    /// By the first mark.
    pub(super) alone: [Counter; Mark::ALL.len()],
    failures: [[Counter; Reason::ALL.len()]; Side::ALL.len()],
    pub(super) gave_way: [Counter; GaveWay::ALL.len()],
    /// Bytes held for clients now.
    pub(crate) memory: Gauge,
    pub(crate) first_byte: Histogram,
}

/// First digits of a status: 1 to 9.
pub(super) const CLASSES: usize = 9;

impl Counters {
    pub(crate) fn new(policy: &Policy) -> Self {
        let each = |entries: usize| (0..entries).map(|_| Counter::default()).collect();
        let removed = [each(policy.request_denylist.entries().count()), each(policy.denylist.entries().count())];
        Self { removed, ..Self::default() }
    }

    /// Of a status; its first digit is from 1 to 9.
    pub(crate) fn responses(&self, status: u16) -> &Counter {
        &self.responses[usize::from(status / 100).clamp(1, CLASSES) - 1]
    }

    /// Of an entry of the denylist for that direction.
    pub(crate) fn removed(&self, direction: Direction, entry: u16) -> Option<&Counter> {
        let of_direction = match direction {
            Direction::Inbound => &self.removed[0],
            Direction::Outbound => &self.removed[1],
        };
        of_direction.get(usize::from(entry))
    }

    pub(crate) fn bytes(&self, direction: Direction, path: Means) -> &Counter {
        let of_direction = match direction {
            Direction::Inbound => &self.bytes[0],
            Direction::Outbound => &self.bytes[1],
        };
        match path {
            Means::Copy => &of_direction[0],
            Means::Splice => &of_direction[1],
        }
    }

    pub(crate) fn dials(&self, result: DialResult) -> &Counter {
        match result {
            DialResult::Connected => &self.dials[0],
            DialResult::Failed(reason) => &self.dials[1 + place(Reason::ALL, &reason)],
        }
    }

    /// Of messages that were mended by a rule.
    pub(crate) fn mended(&self, rule: Mended) -> &Counter {
        &self.mended[place(Mended::ALL, &rule)]
    }

    /// Of exchanges that were alone.
    pub(crate) fn alone(&self, mark: Mark) -> &Counter {
        &self.alone[place(Mark::ALL, &mark)]
    }

    /// Of clients that gave way to others.
    pub(crate) fn gave_way(&self, why: GaveWay) -> &Counter {
        &self.gave_way[place(GaveWay::ALL, &why)]
    }

    pub(crate) fn failures(&self, side: Side, reason: Reason) -> &Counter {
        debug_assert!(side.reasons().contains(&reason), "{side} {reason} is not exported");
        &self.failures[place(Side::ALL, &side)][place(Reason::ALL, &reason)]
    }
}

/// Where a value stands among all.
pub(super) fn place<T: PartialEq>(all: &[T], value: &T) -> usize {
    all.iter().position(|known| known == value).unwrap_or_default()
}

/// How long something took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Of each bound and of what is beyond the last, what is not within the bound before.
    buckets: [Counter; Histogram::BOUNDS.len() + 1],
    nanoseconds: Counter,
}

impl Histogram {
    /// In nanoseconds, and as seconds are written.
    pub(super) const BOUNDS: [(u64, &str); 16] = [
        (500_000, "0.0005"),
        (1_000_000, "0.001"),
        (2_500_000, "0.0025"),
        (5_000_000, "0.005"),
        (10_000_000, "0.01"),
        (25_000_000, "0.025"),
        (50_000_000, "0.05"),
        (100_000_000, "0.1"),
        (250_000_000, "0.25"),
        (500_000_000, "0.5"),
        (1_000_000_000, "1"),
        (2_500_000_000, "2.5"),
        (5_000_000_000, "5"),
        (10_000_000_000, "10"),
        (30_000_000_000, "30"),
        (60_000_000_000, "60"),
    ];

    pub(crate) fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = Self::BOUNDS.iter().position(|(bound, _)| nanoseconds <= *bound).unwrap_or(Self::BOUNDS.len());
        self.buckets[bucket].count();
        self.nanoseconds.add(nanoseconds);
    }

    /// How many were within each bound, and in all.
    pub(super) fn within(&self) -> [u64; Self::BOUNDS.len() + 1] {
        let mut sum = 0;
        array::from_fn(|bucket| {
            sum += self.buckets[bucket].value();
            sum
        })
    }

    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.value())
    }
}

//! What is measured, and how figures of several rounds become one.

use std::time::Duration;

use super::load::Done;

/// The figures of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The proxy's CPU time per request, in microseconds.
    pub(crate) processor: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Microseconds within which half of the requests were answered.
    pub(crate) median: f64,
    /// The same for 99 of 100.
    pub(crate) slow: f64,
    /// The proxy's own memory in bytes.
    pub(crate) memory: f64,
}

impl Figures {
    pub(crate) fn new(spent: Duration, memory: f64, mut done: Done) -> Self {
        done.latencies.sort_unstable();
        let at = |percent: usize| {
            let index = done.latencies.len() * percent / 100;
            done.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        let requests = f64::from(done.requests.max(1));
        Self {
            processor: spent.as_secs_f64() * 1e6 / requests,
            rate: requests / done.time.as_secs_f64(),
            median: at(50),
            slow: at(99),
            memory,
        }
    }
}

/// The median of what the rounds gave.
pub(crate) fn median(rounds: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    Estimate::of(rounds.iter().map(figure).collect()).median
}

/// A median, and between which values the true one lies with a confidence of 95 %, or as much as so few values allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// The interval is one of order statistics: how a figure is distributed does not matter.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let beyond = left_out(values.len());
        let last = values.len().saturating_sub(1);
        Self { median: at(values.len() / 2), low: at(beyond), high: at(last.saturating_sub(beyond)) }
    }
}

/// How many values may be left out at each end: the chance that the median lies beyond the rest, which is that of so few heads
/// among as many throws of a coin, stays at or below 2.5 % for each end.
fn left_out(count: usize) -> usize {
    let mut chance = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut sum, mut left_out) = (chance, 0);
    while left_out < count / 2 && sum <= 0.025 {
        left_out += 1;
        let at = |value: usize| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
        chance *= at(count + 1 - left_out) / at(left_out);
        sum += chance;
    }
    // The loop ends with the first count that is too much.
    left_out.saturating_sub(1)
}

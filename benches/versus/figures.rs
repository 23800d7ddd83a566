//! What is measured, and how figures of several rounds become one.

use std::time::Duration;

use super::load::Done;

/// The figures of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The proxy's processor time for a request, in microseconds.
    pub(crate) processor: f64,
    /// Requests a second.
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
    median_of(rounds.iter().map(figure).collect())
}

pub(crate) fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

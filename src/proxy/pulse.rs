//! Whether every worker comes round: each counts beats within its own runtime, which a stuck one does not. Looked at from the runtime of
//! the first, for which the look is the beat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// Beats from one look to the next: of a worker that is only slow one is in time.
const BEATS: u32 = 4;

/// The beats of all workers but the first.
#[derive(Debug)]
pub struct Pulse {
    /// How many beats each worker has counted, and how many at the last look. A worker that has ended, as it may, shares its count no longer.
    beats: Vec<(Arc<AtomicU64>, u64)>,
    pause: Duration,
}

/// One of these workers.
#[derive(Debug)]
pub(super) struct Beat {
    beats: Arc<AtomicU64>,
    pause: Duration,
}

impl Pulse {
    /// Of so many workers beside the first, to be looked at so often.
    pub(super) fn new(workers: usize, pause: Duration) -> Self {
        // A worker that has just started must not fail the first look.
        Self { beats: (0..workers).map(|_| (Arc::default(), u64::MAX)).collect(), pause }
    }

    /// What each of them is to do.
    pub(super) fn beats(&self) -> Vec<Beat> {
        let beat = |beats: &Arc<AtomicU64>| Beat { beats: Arc::clone(beats), pause: self.pause / BEATS };
        self.beats.iter().map(|(beats, _)| beat(beats)).collect()
    }

    /// Waits for the next look, and returns whether all workers have responded since the last one.
    pub async fn next(&mut self) -> bool {
        sleep(self.pause).await;
        let mut goes_on = true;
        for (beats, seen) in &mut self.beats {
            let count = beats.load(Ordering::Relaxed);
            goes_on &= count != *seen || Arc::strong_count(beats) == 1;
            *seen = count;
        }
        goes_on
    }
}

impl Beat {
    /// Goes on until the worker ends.
    pub(super) async fn go_on(self) {
        loop {
            sleep(self.pause).await;
            self.beats.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;

    #[test]
    fn one_that_is_stuck_is_missed_and_one_that_has_ended_is_not() {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let mut pulse = Pulse::new(2, Duration::from_secs(8));
            let mut beats = pulse.beats().into_iter();
            let (one, stuck) = (beats.next().expect("the first"), beats.next().expect("the second"));
            let first = tokio::spawn(one.go_on());
            assert!(pulse.next().await, "it had not begun");
            assert!(!pulse.next().await, "one is stuck");
            let second = tokio::spawn(stuck.go_on());
            for _ in 0..3 {
                assert!(pulse.next().await);
            }
            assert!(!first.is_finished() && !second.is_finished());
            first.abort();
            yield_now().await;
            for _ in 0..2 {
                assert!(pulse.next().await, "it has ended");
            }
            second.abort();
        });
    }
}

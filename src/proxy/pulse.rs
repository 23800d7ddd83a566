//! Whether every worker comes round: each counts beats within its own runtime, which a stuck one does not. Looked at from the runtime of
//! the first, for which the look is the beat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// Beats from one look to the next: of a worker that is only slow one is in time.
const BEATS: u32 = 4;

/// What a worker counts once it has ended, as it may.
const ENDED: u64 = u64::MAX;

/// The beats of all workers but the first.
#[derive(Debug)]
pub struct Pulse {
    beats: Arc<[AtomicU64]>,
    seen: Vec<u64>,
    pause: Duration,
}

/// One of these workers.
#[derive(Debug)]
pub(super) struct Beat {
    beats: Arc<[AtomicU64]>,
    index: usize,
    pause: Duration,
}

impl Pulse {
    /// Of so many workers beside the first, to be looked at so often.
    pub(super) fn new(workers: usize, pause: Duration) -> Self {
        let beats = (0..workers).map(|_| AtomicU64::new(0)).collect();
        // The first look is not to fail for who has hardly begun.
        Self { beats, seen: vec![ENDED; workers], pause }
    }

    /// What each of them is to do.
    pub(super) fn beats(&self) -> impl Iterator<Item = Beat> + use<> {
        let (beats, pause) = (Arc::clone(&self.beats), self.pause / BEATS);
        (0..beats.len()).map(move |index| Beat { beats: Arc::clone(&beats), index, pause })
    }

    /// Waits for the next look, and returns whether all workers have responded since the last one.
    pub async fn next(&mut self) -> bool {
        sleep(self.pause).await;
        let mut goes_on = true;
        for (beat, seen) in self.beats.iter().zip(&mut self.seen) {
            let beat = beat.load(Ordering::Relaxed);
            goes_on &= beat != *seen || beat == ENDED;
            *seen = beat;
        }
        goes_on
    }
}

impl Beat {
    /// Goes on until the worker ends.
    pub(super) async fn go_on(self) {
        loop {
            sleep(self.pause).await;
            self.beats[self.index].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.beats[self.index].store(ENDED, Ordering::Relaxed);
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
            let mut beats = pulse.beats();
            let (one, stuck) = (beats.next().expect("the first"), beats.next().expect("the second"));
            let first = tokio::spawn(one.go_on());
            assert!(pulse.next().await, "it had not begun");
            assert!(!pulse.next().await, "one is stuck");
            let second = tokio::spawn(stuck.go_on());
            for _ in 0..3 {
                assert!(pulse.next().await);
            }
            first.abort();
            yield_now().await;
            for _ in 0..2 {
                assert!(pulse.next().await, "it has ended");
            }
            second.abort();
        });
    }
}

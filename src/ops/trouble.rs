//! Connections that cannot be accepted, or not yet.

use std::io;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::observer::{Event, Observer};

/// The pause after a failed accept: with no descriptor left, the next try would fail at once and for ever.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a full proxy is logged at most.
const REMINDER: Duration = Duration::from_secs(60);

/// All places for clients are taken: logged from time to time.
#[derive(Debug, Default)]
pub(crate) struct Fullness {
    told: Option<Instant>,
}

impl Fullness {
    pub(crate) fn tell(&mut self, observer: &dyn Observer) {
        if self.told.is_none_or(|told| told.elapsed() >= REMINDER) {
            self.told = Some(Instant::now());
            observer.observe(Event::Warning(format_args!(
                "all places for clients are taken: new clients wait; raise --max-connections and the open-file limit"
            )));
        }
    }
}

/// Connections that cannot be accepted, one after another: the first is logged.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    is_told: bool,
}

impl Trouble {
    /// One was accepted.
    pub(crate) fn is_over(&mut self) {
        self.is_told = false;
    }

    /// One could not be.
    pub(crate) async fn pause(&mut self, error: &io::Error, observer: &dyn Observer) {
        // The peer gave up before it was accepted: the next one may be fine.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        if !self.is_told {
            self.is_told = true;
            let message = format_args!("cannot accept a connection: {error}; trying again until it works");
            observer.observe(Event::Warning(message));
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn that_it_is_full_is_told_once_in_a_while() {
        let told = AtomicU32::new(0);
        let observer = |_: Event<'_>| {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let mut fullness = Fullness::default();
        (0..3).for_each(|_| fullness.tell(&observer));
        assert_eq!(told.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_trouble_of_a_row_is_told_and_after_each_there_is_a_pause() {
        let told = AtomicU32::new(0);
        let observer = |_: Event<'_>| {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let mut trouble = Trouble::default();
        let none_left = io::Error::other("no descriptor is left");
        for (is_over, expected) in [(false, 1), (false, 1), (true, 2)] {
            if is_over {
                trouble.is_over();
            }
            let begun = tokio::time::Instant::now();
            trouble.pause(&none_left, &observer).await;
            assert!(begun.elapsed() >= PAUSE);
            assert_eq!(told.load(Ordering::Relaxed), expected);
        }
        // Who has given up is no trouble.
        let begun = tokio::time::Instant::now();
        trouble.is_over();
        trouble.pause(&io::ErrorKind::ConnectionAborted.into(), &observer).await;
        assert_eq!((begun.elapsed(), told.load(Ordering::Relaxed)), (Duration::ZERO, 2));
    }
}

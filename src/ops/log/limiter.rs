//! Counts the lines of each side and reason, so that they can be limited.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::http1::{Direction, Mended};
use crate::ops::counters::place;
use crate::ops::reason::{Reason, Side};

/// Lines of one side and reason within a window.
const MOST_LINES: u32 = 10;

/// How long those are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How often a rule by which messages are mended is logged at most.
const MENDED_WINDOW: Duration = Duration::from_secs(60);

/// Names of denied lines that are logged: a prefix covers as many as an origin makes up.
const MOST_NAMES: usize = 256;

/// Which lines were written.
#[derive(Debug)]
pub(super) struct Limiter {
    windows: Vec<Window>,
    /// Names that were logged, in lower case, of requests and of responses; at most [`MOST_NAMES`] each.
    told: [BTreeSet<Box<[u8]>>; 2],
    /// When each rule by which messages are mended was last logged.
    mended: [Option<Instant>; Mended::ALL.len()],
}

#[derive(Debug)]
struct Window {
    side: Side,
    reason: Reason,
    begun: Instant,
    written: u32,
    left_out: u64,
}

impl Limiter {
    pub(super) const fn new() -> Self {
        Self { windows: Vec::new(), told: [BTreeSet::new(), BTreeSet::new()], mended: [None; Mended::ALL.len()] }
    }

    /// Returns whether another line may be written. If not, it is counted.
    pub(super) fn admits(&mut self, side: Side, reason: Reason, now: Instant) -> bool {
        let is_alike = |window: &&mut Window| window.side == side && window.reason == reason;
        match self.windows.iter_mut().find(is_alike) {
            Some(window) if window.written == MOST_LINES => {
                window.left_out += 1;
                false
            }
            Some(window) => {
                window.written += 1;
                true
            }
            None => {
                self.windows.push(Window { side, reason, begun: now, written: 1, left_out: 0 });
                true
            }
        }
    }

    /// Returns whether that name was not logged in that direction before, and may be now.
    pub(super) fn is_first_of(&mut self, direction: Direction, name: &[u8]) -> bool {
        let [of_requests, of_responses] = &mut self.told;
        let told = if direction == Direction::Inbound { of_requests } else { of_responses };
        told.len() < MOST_NAMES && told.insert(name.to_ascii_lowercase().into())
    }

    /// Returns whether a rule by which messages are mended was not logged for a while. If so, it is now.
    pub(super) fn is_first_in_a_while(&mut self, rule: Mended, now: Instant) -> bool {
        let place = place(Mended::ALL, &rule);
        let is_first = self.mended[place].is_none_or(|last| now.duration_since(last) >= MENDED_WINDOW);
        if is_first {
            self.mended[place] = Some(now);
        }
        is_first
    }

    /// Closes the windows that have ended, or all, and returns how many lines each left out, if any.
    pub(super) fn left_out(&mut self, now: Instant, of_all: bool) -> Vec<(Side, Reason, u64)> {
        let has_ended = |window: &mut Window| of_all || now.duration_since(window.begun) >= WINDOW;
        let ended = self.windows.extract_if(.., has_ended).filter(|window| window.left_out > 0);
        ended.map(|window| (window.side, window.reason, window.left_out)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: Reason = Reason::HttpRequestError;

    #[test]
    fn each_rule_of_mending_is_told_of_once_a_minute() {
        let mut limiter = Limiter::new();
        let begun = Instant::now();
        assert!(limiter.is_first_in_a_while(Mended::Fold, begun));
        assert!(!limiter.is_first_in_a_while(Mended::Fold, begun + MENDED_WINDOW.mul_f32(0.99)));
        assert!(limiter.is_first_in_a_while(Mended::BothLengths, begun));
        assert!(limiter.is_first_in_a_while(Mended::Fold, begun + MENDED_WINDOW));
    }

    #[test]
    fn each_side_and_reason_has_ten_lines_a_window_and_the_rest_is_told() {
        let mut limiter = Limiter::new();
        let begun = Instant::now();
        let admitted = |limiter: &mut Limiter, side, after| {
            (0..25).filter(|_| limiter.admits(side, REASON, begun + after)).count()
        };
        assert_eq!(admitted(&mut limiter, Side::Client, Duration::ZERO), 10);
        assert_eq!(admitted(&mut limiter, Side::Origin, Duration::from_secs(5)), 10);
        assert!(limiter.admits(Side::Client, Reason::ConnectionTerminated, begun));
        assert_eq!(limiter.left_out(begun + WINDOW.mul_f32(0.99), false), []);
        assert_eq!(limiter.left_out(begun + WINDOW, false), [(Side::Client, REASON, 15)]);
        assert_eq!(admitted(&mut limiter, Side::Client, WINDOW), 10);
        let all = [(Side::Origin, REASON, 15), (Side::Client, REASON, 15)];
        assert_eq!(limiter.left_out(begun + WINDOW, true), all);
        assert_eq!(limiter.left_out(begun + WINDOW, true), [], "nothing is told twice");
    }
}

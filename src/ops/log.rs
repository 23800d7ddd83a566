//! Lines on standard error.
//!
//! A thread of their own writes them: a reader that has stopped reading must not stop the proxy. Lines about bad ends are
//! limited for each reason, so that an attack does not fill a disk, and what was left out is counted and told. Bytes that
//! are not printable ASCII are escaped, and a line about a client is bounded.

use std::fmt::{self, Arguments, Display, Write as _};
use std::io::Write as _;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::reason::{Reason, Side};
use crate::http1::Ending;

/// Lines of one side and reason within a window.
const MOST_LINES: u32 = 10;

/// How long those are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// Bytes of a line about a client.
const LONGEST_LINE: usize = 512;

/// Bytes that wait for standard error; further lines are lost, and counted.
const MOST_WAITING: usize = 256 * 1024;

/// How often the end of a window is looked for.
const TICK: Duration = Duration::from_secs(1);

/// How long the end of the process waits for standard error to take what is left.
const PATIENCE: Duration = Duration::from_secs(1);

static LOG: LazyLock<Log> = LazyLock::new(Log::start);

/// Writes one line.
pub fn event(line: Arguments<'_>) {
    LOG.write(&Line::of(line, usize::MAX));
}

/// Tells that an exchange or a connection ended badly: whose client, on whose side and why, which rule, and what became
/// of it.
pub(crate) fn bad_end(client: &dyn Display, side: Side, reason: Reason, detail: &dyn Display, ending: Ending) {
    if LOG.entries().limiter.admits(side, reason, Instant::now()) {
        LOG.write(&Line::of(format_args!("client {client}: {side} {reason}: {detail} ({ending})"), LONGEST_LINE));
    }
}

/// Has all lines written, as far as standard error takes them in time, and tells what was left out: the process ends.
pub fn flush() {
    let mut entries = LOG.entries();
    entries.is_flushing = true;
    LOG.came.notify_one();
    // What is not taken in time is lost.
    drop(LOG.taken.wait_timeout_while(entries, PATIENCE, |entries| entries.is_flushing));
}

/// What the writing thread shares with the others.
#[derive(Default)]
struct Log {
    entries: Mutex<Entries>,
    came: Condvar,
    taken: Condvar,
}

#[derive(Default)]
struct Entries {
    waiting: String,
    lost: u64,
    limiter: Limiter,
    is_flushing: bool,
}

impl Log {
    fn start() -> Self {
        // Without a thread (a limit on processes) there is no log, which is no reason not to serve.
        drop(thread::Builder::new().name("log".into()).spawn(|| LOG.run()));
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &Line) {
        self.entries().push(&line.text);
        self.came.notify_one();
    }

    fn run(&self) {
        let mut entries = self.entries();
        loop {
            let is_last = entries.is_flushing;
            let text = entries.take(Instant::now());
            drop(entries);
            // A log that cannot be written is no reason to stop serving.
            let _ = std::io::stderr().write_all(text.as_bytes());
            entries = self.entries();
            if is_last {
                entries.is_flushing = false;
                self.taken.notify_all();
            }
            let is_idle = |entries: &mut Entries| entries.waiting.is_empty() && !entries.is_flushing;
            entries = self.came.wait_timeout_while(entries, TICK, is_idle).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Entries {
    fn push(&mut self, line: &str) {
        if self.waiting.len() + line.len() > MOST_WAITING {
            self.lost += 1;
        } else {
            self.waiting.push_str(line);
        }
    }

    /// All that is due now.
    fn take(&mut self, now: Instant) -> String {
        let mut text = std::mem::take(&mut self.waiting);
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            text += &Line::of(format_args!("lost {lost} lines: standard error did not take them"), LONGEST_LINE).text;
        }
        for (side, reason, count) in self.limiter.left_out(now, self.is_flushing) {
            let line = format_args!("left out {count} more lines like: {side} {reason}");
            text += &Line::of(line, LONGEST_LINE).text;
        }
        text
    }
}

/// Counts the lines of each side and reason.
#[derive(Default)]
struct Limiter(Vec<Window>);

struct Window {
    side: Side,
    reason: Reason,
    begun: Instant,
    written: u32,
    left_out: u64,
}

impl Limiter {
    /// Tells whether another line may be written. If not, it is counted.
    fn admits(&mut self, side: Side, reason: Reason, now: Instant) -> bool {
        let is_alike = |window: &&mut Window| window.side == side && window.reason == reason;
        match self.0.iter_mut().find(is_alike) {
            Some(window) if window.written == MOST_LINES => {
                window.left_out += 1;
                false
            }
            Some(window) => {
                window.written += 1;
                true
            }
            None => {
                self.0.push(Window { side, reason, begun: now, written: 1, left_out: 0 });
                true
            }
        }
    }

    /// Closes the windows that have ended, or all, and tells how many lines each left out, if any.
    fn left_out(&mut self, now: Instant, of_all: bool) -> impl Iterator<Item = (Side, Reason, u64)> {
        let has_ended = move |window: &mut Window| of_all || now.duration_since(window.begun) >= WINDOW;
        let ended = self.0.extract_if(.., has_ended);
        ended.filter(|window| window.left_out > 0).map(|window| (window.side, window.reason, window.left_out))
    }
}

/// A line, as it is written.
struct Line {
    text: String,
    longest: usize,
}

impl Line {
    fn of(line: Arguments<'_>, longest: usize) -> Self {
        let mut text = Self { text: "headsnip: ".into(), longest: longest - 1 };
        // An error means that it is as long as it may be.
        let _ = text.write_fmt(line);
        text.text.push('\n');
        text
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for byte in piece.bytes() {
            let escaped = std::ascii::escape_default(byte);
            let is_plain = byte == b' ' || byte.is_ascii_graphic();
            let added = if is_plain { 1 } else { escaped.len() };
            if self.text.len() + added > self.longest {
                return Err(fmt::Error);
            }
            if is_plain {
                self.text.push(char::from(byte));
            } else {
                self.text.extend(escaped.map(char::from));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: Reason = Reason::HttpRequestError;

    fn text(line: Arguments<'_>) -> String {
        Line::of(line, LONGEST_LINE).text
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(text(format_args!("a \"b\" \\ c")), "headsnip: a \"b\" \\ c\n");
        assert_eq!(
            text(format_args!("a\nheadsnip: b\r\0\x1b[2J\x7f\u{e9}")),
            "headsnip: a\\nheadsnip: b\\r\\x00\\x1b[2J\\x7f\\xc3\\xa9\n"
        );
    }

    #[test]
    fn a_line_is_bounded_and_never_ends_within_an_escape() {
        assert_eq!(text(format_args!("{}", "a".repeat(9_000))).len(), LONGEST_LINE);
        for before in 0..8 {
            let line = text(format_args!("{}{}", "a".repeat(before), "\0".repeat(9_000)));
            assert!(line.len() > LONGEST_LINE - 4 && line.len() <= LONGEST_LINE, "{} bytes", line.len());
            assert!(line.ends_with("\\x00\n"), "{line}");
        }
    }

    #[test]
    fn each_side_and_reason_has_ten_lines_a_window_and_the_rest_is_told() {
        let mut entries = Entries::default();
        let begun = Instant::now();
        let admitted = |entries: &mut Entries, side, after| {
            (0..25).filter(|_| entries.limiter.admits(side, REASON, begun + after)).count()
        };
        assert_eq!(admitted(&mut entries, Side::Client, Duration::ZERO), 10);
        assert_eq!(admitted(&mut entries, Side::Origin, Duration::from_secs(5)), 10);
        assert!(entries.limiter.admits(Side::Client, Reason::ConnectionTerminated, begun));
        assert_eq!(entries.take(begun + WINDOW.mul_f32(0.99)), "");
        let told = entries.take(begun + WINDOW);
        assert_eq!(told, "headsnip: left out 15 more lines like: client http_request_error\n");
        assert_eq!(admitted(&mut entries, Side::Client, WINDOW), 10);
        entries.is_flushing = true;
        assert_eq!(
            entries.take(begun + WINDOW),
            "headsnip: left out 15 more lines like: origin http_request_error\n\
             headsnip: left out 15 more lines like: client http_request_error\n"
        );
        assert_eq!(entries.take(begun + WINDOW), "", "nothing is told twice");
    }

    #[test]
    fn lines_that_nobody_reads_are_lost_and_counted() {
        let mut entries = Entries::default();
        let line = "a".repeat(1023) + "\n";
        for _ in 0..300 {
            entries.push(&line);
        }
        let written = entries.take(Instant::now());
        assert!(written.len() < MOST_WAITING + LONGEST_LINE, "{} bytes", written.len());
        assert!(written.ends_with("headsnip: lost 44 lines: standard error did not take them\n"));
        entries.push("b\n");
        assert_eq!(entries.take(Instant::now()), "b\n");
    }
}

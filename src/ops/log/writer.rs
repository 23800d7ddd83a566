//! A thread that writes lines: a reader that has stopped reading must not stop the proxy.

use std::fmt::{Arguments, Display};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use memchr::memchr_iter;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// How often it is asked for lines that are due by time.
const TICK: Duration = Duration::from_secs(1);

/// How long the end of the process waits for what is left to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often lost lines are reported.
const BETWEEN_LOSSES: Duration = Duration::from_secs(10);

/// Lines are written once there are this many bytes.
const GATHERED: usize = 64 * 1024;

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Standard,
    Error,
}

impl Output {
    /// Writes a text, and tells how much of it was written before an error. `are_one`: whether both outputs are.
    fn write(self, text: &str, are_one: bool) -> (usize, io::Result<()>) {
        // The kernel takes many lines in pieces, and in between those of whoever else writes.
        let _alone = are_one.then(|| io::stderr().lock());
        match self {
            Self::Standard => write_all(io::stdout().as_fd(), text.as_bytes()),
            Self::Error => write_all(io::stderr().as_fd(), text.as_bytes()),
        }
    }
}

fn write_all(output: BorrowedFd<'_>, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < text.len() {
        let result = match rustix::io::write(output, &text[written..]) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                written += count;
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            // Who has started us may not want to wait, but this thread does.
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&output, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            return (written, result);
        }
    }
    (written, Ok(()))
}

/// Whether standard output and standard error are one pipe, socket or file.
fn are_one() -> bool {
    let places = (rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr()));
    matches!(places, (Ok(output), Ok(error)) if (output.st_dev, output.st_ino) == (error.st_dev, error.st_ino))
}

/// What its thread is asked for besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Nothing,
    /// To write all lines there are, and what is due.
    Flush,
    /// The same, and to end.
    End,
}

#[derive(Debug)]
pub(super) struct Writer {
    output: Output,
    queue: Mutex<Queue>,
    came: Condvar,
    taken: Condvar,
    gathering: Duration,
    /// When the end of the process is not put off any more.
    end: OnceLock<Instant>,
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Queue {
    text: String,
    /// Bytes that may wait; further lines are lost, and counted.
    most: usize,
    lost: u64,
    asked: Order,
}

impl Writer {
    pub(super) fn new(output: Output, most: usize, gathering: Duration) -> Self {
        let queue = Mutex::new(Queue { text: String::new(), most, lost: 0, asked: Order::Nothing });
        Self { output, queue, came: Condvar::new(), taken: Condvar::new(), gathering, end: OnceLock::new() }
    }

    /// Has a line written.
    pub(super) fn push(&self, line: impl FnOnce(&mut String)) {
        let mut queue = self.queue();
        let before = queue.text.len();
        queue.push(line);
        let is_due = before == 0 || (before < GATHERED && queue.text.len() >= GATHERED);
        drop(queue);
        if is_due {
            self.came.notify_one();
        }
    }

    /// Has all lines written, as far as they are taken in time, counted from the first call.
    pub(super) fn flush(&self) {
        let left = self.end.get_or_init(|| Instant::now() + PATIENCE).saturating_duration_since(Instant::now());
        let queue = self.ask(Order::Flush);
        // What is not taken in time is lost.
        drop(self.taken.wait_timeout_while(queue, left, |queue| queue.asked == Order::Flush));
    }

    /// Asks its thread for that.
    pub(super) fn ask(&self, asked: Order) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        queue.asked = asked;
        self.came.notify_one();
        queue
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until it is asked to end. `due` adds those that are due by time, or all there are; `lose` tells of those that were lost.
    pub(super) fn run(&self, due: &dyn Fn(&mut String, bool), lose: &dyn Fn(Arguments<'_>)) {
        let mut text = String::new();
        let mut losses = Losses::default();
        let are_one = are_one();
        // Whether a line was written in part.
        let mut is_torn = false;
        let mut queue = self.queue();
        loop {
            let is_idle = |queue: &mut Queue| queue.text.is_empty() && queue.asked == Order::Nothing;
            queue = self.wait(queue, TICK, is_idle);
            if !queue.text.is_empty() {
                let gathers = |queue: &mut Queue| queue.text.len() < GATHERED && queue.asked == Order::Nothing;
                queue = self.wait(queue, self.gathering, gathers);
            }
            let asked = queue.asked;
            let is_last = asked != Order::Nothing;
            losses.add(queue.take(&mut text), &"not read in time");
            drop(queue);
            due(&mut text, is_last);
            let breaks = is_torn && !text.is_empty();
            if breaks {
                text.insert(0, '\n');
            }
            let (written, result) = self.output.write(&text, are_one);
            let (gone, left) = text.as_bytes().split_at(written);
            is_torn = gone.last().map_or(is_torn, |last| *last != b'\n');
            // A log that cannot be written must not stop serving.
            if let Err(error) = result {
                let count = memchr_iter(b'\n', left).count() - usize::from(breaks && written == 0);
                losses.add(u64::try_from(count).unwrap_or(u64::MAX), &error);
            }
            text.clear();
            if let Some(message) = losses.due(Instant::now(), is_last) {
                let name = if self.output == Output::Standard { "the access log" } else { "the log" };
                lose(format_args!("{name} has lost {message}"));
            }
            queue = self.queue();
            match asked {
                Order::Flush if queue.asked == Order::Flush => {
                    queue.asked = Order::Nothing;
                    self.taken.notify_all();
                }
                Order::Nothing | Order::Flush => {}
                Order::End => return,
            }
        }
    }

    fn wait<'q>(
        &self,
        queue: MutexGuard<'q, Queue>,
        longest: Duration,
        condition: impl FnMut(&mut Queue) -> bool,
    ) -> MutexGuard<'q, Queue> {
        self.came.wait_timeout_while(queue, longest, condition).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Lines that were lost and not yet reported.
#[derive(Default)]
struct Losses {
    count: u64,
    why: String,
    told: Option<Instant>,
}

impl Losses {
    fn add(&mut self, count: u64, why: &dyn Display) {
        if count > 0 {
            self.count += count;
            self.why = why.to_string();
        }
    }

    /// The message about them, if one is due.
    fn due(&mut self, now: Instant, is_last: bool) -> Option<String> {
        let is_due = is_last || self.told.is_none_or(|told| now.duration_since(told) >= BETWEEN_LOSSES);
        (self.count > 0 && is_due).then(|| {
            self.told = Some(now);
            format!("{} lines: {}", std::mem::take(&mut self.count), self.why)
        })
    }
}

impl Queue {
    fn push(&mut self, line: impl FnOnce(&mut String)) {
        let before = self.text.len();
        line(&mut self.text);
        if self.text.len() > self.most {
            self.text.truncate(before);
            self.lost += 1;
        }
    }

    /// Swaps the lines that wait for an empty text. Returns how many were lost.
    fn take(&mut self, empty: &mut String) -> u64 {
        std::mem::swap(&mut self.text, empty);
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_now_and_then_and_at_the_end() {
        let (mut losses, begun) = (Losses::default(), Instant::now());
        assert_eq!(losses.due(begun, true), None);
        losses.add(2, &"full");
        assert_eq!(losses.due(begun, false).as_deref(), Some("2 lines: full"));
        losses.add(3, &"full");
        assert_eq!(losses.due(begun + BETWEEN_LOSSES / 2, false), None);
        losses.add(1, &"gone");
        assert_eq!(losses.due(begun + BETWEEN_LOSSES, false).as_deref(), Some("4 lines: gone"));
        losses.add(1, &"gone");
        losses.add(0, &"nothing is lost by this");
        assert_eq!(losses.due(begun + BETWEEN_LOSSES, true).as_deref(), Some("1 lines: gone"));
    }

    #[test]
    fn lines_that_nobody_reads_are_lost_and_counted() {
        let mut queue = Queue { text: String::new(), most: 256 * 1024, lost: 0, asked: Order::Nothing };
        let line = "a".repeat(1023) + "\n";
        for _ in 0..300 {
            queue.push(|text| text.push_str(&line));
        }
        let mut text = String::new();
        assert_eq!(queue.take(&mut text), 44);
        assert_eq!(text.len(), 256 * 1024);
        queue.push(|text| text.push_str("b\n"));
        text.clear();
        assert_eq!(queue.take(&mut text), 0);
        assert_eq!(text, "b\n");
    }
}

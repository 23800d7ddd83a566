//! What the access log tells of an exchange.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant};

use super::log::{self, Value, printable};
use super::reason::{Reason, Side};
use crate::http1::Ending;

/// Bytes of a request target that are told.
const LONGEST_TARGET: usize = 1024;

/// Bytes of a method that are told.
const LONGEST_METHOD: usize = 32;

/// One exchange: a request and what came of it.
#[derive(Debug)]
pub(crate) struct Record {
    /// Empty where it could not be read.
    method: String,
    target: String,
    begun: Instant,
    /// Of the last head that went to the client.
    pub(crate) status: Option<u16>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// From the end of the request's head to the last byte of the response; `None`: it is not over.
    took: Option<Duration>,
    /// From the end of the request's head to that of the final response's.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) removed: u64,
    pub(crate) is_replayed: bool,
    pub(crate) failure: Option<Failure>,
}

/// Why it ended badly.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    side: Side,
    reason: Reason,
    detail: String,
    ending: String,
}

impl Failure {
    pub(crate) fn new(side: Side, reason: Reason, detail: &dyn Display, ending: Ending) -> Self {
        Self { side, reason, detail: printable(detail), ending: printable(&ending) }
    }
}

impl Record {
    /// Writes its line.
    pub(crate) fn tell(&self, client: &dyn Display) {
        let client = printable(client);
        log::exchange(&self.fields(&client));
    }

    /// The fields of its line in the access log, in order.
    fn fields<'a>(&'a self, client: &'a str) -> [(&'static str, Value<'a>); 14] {
        let text = |text: &'a str| if text.is_empty() { Value::Absent } else { Value::Text(text) };
        let failure = self.failure.as_ref();
        [
            ("client", Value::Text(client)),
            ("method", text(&self.method)),
            ("target", text(&self.target)),
            ("status", self.status.map_or(Value::Absent, |status| Value::Number(status.into()))),
            ("bytes_in", Value::Number(self.bytes_in)),
            ("bytes_out", Value::Number(self.bytes_out)),
            ("first_byte_ms", self.first_byte.map_or(Value::Absent, milliseconds)),
            ("total_ms", milliseconds(self.took.unwrap_or_else(|| self.begun.elapsed()))),
            ("removed", Value::Number(self.removed)),
            ("replayed", Value::Flag(self.is_replayed)),
            ("side", failure.map_or(Value::Absent, |failure| Value::Text(failure.side.name()))),
            ("reason", failure.map_or(Value::Absent, |failure| Value::Text(failure.reason.name()))),
            ("detail", failure.map_or(Value::Absent, |failure| Value::Text(&failure.detail))),
            ("ending", failure.map_or(Value::Absent, |failure| Value::Text(&failure.ending))),
        ]
    }

    /// The last byte of the response was written.
    pub(crate) fn end(&mut self) {
        self.took = Some(self.begun.elapsed());
    }

    /// The note of the request whose head is given, and was whole then.
    pub(crate) fn of(head: &[u8], begun: Instant) -> Self {
        let line = head.split(|byte| *byte == b'\r').next();
        let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
        let mut word = |longest| bounded(words.next().unwrap_or_default(), longest);
        Self {
            method: word(LONGEST_METHOD),
            target: word(LONGEST_TARGET),
            begun,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            took: None,
            first_byte: None,
            removed: 0,
            is_replayed: false,
            failure: None,
        }
    }
}

/// Printable ASCII; of more bytes than that the first, with dots behind them.
fn bounded(bytes: &[u8], longest: usize) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(longest) {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if bytes.len() > longest {
        text.push_str("...");
    }
    text
}

fn milliseconds(duration: Duration) -> Value<'static> {
    Value::Milliseconds(duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_escaped_and_bounded() {
        let record = |head: &[u8]| Record::of(head, Instant::now());
        let escaped = record(b"GET /a\\b\xff\x01\"?c HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((&*escaped.method, &*escaped.target), ("GET", "/a\\x5cb\\xff\\x01\"?c"));
        let long = [b"GET /", &[b'a'; 9000][..], b" HTTP/1.1\r\n\r\n"].concat();
        let target = record(&long).target;
        assert!(target.len() == LONGEST_TARGET + 3 && target.ends_with("a..."), "{target}");
        assert_eq!(record(b"").target, "");
    }
}

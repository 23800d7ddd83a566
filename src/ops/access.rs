//! An exchange as an operator sees it.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant, SystemTime};

use super::reason::{Reason, Side};
use crate::http1::{Ending, LogFields};

/// Bytes of a request target that are logged.
const LONGEST_TARGET: usize = 1024;

/// Bytes of a method that are logged.
const LONGEST_METHOD: usize = 32;

/// Bytes of a request field that are logged.
const LONGEST_FIELD: usize = 512;

/// One exchange: a request and what came of it. What a client sent is printable ASCII here, escaped and bounded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Record {
    /// Empty where it could not be read.
    pub method: String,
    /// Empty where it could not be read.
    pub target: String,
    /// The values of the request fields that are noted; none if none are.
    pub asked: Box<[Option<String>]>,
    begun: Instant,
    /// When the last byte of the response was written.
    pub ended: SystemTime,
    /// Of the last head that went to the client.
    pub status: Option<u16>,
    /// Bytes that went to the origin.
    pub bytes_in: u64,
    /// Bytes that went to the client.
    pub bytes_out: u64,
    /// From the end of the request's head to the last byte of the response.
    pub took: Duration,
    /// From the end of the request's head to that of the final response's.
    pub first_byte: Option<Duration>,
    /// Denied lines, removed or found in a dry run.
    pub removed: u64,
    /// Whether it was sent to the origin once more.
    pub is_replayed: bool,
    /// Why it ended badly, if it did.
    pub failure: Option<Failure>,
}

/// Why an exchange ended badly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The side at fault.
    pub side: Side,
    /// In one word.
    pub reason: Reason,
    /// Which rule was broken, or what the kernel said.
    pub detail: String,
    /// What became of the client.
    pub ending: Ending,
}

impl Failure {
    pub(crate) fn new(side: Side, reason: Reason, detail: &dyn Display, ending: Ending) -> Self {
        Self { side, reason, detail: detail.to_string(), ending }
    }
}

impl Record {
    /// Bytes of memory that it takes, as it began.
    pub(crate) fn footprint(&self) -> usize {
        let of_field = |text: &Option<String>| size_of_val(text) + text.as_ref().map_or(0, String::capacity);
        let of_line = self.method.capacity() + self.target.capacity();
        size_of::<Self>() + of_line + self.asked.iter().map(of_field).sum::<usize>()
    }

    /// The last byte of the response was written.
    pub(crate) fn end(&mut self) {
        (self.took, self.ended) = (self.begun.elapsed(), SystemTime::now());
    }

    /// The note of the request whose head is given, and was complete then.
    pub(crate) fn of(head: &[u8], begun: Instant, fields: &LogFields) -> Self {
        let line = head.split(|byte| *byte == b'\r').next();
        let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
        let mut word = |longest| bounded(words.next().unwrap_or_default(), longest);
        Self {
            method: word(LONGEST_METHOD),
            target: word(LONGEST_TARGET),
            asked: fields.values(head).map(|value| value.map(|value| bounded(&value, LONGEST_FIELD))).collect(),
            begun,
            ended: SystemTime::UNIX_EPOCH,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            took: Duration::ZERO,
            first_byte: None,
            removed: 0,
            is_replayed: false,
            failure: None,
        }
    }
}

/// Printable ASCII; of more bytes than that the first, with dots after them.
fn bounded(bytes: &[u8], longest: usize) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(longest) {
        if (byte.is_ascii_graphic() || *byte == b' ') && *byte != b'\\' {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_escaped_and_bounded() {
        let fields = LogFields::new(["x-a", "x-b"]).expect("sound names");
        let record = |head: &[u8]| Record::of(head, Instant::now(), &fields);
        let escaped = record(b"GET /a\\b\xff\x01\"?c HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((&*escaped.method, &*escaped.target), ("GET", "/a\\x5cb\\xff\\x01\"?c"));
        let long = [b"GET /", &[b'a'; 9000][..], b" HTTP/1.1\r\n\r\n"].concat();
        let escaped_target = record(&[b"GET /", &[0xff; 9000][..], b" HTTP/1.1\r\n\r\n"].concat()).footprint();
        let target = record(&long).target;
        assert!(target.len() == LONGEST_TARGET + 3 && target.ends_with("a..."), "{target}");
        assert_eq!((&*record(b"").target, &*record(b"").asked), ("", &[None, None][..]));
        let long = [b"GET / HTTP/1.1\r\nX-A: a\\ b\xff\tc\r\nX-B: ", &[0xff; 9000][..], b"\r\n\r\n"].concat();
        let of_all = record(&[b"GET / HTTP/1.1\r\nX-A: ", &[b'a'; LONGEST_FIELD][..], b"\r\n\r\n"].concat());
        assert_eq!(of_all.asked[0], Some("a".repeat(LONGEST_FIELD)), "nothing is left out");
        let record = record(&long);
        let [Some(escaped), Some(bounded)] = &*record.asked else { panic!("{record:?}") };
        assert_eq!(escaped, "a\\x5c b\\xff\\x09c");
        assert_eq!(*bounded, format!("{}...", "\\xff".repeat(LONGEST_FIELD)));
        assert!(record.footprint() > size_of::<Record>() + bounded.len());
        // A text that grew has room for at most twice of what it holds.
        let texts = record.method.len() + record.target.len() + escaped.len() + bounded.len();
        let most = size_of::<Record>() + 2 * (size_of::<Option<String>>() + texts + 8);
        assert!(record.footprint() <= most, "{} of {most}", record.footprint());
        assert!(escaped_target > size_of::<Record>() + 4 * LONGEST_TARGET, "{escaped_target}");
    }
}

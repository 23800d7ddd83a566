//! How a line looks, for people and for machines.

use std::fmt::{self, Display, Write as _};
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::Format;

/// Bytes of a line about a client, its end not counted, and of each of its fields.
pub(super) const LONGEST: usize = 511;

/// Whether whoever reads standard error notes the time of each line: the journal. systemd.exec(5), `$JOURNAL_STREAM`.
static HAS_TIME: LazyLock<bool> = LazyLock::new(|| {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let own = std::fs::metadata("/proc/self/fd/2").map(|own| format!("{}:{}", own.dev(), own.ino()));
    own.is_ok_and(|own| own == journal)
});

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Printable ASCII.
    Text(&'a str),
    Number(u64),
    /// Told in milliseconds, to a thousandth.
    Took(Duration),
    Flag(bool),
    /// There is none.
    Absent,
}

/// Adds an event: for people its message, for machines that and more.
pub(super) fn write_event(
    text: &mut String,
    format: Format,
    level: Level,
    message: &str,
    fields: &[(&str, Value<'_>)],
) {
    match format {
        Format::Text => {
            if !*HAS_TIME {
                write_time(text, SystemTime::now());
                text.push(' ');
            }
            text.push_str("headsnip: ");
            text.push_str(message);
            text.push('\n');
        }
        Format::Json => {
            let level = match level {
                Level::Info => "info",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let first = [("level", Value::Text(level)), ("message", Value::Text(message))];
            write_json(text, SystemTime::now(), first.into_iter().chain(fields.iter().copied()));
        }
    }
}

/// Adds a line that is nothing but fields.
pub(super) fn write_fields<'a>(
    text: &mut String,
    format: Format,
    time: SystemTime,
    fields: impl Iterator<Item = (&'a str, Value<'a>)>,
) {
    match format {
        Format::Text => {
            text.push_str("time=");
            write_time(text, time);
            for (name, value) in fields {
                if !matches!(value, Value::Absent) {
                    text.push(' ');
                    text.push_str(name);
                    text.push('=');
                    write_value(text, value, |text| !text.is_empty() && !text.contains([' ', '"', '=', '\\']));
                }
            }
            text.push('\n');
        }
        Format::Json => write_json(text, time, fields),
    }
}

fn write_json<'a>(text: &mut String, time: SystemTime, fields: impl Iterator<Item = (&'a str, Value<'a>)>) {
    text.push_str("{\"time\":\"");
    write_time(text, time);
    text.push('"');
    for (name, value) in fields {
        text.push_str(",\"");
        text.push_str(name);
        text.push_str("\":");
        write_value(text, value, |_| false);
    }
    text.push_str("}\n");
}

/// RFC 3339, in UTC.
fn write_time(text: &mut String, time: SystemTime) {
    // Writing to a string does not fail.
    let _ = write!(text, "{}", humantime::format_rfc3339_millis(time));
}

/// Texts are quoted unless they are plain.
fn write_value(text: &mut String, value: Value<'_>, is_plain: impl Fn(&str) -> bool) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Text(value) if is_plain(value) => text.write_str(value),
        Value::Text(value) => {
            text.push('"');
            for piece in value.split_inclusive(['"', '\\']) {
                let (plain, special) = piece.split_at(piece.len() - usize::from(piece.ends_with(['"', '\\'])));
                text.push_str(plain);
                if !special.is_empty() {
                    text.push('\\');
                    text.push_str(special);
                }
            }
            text.write_char('"')
        }
        Value::Number(number) => write!(text, "{number}"),
        Value::Took(took) => write!(text, "{}.{:03}", took.as_millis(), took.subsec_micros() % 1000),
        Value::Flag(flag) => write!(text, "{flag}"),
        Value::Absent => text.write_str("null"),
    };
}

/// A text in printable ASCII, of at most that many bytes; other bytes are escaped, never in part.
pub(super) fn bounded(told: &(impl Display + ?Sized), longest: usize) -> String {
    let mut bounded = Bounded { text: String::new(), longest };
    // An error means that it is as long as it may be.
    let _ = write!(bounded, "{told}");
    bounded.text
}

struct Bounded {
    text: String,
    longest: usize,
}

impl fmt::Write for Bounded {
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

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(bounded("a \"b\" \\ c", LONGEST), "a \"b\" \\ c");
        assert_eq!(
            bounded("a\nheadsnip: b\r\0\x1b[2J\x7f\u{e9}", LONGEST),
            "a\\nheadsnip: b\\r\\x00\\x1b[2J\\x7f\\xc3\\xa9"
        );
    }

    #[test]
    fn a_line_is_bounded_and_never_ends_within_an_escape() {
        assert_eq!(bounded(&"a".repeat(9_000), LONGEST).len(), LONGEST);
        for before in 0..8 {
            let line = bounded(&format_args!("{}{}", "a".repeat(before), "\0".repeat(9_000)), LONGEST);
            assert!(line.len() > LONGEST - 4 && line.len() <= LONGEST, "{} bytes", line.len());
            assert!(line.ends_with("\\x00"), "{line}");
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let fields = [
            ("plain", Value::Text("/a?b")),
            ("special", Value::Text("a\"=\\")),
            ("number", Value::Number(3)),
            ("time", Value::Took(Duration::from_micros(1_002_003))),
            ("flag", Value::Flag(true)),
            ("none", Value::Absent),
        ];
        let mut text = String::new();
        write_fields(&mut text, Format::Text, SystemTime::UNIX_EPOCH, fields.into_iter());
        let rest = text.strip_prefix("time=1970-01-01T00:00:00.000Z ");
        assert_eq!(rest, Some("plain=/a?b special=\"a\\\"=\\\\\" number=3 time=1002.003 flag=true\n"));
        text.clear();
        write_fields(&mut text, Format::Json, SystemTime::UNIX_EPOCH, fields.into_iter());
        let rest = text.strip_prefix("{\"time\":\"1970-01-01T00:00:00.000Z\",");
        let expected = r#""plain":"/a?b","special":"a\"=\\","number":3,"time":1002.003,"flag":true,"none":null}"#;
        assert_eq!(rest, Some(&*format!("{expected}\n")));
    }
}

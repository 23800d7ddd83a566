//! Lines that the operator adds to final response heads without a line of that name.
//!
//! Which of the names a head has is a bit each. Lines whose name is denied too, so that they replace what the application says, stand last: judged
//! again, they are withheld and added again in the same place (invariant 4).

use std::ops::Range;

use super::denylist::{Denylist, protected_by};
use super::error::SettingError;
use super::names::{bit, is_meant, is_name, with_dashes};

/// Bytes of all lines that are added, with their ends: a content security policy or two. So much room is kept before each response head.
pub const MAX_ADDED_BYTES: usize = 8 * 1024;

/// The most lines that are added: a bit each in 64.
pub const MAX_ADDED_LINES: usize = 64;

/// Fields that describe the body that they stand before: no line for all responses can be right.
const OF_BODY: [&str; 10] = [
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-transfer-encoding",
    "content-type",
];

/// What would be right.
const EXAMPLE: &str = "'X-Content-Type-Options: nosniff'";

/// The lines that are added.
#[derive(Clone, Debug, Default)]
pub struct AddedLines {
    /// At most [`MAX_ADDED_LINES`].
    lines: Vec<Line>,
    /// All of them, as they are written; at most [`MAX_ADDED_BYTES`].
    bytes: Vec<u8>,
    /// The bits of names that may be among these.
    bits: u64,
}

#[derive(Clone, Debug)]
struct Line {
    /// In lower case.
    name: Box<str>,
    /// Where it stands among all.
    place: Range<usize>,
}

impl AddedLines {
    /// Adds these lines, each `Name: value`, to heads that are judged by that denylist.
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>, denylist: &Denylist) -> Result<Self, SettingError> {
        let mut checked = lines.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
        checked.sort_by_key(|(name, _)| denylist.denies(name.as_bytes()));
        let mut added = Self::default();
        for (name, value) in checked {
            let start = added.bytes.len();
            added.bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            added.bits |= bit(name.as_bytes());
            let line = Line { name: name.to_ascii_lowercase().into(), place: start..added.bytes.len() };
            added.lines.push(line);
        }
        if added.bytes.len() > MAX_ADDED_BYTES || added.lines.len() > MAX_ADDED_LINES {
            let problem = format!("at most {MAX_ADDED_LINES} lines of {MAX_ADDED_BYTES} bytes in all can be added");
            return Err(SettingError { culprit: None, problem });
        }
        Ok(added)
    }

    /// All lines, with their ends.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bits of names that are added.
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// Which lines are of that name: a bit each.
    pub(super) fn of(&self, name: &[u8]) -> u64 {
        let lines = self.lines.iter().enumerate();
        lines.filter(|(_, line)| is_name(name, line.name.as_bytes())).fold(0, |bits, (place, _)| bits | 1 << place)
    }

    /// Those that a head needs which has these: a bit each.
    pub(super) fn missing(&self, present: u64) -> impl Iterator<Item = &[u8]> {
        let lines = self.lines.iter().enumerate().filter(move |(place, _)| present & (1 << place) == 0);
        lines.map(|(_, line)| &self.bytes[line.place.clone()])
    }
}

/// The name and the value of a line, if it may be added.
fn checked(line: &str) -> Result<(&str, &str), SettingError> {
    let refused = |problem| Err(SettingError::of(line, format!("{line:?} {problem}; for example {EXAMPLE}")));
    let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_meant(name)) else {
        return refused("is not a field name, a colon and a value");
    };
    let value = value.trim_matches([' ', '\t']);
    if value.is_empty() || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return refused("has no value, or a control byte in it");
    }
    // Who reads the response may take one for the other.
    let read = with_dashes(name);
    if OF_BODY.contains(&&*read) || protected_by(&read).is_some() {
        let what = "is about framing, the connection or one body and cannot be added to all responses";
        return Err(SettingError::of(line, format!("\"{name}\" {what}")));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_that_a_head_lacks_and_the_denied_last() {
        let denylist = Denylist::new(["via"], []).expect("sound names");
        let lines = ["Server:mine ", "X-A: b", "x-a: c\t d", "Via: \u{e9}"];
        let added = AddedLines::new(lines, &denylist).expect("sound lines");
        assert_eq!(added.bytes(), "X-A: b\r\nx-a: c\t d\r\nServer: mine\r\nVia: \u{e9}\r\n".as_bytes());
        assert_eq!([&b"X-a"[..], b"SERVER", b"x-b"].map(|name| added.of(name)), [0b11, 0b100, 0]);
        let missing: Vec<_> = added.missing(0b1011).collect();
        assert_eq!(missing, [b"Server: mine\r\n"]);
    }

    #[test]
    fn what_would_break_a_head_or_belie_a_body_is_refused() {
        let refused = |line: &str| AddedLines::new([line], &Denylist::default()).expect_err(line).to_string();
        for line in ["", "a", ": b", "a b: c", "a : b", "a\r\n: b", "\u{e9}: a", "{}: b"] {
            assert!(refused(line).contains("not a field name, a colon"), "{line:?}");
        }
        for line in ["a:", "a: \t", "a: b\r\nc: d", "a: b\n", "a: b\rc", "a: \0", "a: \x7f"] {
            assert!(refused(line).contains("has no value, or a control byte"), "{line:?}");
        }
        for name in
            "Connection Content-Length transfer-encoding Trailer TE Sec-WebSocket-Accept Content-Type Content_Type Content.Length \
                     content-encoding Content-Range Content-Location Content-Language"
                .split_ascii_whitespace()
        {
            assert!(refused(&format!("{name}: a")).contains("cannot be added to all responses"), "{name}");
        }
        for name in ["Content-Security-Policy", "Content-Security-Policy-Report-Only", "Upgrade-Insecure", "Set-Cookie"]
        {
            assert!(AddedLines::new([&*format!("{name}: a")], &Denylist::default()).is_ok(), "{name}");
        }
    }

    #[test]
    fn there_is_a_bound_to_all_of_them() {
        let of = |count: usize, length: usize| {
            let line = format!("a: {}", "b".repeat(length - 5));
            AddedLines::new(vec![&*line; count], &Denylist::default()).map(|added| added.bytes().len())
        };
        assert_eq!([of(64, 128), of(1, 8192)], [Ok(8192), Ok(8192)]);
        assert!([of(65, 10), of(1, 8193), of(64, 129)].iter().all(Result::is_err));
    }
}

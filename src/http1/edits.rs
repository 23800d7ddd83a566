//! What of a head is forwarded: all of it except the withheld ranges, plus lines before its end.
//!
//! A head is complete when it is judged, so all that happens to it is known at once. The list is lent by who owns the bytes, used
//! for one section after another, so that nothing is allocated for a head.

use std::ops::Range;

use strum::{IntoStaticStr, VariantArray};

/// The only line that is added to a head without an operator's request: it says that the connection closes after the message.
pub(super) const CLOSE_LINE: &[u8] = b"Connection: close\r\n";

/// The line that ends a section.
pub(super) const EMPTY_LINE: &[u8] = b"\r\n";

/// What becomes of the bytes of a head or a trailer section that was judged.
#[derive(Debug, Default)]
pub struct Edits {
    section: Section,
    /// In order, and apart from each other.
    withheld: Vec<Withheld>,
    /// Denied lines that stay, since only their count is wanted.
    spared: Vec<Withheld>,
    /// Whole lines that go before the empty line.
    added: Vec<u8>,
    /// Whether something was mended, or would have been in a line that goes whole.
    is_mended: bool,
}

/// What was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// The head of a request.
    #[default]
    Request,
    /// The head of a response with that status, from 100 to 999.
    Response(u16),
    /// The trailer section of a message, and the line of its last chunk.
    Trailer,
}

/// A part of a section that is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withheld {
    start: u32,
    end: u32,
    why: Why,
}

/// Why a part of a section is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// That entry of the denylist, in the order of [`Denylist::entries`](super::Denylist::entries), denies the line: of the requests' for what the
    /// client sends.
    Denied(u16),
    /// It was mended.
    Mended(Mended),
    /// It says only keep-alive, which contradicts the added line.
    Belied,
    /// Its values are in the added line that names the client.
    Forwarded,
    /// It is a 1xx, which must not be sent to an HTTP/1.0 client (RFC 9110 §15.2).
    NotForClient,
}

/// What was withheld so that all readers agree on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Mended {
    /// Empty lines before a start-line (RFC 9112 §2.2).
    EmptyLine,
    /// The line end within a folded field line (RFC 9112 §5.2).
    Fold,
    /// White space between a field name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// Content-Length beside Transfer-Encoding (RFC 9112 §6.3).
    BothLengths,
    /// A Content-Length that repeats an earlier one (RFC 9110 §8.6).
    LengthRepeated,
    /// A second `Transfer-Encoding: chunked` (RFC 9112 §6.1).
    CodingRepeated,
    /// Content-Length or Transfer-Encoding in a 1xx or a 204 (RFC 9110 §8.6, RFC 9112 §6.1).
    LengthOfNothing,
    /// Offers of protocols in a request that no 101 may switch to (RFC 9110 §7.8).
    UpgradeOffer,
}

impl Mended {
    /// All of them.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// The rule as one word of a log line or a metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Withheld {
    /// Where it stands in the section.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        widen(self.start)..widen(self.end)
    }

    /// Why it is not forwarded.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }
}

impl Edits {
    /// What was judged.
    #[must_use]
    pub fn section(&self) -> Section {
        self.section
    }

    /// What is not forwarded, in order.
    #[must_use]
    pub fn withheld(&self) -> &[Withheld] {
        &self.withheld
    }

    /// The denied lines, forwarded or not: by which entry of the denylist, and where each is.
    pub fn denied(&self) -> impl Iterator<Item = (u16, Range<usize>)> {
        let lines = self.withheld.iter().chain(&self.spared);
        lines.filter_map(|line| if let Why::Denied(entry) = line.why { Some((entry, line.range())) } else { None })
    }

    /// What was mended, once for each part withheld.
    pub fn mended(&self) -> impl Iterator<Item = Mended> {
        self.withheld.iter().filter_map(|part| if let Why::Mended(rule) = part.why { Some(rule) } else { None })
    }

    /// Returns whether the whole section is withheld, since the client must not get it.
    #[must_use]
    pub fn is_not_for_client(&self) -> bool {
        self.withheld.first().is_some_and(|part| part.why == Why::NotForClient)
    }

    /// Returns whether there is something to log or count.
    #[must_use]
    pub fn are_told(&self) -> bool {
        !(self.withheld.is_empty() && self.spared.is_empty())
    }

    /// Returns whether the section is changed.
    #[must_use]
    pub fn changes(&self) -> bool {
        !(self.added.is_empty() && self.withheld.is_empty())
    }

    /// How many bytes are forwarded of a section of that length.
    #[must_use]
    pub fn going_on(&self, length: usize) -> usize {
        (length + self.added.len()).saturating_sub(self.count())
    }

    /// The lines that go before the empty line.
    #[must_use]
    pub fn added(&self) -> &[u8] {
        &self.added
    }

    /// Writes what is forwarded of the section with these bytes.
    pub fn write(&self, section: &[u8], out: &mut Vec<u8>) {
        let mut from = 0;
        for withheld in &self.withheld {
            out.extend_from_slice(section.get(from..widen(withheld.start)).unwrap_or_default());
            from = widen(withheld.end);
        }
        out.extend_from_slice(section.get(from..).unwrap_or_default());
        if !self.added.is_empty() {
            let end = end_of_lines(out);
            out.splice(end..end, self.added.iter().copied());
        }
    }

    /// Does the same in place, for the section that begins at `at` and ends with the bytes: what goes on, and what stands before it from
    /// `start` on, moves up or down to stand before the section's end. Returns where it begins then. Before `start` there must be room for
    /// as many bytes as a head of that direction [may grow by](super::Policy::most_added).
    pub fn apply(&self, bytes: &mut [u8], start: usize, at: usize) -> usize {
        let mut gap = 0;
        for (index, withheld) in self.withheld.iter().enumerate().rev() {
            gap += withheld.range().len();
            let from = index.checked_sub(1).map_or(start, |before| at + widen(self.withheld[before].end));
            bytes.copy_within(from..at + widen(withheld.start), from + gap);
        }
        let start = start + gap;
        let length = self.added.len();
        if length == 0 {
            return start;
        }
        let end = end_of_lines(bytes);
        bytes.copy_within(start..end, start - length);
        bytes[end - length..end].copy_from_slice(&self.added);
        start - length
    }

    /// Returns whether something was mended, or would have been in a line that is denied.
    pub(super) fn is_mended(&self) -> bool {
        self.is_mended
    }

    /// Bytes that are not forwarded.
    pub(super) fn count(&self) -> usize {
        self.withheld.iter().map(|withheld| withheld.range().len()).sum()
    }

    /// Begins with another section.
    pub(super) fn begin(&mut self, section: Section) {
        self.section = section;
        self.withheld.clear();
        self.spared.clear();
        self.added.clear();
        self.is_mended = false;
    }

    pub(super) fn withhold(&mut self, range: Range<usize>, why: Why) {
        self.is_mended |= matches!(why, Why::Mended(_));
        self.withheld.push(Withheld { start: narrow(range.start), end: narrow(range.end), why });
    }

    /// Records a denied line that stays.
    pub(super) fn spare(&mut self, range: Range<usize>, entry: u16) {
        self.spared.push(Withheld { start: narrow(range.start), end: narrow(range.end), why: Why::Denied(entry) });
    }

    /// Withholds the whole section, and counts nothing of what was withheld of it.
    pub(super) fn withhold_all(&mut self, length: usize) {
        self.withheld.clear();
        self.spared.clear();
        self.withhold(0..length, Why::NotForClient);
    }

    /// Records a line that goes whole, and would have been mended.
    pub(super) fn note_malformed(&mut self) {
        self.is_mended = true;
    }

    /// Adds a line, its end included, or a part of one whose rest follows.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.added.extend_from_slice(bytes);
    }

    /// Puts what was withheld out of order in order; what lies within another goes with it.
    pub(super) fn sort(&mut self) {
        self.withheld.sort_unstable_by_key(|withheld| (withheld.start, u32::MAX - withheld.end));
        let mut end = 0;
        self.withheld.retain(|withheld| {
            let is_apart = withheld.start >= end;
            end = end.max(withheld.end);
            is_apart
        });
    }
}

/// Where the empty line begins that ends these bytes; a bare LF may be one.
fn end_of_lines(bytes: &[u8]) -> usize {
    bytes.len() - if bytes.ends_with(EMPTY_LINE) { EMPTY_LINE.len() } else { 1 }
}

/// Positions are within a head and what is read at once, which fits both types.
pub(crate) fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The same, back.
pub(crate) fn widen(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_place_is_what_is_written() {
        let head = b"HTTP/1.1 200 OK\r\nServer: a\r\nA: b\r\nVia: c\r\nB: c\r\n\r\n";
        let before = b"before";
        for added in [&b""[..], CLOSE_LINE, &[b'+'; 300]] {
            for ranges in [&[][..], &[17..28, 28..34], &[17..28, 34..42], &[17..18, 19..48], &[20..21, 22..23, 34..42]]
            {
                let mut edits = Edits { added: added.to_vec(), ..Edits::default() };
                for range in ranges {
                    edits.withhold(Range::clone(range), Why::Belied);
                }
                let mut written = before.to_vec();
                edits.write(head, &mut written);
                let mut bytes = [vec![b'-'; added.len()], before.to_vec(), head.to_vec()].concat();
                let start = edits.apply(&mut bytes, added.len(), added.len() + before.len());
                assert_eq!(bytes[start..].escape_ascii().to_string(), written.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn what_lies_within_another_goes_with_it() {
        let mut edits = Edits::default();
        for range in [30..40, 5..7, 0..10, 12..13, 35..36] {
            edits.withhold(range, Why::Belied);
        }
        edits.sort();
        let ranges: Vec<_> = edits.withheld().iter().map(Withheld::range).collect();
        assert_eq!(ranges, [0..10, 12..13, 30..40]);
        assert!(!edits.is_not_for_client() && !edits.is_mended());
        edits.withhold(41..42, Why::Mended(Mended::Fold));
        assert!(edits.is_mended());
        edits.withhold_all(50);
        assert!(edits.is_not_for_client() && edits.withheld().len() == 1);
    }
}

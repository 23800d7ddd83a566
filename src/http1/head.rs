//! Heads and trailer sections: where one ends, whether its grammar holds, and what its field lines say.
//!
//! The one file that names httparse. A head that is whole at the first look, as nearly all are, is parsed by httparse
//! alone; that every line ended in CRLF is then read off the places of the names it found. In every other case (the head is
//! partial, its target is not UTF-8, or something is wrong with it) the strict scanner of `scan` walks it and names the first rule
//! broken. What a well-formed head *means* (framing, Host, Upgrade) is asked last.
//!
//! httparse is told to be strict (its default); what it lets pass and we do not: a bare LF as line end, empty lines before a
//! status-line, lone LF before a request-line, a status below 100.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::Range;

use httparse::{EMPTY_HEADER, Header};
use memchr::memchr;

use super::denylist::Denylist;
use super::error::Violation;
use super::framing::{Fields, gives_way_to_close};
use super::scan::{HeadScan, Section, is_token_byte, widen};
use super::{MAX_FIELD_LINES, Policy, Verdict, keep};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Connect,
    Head,
    /// The other methods that RFC 9110 §9.2.2 calls idempotent.
    Idempotent,
    Other,
}

impl Method {
    pub(super) fn is_idempotent(self) -> bool {
        matches!(self, Self::Head | Self::Idempotent)
    }
}

#[derive(Debug)]
pub(super) struct RequestHead {
    /// Bytes of the head, its empty line and the empty lines before it included; 0 < length.
    pub(super) length: usize,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) fields: Fields,
}

#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) lines: JudgedLines,
    /// 100 ≤ status ≤ 999.
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) fields: Fields,
}

/// The lines of a judged head or trailer section that are not yet disposed of: some that are kept, some that are denied, then
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JudgedLines {
    /// Bytes left of the section; 0 < left until the last verdict.
    left: u32,
    /// Of those, the bytes that are kept for sure (all, where no line may have to go).
    kept: u32,
    /// The bytes behind those that are denied for sure.
    denied: u32,
    /// Denied lines among the others.
    others: u16,
    closing: Closing,
}

/// Whether a head is told to say that the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// It goes on as the origin wrote it.
    Unsaid,
    /// [`CLOSE_LINE`] is to go out before its empty line, and `Connection: keep-alive` is to give way.
    Due,
    Said,
}

/// The one line that is ever added: while draining, to a final head.
const CLOSE_LINE: &[u8] = b"Connection: close\r\n";

impl JudgedLines {
    fn clean(length: usize) -> Self {
        let length = narrow(length);
        Self { left: length, kept: length, denied: 0, others: 0, closing: Closing::Unsaid }
    }

    /// Takes note of a denied line; shown in order, and before any is disposed of.
    fn deny(&mut self, line: &Range<usize>) {
        let (start, length) = (narrow(line.start), narrow(line.len()));
        if self.denied == 0 {
            (self.kept, self.denied) = (start, length);
        } else if self.others == 0 && self.kept + self.denied == start {
            self.denied += length;
        } else {
            self.others += 1;
        }
    }

    /// Says what becomes of the next lines, and whether they were the last.
    pub(super) fn judge(&mut self, denylist: &Denylist, shown: &[u8]) -> Verdict {
        if self.closing != Closing::Unsaid {
            return self.judge_closing(denylist, shown);
        }
        let shown = shown.get(..widen(self.left)).unwrap_or(shown);
        let (verdict, lines) = match (widen(self.kept).min(shown.len()), widen(self.denied).min(shown.len())) {
            (0, 0) => judge_lines(shown, |name, _| Fate::of(denylist, name)),
            (0, denied) => (NonZeroUsize::new(denied).map_or(Verdict::NeedMore, Verdict::Drop), 0),
            (kept, _) => (keep(kept), 0),
        };
        match verdict {
            Verdict::Keep(n) => {
                self.left -= narrow(n.get());
                self.kept = self.kept.saturating_sub(narrow(n.get()));
            }
            Verdict::Drop(n) => {
                self.left -= narrow(n.get());
                self.denied = self.denied.saturating_sub(narrow(n.get()));
                self.others = self.others.saturating_sub(lines);
                if self.denied == 0 && self.others == 0 {
                    // What is left need not be looked at again.
                    self.kept = self.left;
                }
            }
            Verdict::NeedMore | Verdict::Wait | Verdict::Add(_) | Verdict::Withhold(_) | Verdict::Pass(_) => {}
        }
        verdict
    }

    /// The same, where [`CLOSE_LINE`] is to go out.
    fn judge_closing(&mut self, denylist: &Denylist, shown: &[u8]) -> Verdict {
        let mut shown = shown.get(..widen(self.left)).unwrap_or(shown);
        if self.closing == Closing::Due {
            if widen(self.left) == EMPTY_LINE.len() {
                self.closing = Closing::Said;
                return Verdict::Add(CLOSE_LINE);
            }
            shown = shown.get(..widen(self.left) - EMPTY_LINE.len()).unwrap_or(shown);
        }
        let verdict = match widen(self.kept).min(shown.len()) {
            0 => {
                let fate = |name: &_, rest: &_| match Fate::of(denylist, name) {
                    Fate::Kept if gives_way_to_close(name, rest) => Fate::GivesWay,
                    fate @ (Fate::Kept | Fate::Denied | Fate::GivesWay) => fate,
                };
                judge_lines(shown, fate).0
            }
            kept => keep(kept),
        };
        if let Verdict::Keep(n) | Verdict::Drop(n) | Verdict::Withhold(n) = verdict {
            self.left -= narrow(n.get());
            self.kept = self.kept.saturating_sub(narrow(n.get()));
        }
        verdict
    }

    /// Has the head, shown whole, say that the connection closes after its message.
    pub(super) fn close(&mut self, shown: &[u8]) {
        self.closing = Closing::Due;
        // Any field line may have to give way.
        self.kept = narrow(memchr(b'\n', shown).map_or(0, |end| end + 1));
    }

    pub(super) fn is_done(self) -> bool {
        self.left == 0
    }

    /// Withholds the whole section.
    pub(super) fn withhold(self) -> Verdict {
        NonZeroUsize::new(self.left()).map_or(Verdict::NeedMore, Verdict::Withhold)
    }

    /// Bytes of the section not yet disposed of.
    pub(super) fn left(self) -> usize {
        widen(self.left)
    }
}

/// Positions are at most [`MAX_HEAD_CEILING`](super::MAX_HEAD_CEILING), which fits both types.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The line that ends a section.
const EMPTY_LINE: &[u8] = b"\r\n";

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Denied,
    /// It would belie the line added.
    GivesWay,
}

impl Fate {
    fn of(denylist: &Denylist, name: &[u8]) -> Self {
        if denylist.denies(name) { Self::Denied } else { Self::Kept }
    }
}

/// The first lines shown that share a fate, which is told by a name and what follows its colon, and how many they are.
fn judge_lines(shown: &[u8], fate_of: impl Fn(&[u8], &[u8]) -> Fate) -> (Verdict, u16) {
    let (mut end, mut lines) = (0, 0);
    let mut shared = None;
    while let Some(length) = memchr(b'\n', &shown[end..]) {
        let line = &shown[end..=end + length];
        let (name, rest) = memchr(b':', line).map_or((&line[..0], line), |colon| (&line[..colon], &line[colon + 1..]));
        let fate = fate_of(name, rest);
        if *shared.get_or_insert(fate) != fate {
            break;
        }
        end += line.len();
        lines += 1;
    }
    let verdict = match (keep(end), shared) {
        (Verdict::Keep(n), Some(Fate::Denied)) => Verdict::Drop(n),
        (Verdict::Keep(n), Some(Fate::GivesWay)) => Verdict::Withhold(n),
        (verdict, _) => verdict,
    };
    (verdict, lines)
}

/// Reads a request head. `None`: not whole yet.
pub(super) fn request(scan: &mut HeadScan, policy: &Policy, shown: &[u8]) -> Result<Option<RequestHead>, Violation> {
    read(
        scan,
        Section::Request,
        policy,
        shown,
        |bytes| parse_request(policy, bytes),
        |bytes| parse_request(policy, bytes).or_else(|| parse_request_by_line(policy, bytes)),
    )
}

/// Reads a response head. `None`: not whole yet.
pub(super) fn response(scan: &mut HeadScan, policy: &Policy, shown: &[u8]) -> Result<Option<ResponseHead>, Violation> {
    let parse = |bytes: &_| parse_response(policy, bytes);
    read(scan, Section::Response, policy, shown, parse, parse)
}

/// Reads a trailer section with its empty line. `None`: not whole yet.
pub(super) fn trailer(scan: &mut HeadScan, policy: &Policy, shown: &[u8]) -> Result<Option<JudgedLines>, Violation> {
    let parse = |bytes: &_| parse_trailer(policy, bytes);
    read(scan, Section::Trailer, policy, shown, parse, parse)
}

/// What httparse made of the bytes: `None` is "partial", "wrong", or "not as strict as we are".
type Parsed<T> = Option<T>;

/// `parse` reads what may be a head; `parse_walked` what the strict scanner found to be one.
fn read<T>(
    scan: &mut HeadScan,
    section: Section,
    policy: &Policy,
    shown: &[u8],
    parse: impl Fn(&[u8]) -> Parsed<T>,
    parse_walked: impl Fn(&[u8]) -> Parsed<T>,
) -> Result<Option<T>, Violation> {
    if *scan == HeadScan::default() {
        let within = shown.get(..policy.max_head).unwrap_or(shown);
        if let Some(whole) = parse(within) {
            return Ok(Some(whole));
        }
    }
    let Some(end) = scan.walk(section, policy.max_head, shown)? else {
        return Ok(None);
    };
    *scan = HeadScan::default();
    parse_walked(&shown[..end]).map(Some).ok_or(Violation::HeadMalformed)
}

fn parse_request(policy: &Policy, bytes: &[u8]) -> Parsed<RequestHead> {
    let empty_lines = bytes.chunks(2).take_while(|pair| pair == b"\r\n").count() * 2;
    let bytes = &bytes[empty_lines..];
    if !bytes.first().copied().is_some_and(is_token_byte) {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELD_LINES];
    let mut head = httparse::Request::new(&mut []);
    let httparse::Status::Complete(length) = head.parse_with_uninit_headers(bytes, &mut room).ok()? else {
        return None;
    };
    let fields = request_fields(policy, bytes, length, head.headers)?;
    let method = method(head.method?.as_bytes());
    Some(RequestHead { length: empty_lines + length, method, version: version(head.version?), fields })
}

/// Reads a request whose target is not UTF-8, which httparse refuses: bytes over 0x7f are nobody's delimiter, so they pass.
fn parse_request_by_line(policy: &Policy, bytes: &[u8]) -> Parsed<RequestHead> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let fields_start = start + memchr(b'\n', &bytes[start..])? + 1;
    let (line, lines) = (&bytes[start..fields_start], &bytes[fields_start..]);
    let mut room = [EMPTY_HEADER; MAX_FIELD_LINES];
    let httparse::Status::Complete((length, headers)) = httparse::parse_headers(lines, &mut room).ok()? else {
        return None;
    };
    Some(RequestHead {
        length: fields_start + length,
        method: method(&line[..memchr(b' ', line)?]),
        version: version(u8::from(!line.ends_with(b"1.0\r\n"))),
        fields: request_fields(policy, lines, length, headers)?,
    })
}

fn request_fields<'a>(policy: &Policy, bytes: &'a [u8], length: usize, headers: &[Header<'a>]) -> Parsed<Fields> {
    let mut fields = Fields::default();
    walk_lines(bytes, length, headers, |_, header| fields.see(policy, header.name.as_bytes(), header.value))?;
    Some(fields)
}

fn method(name: &[u8]) -> Method {
    match name {
        b"CONNECT" => Method::Connect,
        b"HEAD" => Method::Head,
        b"GET" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" => Method::Idempotent,
        _ => Method::Other,
    }
}

fn parse_response(policy: &Policy, bytes: &[u8]) -> Parsed<ResponseHead> {
    if bytes.first() != Some(&b'H') {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELD_LINES];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut room);
    let httparse::Status::Complete(length) = parsed.ok()? else {
        return None;
    };
    let mut fields = Fields::default();
    let mut lines = JudgedLines::clean(length);
    walk_lines(bytes, length, head.headers, |line, header| {
        let name = header.name.as_bytes();
        fields.see(policy, name, header.value);
        if policy.denylist.denies(name) {
            lines.deny(&line);
        }
    })?;
    let status = head.code.filter(|code| *code >= 100)?;
    Some(ResponseHead { lines, status, version: version(head.version?), fields })
}

fn parse_trailer(policy: &Policy, bytes: &[u8]) -> Parsed<JudgedLines> {
    if bytes.starts_with(EMPTY_LINE) {
        return Some(JudgedLines::clean(EMPTY_LINE.len()));
    }
    let mut room = [EMPTY_HEADER; MAX_FIELD_LINES];
    let httparse::Status::Complete((length, headers)) = httparse::parse_headers(bytes, &mut room).ok()? else {
        return None;
    };
    let mut lines = JudgedLines::clean(length);
    walk_lines(bytes, length, headers, |line, header| {
        if policy.denylist.denies(header.name.as_bytes()) {
            lines.deny(&line);
        }
    })?;
    Some(lines)
}

/// Shows each field line and where it is. `None`: a line did not end in CRLF.
fn walk_lines<'a>(
    bytes: &'a [u8],
    length: usize,
    headers: &[Header<'a>],
    mut see: impl FnMut(Range<usize>, &Header<'a>),
) -> Option<()> {
    let ends_in_crlf = |end: usize| bytes.get(..end).is_some_and(|line| line.ends_with(EMPTY_LINE));
    let start_of = |header: &Header<'a>| header.name.as_ptr().addr() - bytes.as_ptr().addr();
    let end_of_lines = length.checked_sub(EMPTY_LINE.len())?;
    let mut start = headers.first().map_or(end_of_lines, start_of);
    // The start-line; a trailer section has none.
    if start > 0 && !ends_in_crlf(start) {
        return None;
    }
    for (index, header) in headers.iter().enumerate() {
        let end = headers.get(index + 1).map_or(end_of_lines, start_of);
        if !ends_in_crlf(end) {
            return None;
        }
        see(start..end, header);
        start = end;
    }
    // The empty line.
    ends_in_crlf(length).then_some(())
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn denied_lines_side_by_side_go_by_one_verdict() {
        let mut shown = &b"HTTP/1.1 200 OK\r\nServer: a\r\nX-Powered-By: b\r\nA: b\r\nServer: c\r\nB: c\r\n\r\n"[..];
        let policy = Policy::default();
        let head = response(&mut HeadScan::default(), &policy, shown).expect("it is sound").expect("it is whole");
        let mut lines = head.lines;
        let count = |count| NonZeroUsize::new(count).expect("more than none");
        for verdict in [
            Verdict::Keep(count(17)),
            Verdict::Drop(count(28)),
            Verdict::Keep(count(6)),
            Verdict::Drop(count(11)),
            Verdict::Keep(count(8)),
        ] {
            assert_eq!(lines.judge(&policy.denylist, shown), verdict);
            let (Verdict::Keep(n) | Verdict::Drop(n)) = verdict else { unreachable!("there are no others") };
            shown = &shown[n.get()..];
        }
        assert!(lines.is_done());
    }
}

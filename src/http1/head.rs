//! Parses a complete head or trailer section in one pass over its lines: what they say, and what of them is withheld.
//!
//! The one file that names httparse. A head that is complete at the first look and of the common form, as nearly all are, is read at that
//! look: of a response by httparse, of a request, which may be less than httparse lets pass, by a reader of ours. In every other case (the
//! head is partial, long, to be mended, or something is wrong with it) the scanner of `scan` walks it and names the first rule broken;
//! what it finds valid is split by line. What a well-formed head *means* is asked of its [`Fields`].
//!
//! httparse is told to be strict (its default); what it lets pass and we do not: a bare LF as line end, empty lines before a
//! status-line, a status below 100.

use std::mem::MaybeUninit;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::Policy;
use super::edits::{EMPTY_LINE, Edits, Mended, Section, Why};
use super::error::Violation;
use super::framing::Fields;
use super::lines::{FieldLine, FieldLines};
use super::mend::withhold_offers;
use super::message::{Method, Version};
use super::names::{KNOWN, Name, bit, find_end, token_length};
use super::scan::{Form, HeadScan, request_line, status_line};

/// Field lines of a head that httparse is asked to read; it wants a place for each beforehand, 32 bytes a line on the stack.
const QUICK_LINES: usize = 64;

/// A complete head.
#[derive(Debug)]
pub(super) struct Head<T> {
    /// Bytes of the head, its empty line included; 0 < length.
    pub(super) length: usize,
    /// Of a request the method, of a response the status: 100 ≤ status ≤ 999.
    pub(super) start: T,
    pub(super) version: Version,
    /// Field lines that are not denied; in a request, those that are forwarded.
    pub(super) lines: usize,
}

/// Reads a start-line: of which section it is, what it says, and the version.
type StartLine<T> = fn(&[u8]) -> Result<(Section, T, Version), Violation>;

/// Reads one section.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    policy: &'r Policy,
    /// What of it is withheld.
    pub(super) edits: &'r mut Edits,
    /// What it says; for a request, what the forwarded lines say.
    pub(super) fields: Fields,
}

impl<'r> Reader<'r> {
    pub(super) fn new(policy: &'r Policy, edits: &'r mut Edits) -> Self {
        Self { policy, edits, fields: Fields::default() }
    }

    /// Reads a request head, and withholds of it the denied lines, and the offers that nobody may accept. `None`: not complete yet.
    pub(super) fn request(&mut self, scan: &mut HeadScan, shown: &[u8]) -> Result<Option<Head<Method>>, Violation> {
        let start = |line: &[u8]| request_line(line).map(|(method, version, _)| (Section::Request, method, version));
        let Some(mut head) = self.read(scan, Form::Request, shown, Self::quick_request, start)? else {
            return Ok(None);
        };
        let upgrades = &self.policy.upgrades;
        head.lines -= withhold_offers(upgrades, &shown[..head.length], head.version, &mut self.fields, self.edits);
        Ok(Some(head))
    }

    /// Reads a response head, and withholds its denied lines. `None`: not complete yet.
    pub(super) fn response(&mut self, scan: &mut HeadScan, shown: &[u8]) -> Result<Option<Head<u16>>, Violation> {
        let start =
            |line: &[u8]| status_line(line).map(|(status, version)| (Section::Response(status), status, version));
        self.read(scan, Form::Response, shown, Self::quick_response, start)
    }

    /// Reads a trailer section, which begins after so many bytes: its denied lines are withheld, of a request each must be allowed, too. Returns where it ends, its empty line included. `None`: not complete yet.
    pub(super) fn trailer(
        &mut self,
        scan: &mut HeadScan,
        form: Form,
        start: usize,
        shown: &[u8],
    ) -> Result<Option<usize>, Violation> {
        self.edits.begin(Section::Trailer);
        let Some(length) = scan.walk(form, self.policy, shown.get(start..).unwrap_or_default())? else {
            return Ok(None);
        };
        let end = start + length;
        for line in FieldLines::of_trailer(&shown[..end], start) {
            if form == Form::RequestTrailer && !self.policy.request_trailers.allow(line.name()) {
                return Err(Violation::TrailerNotAllowed);
            }
            self.deny_or_mend(form, &line);
        }
        Ok(Some(end))
    }

    /// Reads a head, by `quick` if that can at one look, else by the scanner. `None`: not complete yet.
    fn read<T>(
        &mut self,
        scan: &mut HeadScan,
        form: Form,
        shown: &[u8],
        quick: fn(&mut Self, &[u8]) -> Option<Head<T>>,
        start: StartLine<T>,
    ) -> Result<Option<Head<T>>, Violation> {
        if !scan.has_begun() {
            let within = shown.get(..self.policy.max_head).unwrap_or(shown);
            if let Some(head) = quick(self, within) {
                return Ok(Some(head));
            }
        }
        match scan.walk(form, self.policy, shown)? {
            Some(length) => self.split(form, &shown[..length], start).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a request head that is complete and of the common form. `None`: the scanner must look.
    // Apart from its caller, it has the registers for itself.
    #[inline(never)]
    fn quick_request(&mut self, bytes: &[u8]) -> Option<Head<Method>> {
        let (method, version, mut rest) = request_line(bytes).ok()?;
        self.edits.begin(Section::Request);
        let denied = self.policy.request_denylist.bits();
        let mut lines = 0;
        loop {
            let line = rest.strip_prefix(EMPTY_LINE)?;
            let (name, behind) = line.split_at(token_length(line));
            if name.is_empty() {
                rest = line;
                break;
            }
            let behind = behind.strip_prefix(b":")?;
            let (value, behind) = behind.split_at(find_end::<0x1f>(behind)?);
            rest = behind;
            lines += 1;
            let bit = bit(name);
            if bit & denied != 0 {
                let place = bytes.len() - line.len()..bytes.len() - behind.len() + EMPTY_LINE.len();
                if self.deny(Form::Request, name, place) {
                    continue;
                }
            }
            if bit & KNOWN != 0 {
                self.fields.see(&self.policy.upgrades, Name::of(name), value);
            }
        }
        let behind = rest.strip_prefix(EMPTY_LINE).filter(|_| lines <= self.policy.max_fields)?;
        let lines = lines - self.edits.withheld().len();
        Some(Head { length: bytes.len() - behind.len(), start: method, version, lines })
    }

    /// The same of a response, whose denied lines are withheld.
    // Apart from its caller, it has the registers for itself.
    #[inline(never)]
    fn quick_response(&mut self, bytes: &[u8]) -> Option<Head<u16>> {
        if bytes.first() != Some(&b'H') {
            return None;
        }
        let mut room = [const { MaybeUninit::uninit() }; QUICK_LINES];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut room);
        let httparse::Status::Complete(length) = parsed.ok()? else {
            return None;
        };
        let lines = &*head.headers;
        let status = head.code.filter(|code| *code >= 100 && lines.len() <= self.policy.max_fields)?;
        let version = if head.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.edits.begin(Section::Response(status));
        let end_of_lines = length - EMPTY_LINE.len();
        let start_of = |line: &httparse::Header<'_>| line.name.as_ptr().addr() - bytes.as_ptr().addr();
        // It saw an LF before each of these.
        let ends_in_crlf = |end: usize| bytes.get(end.wrapping_sub(EMPTY_LINE.len())) == Some(&b'\r');
        let denied = self.policy.denylist.bits();
        let mut rest = lines;
        while let [line, behind @ ..] = rest {
            rest = behind;
            let start = start_of(line);
            if !ends_in_crlf(start) {
                return None;
            }
            let name = line.name.as_bytes();
            let bit = bit(name);
            if bit & (KNOWN | denied) == 0 {
                continue;
            }
            if bit & KNOWN != 0 {
                self.fields.see(&self.policy.upgrades, Name::of(name), line.value);
            }
            if bit & denied != 0 {
                let end = behind.first().map_or(end_of_lines, start_of);
                self.deny(Form::Response, name, start..end);
            }
        }
        // Before an empty line of an LF alone, there is no CR in this place.
        let lines = lines.len() - self.edits.withheld().len();
        ends_in_crlf(end_of_lines).then_some(Head { length, start: status, version, lines })
    }

    /// Splits a head that the scanner found valid, and mends it.
    fn split<T>(&mut self, form: Form, bytes: &[u8], start: StartLine<T>) -> Result<Head<T>, Violation> {
        let line = &bytes[..memchr(b'\n', bytes).unwrap_or_default()];
        let (section, start, version) = start(line.strip_suffix(b"\r").unwrap_or(line))?;
        self.edits.begin(section);
        self.fields = Fields::default();
        let mut lines = 0;
        for line in FieldLines::of_head(bytes) {
            if !self.deny_or_mend(form, &line) {
                self.fields.see(&self.policy.upgrades, Name::of(line.name()), line.value());
                lines += 1;
            }
        }
        Ok(Head { length: bytes.len(), start, version, lines })
    }

    /// Withholds a line of that name if it is denied, or notes it in a dry run. Returns whether it is withheld.
    fn deny(&mut self, form: Form, name: &[u8], place: Range<usize>) -> bool {
        let entry = match form {
            Form::Request | Form::RequestTrailer => self.policy.request_denylist.entry(name),
            Form::Response | Form::ResponseTrailer => self.policy.denylist.entry(name),
        };
        // RFC 9110 §7.8, §15.5.22: there it must be.
        let must_be =
            || matches!(self.edits.section(), Section::Response(101 | 426)) && Name::of(name) == Name::Upgrade;
        let Some(entry) = entry.filter(|_| !must_be()) else {
            return false;
        };
        if self.policy.dry_run {
            self.edits.spare(place, entry);
        } else {
            self.edits.withhold(place, Why::Denied(entry));
        }
        !self.policy.dry_run
    }

    /// Withholds a line that is denied, and of another what is mended within it. Returns whether the line is withheld.
    fn deny_or_mend(&mut self, form: Form, line: &FieldLine<'_>) -> bool {
        let is_spaced = line.name < line.colon;
        if self.deny(form, line.name(), line.place()) {
            if is_spaced || line.value().contains(&b'\n') {
                self.edits.note_malformed();
            }
            return true;
        }
        if is_spaced {
            let space = line.start + line.name..line.start + line.colon;
            self.edits.withhold(space, Why::Mended(Mended::SpaceBeforeColon));
        }
        for fold in memchr_iter(b'\n', line.value()) {
            let end = line.value_start() + fold + 1;
            self.edits.withhold(end - EMPTY_LINE.len()..end, Why::Mended(Mended::Fold));
        }
        false
    }

    /// Adds the operator's lines of whose name the response head has none left.
    pub(super) fn add_missing(&mut self, head: &[u8]) {
        if self.policy.added.bits() != 0 {
            self.add_lines(head);
        }
    }

    #[cold]
    fn add_lines(&mut self, head: &[u8]) {
        let added = &self.policy.added;
        // What is withheld from where a line begins is the line.
        let withheld = self.edits.withheld();
        let goes_on =
            |line: &FieldLine<'_>| withheld.binary_search_by_key(&line.start, |part| part.range().start).is_err();
        let named = FieldLines::of_head(head).filter(|line| bit(line.name()) & added.bits() != 0 && goes_on(line));
        let present = named.fold(0, |present, line| present | added.of(line.name()));
        added.missing(present).for_each(|line| self.edits.add(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /a?b HTTP/1.1\r\nHost: a.b:80\r\nA-1: b,~\u{e9}\r\nContent-Length: 12\r\n\r\nabc";
    const RESPONSE: &str =
        "HTTP/1.1 200 OK\r\nServer: a\r\nX-A: b\tc\u{e9}\r\nContent-Length: 12\r\nx-powered-by:\r\n\r\nabc";

    /// What is read in looks of so many bytes, and whether at the first.
    fn read(policy: &Policy, form: Form, bytes: &[u8], looks: &[usize]) -> (Result<Option<String>, Violation>, bool) {
        let (mut scan, mut edits) = (HeadScan::default(), Edits::default());
        let mut said = Ok(None);
        for look in looks {
            // A rule that was broken ends it.
            if said.is_err() {
                break;
            }
            let shown = &bytes[..*look];
            let mut reader = Reader::new(policy, &mut edits);
            said = if form == Form::Response {
                reader.response(&mut scan, shown).map(|head| head.map(|head| format!("{head:?} {reader:?}")))
            } else {
                reader.request(&mut scan, shown).map(|head| head.map(|head| format!("{head:?} {reader:?}")))
            };
        }
        (said, !scan.has_begun())
    }

    /// Asserts that one look says what the scanner does, and tells whether the scanner was spared.
    fn is_quick(policy: &Policy, form: Form, bytes: &[u8]) -> bool {
        let (at_one_look, is_quick) = read(policy, form, bytes, &[bytes.len()]);
        let (scanned, _) = read(policy, form, bytes, &[bytes.len().min(1), bytes.len()]);
        assert_eq!(at_one_look, scanned, "{}", bytes.escape_ascii());
        is_quick
    }

    #[test]
    fn a_head_of_the_common_form_is_read_at_one_look() {
        for (form, head) in [
            (Form::Request, REQUEST),
            (Form::Request, "POST / HTTP/1.0\r\n\r\nabc"),
            (Form::Response, RESPONSE),
            (Form::Response, "HTTP/1.0 404\r\n\r\n"),
        ] {
            assert!(is_quick(&Policy::default(), form, head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn what_is_read_at_one_look_is_what_the_scanner_reads() {
        let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| !matches!(byte, b'b'..=b'y' | b'I'..=b'Y' | 0x81..)).collect();
        let policies = [
            Policy::default(),
            Policy { allow_bare_lf: true, max_fields: 2, ..Policy::default() },
            Policy { max_head: 60, ..Policy::default() },
        ];
        let heads = [(Form::Request, REQUEST), (Form::Response, RESPONSE)];
        for (policy, (form, head)) in policies.iter().flat_map(|policy| heads.map(|head| (policy, head))) {
            for (place, byte) in (0..head.len()).flat_map(|place| bytes.iter().map(move |byte| (place, *byte))) {
                let (before, behind) = head.as_bytes().split_at(place);
                is_quick(policy, form, &[before, &[byte], behind].concat());
                is_quick(policy, form, &[before, &[byte], &behind[1..]].concat());
                is_quick(policy, form, &[before, &behind[1..]].concat());
                is_quick(policy, form, before);
            }
        }
    }
}

//! Reads a whole head or trailer section in one pass over its lines: what they say, and what of them does not go on.
//!
//! The one file that names httparse. A head that is whole at the first look and of the common form, as nearly all are, is read at that
//! look: of a response by httparse, of a request, which may be less than httparse lets pass, by a reader of ours. In every other case (the
//! head is partial, long, to be mended, or something is wrong with it) the scanner of `scan` walks it and names the first rule broken;
//! what it finds sound is split by line. What a well-formed head *means* is asked of its [`Fields`].
//!
//! httparse is told to be strict (its default); what it lets pass and we do not: a bare LF as line end, empty lines before a
//! status-line, a status below 100.

use std::mem::MaybeUninit;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::Policy;
use super::edits::{Edits, Mended, Section, Why};
use super::error::Violation;
use super::framing::Fields;
use super::lines::{FieldLine, FieldLines};
use super::mend::withhold_offers;
use super::message::{Method, Version};
use super::names::{KNOWN, Name, find_control, mark, token_length};
use super::scan::{Form, HeadScan, request_line, status_line};

/// Field lines of a head that httparse is asked to read; it wants a place for each beforehand, 32 bytes a line on the stack.
const QUICK_LINES: usize = 64;

/// The line that ends a section.
const EMPTY_LINE: &[u8] = b"\r\n";

/// A whole head.
#[derive(Debug)]
pub(super) struct Head<T> {
    /// Bytes of the head, its empty line included; 0 < length.
    pub(super) length: usize,
    /// Of a request the method, of a response the status: 100 ≤ status ≤ 999.
    pub(super) start: T,
    pub(super) version: Version,
    /// Field lines; of a request those that go on.
    pub(super) lines: usize,
    /// Of a request, what goes on says this.
    pub(super) fields: Fields,
}

/// Reads a start-line: of which section it is, what it says, and the version.
type StartLine<T> = fn(&[u8]) -> Result<(Section, T, Version), Violation>;

/// Reads a request head, and withholds of it the offers that nobody may take up. `None`: not whole yet.
pub(super) fn request(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<Head<Method>>, Violation> {
    let start = |line: &[u8]| request_line(line).map(|(method, version)| (Section::Request, method, version));
    let Some(mut head) = read(scan, Form::Request, policy, shown, edits, quick_request, start)? else {
        return Ok(None);
    };
    head.lines -= withhold_offers(&policy.upgrades, &shown[..head.length], head.version, &mut head.fields, edits);
    Ok(Some(head))
}

/// Reads a response head, and withholds its denied lines. `None`: not whole yet.
pub(super) fn response(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<Head<u16>>, Violation> {
    let start = |line: &[u8]| status_line(line).map(|(status, version)| (Section::Response(status), status, version));
    read(scan, Form::Response, policy, shown, edits, quick_response, start)
}

/// Reads the trailer section of a response, and withholds its denied lines. Gives its length with its empty line. `None`: not whole yet.
pub(super) fn response_trailer(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<usize>, Violation> {
    let length = trailer(scan, Form::ResponseTrailer, policy, shown, edits)?;
    for line in FieldLines::of_trailer(&shown[..length.unwrap_or_default()]) {
        deny_or_mend(policy, &line, edits);
    }
    Ok(length)
}

/// Reads the trailer section of a request. Gives its length with its empty line. `None`: not whole yet.
pub(super) fn request_trailer(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<usize>, Violation> {
    let length = trailer(scan, Form::RequestTrailer, policy, shown, edits)?;
    let mut lines = FieldLines::of_trailer(&shown[..length.unwrap_or_default()]);
    if lines.all(|line| policy.request_trailers.allow(line.name())) {
        Ok(length)
    } else {
        Err(Violation::TrailerNotAllowed)
    }
}

/// How long the trailer section is, none of whose lines is judged yet.
fn trailer(
    scan: &mut HeadScan,
    form: Form,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<usize>, Violation> {
    edits.begin(Section::Trailer);
    scan.walk(form, policy, shown)
}

/// Reads a head, by `quick` if that can at one look, else by the scanner. `None`: not whole yet.
fn read<T>(
    scan: &mut HeadScan,
    form: Form,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
    quick: impl FnOnce(&Policy, &[u8], &mut Edits) -> Option<Head<T>>,
    start: StartLine<T>,
) -> Result<Option<Head<T>>, Violation> {
    if !scan.has_begun() {
        let within = shown.get(..policy.max_head).unwrap_or(shown);
        if let Some(head) = quick(policy, within, edits) {
            return Ok(Some(head));
        }
    }
    match scan.walk(form, policy, shown)? {
        Some(length) => split(policy, &shown[..length], edits, start).map(Some),
        None => Ok(None),
    }
}

/// Reads a request head that is whole and of the common form. `None`: the scanner must look.
fn quick_request(policy: &Policy, bytes: &[u8], edits: &mut Edits) -> Option<Head<Method>> {
    let end = line_end(bytes)?;
    let (method, version) = request_line(&bytes[..end]).ok()?;
    let (mut fields, mut lines) = (Fields::default(), 0);
    let mut rest = &bytes[end..];
    loop {
        rest = rest.get(EMPTY_LINE.len()..)?;
        let name = token_length(rest);
        if name == 0 && rest.starts_with(EMPTY_LINE) {
            break;
        }
        if name == 0 || rest.get(name) != Some(&b':') || lines == policy.max_fields {
            return None;
        }
        let (name, behind) = rest.split_at(name);
        let end = line_end(behind)?;
        if mark(name) & KNOWN != 0 {
            fields.see(&policy.upgrades, Name::of(name), &behind[1..end]);
        }
        rest = &behind[end..];
        lines += 1;
    }
    edits.begin(Section::Request);
    let length = bytes.len() - rest.len() + EMPTY_LINE.len();
    Some(Head { length, start: method, version, lines, fields })
}

/// Where the CRLF is that ends the line. `None`: there is none yet, or another control byte before it.
fn line_end(bytes: &[u8]) -> Option<usize> {
    find_control(bytes).filter(|at| bytes[*at..].starts_with(EMPTY_LINE))
}

/// The same of a response, whose denied lines are withheld.
fn quick_response(policy: &Policy, bytes: &[u8], edits: &mut Edits) -> Option<Head<u16>> {
    if bytes.first() != Some(&b'H') {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; QUICK_LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let length = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut room);
    let httparse::Status::Complete(length) = length.ok()? else {
        return None;
    };
    let lines = &*parsed.headers;
    let status = parsed.code.filter(|code| *code >= 100 && lines.len() <= policy.max_fields)?;
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let mut head = Head { length, start: status, version, lines: lines.len(), fields: Fields::default() };
    edits.begin(Section::Response(status));
    let end_of_lines = length - EMPTY_LINE.len();
    let start_of = |line: &httparse::Header<'_>| line.name.as_ptr().addr() - bytes.as_ptr().addr();
    let ends_in_crlf = |end: usize| bytes.get(..end).is_some_and(|line| line.ends_with(EMPTY_LINE));
    for (index, line) in lines.iter().enumerate() {
        let start = start_of(line);
        if !ends_in_crlf(start) {
            return None;
        }
        let name = line.name.as_bytes();
        let mark = mark(name);
        if mark & KNOWN != 0 {
            head.fields.see(&policy.upgrades, Name::of(name), line.value);
        }
        if mark & policy.denylist.marks() != 0 {
            let end = lines.get(index + 1).map_or(end_of_lines, start_of);
            deny(policy, name, start..end, edits);
        }
    }
    (ends_in_crlf(end_of_lines) && ends_in_crlf(length)).then_some(head)
}

/// Splits a head that the scanner found sound, and mends it.
fn split<T>(policy: &Policy, bytes: &[u8], edits: &mut Edits, start: StartLine<T>) -> Result<Head<T>, Violation> {
    let line = &bytes[..memchr(b'\n', bytes).unwrap_or_default()];
    let (section, start, version) = start(line.strip_suffix(b"\r").unwrap_or(line))?;
    edits.begin(section);
    let mut head = Head { length: bytes.len(), start, version, lines: 0, fields: Fields::default() };
    for line in FieldLines::of_head(bytes) {
        head.lines += 1;
        head.fields.see(&policy.upgrades, Name::of(line.name()), line.value());
        if section != Section::Request {
            deny_or_mend(policy, &line, edits);
        }
    }
    Ok(head)
}

/// Withholds a line of that name of a response that is denied. Tells whether it does not go on.
fn deny(policy: &Policy, name: &[u8], place: Range<usize>, edits: &mut Edits) -> bool {
    let Some(entry) = policy.denylist.entry(name) else {
        return false;
    };
    // RFC 9110 §7.8, §15.5.22: there it must be.
    if matches!(edits.section(), Section::Response(101 | 426)) && Name::of(name) == Name::Upgrade {
        return false;
    }
    if policy.dry_run {
        edits.spare(place, entry);
        return false;
    }
    edits.withhold(place, Why::Denied(entry));
    true
}

/// Withholds a line that is denied, and of another what is mended within it.
fn deny_or_mend(policy: &Policy, line: &FieldLine<'_>, edits: &mut Edits) {
    if deny(policy, line.name(), line.place(), edits) {
        if line.name < line.colon || line.value().contains(&b'\n') {
            edits.note_malformed();
        }
        return;
    }
    if line.name < line.colon {
        edits.withhold(line.start + line.name..line.start + line.colon, Why::Mended(Mended::SpaceBeforeColon));
    }
    for fold in memchr_iter(b'\n', line.value()) {
        let end = line.value_start() + fold + 1;
        edits.withhold(end - EMPTY_LINE.len()..end, Why::Mended(Mended::Fold));
    }
}

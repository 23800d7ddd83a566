//! Reads a whole head or trailer section in one pass over its lines: what they say, and what of them does not go on.
//!
//! The one file that names httparse. A response head that is whole at the first look, as nearly all are, is parsed by httparse
//! alone; that every line ended in CRLF is then read off the places of the names it found. A request head, which may be less
//! than httparse lets pass, is read here. In every other case (the head is partial, long, to be mended, or something is wrong with it)
//! the scanner of `scan` walks it and names the first rule broken; what it finds sound is split by line. What a well-formed
//! head *means* is asked of its [`Fields`].
//!
//! httparse is told to be strict (its default); what it lets pass and we do not: a bare LF as line end, empty lines before a
//! status-line, a status below 100.

use std::mem::MaybeUninit;

use memchr::{memchr, memchr_iter};

use super::Policy;
use super::edits::{Edits, Mended, Section, Why};
use super::error::Violation;
use super::framing::Fields;
use super::lines::{FieldLine, FieldLines};
use super::mend::withhold_offers;
use super::message::{Method, Version};
use super::names::{KNOWN, Name, is_token_byte, mark};
use super::scan::{Form, HeadScan};

/// Field lines of a head that httparse is asked to read; it wants a place for each beforehand, 32 bytes a line on the stack.
const QUICK_LINES: usize = 64;

/// The line that ends a section.
const EMPTY_LINE: &[u8] = b"\r\n";

#[derive(Debug)]
pub(super) struct RequestHead {
    /// Bytes of the head, its empty line included; 0 < length.
    pub(super) length: usize,
    pub(super) method: Method,
    pub(super) version: Version,
    /// Field lines that go on.
    pub(super) lines: usize,
    /// Of what goes on.
    pub(super) fields: Fields,
}

#[derive(Debug)]
pub(super) struct ResponseHead {
    /// Bytes of the head, its empty line included; 0 < length.
    pub(super) length: usize,
    /// 100 ≤ status ≤ 999.
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) fields: Fields,
}

/// Reads a request head, and withholds of it the offers that nobody may take up. `None`: not whole yet.
pub(super) fn request(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<RequestHead>, Violation> {
    edits.begin(Section::Request);
    let quick = |bytes: &[u8]| quick_request(policy, bytes);
    let Some((head, length)) = read(scan, Form::Request, policy, shown, quick)? else {
        return Ok(None);
    };
    let mut head = head.unwrap_or_else(|| split_request(policy, &shown[..length]));
    head.lines -= withhold_offers(&policy.upgrades, &shown[..length], head.version, &mut head.fields, edits);
    Ok(Some(head))
}

/// Reads a response head, and withholds its denied lines. `None`: not whole yet.
pub(super) fn response(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<ResponseHead>, Violation> {
    let read = read(scan, Form::Response, policy, shown, |bytes| quick_response(policy, bytes, edits))?;
    Ok(read.map(|(head, length)| head.unwrap_or_else(|| split_response(policy, &shown[..length], edits))))
}

/// Reads the trailer section of a response, and withholds its denied lines. Gives its length with its empty line. `None`: not whole yet.
pub(super) fn response_trailer(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<usize>, Violation> {
    let Some(length) = trailer(scan, Form::ResponseTrailer, policy, shown, edits)? else {
        return Ok(None);
    };
    for line in FieldLines::of_trailer(&shown[..length]) {
        deny_or_mend(policy, &line, None, edits);
    }
    Ok(Some(length))
}

/// Reads the trailer section of a request. Gives its length with its empty line. `None`: not whole yet.
pub(super) fn request_trailer(
    scan: &mut HeadScan,
    policy: &Policy,
    shown: &[u8],
    edits: &mut Edits,
) -> Result<Option<usize>, Violation> {
    let Some(length) = trailer(scan, Form::RequestTrailer, policy, shown, edits)? else {
        return Ok(None);
    };
    let mut lines = FieldLines::of_trailer(&shown[..length]);
    if lines.all(|line| policy.request_trailers.allow(line.name())) {
        Ok(Some(length))
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
    if shown.starts_with(EMPTY_LINE) && policy.max_head >= EMPTY_LINE.len() {
        return Ok(Some(EMPTY_LINE.len()));
    }
    scan.walk(form, policy, shown)
}

/// How long the section is, and what `quick` made of it, if it could. `None`: not whole yet.
fn read<T>(
    scan: &mut HeadScan,
    form: Form,
    policy: &Policy,
    shown: &[u8],
    mut quick: impl FnMut(&[u8]) -> Option<(T, usize)>,
) -> Result<Option<(Option<T>, usize)>, Violation> {
    if !scan.has_begun() {
        let within = shown.get(..policy.max_head).unwrap_or(shown);
        if let Some((read, length)) = quick(within) {
            return Ok(Some((Some(read), length)));
        }
    }
    let Some(length) = scan.walk(form, policy, shown)? else {
        return Ok(None);
    };
    let read = quick(&shown[..length]).map(|(read, _)| read);
    Ok(Some((read, length)))
}

/// Reads a request head that is whole and of the common form. `None`: the scanner must look.
fn quick_request(policy: &Policy, bytes: &[u8]) -> Option<(RequestHead, usize)> {
    let mut line_ends = memchr_iter(b'\n', bytes);
    let mut end = line_ends.next()?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    let (line, version) = line.split_last_chunk::<9>()?;
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        _ => return None,
    };
    let (method, target) = line.split_at(token_length(line));
    let target = target.strip_prefix(b" ")?;
    if method.is_empty() || target.is_empty() || target.iter().any(|byte| *byte <= b' ') {
        return None;
    }
    let (mut fields, mut lines) = (Fields::default(), 0);
    let length = loop {
        let start = end + 1;
        end = line_ends.next()?;
        let line = bytes[start..end].strip_suffix(b"\r")?;
        if line.is_empty() {
            break end + 1;
        }
        let name = token_length(line);
        if name == 0 || line.get(name) != Some(&b':') || lines == policy.max_fields {
            return None;
        }
        let (name, value) = (&line[..name], &line[name + 1..]);
        if mark(name) & KNOWN != 0 {
            fields.see(&policy.upgrades, Name::of(name), value);
        }
        lines += 1;
    };
    // Each line has shown two at its end.
    if controls(&bytes[..length]) != 2 * (lines + 2) {
        return None;
    }
    Some((RequestHead { length, method: Method::of(method), version, lines, fields }, length))
}

/// Bytes of the token that these begin with.
fn token_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len())
}

/// How many control bytes other than tabs are among these. Each byte is looked at, so that many are at once.
fn controls(bytes: &[u8]) -> usize {
    let is_control = |byte: &u8| u8::from((*byte < b' ' && *byte != b'\t') || *byte == 0x7f);
    // As many as a byte can count.
    bytes.chunks(128).map(|some| usize::from(some.iter().map(is_control).sum::<u8>())).sum()
}

/// Splits a request head that the scanner found sound.
fn split_request(policy: &Policy, head: &[u8]) -> RequestHead {
    let line = &head[..memchr(b'\n', head).unwrap_or(head.len())];
    let method = Method::of(&line[..memchr(b' ', line).unwrap_or(line.len())]);
    let version = version(u8::from(!line.ends_with(b"1.0\r")));
    let (mut fields, mut lines) = (Fields::default(), 0);
    for line in FieldLines::of_head(head) {
        fields.see(&policy.upgrades, Name::of(line.name()), line.value());
        lines += 1;
    }
    RequestHead { length: head.len(), method, version, lines, fields }
}

fn quick_response(policy: &Policy, bytes: &[u8], edits: &mut Edits) -> Option<(ResponseHead, usize)> {
    if bytes.first() != Some(&b'H') {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; QUICK_LINES];
    let mut head = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut room);
    let httparse::Status::Complete(length) = parsed.ok()? else {
        return None;
    };
    let status = head.code.filter(|code| *code >= 100)?;
    edits.begin(Section::Response(status));
    let mut fields = Fields::default();
    walk_parsed(policy, bytes, length, head.headers, |line, mark| {
        if mark & KNOWN != 0 {
            fields.see(&policy.upgrades, Name::of(line.name()), line.value());
        }
        if mark & policy.denylist.marks() != 0 {
            deny(policy, line, Some(status), edits);
        }
    })?;
    Some((ResponseHead { length, status, version: version(head.version?), fields }, length))
}

/// Splits a response head that the scanner found sound, and mends it.
fn split_response(policy: &Policy, head: &[u8], edits: &mut Edits) -> ResponseHead {
    // Such as `HTTP/1.1 200`.
    let status = head[9..12].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    edits.begin(Section::Response(status));
    let mut fields = Fields::default();
    for line in FieldLines::of_head(head) {
        fields.see(&policy.upgrades, Name::of(line.name()), line.value());
        deny_or_mend(policy, &line, Some(status), edits);
    }
    ResponseHead { length: head.len(), status, version: version(head[7] - b'0'), fields }
}

/// Withholds a line that is denied. Tells whether it does not go on.
fn deny(policy: &Policy, line: &FieldLine<'_>, status: Option<u16>, edits: &mut Edits) -> bool {
    let Some(entry) = policy.denylist.entry(line.name()) else {
        return false;
    };
    // RFC 9110 §7.8, §15.5.22: there it must be.
    if matches!(status, Some(101 | 426)) && Name::of(line.name()) == Name::Upgrade {
        return false;
    }
    if policy.dry_run {
        edits.spare(line.place(), entry);
        return false;
    }
    edits.withhold(line.place(), Why::Denied(entry));
    true
}

/// Withholds a line that is denied, and of another what is mended within it.
fn deny_or_mend(policy: &Policy, line: &FieldLine<'_>, status: Option<u16>, edits: &mut Edits) {
    if deny(policy, line, status, edits) {
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

/// Shows each field line that httparse found and that may mean something, with the mark of its name. `None`: a line did not end in CRLF,
/// or they are too many.
fn walk_parsed<'a>(
    policy: &Policy,
    bytes: &'a [u8],
    length: usize,
    headers: &[httparse::Header<'a>],
    mut see: impl FnMut(&FieldLine<'a>, u64),
) -> Option<()> {
    if headers.len() > policy.max_fields {
        return None;
    }
    let marks = KNOWN | policy.denylist.marks();
    let ends_in_crlf = |end: usize| bytes.get(end.wrapping_sub(EMPTY_LINE.len())..end) == Some(EMPTY_LINE);
    let start_of = |header: &httparse::Header<'a>| header.name.as_ptr().addr() - bytes.as_ptr().addr();
    let end_of_lines = length.checked_sub(EMPTY_LINE.len())?;
    let mut start = headers.first().map_or(end_of_lines, start_of);
    // The start-line.
    if !ends_in_crlf(start) {
        return None;
    }
    for (index, header) in headers.iter().enumerate() {
        let end = headers.get(index + 1).map_or(end_of_lines, start_of);
        if !ends_in_crlf(end) {
            return None;
        }
        let mark = mark(header.name.as_bytes());
        if mark & marks != 0 {
            let name = header.name.len();
            see(&FieldLine { bytes: &bytes[start..end], start, name, colon: name }, mark);
        }
        start = end;
    }
    // The empty line.
    ends_in_crlf(length).then_some(())
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

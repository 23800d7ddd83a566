//! Heads and trailer sections of the plain model, and what their fields mean.
//!
//! Everything here is a function of all the bytes that have come of one head: it is read again from its first byte
//! each time. The bytes of a line are judged as they come, its shape once its LF has come. The first bad line
//! decides; what the lines mean (RFC 9110 and 9112 beyond the grammar) is asked only once the head is whole.
//!
//! `Ok(None)` always says: so far no fault, and not whole.

use std::ops::Range;

use super::super::Rules;

/// The name of a broken rule, as the vectors write it.
pub(super) type Fault = &'static str;

/// The most field lines in a header or trailer section.
const MAX_FIELD_LINES: usize = 256;
/// The longest body that every parser reads as the same number: 2^63 - 1, the most of a signed 64-bit integer.
pub(super) const MAX_LENGTH: u64 = (1 << 63) - 1;

/// A field line and where it stands, its CRLF included.
pub(super) struct Field {
    pub(super) line: Range<usize>,
    /// In lower case.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Field lines up to and with the empty line that ends them.
pub(super) struct Section {
    pub(super) fields: Vec<Field>,
    pub(super) end: usize,
}

/// How a message body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// A request head without a fault.
pub(super) struct RequestHead {
    pub(super) method: Vec<u8>,
    pub(super) version: Version,
    pub(super) section: Section,
    pub(super) framing: Framing,
}

/// A response head whose lines are well-formed; its framing is asked separately, for it needs the request.
pub(super) struct ResponseHead {
    version: Version,
    pub(super) status: u16,
    pub(super) section: Section,
}

/// The status of our reply to a request whose head breaks this rule.
pub(super) fn reply_status(fault: Fault) -> u16 {
    match fault {
        "head_too_long" | "too_many_field_lines" => 431,
        "version_unsupported" => 505,
        "connect_unsupported" => 501,
        _ => 400,
    }
}

/// Reads the request head at the start of `bytes`, with any empty lines before it (RFC 9112 §2.2).
pub(super) fn request(bytes: &[u8], max_head: usize) -> Result<Option<RequestHead>, Fault> {
    let mut at = 0;
    let start_line = loop {
        let Some((content, next)) = line(bytes, at, max_head)? else {
            return Ok(None);
        };
        at = next;
        if !content.is_empty() {
            break content;
        }
    };
    let (method, version) = request_line(start_line)?;
    let Some(section) = section(bytes, at, max_head)? else {
        return Ok(None);
    };
    // RFC 9110 §9.3.6: CONNECT makes a tunnel of its own kind, which a reverse proxy has no use for.
    if method == b"CONNECT" {
        return Err("connect_unsupported");
    }
    // RFC 9112 §3.2: a request with several Host lines, or an HTTP/1.1 request with none, is answered 400.
    match section.fields.iter().filter(|field| field.name == b"host").count() {
        0 if version == Version::Http11 => return Err("no_host"),
        0 | 1 => {}
        _ => return Err("many_hosts"),
    }
    // RFC 9112 §6.3, 7: a request with neither field has no body.
    let framing = fields_framing(&section, version)?.unwrap_or(Framing::Empty);
    Ok(Some(RequestHead { method: method.to_vec(), version, section, framing }))
}

/// Reads the response head at the start of `bytes`.
pub(super) fn response(bytes: &[u8], max_head: usize) -> Result<Option<ResponseHead>, Fault> {
    // What does not begin like a status-line may be HTTP/0.9 or no HTTP at all, and may never send an LF.
    if bytes.iter().zip(b"HTTP/").any(|(byte, expected)| byte != expected) {
        return Err("status_line_malformed");
    }
    let Some((content, at)) = line(bytes, 0, max_head)? else {
        return Ok(None);
    };
    let (version, status) = status_line(content)?;
    let section = section(bytes, at, max_head)?;
    Ok(section.map(|section| ResponseHead { version, status, section }))
}

/// RFC 9112 §6.3 for a response to a request of this method.
///
/// The faults come first, so they also hold for a response whose fields do not frame anything.
pub(super) fn response_framing(head: &ResponseHead, method: &[u8]) -> Result<Framing, Fault> {
    let bodiless = head.status < 200 || head.status == 204;
    // RFC 9112 §6.1 and RFC 9110 §8.6: neither field may stand in a 1xx or a 204; a Content-Length of 0 does no harm.
    if bodiless && has(&head.section, b"transfer-encoding") && !has(&head.section, b"content-length") {
        return Err("transfer_encoding_forbidden");
    }
    let said = fields_framing(&head.section, head.version)?;
    if bodiless && !matches!(said, None | Some(Framing::Empty)) {
        return Err("content_length_forbidden");
    }
    if bodiless || head.status == 304 || method == b"HEAD" {
        return Ok(Framing::Empty);
    }
    Ok(said.unwrap_or(Framing::UntilClose))
}

/// Reads field lines from `start` to the empty line, which must end before `limit` (RFC 9112 §5).
pub(super) fn section(bytes: &[u8], start: usize, limit: usize) -> Result<Option<Section>, Fault> {
    let mut fields = Vec::new();
    let mut at = start;
    loop {
        let Some((content, next)) = line(bytes, at, limit)? else {
            return Ok(None);
        };
        if content.is_empty() {
            return Ok(Some(Section { fields, end: next }));
        }
        let (name, value) = field(content)?;
        if fields.len() == MAX_FIELD_LINES {
            return Err("too_many_field_lines");
        }
        fields.push(Field { line: at..next, name: name.to_ascii_lowercase(), value: value.to_vec() });
        at = next;
    }
}

/// The bytes from `start` to the section's end, less the denied field lines.
pub(super) fn without_denied(bytes: &[u8], start: usize, section: &Section, rules: &Rules) -> Vec<u8> {
    without(bytes, start, section, |field| is_denied(field, rules))
}

/// The same for a head that must say that the connection closes after its message (RFC 9112 §9.6): a line that says
/// nothing but `keep-alive` would contradict it.
pub(super) fn closing(bytes: &[u8], section: &Section, rules: &Rules) -> Vec<u8> {
    if list(section, b"connection").iter().any(|option| option == b"close") {
        return without_denied(bytes, 0, section, rules);
    }
    let contradicts = |field: &Field| {
        let options: Vec<&[u8]> = field.value.split(|&byte| byte == b',').map(trimmed).collect();
        let mut said = options.iter().filter(|option| !option.is_empty()).peekable();
        field.name == b"connection" && said.peek().is_some() && said.all(|o| o.eq_ignore_ascii_case(b"keep-alive"))
    };
    let mut out = without(bytes, 0, section, |field| is_denied(field, rules) || contradicts(field));
    out.truncate(out.len() - 2);
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    out
}

fn without(bytes: &[u8], start: usize, section: &Section, is_left_out: impl Fn(&Field) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut from = start;
    for field in section.fields.iter().filter(|field| is_left_out(field)) {
        out.extend_from_slice(bytes.get(from..field.line.start).unwrap_or_default());
        from = field.line.end;
    }
    out.extend_from_slice(bytes.get(from..section.end).unwrap_or_default());
    out
}

/// Whether a field of this (lower-case) name stands in the section.
pub(super) fn has(section: &Section, name: &[u8]) -> bool {
    section.fields.iter().any(|field| field.name == name)
}

/// The members of the list that all lines of this name make together, in lower case; empty ones too (RFC 9110 §5.6.1).
pub(super) fn list(section: &Section, name: &[u8]) -> Vec<Vec<u8>> {
    let values = section.fields.iter().filter(|field| field.name == name).map(|field| field.value.as_slice());
    let members = values.flat_map(|value| value.split(|&byte| byte == b','));
    members.map(|member| trimmed(member).to_ascii_lowercase()).collect()
}

/// Whether the connection stays after the message: RFC 9112 §9.3.
pub(super) fn persists(section: &Section, version: Version) -> bool {
    let options = list(section, b"connection");
    let says = |option: &[u8]| options.iter().any(|member| member == option);
    !says(b"close") && (version == Version::Http11 || says(b"keep-alive"))
}

impl ResponseHead {
    pub(super) fn persists(&self) -> bool {
        persists(&self.section, self.version)
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The line that begins at `at`, without its CRLF, and where the next one begins.
fn line(bytes: &[u8], at: usize, limit: usize) -> Result<Option<(&[u8], usize)>, Fault> {
    let within_limit = bytes.get(..limit).unwrap_or(bytes);
    let rest = within_limit.get(at..).unwrap_or_default();
    let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    let content = line.strip_suffix(b"\r");
    // RFC 9112 §2.2 lets a recipient take a lone LF as a line end, and a lone CR as a space; two may not agree.
    for &byte in content.unwrap_or(line) {
        match byte {
            b'\r' => return Err("bare_cr"),
            b'\t' => {}
            0..=0x1f | 0x7f => return Err("control_byte"),
            _ => {}
        }
    }
    if length < rest.len() {
        content.map(|content| Some((content, at + length + 1))).ok_or("bare_lf")
    } else if bytes.len() >= limit {
        Err("head_too_long")
    } else {
        Ok(None)
    }
}

/// RFC 9112 §3: method SP request-target SP HTTP-version.
fn request_line(line: &[u8]) -> Result<(&[u8], Version), Fault> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return Err("request_line_malformed");
    };
    if !is_token(method) || target.is_empty() || target.contains(&b'\t') {
        return Err("request_line_malformed");
    }
    match *version {
        b"HTTP/1.0" => Ok((method, Version::Http10)),
        b"HTTP/1.1" => Ok((method, Version::Http11)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err("version_unsupported"),
        _ => Err("request_line_malformed"),
    }
}

/// RFC 9112 §4: HTTP-version SP status-code SP [ reason-phrase ], the last SP being left out by some origins.
fn status_line(line: &[u8]) -> Result<(Version, u16), Fault> {
    let (version, rest) = line.split_at_checked(8).ok_or("status_line_malformed")?;
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/1.1" => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err("version_unsupported");
        }
        _ => return Err("status_line_malformed"),
    };
    let [b' ', code @ ..] = rest else { return Err("status_line_malformed") };
    match code {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {
            let digits = code.iter().take(3).map(|digit| u16::from(digit - b'0'));
            Ok((version, digits.fold(0, |status, digit| status * 10 + digit)))
        }
        _ => Err("status_line_malformed"),
    }
}

/// RFC 9112 §5: field-name ":" OWS field-value OWS; §5.1 forbids space before the colon, §5.2 folding.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if matches!(line, [b' ' | b'\t', ..]) {
        return Err("obs_fold");
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or("no_colon")?;
    let (name, value) = line.split_at(colon);
    if matches!(name, [.., b' ' | b'\t']) {
        return Err("white_space_before_colon");
    }
    if !is_token(name) {
        return Err("invalid_field_name");
    }
    Ok((name, trimmed(value.get(1..).unwrap_or_default())))
}

/// What Content-Length and Transfer-Encoding say together; neither of them: nothing.
fn fields_framing(section: &Section, version: Version) -> Result<Option<Framing>, Fault> {
    match (has(section, b"transfer-encoding"), has(section, b"content-length")) {
        // RFC 9112 §6.3, 3: "ought to be handled as an error".
        (true, true) => Err("content_length_and_transfer_encoding"),
        // RFC 9112 §6.1: HTTP/1.0 does not know the field; such a message has faulty framing.
        (true, false) if version == Version::Http10 => Err("transfer_encoding_in_http_1_0"),
        (true, false) => chunked_last(section).map(Some),
        (false, true) => content_length(section).map(Some),
        (false, false) => Ok(None),
    }
}

/// RFC 9112 §6.1: chunked is applied once, last; §7: codings are compared without regard to case.
fn chunked_last(section: &Section) -> Result<Framing, Fault> {
    let codings = list(section, b"transfer-encoding");
    let tokens = codings.iter().all(|coding| is_token(coding));
    let chunked = codings.iter().filter(|coding| *coding == b"chunked").count();
    let last = codings.last().is_some_and(|coding| coding == b"chunked");
    if tokens && chunked == 1 && last { Ok(Framing::Chunked) } else { Err("transfer_encoding_not_chunked_last") }
}

/// RFC 9110 §8.6, and RFC 9112 §6.3, 5: a list of the same number is that number.
fn content_length(section: &Section) -> Result<Framing, Fault> {
    let members = list(section, b"content-length");
    let lengths = members.iter().map(|member| number(member)).collect::<Option<Vec<u64>>>();
    match lengths.ok_or("content_length_malformed")?.as_slice() {
        [] => Err("content_length_malformed"),
        [first, others @ ..] if others.iter().any(|other| other != first) => Err("content_lengths_differ"),
        [0, ..] => Ok(Framing::Empty),
        [first, ..] => Ok(Framing::Length(*first)),
    }
}

/// 1*DIGIT, up to `MAX_LENGTH`.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit).filter(|&value| value <= MAX_LENGTH)
    })
}

/// Field names compare without regard to case (RFC 9110 §5.1), and only whole.
fn is_denied(field: &Field, rules: &Rules) -> bool {
    let names = |patterns: &[String]| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => field.name.starts_with(prefix.as_bytes()),
            None => field.name == pattern.as_bytes(),
        })
    };
    names(&rules.deny) && !names(&rules.keep)
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
fn trimmed(text: &[u8]) -> &[u8] {
    let outside = |byte: &u8| *byte != b' ' && *byte != b'\t';
    let start = text.iter().position(outside).unwrap_or(text.len());
    let end = text.iter().rposition(outside).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

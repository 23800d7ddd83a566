//! The grammar of heads and trailer sections, for the plain model.
//!
//! Everything here is a function of all the bytes that have come of one head: it is read again from its first byte
//! each time. The bytes of a line are judged as they come, its shape once its line end has come. The first bad line
//! decides. What the fields mean is asked elsewhere, and only once the head is whole.
//!
//! `Ok(None)` always says: so far no fault, and not whole.

use std::ops::Range;

use super::super::Rules;

/// The name of a broken rule, as the vectors write it.
pub(super) type Fault = &'static str;

/// The longest body that every parser reads as the same number: 2^63 - 1, the most of a signed 64-bit integer.
pub(super) const MAX_LENGTH: u64 = (1 << 63) - 1;

/// How lines are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// A request's: whatever two readers may see otherwise is a fault.
    Strict,
    /// A response's: folds, and white space before a colon, are read as RFC 9112 §5.1 and §5.2 have a proxy mend them.
    Gentle,
    /// The same, and a bare LF ends a line too.
    GentleWithBareLf,
}

/// A field with its continuation lines, and where it stands.
pub(super) struct Field {
    /// Its lines, with their ends.
    pub(super) lines: Range<usize>,
    /// In lower case.
    pub(super) name: Vec<u8>,
    /// What stands behind the colon: unfolded, without the white space around it.
    pub(super) value: Vec<u8>,
    /// Where that stands, with the white space around it, and with the CRLF of folds.
    pub(super) value_at: Range<usize>,
    /// What a proxy takes out of a response: the CRLF of folds, and white space before the colon.
    pub(super) mends: Vec<Range<usize>>,
}

/// Field lines up to and with the empty line that ends them.
pub(super) struct Section {
    pub(super) fields: Vec<Field>,
    /// How many lines they take.
    pub(super) line_count: usize,
    /// Where the empty line begins.
    pub(super) empty_line: usize,
    pub(super) end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// A request head whose lines are well-formed.
pub(super) struct RequestHead {
    pub(super) method: Vec<u8>,
    pub(super) version: Version,
    pub(super) section: Section,
}

/// A response head whose lines are well-formed.
pub(super) struct ResponseHead {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) section: Section,
}

/// How many bytes of empty lines, which are no part of a head, stand before it (RFC 9112 §2.2).
pub(super) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks(2).take_while(|pair| pair == b"\r\n").count() * 2
}

/// Reads the request head at the start of `bytes`.
pub(super) fn request(bytes: &[u8], rules: &Rules) -> Result<Option<RequestHead>, Fault> {
    let Some(start_line) = line(bytes, 0, rules.max_head, Manner::Strict)? else {
        return Ok(None);
    };
    let (method, version) = request_line(start_line.content)?;
    let section = section(bytes, start_line.next, rules.max_head, rules.max_fields, Manner::Strict)?;
    Ok(section.map(|section| RequestHead { method: method.to_vec(), version, section }))
}

/// Reads the response head at the start of `bytes`.
pub(super) fn response(bytes: &[u8], rules: &Rules) -> Result<Option<ResponseHead>, Fault> {
    if bytes == b"\r" {
        return Ok(None);
    }
    // What does not begin like a status-line may be HTTP/0.9 or no HTTP at all, and may never send an LF.
    if bytes.iter().zip(b"HTTP/").any(|(byte, expected)| byte != expected) {
        return Err("status_line_malformed");
    }
    let manner = if rules.allow_bare_lf { Manner::GentleWithBareLf } else { Manner::Gentle };
    let Some(start_line) = line(bytes, 0, rules.max_head, manner)? else {
        return Ok(None);
    };
    let (version, status) = status_line(start_line.content)?;
    let section = section(bytes, start_line.next, rules.max_head, rules.max_fields, manner)?;
    Ok(section.map(|section| ResponseHead { version, status, section }))
}

/// Reads field lines from `start` to the empty line, which must end before `limit` (RFC 9112 §5).
pub(super) fn section(
    bytes: &[u8],
    start: usize,
    limit: usize,
    max_lines: usize,
    manner: Manner,
) -> Result<Option<Section>, Fault> {
    let mut fields: Vec<Field> = Vec::new();
    let mut line_count = 0;
    let mut at = start;
    loop {
        let Some(line) = line(bytes, at, limit, manner)? else {
            return Ok(None);
        };
        if line.content.is_empty() {
            return Ok(Some(Section { fields, line_count, empty_line: at, end: line.next }));
        }
        let end = at + line.content.len();
        if matches!(line.content, [b' ' | b'\t', ..]) {
            // A field that ended in a bare LF has ended for every reader.
            let folded = |field: &&mut Field| manner != Manner::Strict && field.lines.end - field.value_at.end == 2;
            let field = fields.last_mut().filter(folded).ok_or("obs_fold")?;
            field.mends.push(field.value_at.end..at);
            field.value.extend_from_slice(line.content);
            (field.value_at.end, field.lines.end) = (end, line.next);
        } else {
            let (name, value_from) = field_name(line.content, manner)?;
            let colon = at + value_from - 1;
            fields.push(Field {
                lines: at..line.next,
                name: name.to_ascii_lowercase(),
                value: line.content.get(value_from..).unwrap_or_default().to_vec(),
                value_at: colon + 1..end,
                mends: (at + name.len() < colon).then(|| at + name.len()..colon).into_iter().collect(),
            });
        }
        if let Some(field) = fields.last_mut() {
            field.value = trimmed(&field.value).to_vec();
        }
        if line_count == max_lines {
            return Err("too_many_field_lines");
        }
        line_count += 1;
        at = line.next;
    }
}

impl Section {
    /// The fields of this (lower-case) name.
    pub(super) fn named(&self, name: &[u8]) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.named(name).next().is_some()
    }

    /// The members of the list that all fields of this name make together, in lower case; empty ones too (RFC 9110
    /// §5.6.1).
    pub(super) fn list(&self, name: &[u8]) -> Vec<Vec<u8>> {
        self.named(name).flat_map(|field| members(&field.value)).collect()
    }

    /// Whether the connection stays after the message: RFC 9112 §9.3.
    pub(super) fn persists(&self, version: Version) -> bool {
        let options = self.list(b"connection");
        let says = |option: &[u8]| options.iter().any(|member| member == option);
        !says(b"close") && (version == Version::Http11 || says(b"keep-alive"))
    }
}

/// The members of one list, in lower case.
pub(super) fn members(value: &[u8]) -> Vec<Vec<u8>> {
    value.split(|&byte| byte == b',').map(|member| trimmed(member).to_ascii_lowercase()).collect()
}

/// 1*DIGIT, up to `MAX_LENGTH`.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit).filter(|&value| value <= MAX_LENGTH)
    })
}

/// Without the optional white space around it (RFC 9110 §5.6.3).
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let outside = |byte: &u8| *byte != b' ' && *byte != b'\t';
    let start = text.iter().position(outside).unwrap_or(text.len());
    let end = text.iter().rposition(outside).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A line without its end, and where the next one begins.
struct Line<'a> {
    content: &'a [u8],
    next: usize,
}

/// The line that begins at `at`.
fn line(bytes: &[u8], at: usize, limit: usize, manner: Manner) -> Result<Option<Line<'_>>, Fault> {
    let within_limit = bytes.get(..limit).unwrap_or(bytes);
    let rest = within_limit.get(at..).unwrap_or_default();
    let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    let before_cr = line.strip_suffix(b"\r");
    // RFC 9112 §2.2 lets a recipient take a lone LF as a line end, and a lone CR as a space; two may not agree.
    for &byte in before_cr.unwrap_or(line) {
        match byte {
            b'\r' => return Err("bare_cr"),
            b'\t' => {}
            0..=0x1f | 0x7f => return Err("control_byte"),
            _ => {}
        }
    }
    if length < rest.len() {
        let content = match (before_cr, manner) {
            (Some(content), _) => content,
            (None, Manner::GentleWithBareLf) => line,
            (None, Manner::Strict | Manner::Gentle) => return Err("bare_lf"),
        };
        Ok(Some(Line { content, next: at + length + 1 }))
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

/// RFC 9112 §5: field-name ":" OWS field-value OWS. The name, and where the value begins.
fn field_name(line: &[u8], manner: Manner) -> Result<(&[u8], usize), Fault> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("no_colon")?;
    let before_colon = line.get(..colon).unwrap_or_default();
    let name = trimmed(before_colon);
    // RFC 9112 §5.1: a server answers 400 to it, a proxy removes it from a response.
    if manner == Manner::Strict && name.len() < before_colon.len() {
        return Err("white_space_before_colon");
    }
    if is_token(name) { Ok((name, colon + 1)) } else { Err("invalid_field_name") }
}

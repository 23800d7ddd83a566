//! How long a message body is: the rule of RFC 9112 §6.3 and the fields it reads.
//!
//! [`Fields`] collects what every line of the framing and connection fields says, each list member by itself;
//! [`request_framing`] and [`response_framing`] turn that into a [`Framing`], in the order of the RFC.

use super::error::Violation;
use super::head::{Method, Version};
use super::scan::is_token;
use super::upgrade::Protocols;
use super::{MAX_LENGTH, Policy};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    /// 0 < length ≤ [`MAX_LENGTH`].
    Length(u64),
    Chunked,
    UntilClose,
    Tunnel,
}

/// What the fields of one head say of framing and connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) hosts: usize,
    pub(super) upgrade: Option<Protocols>,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    content_length: ContentLength,
    transfer_encoding: TransferEncoding,
}

#[derive(Clone, Copy, Debug, Default)]
enum ContentLength {
    #[default]
    Absent,
    Value(u64),
    Differ,
    Malformed,
}

#[derive(Clone, Copy, Debug, Default)]
enum TransferEncoding {
    #[default]
    Absent,
    /// Codings of which none is `chunked` yet.
    Other,
    /// Exactly one `chunked`, and the last.
    Chunked,
    Malformed,
}

impl Fields {
    /// Takes note of one field line.
    pub(super) fn see(&mut self, policy: &Policy, name: &[u8], value: &[u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                let protocols = self.upgrade.get_or_insert_default();
                members(value).for_each(|member| protocols.add(&policy.upgrades, member));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                for option in members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                members(value).for_each(|member| self.content_length.add(member));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                members(value).for_each(|member| self.transfer_encoding.add(member));
            }
            _ => {}
        }
    }

    /// Tells whether the connection persists after this message (RFC 9112 §9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// The length by Content-Length and Transfer-Encoding: RFC 9112 §6.3, items 3 to 6. `None`: neither is there.
    fn framing(&self, version: Version) -> Result<Option<Framing>, Violation> {
        match (self.transfer_encoding, self.content_length) {
            (TransferEncoding::Absent, ContentLength::Absent) => Ok(None),
            (TransferEncoding::Absent, ContentLength::Value(0)) => Ok(Some(Framing::Empty)),
            (TransferEncoding::Absent, ContentLength::Value(length)) => Ok(Some(Framing::Length(length))),
            (TransferEncoding::Absent, ContentLength::Differ) => Err(Violation::ContentLengthsDiffer),
            (TransferEncoding::Absent, ContentLength::Malformed) => Err(Violation::ContentLengthMalformed),
            (TransferEncoding::Chunked, ContentLength::Absent) if version == Version::Http11 => {
                Ok(Some(Framing::Chunked))
            }
            (_, ContentLength::Absent) if version == Version::Http10 => Err(Violation::TransferEncodingInHttp10),
            (_, ContentLength::Absent) => Err(Violation::TransferEncodingNotChunkedLast),
            (_, _) => Err(Violation::ContentLengthAndTransferEncoding),
        }
    }
}

/// The body of a request (RFC 9112 §6.3, items 3 to 7).
pub(super) fn request_framing(version: Version, fields: &Fields) -> Result<Framing, Violation> {
    Ok(fields.framing(version)?.unwrap_or(Framing::Empty))
}

/// The body of a response (RFC 9112 §6.3, all items; 2 is not met, since CONNECT is refused).
pub(super) fn response_framing(
    method: Method,
    version: Version,
    status: u16,
    fields: &Fields,
) -> Result<Framing, Violation> {
    if matches!(status, 100..=199 | 204) {
        // RFC 9110 §8.6, RFC 9112 §6.1: neither field may stand here. A length of 0 is common and harmless.
        return match (fields.transfer_encoding, fields.content_length) {
            (TransferEncoding::Absent, ContentLength::Absent | ContentLength::Value(0)) if status == 101 => {
                Ok(Framing::Tunnel)
            }
            (TransferEncoding::Absent, ContentLength::Absent | ContentLength::Value(0)) => Ok(Framing::Empty),
            (TransferEncoding::Absent, ContentLength::Value(_)) => Err(Violation::ContentLengthForbidden),
            (TransferEncoding::Absent, ContentLength::Differ) => Err(Violation::ContentLengthsDiffer),
            (TransferEncoding::Absent, ContentLength::Malformed) => Err(Violation::ContentLengthMalformed),
            (_, ContentLength::Absent) => Err(Violation::TransferEncodingForbidden),
            (_, _) => Err(Violation::ContentLengthAndTransferEncoding),
        };
    }
    let framing = fields.framing(version)?;
    if method == Method::Head || status == 304 {
        return Ok(Framing::Empty);
    }
    Ok(framing.unwrap_or(Framing::UntilClose))
}

impl ContentLength {
    fn add(&mut self, member: &[u8]) {
        *self = match (*self, decimal(member)) {
            (Self::Malformed, _) | (_, None) => Self::Malformed,
            (Self::Absent, Some(value)) => Self::Value(value),
            (Self::Value(first), Some(value)) if first == value => Self::Value(value),
            (Self::Value(_) | Self::Differ, Some(_)) => Self::Differ,
        }
    }
}

impl TransferEncoding {
    fn add(&mut self, member: &[u8]) {
        *self = match *self {
            // Registered codings have no parameters, and an empty member is a known way to make two parsers disagree.
            Self::Absent | Self::Other if !is_token(member) => Self::Malformed,
            Self::Absent | Self::Other if member.eq_ignore_ascii_case(b"chunked") => Self::Chunked,
            Self::Absent | Self::Other => Self::Other,
            Self::Chunked | Self::Malformed => Self::Malformed,
        }
    }
}

/// Tells whether a field line says `Connection: keep-alive` and nothing else: it would contradict `Connection: close`.
pub(super) fn gives_way_to_close(name: &[u8], value: &[u8]) -> bool {
    let value = value.strip_suffix(b"\r\n").unwrap_or(value);
    let mut options = members(value).filter(|option| !option.is_empty()).peekable();
    name.eq_ignore_ascii_case(b"connection")
        && options.peek().is_some()
        && options.all(|option| option.eq_ignore_ascii_case(b"keep-alive"))
}

/// `1*DIGIT` up to [`MAX_LENGTH`].
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })?;
    (value <= MAX_LENGTH).then_some(value)
}

/// The members of a list (RFC 9110 §5.6.1), empty ones included, without the white space around them.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(|member| {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = member.iter().position(|byte| !is_space(byte)).unwrap_or(member.len());
        let end = member.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
        &member[start..end]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Denylist, Upgrades};

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let policy = Policy { denylist: Denylist::default(), upgrades: Upgrades::default(), max_head: 1024 };
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.see(&policy, name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn request(lines: &[(&str, &str)]) -> Result<Framing, Violation> {
        request_framing(Version::Http11, &fields(lines))
    }

    #[test]
    fn a_content_length_is_digits_up_to_2_to_the_63_less_1() {
        for (value, expected) in [
            ("0", Ok(Framing::Empty)),
            ("5", Ok(Framing::Length(5))),
            ("5, 5", Ok(Framing::Length(5))),
            ("5,05", Ok(Framing::Length(5))),
            ("9223372036854775807", Ok(Framing::Length(MAX_LENGTH))),
            ("9223372036854775808", Err(Violation::ContentLengthMalformed)),
            ("18446744073709551617", Err(Violation::ContentLengthMalformed)),
            ("5, 6", Err(Violation::ContentLengthsDiffer)),
            ("5, 6, x", Err(Violation::ContentLengthMalformed)),
        ] {
            assert_eq!(request(&[("Content-Length", value)]), expected, "{value:?}");
        }
        for value in ["", "+5", "-5", "5 5", "0x5", "5,", ",5", "5;", "5.", "\u{665}"] {
            let found = request(&[("content-length", value)]);
            assert_eq!(found, Err(Violation::ContentLengthMalformed), "{value:?}");
        }
    }

    #[test]
    fn the_codings_end_in_exactly_one_chunked() {
        for value in ["chunked", "Chunked", "gzip, chunked", "gzip,\tchunked"] {
            assert_eq!(request(&[("Transfer-Encoding", value)]), Ok(Framing::Chunked), "{value:?}");
        }
        assert_eq!(request(&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")]), Ok(Framing::Chunked));
        for value in [
            "",
            "gzip",
            "chunked, gzip",
            "chunked, chunked",
            "notchunked",
            "chunked;a",
            ",chunked",
            "chunked,",
            "\"chunked\"",
        ] {
            let found = request(&[("transfer-encoding", value)]);
            assert_eq!(found, Err(Violation::TransferEncodingNotChunkedLast), "{value:?}");
        }
    }

    #[test]
    fn a_head_response_is_empty_but_its_fields_must_still_be_sound() {
        let respond = |status, lines| response_framing(Method::Head, Version::Http11, status, &fields(lines));
        assert_eq!(respond(200, &[("content-length", "5")]), Ok(Framing::Empty));
        assert_eq!(respond(200, &[("transfer-encoding", "chunked")]), Ok(Framing::Empty));
        assert_eq!(respond(200, &[]), Ok(Framing::Empty));
        assert_eq!(respond(304, &[("content-length", "5, 6")]), Err(Violation::ContentLengthsDiffer));
        assert_eq!(respond(204, &[("content-length", "5")]), Err(Violation::ContentLengthForbidden));
        assert_eq!(respond(204, &[("transfer-encoding", "chunked")]), Err(Violation::TransferEncodingForbidden));
    }
}

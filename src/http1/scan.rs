//! The grammar of heads and trailer sections, a byte at a time: finds the end, or names the first rule broken.
//!
//! It is asked where a quick look cannot tell: while a section is partial, when it is to be mended, and when something is wrong
//! with it. Each byte is walked once, however the section is cut. The bytes of a line are judged as they come, its shape once its LF has
//! come; so a bad byte is told as soon as it is there, by the same name whether the section came whole or in pieces.
//!
//! Of responses more is taken than of requests: folds, white space before a colon, and a bare LF where the operator allows it.

use memchr::memchr;

use super::Policy;
use super::edits::widen;
use super::error::Violation;
use super::message::{Method, Version};
use super::names::{find_end, is_token, token_length};

/// The section that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Request,
    Response,
    RequestTrailer,
    ResponseTrailer,
}

impl Form {
    /// Returns whether what is wrong with it is mended where that can be done.
    fn is_mended(self) -> bool {
        matches!(self, Self::Response | Self::ResponseTrailer)
    }
}

/// How far a section has been walked by the scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct HeadScan {
    /// Where the line begins that the scanner is in.
    line: u32,
    /// Bytes walked; line ≤ walked.
    walked: u32,
    /// Lines walked, the start-line of a head among them.
    lines: u32,
}

impl HeadScan {
    /// Walks on to the end of the section and tells where that is, or the first rule broken; that again when asked again.
    pub(super) fn walk(&mut self, form: Form, policy: &Policy, shown: &[u8]) -> Result<Option<usize>, Violation> {
        let within = shown.get(..policy.max_head).unwrap_or(shown);
        while let Some(&byte) = within.get(self.walked()) {
            self.walk_byte(form, policy, within, byte)?;
            let is_end = byte == b'\n' && self.walk_line(form, policy, within)?;
            self.walked += 1;
            if byte == b'\n' {
                self.line = self.walked;
            }
            if is_end {
                return Ok(Some(self.walked()));
            }
        }
        if shown.len() < policy.max_head { Ok(None) } else { Err(Violation::HeadTooLong) }
    }

    fn walk_byte(self, form: Form, policy: &Policy, within: &[u8], byte: u8) -> Result<(), Violation> {
        let after_cr = self.walked > self.line && within[self.walked() - 1] == b'\r';
        if form == Form::Response
            && self.lines == 0
            && b"HTTP/".get(self.walked()).is_some_and(|expected| *expected != byte)
        {
            return Err(Violation::StatusLineMalformed);
        }
        match byte {
            b'\n' if after_cr || (policy.allow_bare_lf && form == Form::Response) => Ok(()),
            b'\n' => Err(Violation::BareLf),
            _ if after_cr => Err(Violation::BareCr),
            b'\r' | b'\t' => Ok(()),
            _ if byte.is_ascii_control() => Err(Violation::ControlByte),
            _ => Ok(()),
        }
    }

    /// Judges the shape of the line whose LF comes next. True at the end of the section.
    fn walk_line(&mut self, form: Form, policy: &Policy, within: &[u8]) -> Result<bool, Violation> {
        let line = &within[widen(self.line)..self.walked()];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let seen = match form {
            Form::Request | Form::Response if self.lines == 0 => {
                if form == Form::Request { request_line(line).map(drop) } else { status_line(line).map(drop) }?;
                self.lines = 1;
                return Ok(false);
            }
            Form::Request | Form::Response => self.lines - 1,
            Form::RequestTrailer | Form::ResponseTrailer => self.lines,
        };
        if line.is_empty() {
            return Ok(true);
        }
        if matches!(line[0], b' ' | b'\t') {
            // There must be a field line to fold to, and a line end to take away that is one for everybody.
            let is_mended = form.is_mended() && seen > 0 && within[..widen(self.line)].ends_with(b"\r\n");
            if !is_mended {
                return Err(Violation::ObsFold);
            }
        } else {
            field_line(form, line)?;
        }
        if widen(seen) >= policy.max_fields {
            return Err(Violation::TooManyFieldLines);
        }
        self.lines += 1;
        Ok(false)
    }

    /// Returns whether a byte was walked.
    pub(super) fn has_begun(self) -> bool {
        self.walked > 0
    }

    fn walked(self) -> usize {
        widen(self.walked)
    }
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3). Gives what is after it, too.
#[expect(clippy::inline_always, reason = "measured: a request of the common form is read in one function")]
#[inline(always)]
pub(super) fn request_line(bytes: &[u8]) -> Result<(Method, Version, &[u8]), Violation> {
    let malformed = Violation::RequestLineMalformed;
    let (method, rest) = bytes.split_at(token_length(bytes));
    let target = rest.strip_prefix(b" ").ok_or(malformed)?;
    let end = find_end::<b' '>(target).filter(|end| *end > 0).ok_or(malformed)?;
    let rest = target[end..].strip_prefix(b" ").ok_or(malformed)?;
    let (last, behind) = rest.split_first_chunk::<8>().ok_or(malformed)?;
    if method.is_empty() || !(behind.is_empty() || behind.starts_with(b"\r\n")) {
        return Err(malformed);
    }
    Ok((Method::of(method), version(*last, malformed)?, behind))
}

/// `HTTP-version SP status-code [SP reason]` (RFC 9112 §4). The space before an empty reason is often left out.
pub(super) fn status_line(line: &[u8]) -> Result<(u16, Version), Violation> {
    let malformed = Violation::StatusLineMalformed;
    let (first, rest) = line.split_first_chunk::<8>().ok_or(malformed)?;
    let version = version(*first, malformed)?;
    let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] = rest else {
        return Err(malformed);
    };
    if !matches!(reason, [] | [b' ', ..]) {
        return Err(malformed);
    }
    let status = [a, b, c].into_iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    Ok((status, version))
}

fn version(version: [u8; 8], malformed: Violation) -> Result<Version, Violation> {
    match version {
        _ if version == *b"HTTP/1.1" => Ok(Version::Http11),
        _ if version == *b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Violation::VersionUnsupported)
        }
        _ => Err(malformed),
    }
}

/// `field-name ":" ...` (RFC 9112 §5).
fn field_line(form: Form, line: &[u8]) -> Result<(), Violation> {
    let name = &line[..memchr(b':', line).ok_or(Violation::NoColon)?];
    let end = name.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    if end < name.len() && !form.is_mended() {
        Err(Violation::WhiteSpaceBeforeColon)
    } else if is_token(&name[..end]) {
        Ok(())
    } else {
        Err(Violation::InvalidFieldName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_three_parts_with_a_space_between_each() {
        let sound = |method, version, behind: &'static [u8]| Ok((method, version, behind));
        assert_eq!(request_line(b"GET /a HTTP/1.1"), sound(Method::Get, Version::Http11, b""));
        assert_eq!(request_line(b"a * HTTP/1.0\r\nA"), sound(Method::Other, Version::Http10, b"\r\nA"));
        for line in [
            "",
            "GET",
            "GET /",
            "GET / ",
            "GET  HTTP/1.1",
            "GET HTTP/1.1",
            " / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.11",
            "GET /  HTTP/1.1",
            "GET /\ta HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET / HTTP/2",
            "GET / http/1.1",
            "GET / HTTP/2.0 a",
        ] {
            assert_eq!(request_line(line.as_bytes()), Err(Violation::RequestLineMalformed), "{line:?}");
        }
        assert_eq!(request_line(b"PRI * HTTP/2.0"), Err(Violation::VersionUnsupported));
    }

    #[test]
    fn a_status_line_is_a_version_and_three_digits() {
        assert_eq!(status_line(b"HTTP/1.1 200 OK"), Ok((200, Version::Http11)));
        assert_eq!(status_line(b"HTTP/1.0 999"), Ok((999, Version::Http10)));
        for line in
            ["HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 099", "HTTP/1.1 20", "HTTP/1.1 2000", "HTTP/1.1 200-", "HTTP/1.1  200"]
        {
            assert_eq!(status_line(line.as_bytes()), Err(Violation::StatusLineMalformed), "{line:?}");
        }
        assert_eq!(status_line(b"HTTP/2.0 200 OK"), Err(Violation::VersionUnsupported));
    }
}

//! The grammar of heads and trailer sections, a byte at a time: finds the end, or names the first rule broken.
//!
//! It is asked where httparse cannot tell: while a section is partial, and when something is wrong with it. Each byte is
//! walked once, however the section is cut. The bytes of a line are judged as they come, its shape once its LF has come; so a
//! bad byte is told as soon as it is there, by the same name whether the section came whole or in pieces.

use memchr::memchr;

use super::MAX_FIELD_LINES;
use super::error::Violation;

/// The section that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Request,
    Response,
    Trailer,
}

/// How far a section has been walked by the strict scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct HeadScan {
    /// Where the line begins that the scanner is in.
    line: u32,
    /// Bytes walked; line ≤ walked.
    walked: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Place {
    /// Before the end of the start-line, or at the start of a trailer section.
    #[default]
    Start,
    /// After the start-line and that many field lines.
    Fields(u16),
}

impl HeadScan {
    /// Walks on to the end of the section and tells where that is, or the first rule broken; that again when asked again.
    pub(super) fn walk(&mut self, section: Section, limit: usize, shown: &[u8]) -> Result<Option<usize>, Violation> {
        let within = shown.get(..limit).unwrap_or(shown);
        while let Some(&byte) = within.get(self.walked()) {
            self.walk_byte(section, within, byte)?;
            let is_end = byte == b'\n' && self.walk_line(section, &within[self.line()..self.walked() - 1])?;
            self.walked += 1;
            if byte == b'\n' {
                self.line = self.walked;
            }
            if is_end {
                return Ok(Some(self.walked()));
            }
        }
        if shown.len() < limit { Ok(None) } else { Err(Violation::HeadTooLong) }
    }

    fn walk_byte(self, section: Section, within: &[u8], byte: u8) -> Result<(), Violation> {
        let after_cr = self.walked > self.line && within[self.walked() - 1] == b'\r';
        if section == Section::Response
            && self.place == Place::Start
            && b"HTTP/".get(self.walked()).is_some_and(|expected| *expected != byte)
        {
            return Err(Violation::StatusLineMalformed);
        }
        match byte {
            b'\n' if after_cr => Ok(()),
            b'\n' => Err(Violation::BareLf),
            _ if after_cr => Err(Violation::BareCr),
            b'\r' | b'\t' => Ok(()),
            _ if byte.is_ascii_control() => Err(Violation::ControlByte),
            _ => Ok(()),
        }
    }

    /// Judges the shape of a line without its CRLF. True at the end of the section.
    fn walk_line(&mut self, section: Section, line: &[u8]) -> Result<bool, Violation> {
        let seen = match (self.place, section) {
            (Place::Start, Section::Request) if line.is_empty() => return Ok(false),
            (Place::Start, Section::Request) => {
                request_line(line)?;
                self.place = Place::Fields(0);
                return Ok(false);
            }
            (Place::Start, Section::Response) => {
                status_line(line)?;
                self.place = Place::Fields(0);
                return Ok(false);
            }
            (Place::Start, Section::Trailer) => 0,
            (Place::Fields(seen), _) => seen,
        };
        if line.is_empty() {
            return Ok(true);
        }
        field_line(line)?;
        if usize::from(seen) == MAX_FIELD_LINES {
            return Err(Violation::TooManyFieldLines);
        }
        self.place = Place::Fields(seen + 1);
        Ok(false)
    }

    /// Tells whether more than empty lines was walked of a request, of which these bytes are shown.
    pub(super) fn has_begun(self, shown: &[u8]) -> bool {
        let line = shown.get(self.line()..self.walked()).unwrap_or_default();
        self.place != Place::Start || line.first().is_some_and(|byte| *byte != b'\r')
    }

    fn line(self) -> usize {
        widen(self.line)
    }

    fn walked(self) -> usize {
        widen(self.walked)
    }
}

/// Positions are at most [`MAX_HEAD_CEILING`](super::MAX_HEAD_CEILING), which fits both types.
pub(super) fn widen(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3).
fn request_line(line: &[u8]) -> Result<(), Violation> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::RequestLineMalformed);
    };
    if !is_token(method) || target.is_empty() || target.contains(&b'\t') {
        return Err(Violation::RequestLineMalformed);
    }
    check_version(version, Violation::RequestLineMalformed)
}

/// `HTTP-version SP status-code [SP reason]` (RFC 9112 §4). The space before an empty reason is often left out.
fn status_line(line: &[u8]) -> Result<(), Violation> {
    let malformed = Violation::StatusLineMalformed;
    let (version, rest) = line.split_at_checked(8).ok_or(malformed)?;
    check_version(version, malformed)?;
    let (code, reason) = rest.split_at_checked(4).ok_or(malformed)?;
    let is_code = code[0] == b' ' && matches!(code[1], b'1'..=b'9') && code[2..].iter().all(u8::is_ascii_digit);
    if is_code && matches!(reason.first(), None | Some(b' ')) { Ok(()) } else { Err(malformed) }
}

fn check_version(version: &[u8], malformed: Violation) -> Result<(), Violation> {
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(Violation::VersionUnsupported)
        }
        _ => Err(malformed),
    }
}

/// `field-name ":" ...` (RFC 9112 §5).
fn field_line(line: &[u8]) -> Result<(), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Violation::ObsFold);
    }
    let name = &line[..memchr(b':', line).ok_or(Violation::NoColon)?];
    if matches!(name.last(), Some(b' ' | b'\t')) {
        Err(Violation::WhiteSpaceBeforeColon)
    } else if is_token(name) {
        Ok(())
    } else {
        Err(Violation::InvalidFieldName)
    }
}

/// A token (RFC 9110 §5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

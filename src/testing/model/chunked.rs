//! The chunked coding (RFC 9112 §7.1) of the plain model: a recursive descent over all the bytes of a body so far.
//!
//! The cursor stops at the first byte that cannot stand there, or at the end of what has come. Either way every byte
//! before it is part of well-formed framing and goes on; but a line that may be the last chunk's, which would make the
//! message complete, is held until the trailer section behind it is whole.

use super::super::Rules;
use super::head::{self, Fault, MAX_LENGTH, Manner, Section};

/// The most hex digits in a chunk-size: as many as a 64-bit number has.
const MAX_SIZE_DIGITS: usize = 16;
/// The most bytes between a chunk-size and the CRLF of its line.
const MAX_EXTENSION: usize = 4096;

/// What is known of a chunked body.
pub(super) struct Chunked {
    /// So many bytes go on as they are; the last chunk's line, if it has come, begins there.
    pub(super) passed: usize,
    /// The trailer section, which ends the body.
    pub(super) trailer: Result<Option<Section>, Fault>,
    /// Whether a chunk has an extension.
    pub(super) is_extended: bool,
}

/// Reads a chunked body from its first byte.
pub(super) fn read(bytes: &[u8], manner: Manner, rules: &Rules) -> Chunked {
    let mut cursor = Cursor { bytes, manner, at: 0, held: None, line_limit: usize::MAX, is_extended: false };
    let stop = cursor.chunks();
    let passed = cursor.held.unwrap_or(cursor.at);
    let trailer = match stop {
        Ok(()) => head::section(bytes, cursor.at, cursor.at.saturating_add(rules.max_head), rules.max_fields, manner),
        Err(Stop::More) => Ok(None),
        Err(Stop::Bad(fault)) => Err(fault),
    };
    Chunked { passed, trailer, is_extended: cursor.is_extended }
}

/// Why the cursor does not go on.
enum Stop {
    /// The bytes end here.
    More,
    /// The byte at the cursor cannot stand there.
    Bad(Fault),
}

struct Cursor<'a> {
    bytes: &'a [u8],
    manner: Manner,
    at: usize,
    /// Where a line begins that may be the last chunk's: no digit but 0 has come of its size.
    held: Option<usize>,
    /// Where the CR of a chunk line must stand at the latest.
    line_limit: usize,
    is_extended: bool,
}

impl Cursor<'_> {
    /// chunked-body = *chunk last-chunk, up to and with the CRLF of the last-chunk.
    fn chunks(&mut self) -> Result<(), Stop> {
        loop {
            let size = self.size()?;
            self.line_limit = self.at.saturating_add(MAX_EXTENSION);
            self.extensions()?;
            self.line_limit = usize::MAX;
            self.expect(b'\r', "chunk_line_malformed")?;
            self.expect(b'\n', "bare_cr")?;
            if size == 0 {
                return Ok(());
            }
            self.data(size)?;
            self.expect(b'\r', "chunk_end_malformed")?;
            self.expect(b'\n', "chunk_end_malformed")?;
        }
    }

    /// chunk-size = 1*HEXDIG
    fn size(&mut self) -> Result<u64, Stop> {
        let start = self.at;
        self.held = Some(start);
        let mut size = 0_u64;
        while let Some(digit) = char::from(self.peek()?).to_digit(16) {
            let next = size.checked_mul(16).map(|size| size | u64::from(digit)).filter(|&size| size <= MAX_LENGTH);
            size = next.filter(|_| self.at - start < MAX_SIZE_DIGITS).ok_or(Stop::Bad("chunk_size_too_large"))?;
            self.at += 1;
            if size > 0 {
                self.held = None;
            }
        }
        // A size with no digit must not be read as 0; and after the digits only an extension or the line's end stands.
        match self.peek()? {
            b'\n' => Err(Stop::Bad("bare_lf")),
            b'\r' | b';' | b' ' | b'\t' if self.at > start => Ok(size),
            _ => Err(Stop::Bad("chunk_size_malformed")),
        }
    }

    /// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), and no BWS after it.
    fn extensions(&mut self) -> Result<(), Stop> {
        if self.manner != Manner::Strict && self.is_padding()? {
            return Ok(());
        }
        loop {
            let before = self.at;
            self.white_space()?;
            match self.peek()? {
                b'\r' if self.at == before => return Ok(()),
                b';' => {
                    self.at += 1;
                    self.is_extended = true;
                }
                _ => return self.bad_in_line(),
            }
            self.white_space()?;
            self.token()?;
            // White space here belongs to an "=" or to the next ";"; if to the latter, it is read again.
            let after_name = self.at;
            self.white_space()?;
            if self.peek()? == b'=' {
                self.at += 1;
                self.white_space()?;
                if self.peek()? == b'"' {
                    self.quoted_string()?;
                } else {
                    self.token()?;
                }
            } else {
                self.at = after_name;
            }
        }
    }

    /// Steps over spaces that fill a chunk-size up to some width, as old servers do; says whether that was all of the line.
    fn is_padding(&mut self) -> Result<bool, Stop> {
        let before = self.at;
        while self.peek()? == b' ' {
            self.at += 1;
        }
        let is_all = self.peek()? == b'\r';
        if !is_all {
            self.at = before;
        }
        Ok(is_all)
    }

    /// RFC 9110 §5.6.2.
    fn token(&mut self) -> Result<(), Stop> {
        if !head::is_token_byte(self.peek()?) {
            return self.bad_in_line();
        }
        while head::is_token_byte(self.peek()?) {
            self.at += 1;
        }
        Ok(())
    }

    /// RFC 9110 §5.6.4.
    fn quoted_string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    if !is_text(self.peek()?) {
                        return self.bad_in_line();
                    }
                }
                byte if is_text(byte) => {}
                _ => return self.bad_in_line(),
            }
            self.at += 1;
        }
    }

    /// BWS = *( SP / HTAB )
    fn white_space(&mut self) -> Result<(), Stop> {
        while matches!(self.peek()?, b' ' | b'\t') {
            self.at += 1;
        }
        Ok(())
    }

    /// chunk-data, of which some may be still to come.
    fn data(&mut self, size: u64) -> Result<(), Stop> {
        let come = self.bytes.len() - self.at;
        match usize::try_from(size) {
            Ok(size) if size <= come => {
                self.at += size;
                Ok(())
            }
            _ => {
                self.at = self.bytes.len();
                Err(Stop::More)
            }
        }
    }

    fn expect(&mut self, expected: u8, fault: Fault) -> Result<(), Stop> {
        if self.peek()? != expected {
            return Err(Stop::Bad(fault));
        }
        self.at += 1;
        Ok(())
    }

    fn bad_in_line(&self) -> Result<(), Stop> {
        Err(Stop::Bad(if self.peek()? == b'\n' { "bare_lf" } else { "chunk_line_malformed" }))
    }

    fn peek(&self) -> Result<u8, Stop> {
        let byte = *self.bytes.get(self.at).ok_or(Stop::More)?;
        if self.at >= self.line_limit && !matches!(byte, b'\r' | b'\n') {
            return Err(Stop::Bad("chunk_line_too_long"));
        }
        Ok(byte)
    }
}

/// HTAB, SP, VCHAR or obs-text.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

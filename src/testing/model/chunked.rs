//! The chunked coding (RFC 9112 §7.1) of the plain model: a recursive descent over all the bytes of a body so far.
//!
//! The cursor stops at the first byte that cannot stand there, or at the end of what has come. Either way every byte
//! before it is part of well-formed framing and goes on; only the trailer section is held until it is whole.

use super::head::{self, Fault, MAX_LENGTH, Section};

/// The most hex digits in a chunk-size: as many as a 64-bit number has.
const MAX_SIZE_DIGITS: usize = 16;
/// The most bytes between a chunk-size and the CRLF of its line.
const MAX_EXTENSION: usize = 4096;

/// What is known of a chunked body.
pub(super) struct Chunked {
    /// So many bytes go on as they are; the trailer section, if it is whole, begins there.
    pub(super) passed: usize,
    /// The trailer section, which ends the body.
    pub(super) trailer: Result<Option<Section>, Fault>,
}

/// Reads a chunked body from its first byte.
pub(super) fn read(bytes: &[u8], max_head: usize) -> Chunked {
    let mut cursor = Cursor { bytes, at: 0, line_limit: usize::MAX };
    let stop = cursor.chunks();
    let passed = cursor.at;
    let trailer = match stop {
        Ok(()) => head::section(bytes, passed, passed.saturating_add(max_head)),
        Err(Stop::More) => Ok(None),
        Err(Stop::Bad(fault)) => Err(fault),
    };
    Chunked { passed, trailer }
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
    at: usize,
    /// Where the CR of a chunk line must stand at the latest.
    line_limit: usize,
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
        let mut size = 0_u64;
        while let Some(digit) = char::from(self.peek()?).to_digit(16) {
            let next = size.checked_mul(16).map(|size| size | u64::from(digit)).filter(|&size| size <= MAX_LENGTH);
            size = next.filter(|_| self.at - start < MAX_SIZE_DIGITS).ok_or(Stop::Bad("chunk_size_too_large"))?;
            self.at += 1;
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
        loop {
            let before = self.at;
            self.white_space()?;
            match self.peek()? {
                b'\r' if self.at == before => return Ok(()),
                b';' => self.at += 1,
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

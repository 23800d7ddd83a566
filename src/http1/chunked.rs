//! The chunked transfer coding (RFC 9112 §7.1): finds chunk data and the end of the last chunk line.
//!
//! A strict scanner of its own, because a lenient one is how two parsers come to disagree: a size is 1 to 16 hexadecimal
//! digits, an extension follows its grammar to the letter, a line ends in CRLF and so does the data. It walks each byte of
//! a chunk line once and counts past the data. The trailer section is not its business: it stops before it.
//!
//! ```text
//! Size ──digit──▶ Size ──CR──▶ LineLf ──LF──▶ Data (size > 0) ──▶ DataCr ──▶ DataLf ──▶ Size
//!                  └─ BWS, ";" ─▶ Extension ─CR─▶ LineLf      └─LF─▶ Done (size = 0)
//! ```

use super::error::Violation;
use super::scan::is_token_byte;
use super::{MAX_CHUNK_EXTENSION, MAX_LENGTH};

/// Enough for 2^64 − 1; leading zeros count, or a size line would have no bound.
const MAX_SIZE_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    /// The size as far as it was read, then the bytes of chunk data left; ≤ [`MAX_LENGTH`].
    size: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a chunk size of which that many digits were read.
    Size(u8),
    /// In the extensions, of which that many bytes were read.
    Extension(Extension, u16),
    /// After the CR of a chunk line.
    LineLf,
    /// In chunk data; 0 < size.
    Data,
    /// After chunk data.
    DataCr,
    /// After the CR that follows chunk data.
    DataLf,
    /// After the line of the last chunk.
    Done,
}

/// Places in `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// In white space that only a `;` may end.
    BeforeSemicolon,
    /// After a `;`.
    BeforeName,
    Name,
    /// In white space that a `=` or a `;` may end.
    AfterName,
    /// After a `=`.
    BeforeValue,
    Token,
    Quoted,
    /// After a backslash in a quoted string.
    QuotedPair,
    AfterQuoted,
}

/// What the scanner found at the start of the bytes shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// That many bytes of sound framing, with the chunk data that stood whole between them. May be 0: show more.
    Framing(usize),
    /// Chunk data: that many bytes need no look.
    Data(u64),
    /// The trailer section begins here.
    Trailer,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { size: 0, place: Place::Size(0) }
    }
}

impl Chunked {
    /// Judges the bytes shown as far as they are sound. A bad byte is told once all before it have been taken.
    pub(super) fn scan(&mut self, shown: &[u8]) -> Result<Piece, Violation> {
        let mut taken = 0;
        loop {
            match self.place {
                Place::Done if taken == 0 => return Ok(Piece::Trailer),
                Place::Done => return Ok(Piece::Framing(taken)),
                Place::Data => {
                    let rest = shown.len() - taken;
                    match usize::try_from(self.size) {
                        Ok(size) if size <= rest => {
                            taken += size;
                            self.pass(self.size);
                        }
                        _ if taken == 0 => return Ok(Piece::Data(self.size)),
                        _ => return Ok(Piece::Framing(taken)),
                    }
                }
                Place::Size(_) | Place::Extension(..) | Place::LineLf | Place::DataCr | Place::DataLf => {
                    let Some(&byte) = shown.get(taken) else {
                        return Ok(Piece::Framing(taken));
                    };
                    match self.step(byte) {
                        Ok(place) => self.place = place,
                        Err(violation) if taken == 0 => return Err(violation),
                        Err(_) => return Ok(Piece::Framing(taken)),
                    }
                    taken += 1;
                }
            }
        }
    }

    /// Takes note that chunk data was moved; count ≤ what [`Piece::Data`] told.
    pub(super) fn pass(&mut self, count: u64) {
        self.size = self.size.saturating_sub(count);
        if self.size == 0 {
            self.place = Place::DataCr;
        }
    }

    /// The place after one more byte of framing.
    fn step(&mut self, byte: u8) -> Result<Place, Violation> {
        match (self.place, byte) {
            (Place::Size(digits), _) => self.step_size(digits, byte),
            (Place::Extension(extension, length), _) => step_extension(extension, length, byte),
            (Place::LineLf, b'\n') if self.size == 0 => Ok(Place::Done),
            (Place::LineLf, b'\n') => Ok(Place::Data),
            (Place::LineLf, _) => Err(Violation::BareCr),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(Place::Size(0)),
            (Place::DataCr | Place::DataLf | Place::Data | Place::Done, _) => Err(Violation::ChunkEndMalformed),
        }
    }

    fn step_size(&mut self, digits: u8, byte: u8) -> Result<Place, Violation> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == MAX_SIZE_DIGITS {
                return Err(Violation::ChunkSizeTooLarge);
            }
            // After 15 digits the size is below 2^60, so this cannot overflow.
            let size = self.size * 16 + u64::from(digit);
            if size > MAX_LENGTH {
                return Err(Violation::ChunkSizeTooLarge);
            }
            self.size = size;
            return Ok(Place::Size(digits + 1));
        }
        match byte {
            b'\n' => Err(Violation::BareLf),
            _ if digits == 0 => Err(Violation::ChunkSizeMalformed),
            b'\r' => Ok(Place::LineLf),
            b' ' | b'\t' | b';' => step_extension(Extension::BeforeSemicolon, 0, byte),
            _ => Err(Violation::ChunkSizeMalformed),
        }
    }
}

fn step_extension(extension: Extension, length: u16, byte: u8) -> Result<Place, Violation> {
    use Extension as E;
    let next = match (extension, byte) {
        (E::Name | E::Token | E::AfterQuoted, b'\r') => return Ok(Place::LineLf),
        (_, b'\n') => return Err(Violation::BareLf),
        (E::BeforeSemicolon | E::Name | E::AfterName | E::Token | E::AfterQuoted, b';') => E::BeforeName,
        (E::BeforeSemicolon | E::Token | E::AfterQuoted, b' ' | b'\t') => E::BeforeSemicolon,
        (E::BeforeName, b' ' | b'\t') => E::BeforeName,
        (E::Name | E::AfterName, b' ' | b'\t') => E::AfterName,
        (E::Name | E::AfterName, b'=') => E::BeforeValue,
        (E::BeforeValue, b' ' | b'\t') => E::BeforeValue,
        (E::BeforeValue, b'"') => E::Quoted,
        (E::BeforeName | E::Name, _) if is_token_byte(byte) => E::Name,
        (E::BeforeValue | E::Token, _) if is_token_byte(byte) => E::Token,
        (E::Quoted, b'"') => E::AfterQuoted,
        (E::Quoted, b'\\') => E::QuotedPair,
        (E::Quoted | E::QuotedPair, b'\t' | b' '..=b'~' | 0x80..) => E::Quoted,
        (
            E::BeforeSemicolon
            | E::BeforeName
            | E::Name
            | E::AfterName
            | E::BeforeValue
            | E::Token
            | E::Quoted
            | E::QuotedPair
            | E::AfterQuoted,
            _,
        ) => return Err(Violation::ChunkLineMalformed),
    };
    if length == MAX_CHUNK_EXTENSION {
        return Err(Violation::ChunkLineTooLong);
    }
    Ok(Place::Extension(next, length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes taken before the trailer section or the first bad byte, and which it was.
    fn walk(body: &[u8]) -> (usize, Result<(), Violation>) {
        let mut chunked = Chunked::default();
        let mut taken = 0;
        loop {
            match chunked.scan(&body[taken..]) {
                Ok(Piece::Framing(0) | Piece::Trailer) => return (taken, Ok(())),
                Ok(Piece::Framing(n)) => taken += n,
                Ok(Piece::Data(left)) => {
                    let n = body[taken..].len();
                    assert!(u64::try_from(n).expect("a length fits") < left, "data that stands whole is framing");
                    if n == 0 {
                        return (taken, Ok(()));
                    }
                    chunked.pass(u64::try_from(n).expect("a length fits"));
                    taken += n;
                }
                Err(violation) => return (taken, Err(violation)),
            }
        }
    }

    #[test]
    fn sound_bodies_are_taken_up_to_the_trailer_section() {
        for body in [
            "5\r\nhello\r\n0\r\n",
            "0\r\n",
            "00\r\n",
            "A;a=b\r\n0123456789\r\n000;x\r\n",
            "1 ; a = \"b;\\\"\" ;c\r\nx\r\n0\r\n",
        ] {
            assert_eq!(walk(body.as_bytes()), (body.len(), Ok(())), "{body:?}");
            assert_eq!(walk(format!("{body}\r\n").as_bytes()), (body.len(), Ok(())), "{body:?}");
        }
        assert_eq!(walk(b"5\r\nhel"), (6, Ok(())), "data that is not yet whole needs no look");
    }

    #[test]
    fn a_bad_byte_is_told_after_all_before_it() {
        for (body, at, violation) in [
            ("\r\n", 0, Violation::ChunkSizeMalformed),
            ("+5\r\n", 0, Violation::ChunkSizeMalformed),
            ("0x5\r\n", 1, Violation::ChunkSizeMalformed),
            ("5\nhello", 1, Violation::BareLf),
            ("5\rhello", 2, Violation::BareCr),
            ("5 \r\n", 2, Violation::ChunkLineMalformed),
            ("5;\r\n", 2, Violation::ChunkLineMalformed),
            ("5;a=\r\n", 4, Violation::ChunkLineMalformed),
            ("5;a\nhello", 3, Violation::BareLf),
            ("5;a=\"\r\"", 5, Violation::ChunkLineMalformed),
            ("5\r\nhello!", 8, Violation::ChunkEndMalformed),
            ("5\r\nhello\n", 8, Violation::ChunkEndMalformed),
            ("5\r\nhello\r!", 9, Violation::ChunkEndMalformed),
            ("8000000000000000\r\n", 15, Violation::ChunkSizeTooLarge),
            ("00000000000000005\r\n", 16, Violation::ChunkSizeTooLarge),
        ] {
            assert_eq!(walk(body.as_bytes()), (at, Err(violation)), "{body:?}");
        }
    }

    #[test]
    fn an_extension_is_bounded() {
        let longest = usize::from(MAX_CHUNK_EXTENSION) - 1;
        let body = format!("1;{}\r\nx\r\n0\r\n", "a".repeat(longest));
        assert_eq!(walk(body.as_bytes()), (body.len(), Ok(())));
        let body = format!("1;{}\r\nx\r\n0\r\n", "a".repeat(longest + 1));
        assert_eq!(walk(body.as_bytes()), (longest + 2, Err(Violation::ChunkLineTooLong)));
    }
}

//! The chunked transfer coding (RFC 9112 §7.1): finds chunk data and the end of the last chunk line.
//!
//! A strict scanner of its own, because a lenient one is how two parsers come to disagree: a size is 1 to 16 hexadecimal
//! digits, an extension follows its grammar to the letter, a line ends in CRLF and so does the data. Of responses, spaces after a size
//! are taken: no reader takes another number. It walks each byte of a chunk line once and counts past the data.
//!
//! A line that may be the last chunk's is held back from its first digit: it is forwarded together with the trailer section, so that a
//! message that is cut or refused there is never complete. The trailer section is not its business: it stops before it.
//!
//! ```text
//! Size ──digit──▶ Size ──CR──▶ LineLf ──LF──▶ Data (size > 0) ──▶ DataCr ──▶ DataLf ──▶ Size
//!                  └─ BWS, ";" ─▶ Extension ─CR─▶ LineLf      └─LF─▶ Done (size = 0)
//! ```

use super::error::Violation;
use super::names::is_token_byte;
use super::{Direction, MAX_CHUNK_EXTENSION, MAX_LENGTH};

/// Enough for 2^64 − 1; leading zeros count, or a size line would have no bound.
const MAX_SIZE_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    /// The size as far as it was read, then the bytes of chunk data left; ≤ [`MAX_LENGTH`].
    size: u64,
    /// Bytes of a line walked and held back, since it may be the last chunk's.
    held: u16,
    place: Place,
    direction: Direction,
    has_extensions: bool,
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
    /// In spaces after the size of a chunk of a response, which the line's end may follow.
    AfterSize,
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
    /// That many bytes of valid framing, with the chunk data that stood whole between them. May be 0: show more.
    Framing(usize),
    /// Chunk data: that many bytes need no look.
    Data(u64),
    /// The trailer section begins after the last chunk's line, which is that many bytes.
    Trailer(u16),
}

/// Chunks per verdict, so that one takes at most about 10 µs.
const MOST_CHUNKS: u16 = 512;

impl Chunked {
    pub(super) fn new(direction: Direction) -> Self {
        Self { size: 0, held: 0, place: Place::Size(0), direction, has_extensions: false }
    }

    /// Returns whether a chunk had extensions, or, of a response, spaces in their place.
    pub(super) fn has_extensions(&self) -> bool {
        self.has_extensions
    }

    /// Judges the bytes shown as far as they are valid. A bad byte is told once all before it have been taken, except for those held back.
    pub(super) fn scan(&mut self, shown: &[u8]) -> Result<Piece, Violation> {
        // The bytes before this are taken, those up to `at` walked.
        let mut taken = 0;
        let mut at = usize::from(self.held);
        let mut chunks = 0;
        loop {
            match self.place {
                Place::Done if taken == 0 => return Ok(Piece::Trailer(self.held)),
                Place::Done => return Ok(Piece::Framing(taken)),
                Place::Data => {
                    chunks += 1;
                    if chunks > MOST_CHUNKS {
                        return Ok(Piece::Framing(taken));
                    }
                    let rest = shown.len() - taken;
                    match usize::try_from(self.size) {
                        Ok(size) if size <= rest => {
                            taken += size;
                            at = taken;
                            self.pass(self.size);
                        }
                        _ if taken == 0 => return Ok(Piece::Data(self.size)),
                        _ => return Ok(Piece::Framing(taken)),
                    }
                }
                Place::Size(_) | Place::Extension(..) | Place::LineLf | Place::DataCr | Place::DataLf => {
                    let Some(&byte) = shown.get(at) else {
                        return Ok(Piece::Framing(taken));
                    };
                    match self.step(byte) {
                        Ok(place) => self.place = place,
                        Err(violation) if taken == 0 => return Err(violation),
                        Err(_) => return Ok(Piece::Framing(taken)),
                    }
                    at += 1;
                    if self.may_be_last() {
                        // A line has at most 16 digits, 4,096 bytes of extensions and its end.
                        self.held += 1;
                    } else {
                        self.held = 0;
                        taken = at;
                    }
                }
            }
        }
    }

    /// Returns whether the scanner is in or after a line whose size is 0 so far.
    fn may_be_last(&self) -> bool {
        self.size == 0 && !matches!(self.place, Place::Size(0) | Place::DataCr | Place::DataLf)
    }

    /// Records that chunk data was moved; count ≤ what [`Piece::Data`] told.
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
            (Place::Extension(extension, length), _) => self.step_extension(extension, length, byte),
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
            b' ' if self.direction == Direction::Outbound => self.step_extension(Extension::AfterSize, 0, byte),
            b' ' | b'\t' | b';' => self.step_extension(Extension::BeforeSemicolon, 0, byte),
            _ => Err(Violation::ChunkSizeMalformed),
        }
    }

    fn step_extension(&mut self, extension: Extension, length: u16, byte: u8) -> Result<Place, Violation> {
        let Some(next) = after(extension, byte)? else {
            return Ok(Place::LineLf);
        };
        if length == MAX_CHUNK_EXTENSION {
            return Err(Violation::ChunkLineTooLong);
        }
        self.has_extensions = true;
        Ok(Place::Extension(next, length + 1))
    }
}

/// The place after one more byte of extensions. `None`: it is the CR that ends the line.
fn after(extension: Extension, byte: u8) -> Result<Option<Extension>, Violation> {
    use Extension as E;
    let next = match (extension, byte) {
        (E::AfterSize | E::Name | E::Token | E::AfterQuoted, b'\r') => return Ok(None),
        (_, b'\n') => return Err(Violation::BareLf),
        (E::AfterSize, b' ') => E::AfterSize,
        (E::AfterSize, b'\t') => E::BeforeSemicolon,
        (E::AfterSize, b';') => E::BeforeName,
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
            E::AfterSize
            | E::BeforeSemicolon
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
    Ok(Some(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many in a look: one of tiny chunks takes no longer than another.
    #[test]
    fn a_look_goes_over_so_many_chunks_and_no_more() {
        let chunk = b"1\r\na\r\n";
        let body = chunk.repeat(2 * usize::from(MOST_CHUNKS));
        let mut chunked = Chunked::new(Direction::Outbound);
        let taken = usize::from(MOST_CHUNKS) * chunk.len() + b"1\r\n".len();
        assert_eq!(chunked.scan(&body), Ok(Piece::Framing(taken)));
        assert_eq!(chunked.scan(&body[taken..]), Ok(Piece::Framing(body.len() - taken)));
    }

    /// The bytes taken before the trailer section or the first bad byte, and how many of the last chunk's line are held, or
    /// which rule was broken.
    fn walk(direction: Direction, body: &[u8]) -> (usize, Result<usize, Violation>) {
        let mut chunked = Chunked::new(direction);
        let mut taken = 0;
        loop {
            match chunked.scan(&body[taken..]) {
                Ok(Piece::Framing(0)) => return (taken, Ok(0)),
                Ok(Piece::Trailer(line)) => return (taken, Ok(line.into())),
                Ok(Piece::Framing(n)) => taken += n,
                Ok(Piece::Data(left)) => {
                    let n = body[taken..].len();
                    assert!(u64::try_from(n).expect("a length fits") < left, "data that stands whole is framing");
                    if n == 0 {
                        return (taken, Ok(0));
                    }
                    chunked.pass(u64::try_from(n).expect("a length fits"));
                    taken += n;
                }
                Err(violation) => return (taken, Err(violation)),
            }
        }
    }

    #[test]
    fn sound_bodies_are_taken_up_to_the_last_chunk() {
        for (body, line) in [
            ("5\r\nhello\r\n0\r\n", 3),
            ("0\r\n", 3),
            ("00\r\n", 4),
            ("A;a=b\r\n0123456789\r\n000;x\r\n", 7),
            ("1 ; a = \"b;\\\"\" ;c\r\nx\r\n0\r\n", 3),
        ] {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let expected = (body.len() - line, Ok(line));
                assert_eq!(walk(direction, body.as_bytes()), expected, "{body:?}");
                assert_eq!(walk(direction, format!("{body}\r\n").as_bytes()), expected, "{body:?}");
            }
        }
        assert_eq!(walk(Direction::Inbound, b"5\r\nhel"), (6, Ok(0)), "data that is not yet whole needs no look");
        assert_eq!(walk(Direction::Inbound, b"000a\r\nhel"), (9, Ok(0)), "it was not the last chunk");
    }

    #[test]
    fn a_bad_byte_is_told_after_all_before_it() {
        for (body, at, violation) in [
            ("\r\n", 0, Violation::ChunkSizeMalformed),
            ("+5\r\n", 0, Violation::ChunkSizeMalformed),
            ("0x5\r\n", 0, Violation::ChunkSizeMalformed),
            ("1x5\r\n", 1, Violation::ChunkSizeMalformed),
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
            ("1\r\na\r\n0;\r\n", 6, Violation::ChunkLineMalformed),
            ("8000000000000000\r\n", 15, Violation::ChunkSizeTooLarge),
            ("00000000000000005\r\n", 0, Violation::ChunkSizeTooLarge),
        ] {
            assert_eq!(walk(Direction::Inbound, body.as_bytes()), (at, Err(violation)), "{body:?}");
        }
    }

    #[test]
    fn spaces_behind_the_size_of_a_response_are_taken() {
        let spaced = |body: &str| walk(Direction::Outbound, body.as_bytes());
        assert_eq!(spaced("5  \r\nhello\r\n0 \r\n"), (12, Ok(4)));
        assert_eq!(spaced("5 \t\r\n"), (3, Err(Violation::ChunkLineMalformed)));
        assert_eq!(spaced("5\t\r\n"), (2, Err(Violation::ChunkLineMalformed)));
        assert_eq!(spaced("5 a\r\n"), (2, Err(Violation::ChunkLineMalformed)));
        assert_eq!(spaced("5 ;a\r\n"), (6, Ok(0)));
    }

    #[test]
    fn extensions_are_noted_and_bounded() {
        let mut chunked = Chunked::new(Direction::Inbound);
        assert_eq!((chunked.scan(b"1"), chunked.has_extensions()), (Ok(Piece::Framing(1)), false));
        assert_eq!((chunked.scan(b" ;"), chunked.has_extensions()), (Ok(Piece::Framing(2)), true));
        let longest = usize::from(MAX_CHUNK_EXTENSION) - 1;
        let body = format!("1;{}\r\nx\r\n0\r\n", "a".repeat(longest));
        assert_eq!(walk(Direction::Inbound, body.as_bytes()), (body.len() - 3, Ok(3)));
        let body = format!("1;{}\r\nx\r\n0\r\n", "a".repeat(longest + 1));
        assert_eq!(walk(Direction::Inbound, body.as_bytes()), (longest + 2, Err(Violation::ChunkLineTooLong)));
    }
}

//! The chunked coding as a table, written from RFC 9112 §7.1 and from nothing else. What is not of the RFC says so.

use headsnip::http1::Direction;

/// The greatest size, and the most digits of one: stricter than the RFC, which has no limit but asks that none overflow.
const MOST: u128 = (1 << 63) - 1;
const MOST_DIGITS: u8 = 16;

/// The most bytes between a size and the end of its line: stricter than the RFC, which says that there ought to be a limit.
pub(crate) const MOST_EXTENSION: u16 = 4096;

/// Where a reader of the coding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Before the first digit of `chunk-size`.
    Start,
    /// Behind a digit of it.
    Size,
    /// In spaces behind it.
    Spaces,
    /// In the `BWS` before a `;`.
    Gap,
    /// In the `BWS` before `chunk-ext-name`.
    BeforeName,
    /// In `chunk-ext-name`.
    Name,
    /// In the `BWS` before a `=`, or before the next `;`.
    AfterName,
    /// In the `BWS` before `chunk-ext-val`.
    BeforeValue,
    /// In a value that is a `token`.
    Token,
    /// In a value that is a `quoted-string`.
    Quoted,
    /// Behind the backslash of a `quoted-pair`.
    Pair,
    /// Behind a `quoted-string`.
    AfterQuoted,
    /// Behind the CR of a chunk's line.
    LineLf,
    /// In `chunk-data`.
    Data,
    /// Behind `chunk-data`.
    DataCr,
    /// Behind the CR there.
    DataLf,
    /// Behind the line of `last-chunk`.
    Last,
}

/// Bytes, by the names that the RFCs give them.
#[derive(Clone, Copy, Debug)]
enum On {
    Hexdig,
    Cr,
    Lf,
    Sp,
    Htab,
    /// The one byte.
    Is(u8),
    Tchar,
    /// Within quotes, or behind a backslash there: HTAB, SP, VCHAR, obs-text.
    QuotedByte,
    Any,
}

/// What follows.
#[derive(Clone, Copy, Debug)]
enum Then {
    Goes(Place),
    /// The end of a line: to `chunk-data`, or if the size is 0 it was `last-chunk`.
    LineEnds,
    /// One byte fewer is left of `chunk-data`.
    TakesData,
    Breaks(&'static str),
}

/// Whence a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The grammar of RFC 9112 §7.1 and §7.1.1, to the letter.
    Rfc,
    /// Taken of responses, though the RFC does not have it: no reader takes another number.
    Gentler,
}

use By::{Gentler, Rfc};
use On::{Any, Cr, Hexdig, Htab, Is, Lf, QuotedByte, Sp, Tchar};
use Place::{
    AfterName, AfterQuoted, BeforeName, BeforeValue, Data, DataCr, DataLf, Gap, LineLf, Name, Pair, Quoted, Size,
    Spaces, Start, Token,
};
use Then::{Breaks, Goes, LineEnds, TakesData};

/// The first row that fits counts. A bare LF is nowhere the end of a line: RFC 9112 §2.2 allows that of the start-line and of fields
/// alone, so no row is stricter than the RFC for that.
#[rustfmt::skip]
const TABLE: &[(Place, On, Then, By)] = &[
    // chunk-size = 1*HEXDIG
    (Start, Hexdig, Goes(Size), Rfc),
    (Start, Lf, Breaks("bare_lf"), Rfc),
    (Start, Any, Breaks("chunk_size_malformed"), Rfc),
    // chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    (Size, Hexdig, Goes(Size), Rfc),
    (Size, Cr, Goes(LineLf), Rfc),
    (Size, Sp, Goes(Spaces), Gentler),
    // chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
    (Size, Sp, Goes(Gap), Rfc),
    (Size, Htab, Goes(Gap), Rfc),
    (Size, Is(b';'), Goes(BeforeName), Rfc),
    (Size, Lf, Breaks("bare_lf"), Rfc),
    (Size, Any, Breaks("chunk_size_malformed"), Rfc),
    (Spaces, Sp, Goes(Spaces), Rfc),
    (Spaces, Htab, Goes(Gap), Rfc),
    (Spaces, Is(b';'), Goes(BeforeName), Rfc),
    (Spaces, Cr, Goes(LineLf), Gentler),
    (Spaces, Lf, Breaks("bare_lf"), Rfc),
    (Spaces, Any, Breaks("chunk_line_malformed"), Rfc),
    (Gap, Sp, Goes(Gap), Rfc),
    (Gap, Htab, Goes(Gap), Rfc),
    (Gap, Is(b';'), Goes(BeforeName), Rfc),
    (Gap, Lf, Breaks("bare_lf"), Rfc),
    (Gap, Any, Breaks("chunk_line_malformed"), Rfc),
    (BeforeName, Sp, Goes(BeforeName), Rfc),
    (BeforeName, Htab, Goes(BeforeName), Rfc),
    (BeforeName, Tchar, Goes(Name), Rfc),
    (BeforeName, Lf, Breaks("bare_lf"), Rfc),
    (BeforeName, Any, Breaks("chunk_line_malformed"), Rfc),
    // chunk-ext-name = token
    (Name, Tchar, Goes(Name), Rfc),
    (Name, Sp, Goes(AfterName), Rfc),
    (Name, Htab, Goes(AfterName), Rfc),
    (Name, Is(b'='), Goes(BeforeValue), Rfc),
    (Name, Is(b';'), Goes(BeforeName), Rfc),
    (Name, Cr, Goes(LineLf), Rfc),
    (Name, Lf, Breaks("bare_lf"), Rfc),
    (Name, Any, Breaks("chunk_line_malformed"), Rfc),
    (AfterName, Sp, Goes(AfterName), Rfc),
    (AfterName, Htab, Goes(AfterName), Rfc),
    (AfterName, Is(b'='), Goes(BeforeValue), Rfc),
    (AfterName, Is(b';'), Goes(BeforeName), Rfc),
    (AfterName, Lf, Breaks("bare_lf"), Rfc),
    (AfterName, Any, Breaks("chunk_line_malformed"), Rfc),
    // chunk-ext-val = token / quoted-string
    (BeforeValue, Sp, Goes(BeforeValue), Rfc),
    (BeforeValue, Htab, Goes(BeforeValue), Rfc),
    (BeforeValue, Tchar, Goes(Token), Rfc),
    (BeforeValue, Is(b'"'), Goes(Quoted), Rfc),
    (BeforeValue, Lf, Breaks("bare_lf"), Rfc),
    (BeforeValue, Any, Breaks("chunk_line_malformed"), Rfc),
    (Token, Tchar, Goes(Token), Rfc),
    (Token, Sp, Goes(Gap), Rfc),
    (Token, Htab, Goes(Gap), Rfc),
    (Token, Is(b';'), Goes(BeforeName), Rfc),
    (Token, Cr, Goes(LineLf), Rfc),
    (Token, Lf, Breaks("bare_lf"), Rfc),
    (Token, Any, Breaks("chunk_line_malformed"), Rfc),
    // quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE (RFC 9110 §5.6.4)
    (Quoted, Is(b'"'), Goes(AfterQuoted), Rfc),
    (Quoted, Is(b'\\'), Goes(Pair), Rfc),
    (Quoted, QuotedByte, Goes(Quoted), Rfc),
    (Quoted, Lf, Breaks("bare_lf"), Rfc),
    (Quoted, Any, Breaks("chunk_line_malformed"), Rfc),
    (Pair, QuotedByte, Goes(Quoted), Rfc),
    (Pair, Lf, Breaks("bare_lf"), Rfc),
    (Pair, Any, Breaks("chunk_line_malformed"), Rfc),
    (AfterQuoted, Sp, Goes(Gap), Rfc),
    (AfterQuoted, Htab, Goes(Gap), Rfc),
    (AfterQuoted, Is(b';'), Goes(BeforeName), Rfc),
    (AfterQuoted, Cr, Goes(LineLf), Rfc),
    (AfterQuoted, Lf, Breaks("bare_lf"), Rfc),
    (AfterQuoted, Any, Breaks("chunk_line_malformed"), Rfc),
    (LineLf, Lf, LineEnds, Rfc),
    (LineLf, Any, Breaks("bare_cr"), Rfc),
    // chunk-data = 1*OCTET
    (Data, Any, TakesData, Rfc),
    (DataCr, Cr, Goes(DataLf), Rfc),
    (DataCr, Any, Breaks("chunk_end_malformed"), Rfc),
    (DataLf, Lf, Goes(Start), Rfc),
    (DataLf, Any, Breaks("chunk_end_malformed"), Rfc),
];

/// A reader that goes by the table.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    direction: Direction,
    pub(crate) place: Place,
    /// The size as far as it was read, then what is left of the data.
    pub(crate) size: u128,
    pub(crate) digits: u8,
    /// Bytes behind the size.
    pub(crate) extension: u16,
    /// Whether a chunk had an extension: then the request is not plain.
    pub(crate) is_extended: bool,
}

impl Reader {
    pub(crate) fn new(direction: Direction) -> Self {
        Self { direction, place: Start, size: 0, digits: 0, extension: 0, is_extended: false }
    }

    /// Reads one byte, or names the rule that it breaks.
    pub(crate) fn read(&mut self, byte: u8) -> Result<(), &'static str> {
        let fits = |(at, on, _, by): &&(Place, On, Then, By)| {
            *at == self.place && on.holds(byte) && (*by == Rfc || self.direction == Direction::Outbound)
        };
        let (_, _, then, _) = TABLE.iter().find(fits).expect("there is a row for each byte at each place");
        let to = match then {
            Breaks(rule) => return Err(rule),
            Goes(place) => *place,
            LineEnds if self.size == 0 => Place::Last,
            LineEnds => Data,
            TakesData => {
                self.size -= 1;
                if self.size == 0 { DataCr } else { Data }
            }
        };
        if to == Size {
            let size = self.size * 16 + u128::from(char::from(byte).to_digit(16).expect("a digit"));
            if self.digits == MOST_DIGITS || size > MOST {
                return Err("chunk_size_too_large");
            }
            self.size = size;
            self.digits += 1;
        } else if self.place == Size || self.is_in_extension() {
            if to == LineLf {
                (self.digits, self.extension) = (0, 0);
            } else if self.extension == MOST_EXTENSION {
                return Err("chunk_line_too_long");
            } else {
                self.extension += 1;
            }
        }
        self.is_extended |= to == BeforeName;
        self.place = to;
        Ok(())
    }

    /// Data went unread.
    pub(crate) fn skip(&mut self, count: u64) {
        self.size -= u128::from(count);
        if self.size == 0 {
            self.place = DataCr;
        }
    }

    pub(crate) fn is_in_extension(&self) -> bool {
        !matches!(self.place, Start | Size | LineLf | Data | DataCr | DataLf | Place::Last)
    }

    /// Whether the line read may be that of the last chunk, which goes on with the trailer section or not at all.
    pub(crate) fn may_be_last(&self) -> bool {
        self.size == 0 && !matches!(self.place, Start | DataCr | DataLf)
    }
}

impl On {
    fn holds(self, byte: u8) -> bool {
        match self {
            Hexdig => byte.is_ascii_hexdigit(),
            Cr => byte == b'\r',
            Lf => byte == b'\n',
            Sp => byte == b' ',
            Htab => byte == b'\t',
            Is(other) => byte == other,
            // RFC 9110 §5.6.2.
            Tchar => byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte),
            QuotedByte => matches!(byte, b'\t' | b' '..=b'~' | 0x80..),
            Any => true,
        }
    }
}

//! The second version of the PROXY protocol as a table, written from section 2.2 of its specification, and the walk over it. What is not of that says
//! so.

use std::net::{Ipv4Addr, SocketAddr};

use headsnip::testing::preamble::{Read, read};

use self::Kind::{Inet, Inet6, Local, Other, Unix, Unspecified};
use self::Place::{Block, Command, Family, High, Low, Signature};
use super::table::six_at;
use crate::found::Found;
use crate::state::Frontier;

const SIGNATURE: [u8; 12] = *b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";

/// "16 + this value": what stands before a block.
const FIXED: usize = 16;

/// The longest block. Stricter: a preamble has at most 4 KiB.
const MOST: usize = 4096 - FIXED;

/// More states than this, and a number was not put into a class.
const MOST_STATES: usize = 30_000;

/// Blocks of at most so much are cut at each byte, longer ones before their end: more than any addresses take.
const LONGEST_CUT: usize = 256;

/// What a block is, by the command and the family before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Local,
    Unspecified,
    Inet,
    Inet6,
    Unix,
    Other,
}

/// Where in a preamble a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// Behind so many bytes of the signature.
    Signature(usize),
    Command,
    /// Before the family, which of `LOCAL` is ignored.
    Family {
        is_local: bool,
    },
    /// Before the length's first byte.
    High(Kind),
    /// Behind that byte.
    Low(Kind, u8),
    /// Before a block of so many bytes.
    Block(Kind, usize),
}

/// What follows a byte: another place, or the answer. The first row that fits counts.
fn then(place: Place, byte: u8) -> Result<Place, Read> {
    Ok(match (place, byte) {
        // The other version's first byte.
        (Signature(0), b'P') => return Err(Read::Partial),
        // "otherwise the protocol is not covered by this specification and the connection must be dropped"
        (Signature(at), _) if byte != SIGNATURE[at] => return Err(Read::Refused),
        (Signature(11), _) => Command,
        (Signature(at), _) => Signature(at + 1),
        // "the receiver must only accept" version 2; \x0 is LOCAL, \x1 is PROXY; "Receivers must drop connections presenting unexpected values here."
        (Command, 0x20 | 0x21) => Family { is_local: byte == 0x20 },
        (Command, _) => return Err(Read::Refused),
        // "discard the protocol block including the family which is ignored"
        (Family { is_local: true }, _) => High(Local),
        // "The receiver is free to accept the connection anyway and use the real endpoint addresses."
        (Family { .. }, 0x00) => High(Unspecified),
        (Family { .. }, 0x11 | 0x12) => High(Inet),
        (Family { .. }, 0x21 | 0x22) => High(Inet6),
        (Family { .. }, 0x31 | 0x32) => High(Unix),
        // "must be rejected as invalid by receivers". Of one half that is unspecified the receiver is free to. Both are told behind the block.
        (Family { .. }, _) => High(Other),
        (High(kind), _) => Low(kind, byte),
        // "in network endian order"
        (Low(kind, high), _) => match usize::from(high) * 256 + usize::from(byte) {
            length @ 0..=MOST => Block(kind, length),
            _ => return Err(Read::TooLong),
        },
        (Block(..), _) => unreachable!("a block is read at once"),
    })
}

impl Kind {
    const ALL: [Self; 6] = [Local, Unspecified, Inet, Inet6, Unix, Other];

    /// The bytes of its addresses; what is more are TLVs, which "a receiver may choose to skip over". `None`: it is refused.
    fn addresses(self) -> Option<usize> {
        match self {
            Local | Unspecified => Some(0),
            Inet => Some(12),
            Inet6 => Some(36),
            Unix => Some(216),
            Other => None,
        }
    }

    /// What a block tells. `LOCAL` and `UNSPEC` tell nothing, nor does a socket's file, of which it "falls back to the UNSPEC mode".
    fn told(self, block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        let number = |from: usize, length: usize| {
            block[from..from + length].iter().fold(0, |sum: u128, byte| sum * 256 + u128::from(*byte))
        };
        let port = |at| u16::try_from(number(at, 2)).expect("two bytes");
        let four = |at| Ipv4Addr::from(u32::try_from(number(at, 4)).expect("four bytes"));
        match self {
            Local | Unspecified | Unix | Other => None,
            Inet => Some(((four(0), port(8)).into(), (four(4), port(10)).into())),
            Inet6 => Some((six_at(number(0, 16), port(32)), six_at(number(16, 16), port(34)))),
        }
    }
}

/// What the table makes of bytes.
fn expected(bytes: &[u8]) -> Read {
    let mut place = Signature(0);
    for byte in &bytes[..bytes.len().min(FIXED)] {
        match then(place, *byte) {
            Ok(next) => place = next,
            Err(answer) => return answer,
        }
    }
    let Block(kind, length) = place else { return Read::Partial };
    let Some(block) = bytes[FIXED..].get(..length) else { return Read::Partial };
    let is_sound = kind.addresses().is_some_and(|addresses| addresses <= length);
    if is_sound { Read::Whole(FIXED + length, kind.told(block)) } else { Read::Refused }
}

struct Second {
    /// More bytes than a block has, of several patterns: as TLVs, most have lengths that are not true.
    fillings: [Vec<u8>; 3],
    shown: usize,
}

impl Second {
    fn agrees(&mut self, bytes: &[u8]) {
        let shown = &bytes[..bytes.len().min(60)];
        assert_eq!(read(bytes), expected(bytes), "{} bytes: {}", bytes.len(), shown.escape_ascii());
        self.shown += 1;
    }

    /// The same with the rest of a preamble: of each length at which kinds differ.
    fn goes_on(&mut self, beginning: &[u8]) {
        let needed = Kind::ALL.iter().filter_map(|kind| kind.addresses());
        for length in needed.flat_map(|length| length.saturating_sub(1)..=length + 1) {
            let length = u16::try_from(length).expect("it is short").to_be_bytes();
            let sound = [&SIGNATURE[..], &[0x21, 0x11], &length, &self.fillings[1][..300]].concat();
            self.agrees(&[beginning, &sound[beginning.len()..]].concat());
        }
    }

    /// A block, whatever is in it; cut, and with more behind it.
    fn is_whole_at_its_end(&mut self, kind: Kind, fixed: &[u8], length: usize) {
        for at in 0..self.fillings.len() {
            let bytes = [fixed, &self.fillings[at][..length + 2]].concat();
            for left in 0..=length.min(3) {
                self.agrees(&bytes[..bytes.len() - left]);
            }
        }
        if length <= LONGEST_CUT {
            let bytes = [fixed, &self.fillings[1][..length]].concat();
            for end in FIXED..bytes.len() {
                self.agrees(&bytes[..end]);
            }
        }
        if kind.addresses() == Some(length) {
            self.each_byte_tells(fixed, length);
        }
    }

    /// Each byte of addresses, of which one is of IPv4 within IPv6.
    fn each_byte_tells(&mut self, fixed: &[u8], length: usize) {
        let mut mapped = self.fillings[1].clone();
        mapped[..12].copy_from_slice(b"\0\0\0\0\0\0\0\0\0\0\xFF\xFF");
        for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut bytes = [fixed, &mapped[..length]].concat();
            bytes[FIXED + at] = byte;
            self.agrees(&bytes);
        }
    }
}

pub(super) fn explore() -> Found {
    let filling = |factor: u8| (0..=u8::MAX).cycle().map(|byte| byte.wrapping_mul(factor)).take(MOST + 2).collect();
    let mut second = Second { fillings: [0, 1, 0xFD].map(filling), shown: 0 };
    let mut frontier = Frontier::new(MOST_STATES);
    frontier.meet(Signature(0), (Signature(0), Vec::new()));
    while let Some((place, way)) = frontier.next() {
        if let Block(kind, length) = place {
            second.is_whole_at_its_end(kind, &way, length);
            continue;
        }
        for byte in 0..=u8::MAX {
            let beginning = [&way[..], &[byte]].concat();
            second.agrees(&beginning);
            let next = then(place, byte);
            if next != Err(Read::Partial) && !matches!(place, Low(..)) {
                second.goes_on(&beginning);
            }
            if let Ok(next) = next {
                frontier.meet(next, (next, beginning));
            }
        }
    }
    Found { states: frontier.count(), transitions: second.shown }
}

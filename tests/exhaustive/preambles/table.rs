//! The line of the PROXY protocol's first version as a table, written from section 2.1 of its specification. What is not of that says so.

use std::cmp::Ordering;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use self::Place::{
    Bad, Embedded, Family, FamilyEnd, Four, Group, Ignored, LastLf, Port, Protocol, Six, Unknown, UnknownEnd,
};
use self::Then::{Goes, Refused, Whole};

/// "If the CRLF sequence is not found in the first 107 characters, the receiver should declare the line invalid."
pub(super) const MOST: usize = 107;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Source,
    Destination,
}

/// How a decimal number may go on that is at most a limit, and has no leading zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Number {
    /// So many digits were read, which are the limit's own; 0: none was.
    Tight(usize),
    /// By at most so many digits, whichever they are.
    Free(usize),
}

/// Before the first digit.
const NONE: Number = Number::Tight(0);

/// Where in an address of IPv6 a reader is, outside a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    Start,
    /// Behind one colon that the address begins with.
    FirstColon,
    /// Behind a group and one colon.
    Colon,
    /// Behind `::`.
    Gap,
}

/// The groups of an address of IPv6 that are over, and whether `::` was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Groups {
    count: u8,
    has_gap: bool,
}

/// Where in a line a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// In `PROXY` and its space, of which so many bytes were read.
    Protocol(usize),
    /// In `TCP`, likewise.
    Family(usize),
    /// Behind `TCP4`. False: behind `TCP6`.
    FamilyEnd(bool),
    Unknown(usize),
    UnknownEnd,
    /// Behind `UNKNOWN` and a space.
    Ignored,
    /// In an address of IPv4, behind so many dots.
    Four(End, u8, Number),
    Six(End, Groups, At),
    /// In a group, behind so many digits of it. If they may be the first number of an address of IPv4: how that may go on.
    Group(End, Groups, u8, Option<Number>),
    /// In an address of IPv4 within one of IPv6, behind so many dots.
    Embedded(End, u8, Number),
    Port(End, Number),
    LastLf,
    /// In a line that is refused once it is over.
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Then {
    Goes(Place),
    /// The line is whole.
    Whole,
    Refused,
}

/// The first row that fits counts.
pub(super) fn then(place: Place, byte: u8) -> Then {
    let is = |text: &[u8], at: usize| text.get(at) == Some(&byte);
    Goes(match (place, byte) {
        // "PROXY", "exactly one space". Anything else "is not covered by this specification and the connection must be dropped".
        (Protocol(5), b' ') => Family(0),
        (Protocol(at), _) if is(b"PROXY", at) => Protocol(at + 1),
        (Protocol(_), _) => return Refused,
        // "The receiver must wait for the CRLF sequence before starting to decode the addresses": what else is wrong is told at the end.
        (LastLf, b'\n') => return Whole,
        // "The receiver must not tolerate a single CR or LF character to end the line."
        (_, b'\n') => return Refused,
        // "only TCP4 and TCP6 are allowed. Other protocols must be reported with the name UNKNOWN."
        (Family(at), _) if is(b"TCP", at) => Family(at + 1),
        (Family(3), b'4' | b'6') => FamilyEnd(byte == b'4'),
        (FamilyEnd(is_four), b' ') => address(is_four, End::Source),
        (Family(0), b'U') => Unknown(1),
        (Unknown(6), b'N') => UnknownEnd,
        (Unknown(at), _) if is(b"UNKNOWN", at) => Unknown(at + 1),
        // "the rest of the line before the CRLF may be omitted": behind a space, or it would be another word.
        (UnknownEnd, b' ') => Ignored,
        // "The receiver must ignore anything presented before the CRLF is found." Stricter: no single CR or LF, as in any other line.
        (UnknownEnd | Ignored, b'\r') => LastLf,
        (Ignored, _) => Ignored,
        // "exactly 4 integers in the range [0..255] … separated by exactly one dot. Heading zeroes are not permitted."
        (Four(end, dots, number), b'0'..=b'9') => number.then(byte, b"255").map_or(Bad, |more| Four(end, dots, more)),
        (Four(end, dots @ 0..=2, number), b'.') if number != NONE => Four(end, dots + 1, NONE),
        (Four(end, 3, number), b' ') if number != NONE => behind_address(true, end),
        // "sets of 4 hexadecimal digits delimited by colons": "canonical" are up to 4. "The total number of decoded bits must be 128."
        (Six(end, groups, at), _) if byte.is_ascii_hexdigit() && at != At::FirstColon => group(end, groups, byte),
        (Group(end, groups, digits @ 1..=3, octet), _) if byte.is_ascii_hexdigit() => {
            Group(end, groups, digits + 1, octet.and_then(|number| number.then(byte, b"255")))
        }
        (Group(end, groups, ..), b':') if groups.count < groups.most() => Six(end, groups.and_one(), At::Colon),
        (Group(end, groups, ..), b' ') if groups.and_one().is_all() => behind_address(false, end),
        // "with the acceptance of one double colon sequence to replace zeroes". Gentler: it need not be "the largest acceptable range".
        (Six(end, groups, At::Start), b':') => Six(end, groups, At::FirstColon),
        (Six(end, groups, At::FirstColon | At::Colon), b':') if !groups.has_gap && groups.count < 8 => {
            Six(end, Groups { has_gap: true, ..groups }, At::Gap)
        }
        (Six(end, groups, At::Gap), b' ') if groups.is_all() => behind_address(false, end),
        // Gentler: `::ffff:203.0.113.7`, as inet_ntop writes it, and so the senders do (RFC 4291, section 2.2).
        (Group(end, _, _, Some(number)), b'.') if number != NONE => Embedded(end, 1, NONE),
        (Embedded(end, dots, number), b'0'..=b'9') => {
            number.then(byte, b"255").map_or(Bad, |more| Embedded(end, dots, more))
        }
        (Embedded(end, dots @ 1..=2, number), b'.') if number != NONE => Embedded(end, dots + 1, NONE),
        (Embedded(end, 3, number), b' ') if number != NONE => behind_address(false, end),
        // "a decimal integer in the range [0..65535] … Heading zeroes are not permitted", and "the CRLF sequence".
        (Port(end, number), b'0'..=b'9') => number.then(byte, b"65535").map_or(Bad, |more| Port(end, more)),
        (Port(End::Source, number), b' ') if number != NONE => Port(End::Destination, NONE),
        (Port(End::Destination, number), b'\r') if number != NONE => LastLf,
        // "Any sequence which does not exactly match the protocol must be discarded."
        _ => Bad,
    })
}

fn address(is_four: bool, end: End) -> Place {
    if is_four { Four(end, 0, NONE) } else { Six(end, Groups { count: 0, has_gap: false }, At::Start) }
}

fn behind_address(is_four: bool, end: End) -> Place {
    match end {
        End::Source => address(is_four, End::Destination),
        End::Destination => Port(End::Source, NONE),
    }
}

/// The first digit of a group, if another may be. An address of IPv4 is two groups, and the last ones.
fn group(end: End, groups: Groups, digit: u8) -> Place {
    let may_be_four = if groups.has_gap { groups.count < 6 } else { groups.count == 6 };
    let octet = NONE.then(digit, b"255").filter(|_| may_be_four);
    if groups.count < groups.most() { Group(end, groups, 1, octet) } else { Bad }
}

impl Groups {
    /// The most groups that may be written: `::` stands for one at least.
    fn most(self) -> u8 {
        if self.has_gap { 7 } else { 8 }
    }

    fn and_one(self) -> Self {
        Self { count: self.count + 1, ..self }
    }

    fn is_all(self) -> bool {
        if self.has_gap { self.count <= 7 } else { self.count == 8 }
    }
}

impl Number {
    /// Behind one more byte. `None`: it is no digit, behind a leading zero, or the number is over the limit.
    fn then(self, digit: u8, limit: &[u8]) -> Option<Self> {
        let more = match self {
            _ if !digit.is_ascii_digit() => return None,
            Self::Free(more) => more.checked_sub(1)?,
            Self::Tight(0) if digit == b'0' => 0,
            Self::Tight(at) => match digit.cmp(limit.get(at)?) {
                Ordering::Less => limit.len() - at - 1,
                Ordering::Equal if at + 1 < limit.len() => return Some(Self::Tight(at + 1)),
                Ordering::Equal => 0,
                Ordering::Greater => (limit.len() - at - 1).checked_sub(1)?,
            },
        };
        Some(Self::Free(more))
    }
}

/// What a line tells that is whole.
pub(super) fn told(line: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
    let ends = |address: fn(&[u8], u16) -> SocketAddr| {
        let port = |at: usize| u16::try_from(number(words[at], 10)).expect("at most 65,535");
        Some((address(words[2], port(4)), address(words[3], port(5))))
    };
    match words[1] {
        b"TCP4" => ends(|text, port| (Ipv4Addr::from(four(text)), port).into()),
        b"TCP6" => ends(|text, port| six_at(groups(text), port)),
        _ => None,
    }
}

/// Where that is: an address of IPv4 as one, though it be written as one of IPv6.
pub(super) fn six_at(address: u128, port: u16) -> SocketAddr {
    match u32::try_from(address ^ (0xffff << 32)) {
        Ok(four) => (Ipv4Addr::from(four), port).into(),
        Err(_) => (Ipv6Addr::from(address), port).into(),
    }
}

fn number(digits: &[u8], radix: u32) -> u32 {
    digits.iter().fold(0, |sum, digit| sum * radix + char::from(*digit).to_digit(radix).expect("a digit"))
}

fn four(text: &[u8]) -> u32 {
    text.split(|byte| *byte == b'.').fold(0, |sum, octet| sum * 256 + number(octet, 10))
}

/// An address of IPv6: what stands before a `::`, zeros, and what stands behind it.
fn groups(text: &[u8]) -> u128 {
    let gap = text.windows(2).position(|pair| pair == b"::");
    let (before, behind) = gap.map_or((text, &b""[..]), |at| (&text[..at], &text[at + 2..]));
    let [(high, count), (low, _)] = [before, behind].map(|part| {
        part.split(|byte| *byte == b':').filter(|group| !group.is_empty()).fold((0, 0), |(sum, count), group| {
            if group.contains(&b'.') {
                (sum << 32 | u128::from(four(group)), count + 2)
            } else {
                (sum << 16 | u128::from(number(group, 16)), count + 1)
            }
        })
    });
    // Of no groups at all there is nothing to move.
    high.checked_shl(128 - 16 * count).unwrap_or(0) | low
}

//! The preamble of the PROXY protocol, in which a TCP load balancer names its client: versions 1 and 2.
//!
//! Where it ends is found here, and it is given to the crate `proxy-header` only when it is complete: cut anywhere, the answer is the same.
//! What that crate would take and the specification does not is refused before: another byte than a space after `PROXY`, a sign or a zero before
//! a port, a word that only begins with `UNKNOWN`. Of `LOCAL` everything after the length is skipped unseen, as section 2.2 wants it.
//! TLVs are skipped, a checksum among them.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};
use thiserror::Error;

/// The bytes that the first version begins with.
const FIRST: &[u8] = b"PROXY ";

/// The bytes that the second version begins with.
const SECOND: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses of the second version: the above, version and command, family, and a length of two bytes.
const FIXED: usize = SECOND.len() + 4;

/// The most bytes of a line of the first version, its end included (section 2.1).
const LONGEST_LINE: usize = 107;

/// The most bytes of a preamble: room for the TLVs that balancers send, of which a certificate's name is the longest.
pub(crate) const LONGEST: usize = 4096;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreambleVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Who connected to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// What is wrong with a preamble.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Something else, or against its form.
    #[error("preamble_malformed")]
    Form,
    /// More than [`LONGEST`] bytes.
    #[error("preamble_too_long")]
    Length,
}

/// Reads the preamble that these bytes begin with: what it tells (nothing, of `LOCAL`, `UNKNOWN` and a socket file), and how long it is. `None`: it is
/// not complete yet.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Option<Ends>, usize)>, Malformed> {
    let expected = if bytes.first() == FIRST.first() { FIRST } else { SECOND };
    if !bytes.iter().zip(expected).all(|(byte, expected)| byte == expected) {
        return Err(Malformed::Form);
    }
    if expected == FIRST { read_first(bytes) } else { read_second(bytes) }
}

fn read_first(bytes: &[u8]) -> Result<Option<(Option<Ends>, usize)>, Malformed> {
    let within = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return if within.len() < LONGEST_LINE { Ok(None) } else { Err(Malformed::Form) };
    };
    let line = &within[..=end];
    let is_unknown = line.strip_prefix(b"PROXY UNKNOWN").is_some_and(|rest| matches!(rest[0], b' ' | b'\r'));
    let is_padded = |port: &[u8]| matches!(port, [b'+', ..] | [b'0', b'0'..=b'9', ..]);
    if !is_unknown && line.rsplit(|byte| *byte == b' ').take(2).any(is_padded) {
        return Err(Malformed::Form);
    }
    let ends = decode(line)?;
    if ends.is_none() != is_unknown {
        return Err(Malformed::Form);
    }
    Ok(Some((ends, line.len())))
}

fn read_second(bytes: &[u8]) -> Result<Option<(Option<Ends>, usize)>, Malformed> {
    let Some(command) = bytes.get(SECOND.len()) else { return Ok(None) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed::Form),
    };
    let Some([.., high, low]) = bytes.get(..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if length > LONGEST {
        return Err(Malformed::Length);
    }
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    let ends = if is_local { None } else { decode(whole)? };
    Ok(Some((ends, length)))
}

/// The content of a complete preamble.
fn decode(whole: &[u8]) -> Result<Option<Ends>, Malformed> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(whole, config) {
        Ok((header, length)) if length == whole.len() => Ok(header
            .proxied_address()
            .map(|told| Ends { source: canonical(told.source), destination: canonical(told.destination) })),
        Ok(_) | Err(_) => Err(Malformed::Form),
    }
}

/// The preamble with these addresses; without them `UNKNOWN`, or `LOCAL`, which every receiver accepts.
pub(crate) fn written(version: PreambleVersion, ends: Option<Ends>) -> io::Result<Vec<u8>> {
    let alike = ends.map(|ends| Ends { source: canonical(ends.source), destination: canonical(ends.destination) });
    let alike = alike.filter(|ends| ends.source.is_ipv4() == ends.destination.is_ipv4());
    let header = alike.map_or_else(ProxyHeader::with_local, |Ends { source, destination }| {
        ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
    });
    let mut bytes = Vec::new();
    let encoded = match version {
        PreambleVersion::V1 => header.encode_v1(&mut bytes),
        PreambleVersion::V2 => header.encode_v2(&mut bytes),
    };
    encoded.map(|()| bytes).map_err(io::Error::other)
}

/// An address of IPv4 as one, though it came by a socket of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        let address = |text: &str| text.parse().expect(text);
        Ends { source: address(source), destination: address(destination) }
    }

    #[test]
    fn what_is_written_is_read() {
        let one = ends("203.0.113.7:5000", "10.0.0.1:80");
        let mapped = ends("[::ffff:203.0.113.7]:5000", "[::ffff:10.0.0.1]:80");
        let six = ends("[2001:db8::1]:65535", "[::1]:1");
        let mixed = ends("203.0.113.7:5000", "[::1]:80");
        for version in [PreambleVersion::V1, PreambleVersion::V2] {
            for (written_ends, told) in [
                (Some(one), Some(one)),
                (Some(mapped), Some(one)),
                (Some(six), Some(six)),
                (Some(mixed), None),
                (None, None),
            ] {
                let bytes = written(version, written_ends).expect("it can be told");
                assert_eq!(read(&bytes), Ok(Some((told, bytes.len()))), "{}", bytes.escape_ascii());
            }
        }
        assert_eq!(written(PreambleVersion::V1, None).expect("it can be told"), b"PROXY UNKNOWN\r\n");
        let local = [SECOND, &[0x20, 0, 0, 0]].concat();
        assert_eq!(written(PreambleVersion::V2, None).expect("it can be told"), local);
    }
}

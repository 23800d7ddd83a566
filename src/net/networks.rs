//! Networks, by which an operator says whose word is taken.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// Some networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// A network as an operator writes it: `10.0.0.0/8`, an address, `unix` or `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everyone.
    Any,
    /// Whoever connects to a socket file.
    Unix,
    /// The addresses whose first bits are those of this one.
    Ip {
        /// All bits after those are 0.
        address: IpAddr,
        /// At most as many as the address has.
        bits: u32,
    },
}

/// What would be right.
const EXAMPLES: &str = "for example 10.0.0.0/8, 192.0.2.7, fd00::/8, unix or any";

/// What is wrong with a network.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// Neither an address, nor one of the words.
    #[error("not a network; {EXAMPLES}")]
    NoNetwork,
    /// What follows the slash is not a number, or more bits than the address has.
    #[error("the prefix length does not fit the address; {EXAMPLES}")]
    BadLength,
    /// The address has bits beyond those that count.
    #[error("the address has bits set beyond the prefix; {EXAMPLES}")]
    Beyond,
}

impl Networks {
    /// `None`: there are none.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Option<Self> {
        (!networks.is_empty()).then_some(Self(networks))
    }

    /// Returns whether a client is of one of them; without an address, one of a socket file.
    pub(crate) fn contain(&self, client: Option<IpAddr>) -> bool {
        self.0.iter().any(|network| match (network, client.map(|address| address.to_canonical())) {
            (Network::Any, _) | (Network::Unix, None) => true,
            (Network::Ip { address, bits }, Some(client)) => {
                address.is_ipv4() == client.is_ipv4() && first_bits(client, *bits) == first_bits(*address, *bits)
            }
            (Network::Unix, Some(_)) | (Network::Ip { .. }, None) => false,
        })
    }
}

/// The bits of an address, from the left, and how many there are.
fn bits_of(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn first_bits(address: IpAddr, bits: u32) -> u128 {
    // Of none, all bits would be shifted out.
    bits_of(address).0.checked_shr(128 - bits).unwrap_or_default()
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text {
            "any" => return Ok(Self::Any),
            "unix" => return Ok(Self::Unix),
            _ => {}
        }
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::NoNetwork)?;
        let (all, most) = bits_of(address);
        let bits = match length {
            None => most,
            Some(length) if !length.bytes().all(|byte| byte.is_ascii_digit()) => return Err(NetworkError::BadLength),
            Some(length) => length.parse().ok().filter(|bits| *bits <= most).ok_or(NetworkError::BadLength)?,
        };
        if all.checked_shl(bits).unwrap_or_default() != 0 {
            return Err(NetworkError::Beyond);
        }
        // As clients are looked at: what is an address of IPv4 in one of IPv6 is one of IPv4.
        match (address.to_canonical(), bits.checked_sub(96)) {
            (IpAddr::V4(four), Some(bits)) => Ok(Self::Ip { address: four.into(), bits }),
            _ => Ok(Self::Ip { address, bits }),
        }
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&names.join(","))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any"),
            Self::Unix => formatter.write_str("unix"),
            Self::Ip { address, bits } => write!(formatter, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_begin_as_it_does() {
        let contains = |network: &str, client: &str| {
            let networks = network.split(',').map(|network| network.parse().expect(network)).collect();
            let client = (client != "unix").then(|| client.parse().expect(client));
            Networks::new(networks).expect("one").contain(client)
        };
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("::ffff:0.0.0.0/96", "::ffff:192.0.2.7", "::1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("fd00::/8", "fd12::1", "fc00::1"),
            ("::/0", "ffff::", "0.0.0.0"),
            ("::1", "::1", "::"),
            ("unix", "unix", "127.0.0.1"),
            ("10.0.0.0/8,127.0.0.1", "127.0.0.1", "unix"),
        ] {
            assert!(contains(network, inside), "{network} {inside}");
            assert!(!contains(network, outside), "{network} {outside}");
        }
        assert!(contains("any", "unix") && contains("any", "::1") && contains("any", "10.0.0.1"));
        assert_eq!(Networks::new(Vec::new()), None);
    }

    #[test]
    fn what_is_no_network_is_told() {
        for (text, error) in [
            ("", NetworkError::NoNetwork),
            ("all", NetworkError::NoNetwork),
            ("10.0.0/8", NetworkError::NoNetwork),
            ("[::1]", NetworkError::NoNetwork),
            ("10.0.0.0/", NetworkError::BadLength),
            ("10.0.0.0/33", NetworkError::BadLength),
            ("10.0.0.0/+8", NetworkError::BadLength),
            ("::/129", NetworkError::BadLength),
            ("10.0.0.1/8", NetworkError::Beyond),
            ("fd00::1/127", NetworkError::Beyond),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text:?}");
        }
        for text in ["any", "unix", "10.0.0.0/8", "0.0.0.0/0", "fd00::1/128"] {
            assert_eq!(text.parse::<Network>().expect(text).to_string(), text);
        }
    }
}

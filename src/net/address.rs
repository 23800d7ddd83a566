//! Where to listen and whom to front: `host:port`, `[v6]:port` or `unix:/path`; to listen, `systemd` too.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// An address as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host, by number or by name, and a port.
    Tcp {
        /// An IPv4 address, an IPv6 address without brackets, or a name.
        host: Box<str>,
        /// The port; 0 lets the kernel choose one to listen on.
        port: u16,
    },
    /// The path of a Unix-domain socket.
    Unix(PathBuf),
}

/// Where to listen, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// There.
    At(Address),
    /// On sockets that systemd passes: `systemd`.
    Passed,
}

/// Bytes of a socket's path: `sockaddr_un` has 108, the last of which is 0.
const LONGEST_PATH: usize = 107;

/// What is written where systemd knows the address.
const SYSTEMD: &str = "systemd";

/// What no address begins or ends with.
const QUOTES: [char; 3] = ['"', '\'', '`'];

/// What would be right.
const EXAMPLES: &str = "for example 127.0.0.1:8080, [::1]:8080, localhost:8080 or unix:/run/app.sock";

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `:port` at the end.
    #[error("expected host:port; {EXAMPLES}")]
    NoPort,
    /// What follows the last colon is not a number from 0 to 65535.
    #[error("the port is not a number from 0 to 65535; {EXAMPLES}")]
    BadPort,
    /// The host is missing.
    #[error("the host is missing; {EXAMPLES}")]
    NoHost,
    /// More than one colon and no brackets, or brackets around something else than an IPv6 address.
    #[error("the host is neither a name nor an IP address (IPv6 needs brackets); {EXAMPLES}")]
    BadHost,
    /// What follows `unix:` is nothing, or a name without a slash, as of a host.
    #[error("expected a path with a slash after \"unix:\"; {EXAMPLES}")]
    BadPath,
    /// The path is longer than the kernel takes.
    #[error("a socket path has at most {LONGEST_PATH} bytes")]
    LongPath,
    /// It has quotes, or what is left of a template's variable.
    #[error("quotes or braces are left over, as of an environment file or a template; {EXAMPLES}")]
    Quoted,
    /// It looks like a URL.
    #[error("expected an address, not a URL; {EXAMPLES}")]
    Url,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // An odd path may have them, but hardly at an end.
        if text.contains("${") || text.starts_with(QUOTES) || text.ends_with(QUOTES) {
            return Err(AddressError::Quoted);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if !path.contains('/') => Err(AddressError::BadPath),
                _ if path.len() > LONGEST_PATH => Err(AddressError::LongPath),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if text.contains("//") {
            return Err(AddressError::Url);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let bracketed = host.strip_prefix('[').map(|rest| rest.strip_suffix(']').unwrap_or(""));
        let host = match bracketed {
            Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err(AddressError::BadHost),
            None if host.is_empty() => return Err(AddressError::NoHost),
            None if host.contains([':', '/', ' ', '@', ']']) => return Err(AddressError::BadHost),
            None => host,
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AddressError::BadPort);
        }
        let port = port.parse().map_err(|_| AddressError::BadPort)?;
        Ok(Self::Tcp { host: host.into(), port })
    }
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == SYSTEMD { Ok(Self::Passed) } else { text.parse().map(Self::At) }
    }
}

impl From<Address> for Listen {
    fn from(address: Address) -> Self {
        Self::At(address)
    }
}

impl Listen {
    /// The address, where one was written.
    pub(crate) fn address(&self) -> Option<&Address> {
        match self {
            Self::At(address) => Some(address),
            Self::Passed => None,
        }
    }
}

impl Address {
    /// The host and the port, if the host is a name.
    #[must_use]
    pub fn name(&self) -> Option<(&str, u16)> {
        match self {
            Self::Tcp { host, port } if host.parse::<IpAddr>().is_err() => Some((host, *port)),
            Self::Tcp { .. } | Self::Unix(_) => None,
        }
    }

    /// Returns whether a connection to this address reaches that listener, as far as the addresses show.
    pub(crate) fn is_reached_at(&self, listening: &Self) -> bool {
        match (self, listening) {
            (Self::Unix(path), Self::Unix(other)) => path == other,
            (Self::Tcp { host, port }, Self::Tcp { host: other, port: other_port }) => {
                let number = |host: &str| -> Option<IpAddr> {
                    if host == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse().ok() }
                };
                let is_own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
                let is_same = match (number(host), number(other)) {
                    (Some(one), Some(two)) if one.is_unspecified() || two.is_unspecified() => {
                        is_own(one) && is_own(two)
                    }
                    (Some(one), Some(two)) => one == two,
                    (None, _) | (_, None) => host == other,
                };
                port == other_port && is_same
            }
            (Self::Unix(_), Self::Tcp { .. }) | (Self::Tcp { .. }, Self::Unix(_)) => false,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp { host: address.ip().to_string().into(), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(formatter),
            Self::Passed => formatter.write_str(SYSTEMD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_path_are_no_name() {
        let address = |text: &str| text.parse::<Address>().expect("an address");
        assert_eq!(address("app.internal:80").name(), Some(("app.internal", 80)));
        for other in ["127.0.0.1:80", "[::1]:80", "unix:/a"] {
            assert_eq!(address(other).name(), None, "{other}");
        }
    }

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:8080", "[::1]:80", "app.internal:3000", "localhost:0", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn where_to_listen_is_an_address_or_known_to_systemd() {
        for text in ["127.0.0.1:8080", "unix:/run/app.sock", "systemd"] {
            assert_eq!(text.parse::<Listen>().expect(text).to_string(), text);
        }
        assert_eq!("systemd".parse(), Ok(Listen::Passed));
        assert_eq!("systemd:1".parse::<Listen>().expect("a host").address(), "systemd:1".parse().ok().as_ref());
        assert_eq!("Systemd".parse::<Listen>(), Err(AddressError::NoPort));
    }

    #[test]
    fn an_address_is_reached_at_itself_and_at_all_of_the_machine() {
        let is_reached = |address: &str, listening: &str| {
            let [address, listening] = [address, listening].map(|text| text.parse::<Address>().expect(text));
            address.is_reached_at(&listening)
        };
        for (address, listening) in [
            ("localhost:80", "0.0.0.0:80"),
            ("127.0.0.1:80", "localhost:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("app:80", "app:80"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(is_reached(address, listening), "{address} {listening}");
        }
        for (address, listening) in [
            ("localhost:80", "0.0.0.0:81"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("10.0.0.1:80", "0.0.0.0:80"),
            ("app:80", "0.0.0.0:80"),
            ("unix:/a", "unix:/b"),
            ("unix:/a", "localhost:80"),
        ] {
            assert!(!is_reached(address, listening), "{address} {listening}");
        }
    }

    #[test]
    fn a_path_is_as_long_as_the_kernel_takes() {
        let address = |length| format!("unix:/{}", "a".repeat(length - 1)).parse::<Address>();
        let Ok(Address::Unix(longest)) = address(LONGEST_PATH) else { panic!("it is not too long") };
        socket2::SockAddr::unix(longest).expect("the kernel takes it");
        let error = address(LONGEST_PATH + 1).expect_err("it is too long");
        assert_eq!(error.to_string(), "a socket path has at most 107 bytes");
        socket2::SockAddr::unix(format!("/{}", "a".repeat(LONGEST_PATH))).expect_err("the kernel does not take it");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("", AddressError::NoPort),
            ("8080", AddressError::NoPort),
            ("localhost", AddressError::NoPort),
            (":8080", AddressError::NoHost),
            ("::1:80", AddressError::BadHost),
            ("[::1:80", AddressError::BadHost),
            ("[localhost]:80", AddressError::BadHost),
            ("localhost:", AddressError::BadPort),
            ("localhost:http", AddressError::BadPort),
            ("localhost:+80", AddressError::BadPort),
            ("localhost:65536", AddressError::BadPort),
            ("http://localhost:80", AddressError::Url),
            ("unix:", AddressError::BadPath),
            ("unix:app.sock", AddressError::BadPath),
            ("\"app:3000\"", AddressError::Quoted),
            ("'app:3000'", AddressError::Quoted),
            ("${HOST}:3000", AddressError::Quoted),
            ("unix:\"/run/app.sock\"", AddressError::Quoted),
            ("app:3000,app:3001", AddressError::BadHost),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text:?}");
        }
    }
}

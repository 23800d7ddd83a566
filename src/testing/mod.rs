//! What the tests agree on: what happens at the two sockets, and what the proxy must have done.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::http1::Reuse;

pub mod drive;
pub mod generate;
pub mod model;
pub mod operator;
pub mod otherwise;
pub mod preamble;
pub mod property;
mod random;
pub mod session;
pub mod vector;

/// Where the client is.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One thing that happens at the proxy's two sockets, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes come from the client.
    Client(Vec<u8>),
    /// Bytes come from the origin.
    Origin(Vec<u8>),
    /// The client shuts down writing (FIN).
    ClientEnd,
    /// The origin shuts down writing (FIN).
    OriginEnd,
    /// The origin resets its connection.
    OriginReset,
    /// The operator has the proxy drain.
    Drain,
}

impl Step {
    /// The bytes that come with it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Client(bytes) | Self::Origin(bytes) => bytes,
            Self::ClientEnd | Self::OriginEnd | Self::OriginReset | Self::Drain => &[],
        }
    }
}

/// How the exchange stands after the last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides may go on; also in the middle of something.
    Open,
    /// The client's connection is ended cleanly after a complete response.
    Closed,
    /// Our own reply with this status is sent to the client, then closed. Its bytes are not part of the outcome.
    Reply(u16),
    /// The client's connection is cut: an incomplete message that it can see.
    Cut,
    /// The same where a clean FIN would lie (a body until close, a tunnel): a TCP reset.
    Reset,
    /// The origin's connection was dropped or had ended while no request was waiting, or ended with an exchange that was not
    /// plain; the client keeps its own.
    OriginDropped,
}

/// What has gone out on both sides after the last step.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Every byte sent to the origin, by connection, in the order in which they were dialled.
    pub to_origin: Vec<Vec<u8>>,
    /// Every byte of the origin's sent to the client.
    pub to_client: Vec<u8>,
    /// How the exchange stands.
    pub end: End,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, bytes) in self.to_origin.iter().enumerate() {
            write!(formatter, "to origin, connection {}: \"{}\"; ", at + 1, bytes.escape_ascii())?;
        }
        write!(formatter, "to client: \"{}\"; end: {:?}", self.to_client.escape_ascii(), self.end)
    }
}

/// The part of the configuration that shows on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Names denied: lower-case, exact or `prefix*`.
    pub deny: Vec<String>,
    /// Exceptions from `deny`, same forms.
    pub keep: Vec<String>,
    /// Names denied in requests, and exceptions, same forms; an underscore counts as a dash.
    pub deny_request: Vec<String>,
    /// Exceptions from `deny_request`.
    pub keep_request: Vec<String>,
    /// Lines for final heads that have none of that name, without their ends.
    pub add: Vec<String>,
    /// Whether requests name the client.
    pub forwarded_for: bool,
    /// Whether nothing that is denied is withheld.
    pub dry_run: bool,
    /// Protocols a 101 may switch to.
    pub allow_upgrade: Vec<String>,
    /// The most bytes a head or a trailer section may have.
    pub max_head: usize,
    /// The most field lines it may have.
    pub max_fields: usize,
    /// Whether a bare LF ends a line of a response head.
    pub allow_bare_lf: bool,
    /// Lower-case names of the lines that a request's trailer section may have.
    pub allow_request_trailers: Vec<String>,
    /// Which requests may follow another on an origin connection.
    pub reuse_origin: Reuse,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            deny: vec!["server".into(), "x-powered-by".into()],
            keep: Vec::new(),
            deny_request: Vec::new(),
            keep_request: Vec::new(),
            add: Vec::new(),
            forwarded_for: false,
            dry_run: false,
            allow_upgrade: vec!["websocket".into()],
            max_head: 65_536,
            max_fields: 256,
            allow_bare_lf: false,
            allow_request_trailers: Vec::new(),
            reuse_origin: Reuse::Plain,
        }
    }
}

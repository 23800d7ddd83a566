//! Checked values: a bad one cannot be built.

use std::time::Duration;

use crate::http1::Policy;
use crate::net::address::Address;

/// All that a proxy must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: Address,
    /// The application server.
    pub upstream: Address,
    /// What is withheld, and the limits of heads.
    pub policy: Policy,
    /// How long is waited for what.
    pub timeouts: Timeouts,
}

/// How long is waited for what; each more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to the origin.
    pub connect: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// For a client between requests.
    pub idle: Duration,
    /// For a byte either way within an exchange or a tunnel.
    pub exchange: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            exchange: Duration::from_secs(300),
        }
    }
}

impl Timeouts {
    /// The shortest of them.
    pub(crate) fn shortest(&self) -> Duration {
        self.connect.min(self.head).min(self.idle).min(self.exchange)
    }
}

//! Checked values: a bad one cannot be built.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::http1::Policy;
use crate::net::address::Address;

/// The default of [`Config::splice_from`].
const SPLICE_FROM: u64 = 64 * 1024;

/// All that a proxy must be told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where clients connect.
    pub listen: Address,
    /// The application server.
    pub upstream: Address,
    /// Where `/livez`, `/readyz` and `/metrics` are told; nowhere if `None`.
    pub admin: Option<Address>,
    /// What is withheld, and the limits of heads.
    pub policy: Policy,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// How long is waited for what at the end.
    pub drain: Drain,
    /// Threads, each with its own runtime and its own listener.
    pub workers: NonZeroUsize,
    /// Clients served at once; beyond it, they wait in the backlog. As many as the open-file limit allows if `None`, and
    /// never more.
    pub max_connections: Option<NonZeroUsize>,
    /// How many bytes must be left of a body or a chunk for splice(2) to move them; less is copied, which is cheaper. All
    /// is copied if `None`. The end of a tunnel or of a body until close is taken to be far.
    pub splice_from: Option<u64>,
    /// Whether a line is written for each exchange.
    pub access_log: bool,
    /// Whether denied lines are only counted.
    pub dry_run: bool,
}

impl Config {
    /// The defaults for all but the two addresses.
    #[must_use]
    pub fn new(listen: Address, upstream: Address) -> Self {
        let (policy, timeouts, drain) = (Policy::default(), Timeouts::default(), Drain::default());
        Self {
            listen,
            upstream,
            admin: None,
            policy,
            timeouts,
            drain,
            workers: NonZeroUsize::MIN,
            max_connections: None,
            splice_from: Some(SPLICE_FROM),
            access_log: false,
            dry_run: false,
        }
    }
}

/// How long is waited for what; each more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// The two parts of a drain; either may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// For whoever directs traffic here to learn of it: new connections are still taken.
    pub delay: Duration,
    /// After that, for what is under way.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::from_secs(2), timeout: Duration::from_secs(25) }
    }
}

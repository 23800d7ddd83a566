//! The configuration of a proxy, and its checks.

use std::num::NonZeroUsize;
use std::time::Duration;

use thiserror::Error;

use crate::http1::{LogFields, MAX_FIELDS_CEILING, MAX_HEAD_CEILING, Policy};
use crate::net::address::{Address, Listen};
use crate::net::networks::Networks;
use crate::net::preamble::PreambleVersion;
use crate::net::socket_file::SocketMode;

/// The default of [`Config::splice_from`].
const SPLICE_FROM: u64 = 64 * 1024;

/// The least [`Config::max_memory`], in bytes: a few pipes, and some of the largest heads.
pub(crate) const LEAST_MEMORY: usize = 8 * MIB;

/// The ceiling of the default memory for clients, in bytes: 65,536 clients with the 4 KiB that each may have.
const MOST_MEMORY: usize = 256 * MIB;

/// The default memory for clients without a visible cgroup limit, in bytes.
const USUAL_MEMORY: usize = 64 * MIB;

/// The default share of the cgroup's limit for clients: the kernel counts the sockets' buffers too.
const MEMORY_SHARE: u64 = 4;

const MIB: usize = 1024 * 1024;

/// The configuration of a proxy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// The permissions of its socket file, if it is one; those that the umask leaves if `None`.
    pub listen_mode: Option<SocketMode>,
    /// The application server.
    pub upstream: Address,
    /// Where `/livez`, `/readyz` and `/metrics` are served; nowhere if `None`.
    pub admin: Option<Listen>,
    /// What is withheld, and the limits of heads.
    pub policy: Policy,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Time limits of the drain.
    pub drain: Drain,
    /// Threads, each with its own runtime and its own listener.
    pub workers: NonZeroUsize,
    /// Clients served at once; more wait in the backlog. As many as the open-file limit allows if `None`, and
    /// never more.
    pub max_connections: Option<NonZeroUsize>,
    /// The most bytes held for all clients. A quarter of the cgroup's memory limit if `None`, within bounds.
    pub max_memory: Option<usize>,
    /// How many bytes must be left in a body or a chunk for splice(2) to move them; less is copied, which is cheaper. All
    /// is copied if `None`. The end of a tunnel or of a body until close is taken to be far.
    pub splice_from: Option<u64>,
    /// The networks whose connections must begin with a PROXY protocol preamble; all others are closed. `None`: no preamble is expected.
    pub accept_proxy: Option<Networks>,
    /// The version of the preamble that begins each connection to the upstream, if any.
    pub send_proxy: Option<PreambleVersion>,
    /// Whether the observer is told of each exchange.
    pub access_log: bool,
    /// Request fields that it is told of, too.
    pub log_fields: LogFields,
    /// Whether the time to a response's first byte is counted even without `admin` and `access_log`: that takes two looks at the clock per
    /// exchange.
    pub time_first_byte: bool,
}

impl Config {
    /// The defaults for all but the two addresses.
    #[must_use]
    pub fn new(listen: Address, upstream: Address) -> Self {
        let (policy, timeouts, drain) = (Policy::default(), Timeouts::default(), Drain::default());
        Self {
            listen: listen.into(),
            listen_mode: None,
            upstream,
            admin: None,
            policy,
            timeouts,
            drain,
            workers: NonZeroUsize::MIN,
            max_connections: None,
            max_memory: None,
            splice_from: Some(SPLICE_FROM),
            accept_proxy: None,
            send_proxy: None,
            access_log: false,
            log_fields: LogFields::default(),
            time_first_byte: false,
        }
    }

    /// Checks that it can be served: addresses differ, time limits are not zero, and other limits are within bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self { listen, upstream, admin, .. } = self;
        let is_chosen_by_kernel = |address: &Address| matches!(address, Address::Tcp { port: 0, .. });
        let listen = listen.address();
        if let Some(listen) = listen.filter(|listen| upstream.is_reached_at(listen) && !is_chosen_by_kernel(listen)) {
            return Err(ConfigError::RelaysToItself { listen: listen.clone(), upstream: upstream.clone() });
        }
        if let Some(mode) = self.listen_mode.filter(|_| !matches!(listen, Some(Address::Unix(_)))) {
            return Err(ConfigError::NoSocketFile(mode, self.listen.clone()));
        }
        if is_chosen_by_kernel(upstream) {
            return Err(ConfigError::NoUpstreamPort(upstream.clone()));
        }
        let admin = admin.as_ref().and_then(Listen::address).filter(|admin| !is_chosen_by_kernel(admin));
        let mut others = listen.into_iter().chain([upstream]);
        if let Some(admin) = admin.filter(|admin| others.any(|other| admin.is_reached_at(other))) {
            return Err(ConfigError::AdminIsTaken(admin.clone()));
        }
        if self.timeouts.shortest().is_zero() {
            return Err(ConfigError::NoTime);
        }
        if !(1..=MAX_HEAD_CEILING).contains(&self.policy.max_head) {
            return Err(ConfigError::MaxHead(self.policy.max_head));
        }
        if !(1..=MAX_FIELDS_CEILING).contains(&self.policy.max_fields) {
            return Err(ConfigError::MaxFields(self.policy.max_fields));
        }
        if let Some(memory) = self.max_memory.filter(|memory| *memory < LEAST_MEMORY) {
            return Err(ConfigError::MaxMemory(memory));
        }
        Ok(())
    }

    /// How many bytes may be held for all clients if the process may have so many (`None`: no limit was found).
    pub(crate) fn memory_budget(&self, limit: Option<u64>) -> usize {
        let share = |limit: u64| usize::try_from(limit / MEMORY_SHARE).unwrap_or(MOST_MEMORY);
        let usual = || limit.map_or(USUAL_MEMORY, |limit| share(limit).clamp(LEAST_MEMORY, MOST_MEMORY));
        self.max_memory.unwrap_or_else(usual)
    }

    /// Returns whether they are more than such a limit is likely to leave.
    pub(crate) fn exceeds_memory(&self, limit: Option<u64>) -> bool {
        let budget = u64::try_from(self.memory_budget(limit)).unwrap_or(u64::MAX);
        self.max_memory.is_some() && limit.is_some_and(|limit| budget > limit / 2)
    }

    /// Says how many they are, and why.
    pub(crate) fn explained_memory(&self, limit: Option<u64>) -> String {
        let budget = self.memory_budget(limit);
        let of_group = limit.map(|limit| format!("the cgroup's {}", told(limit)));
        let why = match (self.max_memory, of_group) {
            (Some(_), None) => "by --max-memory".to_owned(),
            (Some(_), Some(of_group)) => format!("by --max-memory, of {of_group}"),
            (None, None) => "since no cgroup limit was found".to_owned(),
            (None, Some(of_group)) if budget == LEAST_MEMORY => format!("the least, of {of_group}"),
            (None, Some(of_group)) if budget == MOST_MEMORY => format!("the default's ceiling, of {of_group}"),
            (None, Some(of_group)) => format!("a quarter of {of_group}"),
        };
        format!("{} for clients, {why}", told(u64::try_from(budget).unwrap_or(u64::MAX)))
    }
}

/// Why a configuration cannot be served.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The upstream is where the proxy listens.
    #[error(
        "--listen {listen} is where --upstream {upstream} is: headsnip would relay to itself. Set --upstream to the application server's address."
    )]
    RelaysToItself {
        /// Where clients connect.
        listen: Address,
        /// The application server.
        upstream: Address,
    },
    /// [`Config::listen_mode`] is for a socket file, which that is not.
    #[error("--listen-mode {0}: only for a socket file, and --listen is {1}; {advice}", advice = advice(.1))]
    NoSocketFile(SocketMode, Listen),
    /// The upstream's port is 0.
    #[error("--upstream \"{0}\": nothing listens on port 0")]
    NoUpstreamPort(Address),
    /// The admin listener is where clients or the proxy connect.
    #[error("--admin is {0}, which is --listen or --upstream too: clients must not reach it. Choose another port.")]
    AdminIsTaken(Address),
    /// One of [`Timeouts`] is zero.
    #[error("a time limit must be longer than zero")]
    NoTime,
    /// [`Policy::max_head`] is not from 1 to [`MAX_HEAD_CEILING`].
    #[error("--max-head: {0} bytes are out of range: 1 to {MAX_HEAD_CEILING}")]
    MaxHead(usize),
    /// [`Policy::max_fields`] is not from 1 to [`MAX_FIELDS_CEILING`].
    #[error("--max-fields: {0} is out of range: 1 to {MAX_FIELDS_CEILING}")]
    MaxFields(usize),
    /// [`Config::max_memory`] is too little.
    #[error("--max-memory: {0} bytes are too few; the least is {least}MiB", least = LEAST_MEMORY / MIB)]
    MaxMemory(usize),
}

/// What to do where permissions of a socket file are asked for, and there is none.
fn advice(listen: &Listen) -> &'static str {
    match listen {
        Listen::At(_) => "use --listen unix:/path",
        Listen::Passed => "use SocketMode= in the socket unit",
    }
}

/// A size in whole units, rounded down.
fn told(bytes: u64) -> String {
    let (number, unit) = match bytes {
        0..0x400 => (bytes, "bytes"),
        0x400..0x10_0000 => (bytes >> 10, "KiB"),
        _ => (bytes >> 20, "MiB"),
    };
    format!("{number} {unit}")
}

/// Time limits; each more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection to the origin.
    pub connect: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// For a client between requests.
    pub idle: Duration,
    /// For a byte either way within an exchange.
    pub exchange: Duration,
    /// For a byte either way within a tunnel; as within an exchange if `None`.
    pub tunnel: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            exchange: Duration::from_secs(300),
            tunnel: None,
        }
    }
}

impl Timeouts {
    /// For a byte either way within a tunnel.
    pub(crate) fn tunnel(&self) -> Duration {
        self.tunnel.unwrap_or(self.exchange)
    }

    /// The shortest of them.
    pub(crate) fn shortest(&self) -> Duration {
        self.connect.min(self.head).min(self.idle).min(self.exchange).min(self.tunnel())
    }
}

/// The two parts of a drain; either may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// For load balancers to notice: new connections are still accepted.
    pub delay: Duration,
    /// After that, for open exchanges.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::from_secs(2), timeout: Duration::from_secs(25) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_served_is_refused() {
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let config = || Config::new(address("127.0.0.1:8080"), address("127.0.0.1:3000"));
        assert_eq!(config().check(), Ok(()));
        let mut no_time = config();
        no_time.timeouts.idle = Duration::ZERO;
        assert_eq!(no_time.check(), Err(ConfigError::NoTime));
        let mut no_tunnel = config();
        no_tunnel.timeouts.tunnel = Some(Duration::ZERO);
        assert_eq!(no_tunnel.check(), Err(ConfigError::NoTime));
        let mut memory = config();
        for (size, checked) in
            [(LEAST_MEMORY - 1, Err(ConfigError::MaxMemory(LEAST_MEMORY - 1))), (LEAST_MEMORY, Ok(()))]
        {
            memory.max_memory = Some(size);
            assert_eq!(memory.check(), checked);
        }
        for size in [0, MAX_HEAD_CEILING + 1] {
            let mut heads = config();
            heads.policy.max_head = size;
            assert_eq!(heads.check(), Err(ConfigError::MaxHead(size)));
        }
        for count in [0, MAX_FIELDS_CEILING + 1] {
            let mut heads = config();
            heads.policy.max_fields = count;
            assert_eq!(heads.check(), Err(ConfigError::MaxFields(count)));
        }
        let mut admin = config();
        admin.admin = Some(address("127.0.0.1:8080").into());
        assert_eq!(admin.check(), Err(ConfigError::AdminIsTaken(address("127.0.0.1:8080"))));
        let (listen, upstream) = (address("0.0.0.0:80"), address("127.0.0.1:80"));
        let looping = Config::new(listen.clone(), upstream.clone());
        assert_eq!(looping.check(), Err(ConfigError::RelaysToItself { listen, upstream }));
    }

    #[test]
    fn permissions_are_for_a_socket_file_alone() {
        let checked = |listen: &str| {
            let listen: Listen = listen.parse().expect("an address");
            let (other, upstream) = ("127.0.0.1:1", "127.0.0.1:3000");
            let config = Config::new(other.parse().expect("an address"), upstream.parse().expect("an address"));
            Config { listen, listen_mode: "660".parse().ok(), ..config }.check()
        };
        assert_eq!(checked("unix:/run/headsnip/http"), Ok(()));
        for listen in ["127.0.0.1:8080", "systemd"] {
            assert!(matches!(checked(listen), Err(ConfigError::NoSocketFile(..))), "{listen}");
        }
    }

    #[test]
    fn clients_have_a_quarter_of_the_cgroups_memory_within_bounds() {
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let config =
            |max_memory| Config { max_memory, ..Config::new(address("127.0.0.1:8080"), address("127.0.0.1:3000")) };
        let mib = |count: u64| count << 20;
        for (asked, limit, budget, line) in [
            (None, None, 64, "64 MiB for clients, since no cgroup limit was found"),
            (None, Some(mib(128)), 32, "32 MiB for clients, a quarter of the cgroup's 128 MiB"),
            (None, Some(mib(16)), 8, "8 MiB for clients, the least, of the cgroup's 16 MiB"),
            (None, Some(1023), 8, "8 MiB for clients, the least, of the cgroup's 1023 bytes"),
            (None, Some(1024), 8, "8 MiB for clients, the least, of the cgroup's 1 KiB"),
            (None, Some(mib(1) - 1), 8, "8 MiB for clients, the least, of the cgroup's 1023 KiB"),
            (None, Some(mib(4096)), 256, "256 MiB for clients, the default's ceiling, of the cgroup's 4096 MiB"),
            (
                None,
                Some(u64::MAX),
                256,
                "256 MiB for clients, the default's ceiling, of the cgroup's 17592186044415 MiB",
            ),
            (Some(300 * MIB), None, 300, "300 MiB for clients, by --max-memory"),
            (Some(8 * MIB), Some(mib(512)), 8, "8 MiB for clients, by --max-memory, of the cgroup's 512 MiB"),
        ] {
            let config = config(asked);
            assert_eq!((config.memory_budget(limit), &*config.explained_memory(limit)), (budget * MIB, line));
            assert!(!config.exceeds_memory(limit), "{line}");
        }
        assert!(!config(Some(64 * MIB)).exceeds_memory(Some(mib(128))));
        assert!(config(Some(65 * MIB)).exceeds_memory(Some(mib(128))));
    }
}

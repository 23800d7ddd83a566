//! Joins the core to the kernel: a worker accepts clients, a session serves one, a relay moves one direction's bytes.

pub(crate) mod deadline;
mod followed;
pub(crate) mod handle;
mod life;
mod memory;
pub(crate) mod places;
mod relay;
mod reply;
pub(crate) mod session;
mod sessions;
pub(crate) mod worker;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::sync::Arc;
use std::thread;

use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, watch};

use self::handle::Closing;
pub use self::handle::Handle;
use self::places::Places;
use self::worker::{Share, Worker};
use crate::config::{Config, ConfigError};
use crate::http1::Direction;
use crate::net::address::Address;
use crate::net::dial::Upstream;
use crate::net::listener::{Listener, is_family_unknown};
use crate::net::{cgroup, descriptors};
use crate::ops::admin::{Admin, Sources};
use crate::ops::counters::{Counters, Path};
use crate::ops::log;
use crate::ops::metrics::Limits;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    config: &'static Config,
    counts: &'static Counts,
    address: Address,
    admin: Option<(Listener, Address)>,
    listeners: Vec<Listener>,
    limits: Limits,
    /// What the process may have, as far as it can be seen.
    memory_limit: Option<u64>,
    /// Of each worker.
    pipes: usize,
    handle: Handle,
}

/// What has been counted since the start, by each worker for itself.
#[derive(Debug)]
pub struct Counts(Vec<Counters>);

impl Counts {
    /// Requests that went once more, because a connection that had served before was closed under them.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.0.iter().map(|worker| worker.replays.value()).sum()
    }

    /// Bytes that were moved by splice(2), both ways; the others were copied.
    #[must_use]
    pub fn spliced(&self) -> u64 {
        let spliced = |worker: &Counters, direction| worker.bytes(direction, Path::Splice).value();
        self.0.iter().map(|worker| spliced(worker, Direction::Inbound) + spliced(worker, Direction::Outbound)).sum()
    }
}

/// How the clients fared that were there at the end, or came after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections closed with nothing owed.
    pub finished: usize,
    /// Connections cut with something under way.
    pub cut: usize,
}

/// Why a proxy could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be served.
    Config(ConfigError),
    /// So many descriptors cannot be opened.
    Descriptors(u64, io::Error),
    /// The address could not be listened on.
    Listen(Address, io::Error),
    /// The admin address could not be listened on.
    Admin(Address, io::Error),
}

impl Proxy {
    /// Listens, and raises the process's open-file limit as far as it may go. The configuration lives for as long as the
    /// process does.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let has_admin = if config.admin.is_some() { descriptors::Admin::On } else { descriptors::Admin::Off };
        let open_files = descriptors::raise_open_file_limit();
        descriptors::suffice(config.workers, has_admin).map_err(|(needed, e)| StartError::Descriptors(needed, e))?;
        let config: &'static Config = Box::leak(Box::new(config));
        let listen_error = |error| StartError::Listen(config.listen.clone(), error);
        let listeners = bind(&config.listen, config.workers).map_err(listen_error)?;
        let address = listeners.first().map_or(Ok(config.listen.clone()), Listener::address).map_err(listen_error)?;
        let admin =
            config.admin.as_ref().map(|address| bind_admin(address).map_err(|e| StartError::Admin(address.clone(), e)));
        let admin = admin.transpose()?;
        let share = descriptors::share(open_files, config.workers, has_admin);
        let memory_limit = cgroup::memory_limit();
        let clients = most_clients(config, share.clients);
        let counts = Counts((0..config.workers.get()).map(|_| Counters::new(&config.policy.denylist)).collect());
        Ok(Self {
            config,
            counts: Box::leak(Box::new(counts)),
            address,
            admin,
            listeners,
            limits: Limits { clients, memory: config.memory_budget(memory_limit) },
            memory_limit,
            pipes: share.pipes,
            handle: Handle::new(),
        })
    }

    /// Where it listens, with the port that the kernel chose.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where the admin listener is, if there is one, with the port that the kernel chose.
    #[must_use]
    pub fn admin_address(&self) -> Option<&Address> {
        self.admin.as_ref().map(|(_, address)| address)
    }

    /// How much memory it may hold for clients, and why so much.
    #[must_use]
    pub fn memory(&self) -> String {
        self.config.explained_memory(self.memory_limit)
    }

    /// What tells it to end.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What it counts.
    #[must_use]
    pub fn counts(&self) -> &'static Counts {
        self.counts
    }

    /// Serves on this thread, and one more for each further worker, until it was told to end and has. `alongside` is polled
    /// on this thread, within the runtime, for who must listen to signals for example: it may end at any time, which changes
    /// nothing. [`std::future::pending`] is nothing to do.
    pub fn run(self, alongside: impl Future<Output = ()> + 'static) -> io::Result<Drained> {
        let Self { config, counts, address, admin, listeners, limits, pipes, handle, .. } = self;
        let listening: Arc<[Address]> =
            std::iter::once(address).chain(admin.as_ref().map(|(_, address)| address.clone())).collect();
        let places = Arc::new(Places::new(limits.clients));
        let share = Share { pipes, memory: limits.memory / config.workers };
        // It answers until all clients are gone.
        let _admin = admin
            .map(|(listener, _)| {
                Admin::start(listener, sources(config, counts, limits, &handle, Arc::clone(&listening)))
            })
            .transpose()?;
        let mut workers = listeners.into_iter().zip(&counts.0).map(|(listener, counters)| {
            let (places, orders, listening) = (Arc::clone(&places), handle.orders(), Arc::clone(&listening));
            (listener, orders, move || {
                Worker::new(config, counters, places, share, Upstream::new(&config.upstream, &listening))
            })
        });
        let own = workers.next();
        // Closed when all the others have ended.
        let (at_work, mut all_ended) = mpsc::channel::<Infallible>(1);
        let others = workers.map(|(listener, orders, worker)| {
            let (at_work, handle) = (at_work.clone(), handle.clone());
            let serve = move || {
                let _at_work = at_work;
                let nobody = std::future::ready(());
                run(worker(), listener, orders, std::future::pending(), nobody).inspect_err(|_| handle.cut())
            };
            thread::Builder::new().name("worker".into()).spawn(serve)
        });
        let others = others.collect::<io::Result<Vec<_>>>().inspect_err(|_| handle.cut())?;
        drop(at_work);
        let mut drained = Drained { finished: 0, cut: 0 };
        if let Some((listener, orders, worker)) = own {
            let all_ended = async move { all_ended.recv().await.map_or((), |never| match never {}) };
            drained += run(worker(), listener, orders, alongside, all_ended).inspect_err(|_| handle.cut())?;
        }
        for other in others {
            drained += other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(drained)
    }
}

impl AddAssign for Drained {
    fn add_assign(&mut self, other: Self) {
        self.finished += other.finished;
        self.cut += other.cut;
    }
}

/// Listens. A kernel without IPv6 has no `[::]`, which is meant as all addresses: there are those of IPv4.
fn bind(address: &Address, count: NonZeroUsize) -> io::Result<Vec<Listener>> {
    let bound = Listener::bind(address, count);
    match (&bound, address) {
        (Err(error), Address::Tcp { host, port }) if is_family_unknown(error) && **host == *"::" => {
            let all = Address::Tcp { host: "0.0.0.0".into(), port: *port };
            log::warning(format_args!("this kernel has no IPv6: listening on {all} instead of {address}"));
            Listener::bind(&all, count)
        }
        _ => bound,
    }
}

fn bind_admin(address: &Address) -> io::Result<(Listener, Address)> {
    let mut listeners = bind(address, NonZeroUsize::MIN)?;
    let listener = listeners.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let address = listener.address()?;
    Ok((listener, address))
}

/// What the admin listener tells.
fn sources(
    config: &'static Config,
    counts: &'static Counts,
    limits: Limits,
    handle: &Handle,
    listening: Arc<[Address]>,
) -> Sources {
    let orders = handle.orders();
    Sources {
        workers: &counts.0,
        limits,
        denylist: &config.policy.denylist,
        upstream: &config.upstream,
        listening,
        connect_timeout: config.timeouts.connect,
        is_draining: Box::new(move || *orders.borrow() > Closing::No),
    }
}

/// Serves on this thread.
fn run(
    worker: Worker<Upstream>,
    listener: Listener,
    orders: watch::Receiver<Closing>,
    alongside: impl Future<Output = ()> + 'static,
    others: impl Future<Output = ()>,
) -> io::Result<Drained> {
    LocalRuntime::new()?
        .block_on(async { Ok(life::serve(worker, listener.accepting()?, orders, alongside, others).await) })
}

/// Fewer clients are told of where nobody asked for so few.
const FEW_CLIENTS: usize = 1000;

/// As many clients as were asked for, and as the open-file limit allows.
fn most_clients(config: &Config, allowed: usize) -> usize {
    let wanted = config.max_connections.map(NonZeroUsize::get);
    if wanted.is_some_and(|wanted| wanted > allowed) || (wanted.is_none() && allowed < FEW_CLIENTS) {
        log::warning(format_args!(
            "the open-file limit allows no more than {allowed} clients at once; raise it by ulimit -n, LimitNOFILE= or the like"
        ));
    }
    wanted.map_or(allowed, |wanted| wanted.min(allowed))
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(formatter),
            Self::Descriptors(needed, error) => write!(
                formatter,
                "cannot open the {needed} files that it takes to serve one client: {error}; raise the limit by ulimit -n, LimitNOFILE= or the like"
            ),
            Self::Listen(address, error) => explain(formatter, "--listen", address, error),
            Self::Admin(address, error) => explain(formatter, "--admin", address, error),
        }
    }
}

/// Says what is wrong with the address of a flag, and what to do.
fn explain(formatter: &mut fmt::Formatter<'_>, flag: &str, address: &Address, error: &io::Error) -> fmt::Result {
    write!(formatter, "cannot listen on {address}: {error}")?;
    let advice = [
        (io::ErrorKind::AddrInUse, "another process holds it: stop that one, or choose another"),
        (io::ErrorKind::AlreadyExists, "a file that is no socket is in the way: remove it, or choose another"),
        (io::ErrorKind::NotFound, "its folder must be there: make it, or choose another"),
        (io::ErrorKind::PermissionDenied, "it wants a privilege: choose another"),
        (io::ErrorKind::AddrNotAvailable, "no interface of this machine has that address: choose another"),
    ];
    let is_name = matches!(address, Address::Tcp { host, .. } if host.parse::<IpAddr>().is_err());
    match advice.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, advice)) => write!(formatter, "; {advice} {flag}"),
        None if is_name => {
            write!(formatter, "; if this machine has no such name, give {flag} a number: 0.0.0.0 is all")
        }
        None => Ok(()),
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Descriptors(_, error) | Self::Listen(_, error) | Self::Admin(_, error) => Some(error),
        }
    }
}

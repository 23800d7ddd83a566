//! Joins the core to the kernel: a worker accepts clients, a session serves one, a relay moves one direction's bytes.

pub(crate) mod deadline;
mod followed;
pub(crate) mod handle;
mod life;
mod listening;
mod memory;
pub(crate) mod places;
mod pulse;
mod relay;
mod reply;
pub(crate) mod session;
mod sessions;
pub(crate) mod worker;

use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, watch};

use self::handle::Closing;
pub use self::handle::Handle;
use self::listening::{listen, listen_for_admin, passed};
use self::places::Places;
use self::pulse::Beat;
pub use self::pulse::Pulse;
use self::worker::{Allowance, Worker};
use crate::config::{Config, ConfigError};
use crate::net::address::{Address, Listen};
use crate::net::dial::Upstream;
use crate::net::listener::Listener;
use crate::net::{cgroup, descriptors};
use crate::ops::admin::{Admin, Sources};
use crate::ops::counters::Counters;
pub use crate::ops::metrics::Counts;
use crate::ops::metrics::Limits;
use crate::ops::{Event, Observer};

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    config: &'static Config,
    counts: &'static Counts,
    observer: Arc<dyn Observer>,
    /// One at least.
    addresses: Vec<Address>,
    admin: Option<(Listener, Address)>,
    listeners: Vec<Listener>,
    /// What the process may have, as far as it can be seen.
    memory_limit: Option<u64>,
    /// Of each worker.
    pipes: usize,
    handle: Handle,
    /// Of all workers but the first, if somebody looks.
    beats: Vec<Beat>,
}

/// How the clients fared that were there at the end, or came after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections closed with nothing owed.
    pub finished: u64,
    /// Connections cut with something under way.
    pub cut: u64,
}

/// Why a proxy could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be served.
    #[error("{0}")]
    Config(ConfigError),
    /// So many descriptors cannot be opened.
    #[error(
        "cannot open the {0} files needed to serve one client: {1}; raise the limit with ulimit -n or LimitNOFILE="
    )]
    Descriptors(u64, #[source] io::Error),
    /// The address could not be listened on.
    #[error("{}", explain("--listen", .0, .1))]
    Listen(Listen, #[source] io::Error),
    /// The admin address could not be listened on.
    #[error("{}", explain("--admin", .0, .1))]
    Admin(Listen, #[source] io::Error),
    /// The sockets that were passed are not those that were asked for.
    #[error("{0}")]
    Passed(#[source] io::Error),
}

impl Proxy {
    /// Listens, and raises the process's open-file limit as far as it may go. The configuration lives for as long as the
    /// process does. All that it has to say goes to the observer, and nowhere else.
    pub fn bind(config: Config, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let has_admin = if config.admin.is_some() { descriptors::HasAdmin::Yes } else { descriptors::HasAdmin::No };
        let open_files = descriptors::raise_open_file_limit();
        descriptors::suffice(config.workers, has_admin).map_err(|(needed, e)| StartError::Descriptors(needed, e))?;
        let config: &'static Config = Box::leak(Box::new(config));
        let passed = passed(config, &*observer).map_err(StartError::Passed)?;
        let (listen_error, workers) = (|error| StartError::Listen(config.listen.clone(), error), config.workers);
        let listeners = listen(&config.listen, config.listen_mode, &passed.clients, workers, &*observer);
        let listeners = listeners.map_err(listen_error)?;
        let addresses = listeners.first().map_or(Ok(Vec::new()), Listener::addresses).map_err(listen_error)?;
        let admin = config.admin.as_ref().map(|admin| {
            listen_for_admin(admin, &passed.admin, &*observer).map_err(|error| StartError::Admin(admin.clone(), error))
        });
        let admin = admin.transpose()?;
        let share = descriptors::share(open_files, config.workers, has_admin);
        let memory_limit = cgroup::memory_limit();
        if config.exceeds_memory(memory_limit) {
            let line = "--max-memory is over half of the cgroup's limit: the kernel may end the process, which needs more than that";
            observer.observe(Event::Warning(format_args!("{line}")));
        }
        let clients = most_clients(config, share.clients, &*observer);
        let counts = Counts {
            workers: (0..config.workers.get()).map(|_| Counters::new(&config.policy)).collect(),
            limits: Limits { clients, memory: config.memory_budget(memory_limit) },
            policy: &config.policy,
        };
        Ok(Self {
            config,
            counts: Box::leak(Box::new(counts)),
            observer,
            addresses,
            admin,
            listeners,
            memory_limit,
            pipes: share.pipes,
            handle: Handle::new(),
            beats: Vec::new(),
        })
    }

    /// Where it listens, with the port that the kernel chose.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.addresses[0]
    }

    /// The same, of each socket that was passed.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
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

    /// Whether all workers go on, to be looked at that often, `alongside` in [`Self::run`]: if the first worker is stuck, nobody looks.
    pub fn pulse(&mut self, pause: Duration) -> Pulse {
        let pulse = Pulse::new(self.config.workers.get() - 1, pause);
        self.beats = pulse.beats();
        pulse
    }

    /// The orders to end.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What it counts, to be read from any thread at any time.
    #[must_use]
    pub fn counts(&self) -> &'static Counts {
        self.counts
    }

    /// Serves on this thread, and one more for each further worker, until it was ordered to end and has. `alongside` is polled
    /// on this thread, within the runtime, for who must listen to signals for example: it may end at any time, which changes
    /// nothing. [`std::future::pending`] is nothing to do.
    pub fn run(self, alongside: impl Future<Output = ()> + 'static) -> io::Result<Drained> {
        let Self { config, counts, observer, addresses, admin, listeners, pipes, handle, beats, .. } = self;
        let limits = counts.limits;
        let listening: Arc<[Address]> =
            addresses.into_iter().chain(admin.as_ref().map(|(_, address)| address.clone())).collect();
        let places = Arc::new(Places::new(limits.clients));
        let share = Allowance { pipes, memory: limits.memory / config.workers };
        // It answers until all clients are gone.
        let _admin = admin
            .map(|(listener, _)| {
                let orders = handle.orders();
                let sources = Sources {
                    counts,
                    observer: Arc::clone(&observer),
                    upstream: &config.upstream,
                    listening: Arc::clone(&listening),
                    connect_timeout: config.timeouts.connect,
                    is_draining: Box::new(move || *orders.borrow() > Closing::No),
                };
                Admin::start(listener, sources)
            })
            .transpose()?;
        let mut workers = listeners.into_iter().zip(&counts.workers).map(|(listener, counters)| {
            let (places, orders, listening) = (Arc::clone(&places), handle.orders(), Arc::clone(&listening));
            let observer = Arc::clone(&observer);
            (listener, orders, move || {
                Worker::new(config, counters, observer, places, share, Upstream::new(&config.upstream, &listening))
            })
        });
        let own = workers.next();
        // Closed when all the others have ended.
        let (at_work, mut all_ended) = mpsc::channel::<Infallible>(1);
        let beats = beats.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let others = workers.zip(beats).map(|((listener, orders, worker), beat)| {
            let (at_work, handle) = (at_work.clone(), handle.clone());
            let serve = move || {
                let _at_work = at_work;
                let nobody = std::future::ready(());
                let beating = async {
                    if let Some(beat) = beat {
                        beat.go_on().await;
                    }
                };
                run(worker(), listener, orders, beating, nobody).inspect_err(|_| handle.cut())
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

/// With fewer clients than this, a limit that nobody asked for is logged.
const FEW_CLIENTS: usize = 1000;

/// As many clients as were asked for, and as the open-file limit allows.
fn most_clients(config: &Config, allowed: usize, observer: &dyn Observer) -> usize {
    let wanted = config.max_connections.map(NonZeroUsize::get);
    if wanted.is_some_and(|wanted| wanted > allowed) || (wanted.is_none() && allowed < FEW_CLIENTS) {
        observer.observe(Event::Warning(format_args!(
            "the open-file limit is enough for {allowed} clients at once; raise it with ulimit -n or LimitNOFILE="
        )));
    }
    wanted.map_or(allowed, |wanted| wanted.min(allowed))
}

/// Says what is wrong with the address of a flag, and what to do.
fn explain(flag: &str, listen: &Listen, error: &io::Error) -> String {
    let advice = [
        (io::ErrorKind::AddrInUse, "another process holds it: stop that one, or choose another"),
        (io::ErrorKind::AlreadyExists, "a file that is not a socket is in the way: remove it, or choose another"),
        (io::ErrorKind::NotFound, "its directory does not exist: create it, or choose another"),
        (io::ErrorKind::PermissionDenied, "permission is missing: choose another"),
        (io::ErrorKind::AddrNotAvailable, "no interface of this machine has that address: choose another"),
    ];
    let is_name = matches!(listen, Listen::At(address) if address.name().is_some());
    let advice = match advice.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, advice)) => format!("; {advice} {flag}"),
        None if is_name => {
            format!("; if the name is not this machine's, give {flag} an IP address: 0.0.0.0 is all of them")
        }
        None => String::new(),
    };
    format!("cannot listen on {listen}: {error}{advice}")
}

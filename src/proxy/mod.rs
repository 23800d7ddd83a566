//! Joins the core to the kernel: a worker accepts clients, a session serves one, a relay moves one direction's bytes.

mod deadline;
mod handle;
mod relay;
mod reply;
mod session;
mod worker;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::{Builder, Runtime};

pub use self::handle::Handle;
use self::worker::Worker;
use crate::config::Config;
use crate::net::address::Address;
use crate::net::descriptors;
use crate::net::listener::Listener;
use crate::ops::log;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    config: &'static Config,
    counts: &'static Counts,
    runtime: Runtime,
    listener: Listener,
    max_clients: usize,
    handle: Handle,
}

/// What has been counted since the start.
#[derive(Debug, Default)]
pub struct Counts {
    replays: AtomicU64,
}

impl Counts {
    fn count_replay(&self) {
        self.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that went once more, because a connection that had served before was closed under them.
    pub fn replays(&self) -> u64 {
        self.replays.load(Ordering::Relaxed)
    }
}

/// How the clients fared that were there at the end, or came after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections closed with nothing owed.
    pub finished: usize,
    /// Connections cut with something under way.
    pub cut: usize,
}

/// Why a proxy could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The runtime or its reactor could not be made.
    Runtime(io::Error),
    /// The address could not be listened on.
    Listen(Address, io::Error),
}

impl Proxy {
    /// Listens, and raises the process's open-file limit as far as it may go. The configuration lives for as long as the
    /// process does.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let config: &'static Config = Box::leak(Box::new(config));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let bound = {
            let _within = runtime.enter();
            Listener::bind(&config.listen)
        };
        let listener = bound.map_err(|error| StartError::Listen(config.listen.clone(), error))?;
        let max_clients = max_clients(config.max_connections);
        let counts = Box::leak(Box::default());
        Ok(Self { config, counts, runtime, listener, max_clients, handle: Handle::new() })
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> io::Result<Address> {
        self.listener.address()
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

    /// Serves on this thread until it was told to end and has. `alongside` is polled on the same runtime.
    pub fn run(self, alongside: impl Future<Output = ()> + 'static) -> Drained {
        let worker = Worker::new(self.config, self.counts, self.max_clients);
        self.runtime.block_on(worker::serve(worker, self.listener, self.handle.orders(), alongside))
    }
}

/// As many clients as were asked for, and as the open-file limit allows.
fn max_clients(wanted: Option<NonZeroUsize>) -> usize {
    let allowed = descriptors::connections_for(descriptors::raise_open_file_limit());
    match wanted.map(NonZeroUsize::get) {
        Some(wanted) if wanted > allowed => {
            log::event(format_args!("{wanted} connections are asked for; the open-file limit allows {allowed}"));
            allowed
        }
        Some(wanted) => wanted,
        None => allowed,
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(formatter, "cannot start: {error}"),
            Self::Listen(address, error) => {
                write!(formatter, "cannot listen on {address}: {error}")?;
                let advice = [
                    (io::ErrorKind::AddrInUse, "another process holds it: stop that one, or choose another --listen"),
                    (io::ErrorKind::PermissionDenied, "it wants a privilege: choose another --listen"),
                    (io::ErrorKind::AddrNotAvailable, "no interface of this machine has that address"),
                ];
                match advice.iter().find(|(kind, _)| *kind == error.kind()) {
                    Some((_, advice)) => write!(formatter, "; {advice}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for StartError {}

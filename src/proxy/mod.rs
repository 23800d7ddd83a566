//! Joins the core to the kernel: a worker accepts clients, a session serves one, a relay moves one direction's bytes.

mod deadline;
mod relay;
mod reply;
mod session;
mod worker;

use std::fmt;
use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::net::address::Address;
use crate::net::listener::Listener;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    config: &'static Config,
    runtime: Runtime,
    listener: Listener,
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
    /// Listens. The configuration lives for as long as the process does.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let config: &'static Config = Box::leak(Box::new(config));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let bound = {
            let _within = runtime.enter();
            Listener::bind(&config.listen)
        };
        let listener = bound.map_err(|error| StartError::Listen(config.listen.clone(), error))?;
        Ok(Self { config, runtime, listener })
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> io::Result<Address> {
        self.listener.address()
    }

    /// Serves on this thread until the future that `stop` makes, within the runtime, is ready; then drops all connections.
    pub fn run<F: Future>(self, stop: impl FnOnce() -> F) -> F::Output {
        self.runtime.block_on(async { worker::serve(self.config, self.listener, stop()).await })
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

//! Notifies systemd, or another supervisor with its protocol, of the process's state (`sd_notify(3)`). Without `NOTIFY_SOCKET` it does nothing.
//!
//! None of the crates for this supports abstract sockets, and it takes a single datagram.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::observer::{Event, Observer};

/// The states of `sd_notify(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum State {
    /// It listens.
    #[strum(to_string = "READY=1")]
    Ready,
    /// It drains.
    #[strum(to_string = "STOPPING=1")]
    Stopping,
    /// It is not stuck.
    #[strum(to_string = "WATCHDOG=1")]
    Alive,
}

/// The supervisor of this process, if there is one.
#[derive(Debug)]
pub struct Supervisor {
    address: Option<SocketAddr>,
    patience: Option<Duration>,
    observer: &'static dyn Observer,
}

impl Supervisor {
    /// As the environment says. What goes wrong is for the observer.
    #[must_use]
    pub fn from_environment(observer: &'static dyn Observer) -> Self {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let address = name.and_then(|name| match address(&name) {
            Ok(address) => Some(address),
            Err(error) => {
                let name = name.display();
                observer.observe(Event::Warning(format_args!(
                    "NOTIFY_SOCKET {name}: {error}; the supervisor is not notified"
                )));
                None
            }
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_other = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id()));
        let microseconds = number("WATCHDOG_USEC").filter(|microseconds| *microseconds > 0 && !is_other);
        Self { address, patience: microseconds.map(Duration::from_micros), observer }
    }

    /// How long it waits for a word before it takes the process to be stuck.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.patience.filter(|_| self.address.is_some())
    }

    /// Tells it, without waiting.
    pub fn tell(&self, state: State) {
        let Some(address) = &self.address else { return };
        let word: &'static str = state.into();
        let told = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(word.as_bytes(), address)
        });
        if let Err(error) = told {
            let message = format_args!("cannot notify the supervisor of {word}: {error}");
            self.observer.observe(Event::Warning(message));
        }
    }
}

/// A path, or an abstract name after an `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    }
}

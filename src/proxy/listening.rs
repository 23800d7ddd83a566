//! Listens where the configuration says: at addresses, or on sockets that systemd has passed.

use std::io;
use std::num::NonZeroUsize;

use socket2::Socket;

use crate::config::Config;
use crate::net::address::{Address, Listen};
use crate::net::listener::{Listener, is_family_unknown};
use crate::net::passed::Passed;
use crate::net::socket_file::SocketMode;
use crate::ops::{Event, Observer};

/// The sockets that systemd has passed, if any are asked for: those for clients and those for the admin listener, neither more nor less.
pub(super) fn passed(config: &Config, observer: &dyn Observer) -> io::Result<Passed> {
    let is_asked = |listen: &Listen| *listen == Listen::Passed;
    let (clients, admin) = (is_asked(&config.listen), config.admin.as_ref().is_some_and(is_asked));
    if !clients && !admin {
        if Passed::is_there() {
            observer.observe(Event::Warning(format_args!(
                "sockets were passed (LISTEN_FDS) and are not used: --listen is {}, not systemd",
                config.listen
            )));
        }
        return Ok(Passed::default());
    }
    let passed = Passed::take()?;
    let problem = match (passed.clients.len(), passed.admin.len()) {
        (0, 0) => "no socket was passed (LISTEN_FDS); is headsnip started by a socket unit?",
        (0, _) if clients => "only the socket for the admin listener was passed",
        (1.., _) if !clients => "a socket that is not named admin was passed, and --listen is not systemd",
        (_, 1..) if !admin => "a socket named admin was passed; use --admin systemd",
        (_, 0) if admin => "--admin is systemd, and no socket named admin was passed (FileDescriptorName=admin)",
        (_, 2..) => "more than one socket named admin was passed",
        _ => return Ok(passed),
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// Listens so many times.
pub(super) fn listen(
    listen: &Listen,
    mode: Option<SocketMode>,
    passed: &[Socket],
    count: NonZeroUsize,
    observer: &dyn Observer,
) -> io::Result<Vec<Listener>> {
    match listen {
        Listen::At(address) => bind(address, mode, count, observer),
        Listen::Passed => Listener::on_passed(passed, count),
    }
}

/// Listens. A kernel without IPv6 has no `[::]`, which is meant as all addresses: there are those of IPv4.
fn bind(
    address: &Address,
    mode: Option<SocketMode>,
    count: NonZeroUsize,
    observer: &dyn Observer,
) -> io::Result<Vec<Listener>> {
    let bound = Listener::bind(address, mode, count);
    match (&bound, address) {
        (Err(error), Address::Tcp { host, port }) if is_family_unknown(error) && **host == *"::" => {
            let all = Address::Tcp { host: "0.0.0.0".into(), port: *port };
            let message = format_args!("this kernel has no IPv6: listening on {all} instead of {address}");
            observer.observe(Event::Warning(message));
            Listener::bind(&all, None, count)
        }
        _ => bound,
    }
}

/// Listens once, and tells where.
pub(super) fn listen_for_admin(
    admin: &Listen,
    passed: &[Socket],
    observer: &dyn Observer,
) -> io::Result<(Listener, Address)> {
    let listener =
        listen(admin, None, passed, NonZeroUsize::MIN, observer)?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let address = listener.addresses()?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((listener, address))
}

//! How many descriptors this process may hold, and so how many clients and pipes.

use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::task::{Context, Waker};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process that are no worker's: three standard streams, the signals', the resolver's files, some to
/// spare.
const RESERVED: u64 = 13;

/// Descriptors of each worker that are no client's and no origin connection's: the listener, those of the runtime, a look
/// at the origin, a client that waits for its place, the line to the kernel, those connections that depart, and the second one for a moment
/// of a connection whose room to write is to be told.
const RESERVED_BY_WORKER: u64 = 11;

/// Connections of the admin listener; beyond it, they wait. Orchestrators and metrics servers are few.
pub(crate) const MOST_ADMIN: usize = 16;

/// Descriptors of the admin listener, if there is one: its connections, and six for the listener, its runtime and a look at the
/// origin.
const RESERVED_BY_ADMIN: u64 = 22;

/// Of those reserved, what is open at the start: the standard streams.
const OPEN: u64 = 3;

/// Descriptors of a client: its own, and its origin connection's.
const FOR_CLIENT: u64 = 2;

thread_local! {
    /// The tasks of a worker that wait for a descriptor.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Has the task woken when there may be a descriptor again.
#[cold]
pub(super) fn wait(context: &Context<'_>) {
    WAITING.with_borrow_mut(|waiting| waiting.push(context.waker().clone()));
}

/// Wakes those of this thread that wait for a descriptor: some client has left meanwhile, as likely as not.
pub(crate) fn wake_waiting() {
    WAITING.take().into_iter().for_each(Waker::wake);
}

/// Raises the limit of open files as far as an unprivileged process may, and tells it; `None`: there is none.
pub(crate) fn raise_open_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        // As in a sandbox that forbids it.
        Err(_) => limit.current,
    }
}

/// Returns whether a call has failed for want of a descriptor.
pub(crate) fn are_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The most pipes of the process. With 64 pages each they are half of the 16,384 that an unprivileged user's pipes may have;
/// beyond those, a pipe has two.
const MOST_PIPES: u64 = 128;

/// Descriptors of the process of which one is a pipe's; it has two.
const FOR_PIPES: u64 = 64;

/// What the descriptors that may be open are enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Clients, each with its origin connection; at least one.
    pub(crate) clients: usize,
    /// Pipes of a worker.
    pub(crate) pipes: usize,
}

/// Whether there is an admin listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HasAdmin {
    No,
    Yes,
}

/// Shares out the descriptors allowed (`None`: there is no limit).
pub(crate) fn share(limit: Option<u64>, workers: NonZeroUsize, admin: HasAdmin) -> Share {
    let workers = u64::try_from(workers.get()).unwrap_or(u64::MAX);
    let limit = limit.unwrap_or(u64::MAX);
    let pipes = (limit / FOR_PIPES / 2).min(MOST_PIPES) / workers;
    let reserved = reserved(workers, admin).saturating_add(pipes.saturating_mul(workers).saturating_mul(2));
    let clients = if limit == u64::MAX { limit } else { limit.saturating_sub(reserved) / FOR_CLIENT };
    let fit = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Share { clients: fit(clients.max(1)), pipes: fit(pipes) }
}

/// Descriptors that are no client's and no pipe's.
fn reserved(workers: u64, admin: HasAdmin) -> u64 {
    let of_admin = if admin == HasAdmin::Yes { RESERVED_BY_ADMIN } else { 0 };
    (RESERVED + of_admin).saturating_add(RESERVED_BY_WORKER.saturating_mul(workers))
}

/// Returns whether a client could be served, by opening as many descriptors as that takes: the limit alone does not tell what was inherited, and the
/// runtime panics where it is short of some. The error names how many there must be.
pub(crate) fn suffice(workers: NonZeroUsize, admin: HasAdmin) -> Result<(), (u64, io::Error)> {
    let needed = reserved(u64::try_from(workers.get()).unwrap_or(u64::MAX), admin).saturating_add(FOR_CLIENT);
    let opened = || {
        let (one, other) = UnixStream::pair()?;
        let others = (OPEN + 2..needed).map(|_| other.try_clone()).collect::<io::Result<Vec<_>>>()?;
        drop((one, others));
        Ok(())
    };
    opened().map_err(|error| (needed, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_a_client_and_a_pipe_but_for_the_reserved() {
        for (limit, workers, clients, pipes) in [
            (Some(0), 1, 1, 0),
            (Some(27), 1, 1, 0),
            (Some(28), 1, 2, 0),
            (Some(64), 1, 20, 0),
            (Some(1024), 1, 492, 8),
            (Some(1024), 8, 453, 1),
            (Some(1_048_576), 1, 524_148, 128),
            (None, 4, usize::MAX, 32),
        ] {
            let workers = NonZeroUsize::new(workers).expect("a worker at least");
            assert_eq!(share(limit, workers, HasAdmin::No), Share { clients, pipes }, "{limit:?}, {workers}");
        }
        assert_eq!(share(Some(64), NonZeroUsize::MIN, HasAdmin::Yes), Share { clients: 9, pipes: 0 });
        // With so many, there is one client for sure; more workers than there could ever be ask for more than that.
        for admin in [HasAdmin::No, HasAdmin::Yes] {
            assert!(suffice(NonZeroUsize::MIN, admin).is_ok());
            let least = reserved(1, admin) + FOR_CLIENT;
            assert_eq!(share(Some(least), NonZeroUsize::MIN, admin).clients, 1);
        }
    }
}

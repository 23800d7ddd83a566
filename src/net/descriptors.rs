//! How many descriptors this process may hold, and so how many clients.

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process that are no worker's: three standard streams, the signals', the resolver's files, some to
/// spare.
const RESERVED: u64 = 14;

/// Descriptors of each worker that are no client's and no origin connection's: the listener, those of the runtime, a look
/// at the origin, a client that waits for its slot, and some to spare.
const RESERVED_BY_WORKER: u64 = 10;

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

/// How many clients fit under the limit, each with its origin connection; at least one.
pub(crate) fn connections_for(limit: Option<u64>, workers: NonZeroUsize) -> usize {
    let workers = u64::try_from(workers.get()).unwrap_or(u64::MAX);
    let reserved = RESERVED.saturating_add(RESERVED_BY_WORKER.saturating_mul(workers));
    let clients = limit.map_or(u64::MAX, |limit| limit.saturating_sub(reserved) / 2).max(1);
    usize::try_from(clients).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_a_client_but_for_the_reserved() {
        for (limit, clients) in [(Some(0), 1), (Some(27), 1), (Some(28), 2), (Some(64), 20), (Some(1024), 500)] {
            assert_eq!(connections_for(limit, NonZeroUsize::MIN), clients, "{limit:?}");
        }
        assert_eq!(connections_for(None, NonZeroUsize::MIN), usize::MAX);
        assert_eq!(connections_for(Some(1024), NonZeroUsize::MIN.saturating_add(7)), 465);
    }
}

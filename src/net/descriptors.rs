//! How many descriptors this process may hold, and so how many clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not a client's or its origin connection's: three standard streams, the listener, those of the
/// runtime, a look at the origin, and some to spare for the resolver's files.
const RESERVED: u64 = 24;

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
pub(crate) fn connections_for(limit: Option<u64>) -> usize {
    let clients = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED) / 2).max(1);
    usize::try_from(clients).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_a_client_but_for_the_reserved() {
        for (limit, clients) in [(Some(0), 1), (Some(27), 1), (Some(28), 2), (Some(64), 20), (Some(1024), 500)] {
            assert_eq!(connections_for(limit), clients, "{limit:?}");
        }
        assert_eq!(connections_for(None), usize::MAX);
    }
}

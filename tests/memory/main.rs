//! "`--max-memory`: bytes held for all clients, pipes too. Each client may always hold 4 KiB; over the budget the largest, then oldest,
//! unfinished head gives way (503, closed); where relaying needs room, reading waits, and pipes are not lent. No response is cut for it."

#[path = "../support/mod.rs"]
mod support;

mod cgroup;
mod flood;
mod relayed;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::scope;

use rustix::process::{Resource, getrlimit, setrlimit};
use support::answering::{GET, OK};
use support::headsnip::until;
use support::watched::Watched;
use support::{LIMIT, Peer};

const MEBIBYTES: u64 = 1024 * 1024;

/// Descriptors of this process that are not a client's: pipes, origins, files.
const OTHERS: u64 = 600;

/// Each of these tests takes thousands of descriptors, and looks at times.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn exchange(client: &mut Peer) {
    client.send(GET);
    client.expect(OK);
}

/// As many clients as the test wants, or as this process may have.
fn as_many(wanted: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(OTHERS);
    usize::try_from(most).map_or(wanted, |most| wanted.min(most))
}

/// Clients that have sent a head of so many bytes but for its end, as far as they were let.
fn half_heads(proxy: &Watched, count: usize, bytes: usize) -> Vec<Peer> {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}", "a".repeat(bytes));
    let head = &head.as_bytes()[..bytes];
    let send = |_| {
        let mut client = proxy.dial();
        // It may have given way in the middle.
        let _ = client.try_send(head);
        client
    };
    scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| scope.spawn(move || (thread..count).step_by(8).map(send).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it can send")).collect()
    })
}

/// Waits until as many were told that they gave way as did, though more still may; lets go of them, and tells how many.
fn await_told(proxy: &Watched, clients: &mut Vec<Peer>) -> u64 {
    let mut told = 0;
    until(LIMIT, "each to be told that gave way", || {
        clients.retain_mut(|client| {
            let is_told = client.is_readable() && is_503(client);
            told += u64::from(is_told);
            !is_told
        });
        (told == proxy.gave_way("memory")).then_some(told)
    })
}

fn is_503(client: &mut Peer) -> bool {
    let head = client.read_head().unwrap_or_default();
    assert_eq!(head, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    true
}

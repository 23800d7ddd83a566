//! Connections that are reset wherever they happen to be.

use std::thread;

use super::support::Peer;
use super::support::headsnip::Headsnip;
use super::{ANSWER, Answering, OK, await_descriptors, exchange};

const THREADS: usize = 8;
const CONNECTIONS: usize = 10_000;
const ROUNDS: usize = 5;

/// In bytes, of a round of resets: a leak of 64 bytes each.
const LEAK: usize = 64 * CONNECTIONS / ROUNDS;

/// Sends a part of three requests, reads a part of the answers, and resets.
fn reset(mut client: Peer, turn: usize) {
    let requests = "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".repeat(3);
    // Primes, so that all pairs of places come about.
    let (sent, read) = (turn * 31 % (requests.len() + 1), turn * 17 % (OK.len() + 1));
    let _ = client.try_send(&requests[..sent]);
    if sent == requests.len() {
        let _ = client.read(read);
    }
    client.reset();
}

fn resets(proxy: &Headsnip, count: usize) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                (thread..count).step_by(THREADS).for_each(|turn| reset(proxy.dial(), turn));
            });
        }
    });
}

/// "Bounded", and nothing is left of who has gone.
#[test]
fn ten_thousand_resets_leave_nothing_behind() {
    assert!(ANSWER.len() > OK.len(), "the answer loses a line");
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &[]);
    let mut honest = proxy.dial();
    exchange(&mut honest);
    let idle = proxy.descriptors();
    let memory = (0..=ROUNDS).map(|_| {
        resets(&proxy, CONNECTIONS / ROUNDS);
        await_descriptors(&proxy, idle);
        proxy.anonymous_memory()
    });
    let memory: Vec<usize> = memory.collect();
    println!("own memory {memory:?} bytes, descriptors {idle}");
    // Buffers are kept for later as many as were needed at once; a leak would show in each round.
    let least = memory.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    assert!(least.is_some_and(|least| least < LEAK), "own memory grew in each round: {memory:?}");
    exchange(&mut honest);
}

//! The binary under all that goes wrong at once, at random under a seed: no wrong byte, no denied line, no cut that
//! looks complete, no growth, no request behind one that is not answered or is to be alone, and no failure of a request that nobody
//! spoiled.
//!
//! `SOAK_SECONDS=300 SOAK_SEED=7 cargo test --release --test soak -- --nocapture` takes longer and says what it did.
//! The same seed gives each client the same exchanges; what meets what depends on the machine.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod client;
mod origin;
mod plan;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use plan::Random;
use support::headsnip::{Headsnip, until};

/// More than the process may have open between two soaks: what a pool keeps.
const DESCRIPTORS: usize = 64;

/// What the soak after the warm-up may add to the process's own memory: the pool's 4 MiB of buffers, as they come to be
/// needed, and some to spare.
const MEMORY: usize = 5 * 1024 * 1024;

/// No read or write of the soak waits longer; longer than the proxy does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clients that are idle, beside those that are not: together more than have a place.
const IDLERS: usize = 24;

/// What all threads see: the end, the counts and the first failure.
#[derive(Clone)]
struct Watch {
    state: Arc<Mutex<State>>,
}

struct State {
    end: Instant,
    counts: BTreeMap<String, u64>,
    failure: Option<String>,
}

impl Watch {
    fn new() -> Self {
        let state = State { end: Instant::now(), counts: BTreeMap::new(), failure: None };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("no thread panics with it"))
    }

    fn is_over(&self) -> bool {
        self.with(|state| state.failure.is_some() || Instant::now() > state.end)
    }

    fn fail(&self, failure: String) {
        self.with(|state| {
            state.failure.get_or_insert(failure);
        });
    }

    fn count(&self, what: &str, more: u64) {
        self.with(|state| match state.counts.get_mut(what) {
            Some(count) => *count += more,
            None => drop(state.counts.insert(what.to_owned(), more)),
        });
    }
}

/// "Every byte", "never a clean end to a cut body", "the client's connection outlives the origin's", "bounded".
#[test]
fn all_faults_at_random() {
    let seed = number("SOAK_SEED", 1);
    let duration = Duration::from_secs(number("SOAK_SECONDS", 6));
    println!("SOAK_SEED={seed} SOAK_SECONDS={}", duration.as_secs());
    let watch = Watch::new();
    let flags = ["--exchange-timeout", "4s", "--allow-request-trailers", "a,server", "--max-connections", "24"];
    let proxy = Headsnip::start(&origin::start(&watch), &flags);
    let idle = proxy.descriptors();
    let mut seeds = Random::new(seed);

    soak(&proxy, &watch, &mut seeds, duration / 5);
    let (descriptors, memory) = costs(&proxy, idle);
    soak(&proxy, &watch, &mut seeds, duration * 4 / 5);
    let (descriptors_after, memory_after) = costs(&proxy, idle);

    watch.with(|state| {
        for (what, count) in &state.counts {
            println!("{count:>12} {what}");
        }
    });
    let reused = watch.with(|state| state.counts.contains_key("origin: requests behind others"));
    assert!(reused, "each request went by a connection of its own");
    let counted = |what: &str| watch.with(|state| state.counts.get(what).copied().unwrap_or_default());
    let (gave_way, connections) = (counted(check::GAVE_WAY), counted("connections"));
    assert!(gave_way * 20 <= connections, "{gave_way} of {connections} clients gave way before their first request");
    assert!(counted("idle clients that gave way") > 0, "nobody who was idle gave way");
    println!("descriptors {idle}, {descriptors}, {descriptors_after}; own memory {memory}, {memory_after} bytes");
    assert!(memory_after < memory + MEMORY, "own memory grew from {memory} to {memory_after} bytes");
    proxy.signal("TERM");
    let (status, log) = proxy.wait(support::LIMIT);
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("panicked")), "{log:#?}");
}

/// Lets all clients run for a while.
fn soak(proxy: &Headsnip, watch: &Watch, seeds: &mut Random, duration: Duration) {
    watch.with(|state| state.end = Instant::now() + duration);
    thread::scope(|scope| {
        for _ in 0..number("SOAK_CLIENTS", 8) {
            let (port, seed) = (proxy.port(), seeds.next());
            scope.spawn(move || client::run(port, seed, watch));
        }
        for _ in 0..IDLERS {
            let (port, seed) = (proxy.port(), seeds.next());
            scope.spawn(move || client::idle(port, seed, watch));
        }
    });
    let failure = watch.with(|state| state.failure.take());
    let (seed, log) = (number("SOAK_SEED", 1), proxy.log());
    let last = &log[log.len().saturating_sub(30)..];
    assert!(failure.is_none(), "with SOAK_SEED={seed}: {}\n{last:#?}", failure.unwrap_or_default());
}

/// Descriptors and memory once all connections have ended.
fn costs(proxy: &Headsnip, idle: usize) -> (usize, usize) {
    until(PATIENCE, "the descriptors of all connections to be closed", || {
        let count = proxy.descriptors();
        (count <= idle + DESCRIPTORS).then_some((count, proxy.anonymous_memory()))
    })
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| unreachable!("{name} must be a number, not {text:?}"))
}

//! Origins that read requests otherwise than RFC 9112 does, and what a client must never see whatever they do.
//!
//! Neither the origin's parser nor the client's reader is the core's or the model's: code and model could share a wrong view of the RFC, and what these
//! two make of the wire is the test. The origin is pure, bytes in and actions out, so that the same cases run in memory and over sockets.
//!
//! 1. No head that a client could read holds a denied line, whatever the origin does (invariant 12).
//! 2. No response reaches another request, where the origin misreads nothing but what is not plain, and what it says wrongly it says at once
//!    (invariant 11).

mod answer;
mod case;
mod client;
mod letters;
mod misreading;
mod parser;
mod reader;
mod seeds;
mod server;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

pub use self::answer::Action;
pub use self::case::{Case, Timing};
pub use self::client::Piece;
pub use self::misreading::Misreading;
pub use self::reader::{Asked, Broken};
pub use self::seeds::input;
pub use self::server::{Connection, Server};
use super::Rules;
use super::session::bench::{Bench, Connections, MEMORY, config, replayed};
use super::session::wire::{Far, Hold, Side};
use crate::config::Config;
use crate::net::preamble::PreambleVersion;

/// Puts the real session between the client and the origin of an input, over connections that are only memory.
///
/// # Panics
///
/// If the client is sent what it must never see.
pub fn origin(input: &[u8]) {
    let case = Case::of(input);
    let received = relayed(&case);
    let broken: Vec<_> = case.broken(&received, Timing::Sure).iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{}\nof {}", broken.join("\n"), received.escape_ascii());
}

/// The configurations of all cases: for each set of the letters that tell the rules, and each way for a connection to the origin to begin.
static CONFIGS: LazyLock<Vec<(Rules, Config)>> = LazyLock::new(|| {
    let letters = b"bnldax";
    let settings = (0..1_usize << letters.len()).map(|set| {
        letters.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0).map(|(_, letter)| *letter).collect()
    });
    let rules = settings.map(|setting: Vec<u8>| Case::of(&setting).rules);
    let begun = |rules: Rules| {
        [None, Some(PreambleVersion::V1), Some(PreambleVersion::V2)]
            .map(|send_proxy| (rules.clone(), Config { send_proxy, ..config(&rules) }))
    };
    rules.flat_map(begun).collect()
});

fn configured(case: &Case) -> &'static Config {
    let is_it = |(rules, config): &&(Rules, Config)| *rules == case.rules && config.send_proxy == case.send_proxy;
    &CONFIGS.iter().find(is_it).expect("the letters are all that tell the rules").1
}

/// What the client of a case is sent by the real session, over connections that are only memory.
#[must_use]
pub fn relayed(case: &Case) -> Vec<u8> {
    let bench = run(case);
    let client = bench.client.borrow();
    client.received.clone()
}

/// What is said on each origin connection in the case of an input.
pub(super) fn connections(input: &[u8]) -> Connections {
    replayed(|| run(&Case::of(input)))
}

fn run(case: &Case) -> Bench {
    let mut run = Run { bench: Bench::with(configured(case), MEMORY), server: case.server.clone(), heard: Vec::new() };
    run.bench.change(|far| (far.most, far.stutters) = (case.at_most, case.stutters));
    for piece in &case.pieces {
        match piece {
            Piece::Bytes(bytes) => run.bench.happen(bytes.len(), |bench| bench.client.borrow_mut().send(bytes)),
            Piece::Await(count) if case.answered(&run.bench.client.borrow().received) < *count => break,
            Piece::Await(_) | Piece::Turn => {}
            Piece::Fin => run.bench.happen(0, |bench| bench.client.borrow_mut().end(Side::Finished)),
            Piece::Reset => run.bench.happen(0, |bench| bench.client.borrow_mut().end(Side::Reset)),
        }
        run.react();
    }
    run.bench.finish();
    run.bench
}

/// A session, and an origin that hears what comes on each connection.
struct Run {
    bench: Bench,
    server: Server,
    /// The origin's connections, and how much of what came there it has heard.
    heard: Vec<(Connection, usize)>,
}

impl Run {
    /// Has the origin do what it does, until nothing moves.
    fn react(&mut self) {
        while self.has_moved() {}
    }

    fn has_moved(&mut self) -> bool {
        let mut has_moved = false;
        let origins: Vec<Rc<RefCell<Far>>> = self.bench.worker.upstream.origins.borrow().clone();
        self.heard.resize_with(origins.len(), Default::default);
        for (far, (connection, heard)) in origins.iter().zip(&mut self.heard) {
            let (bytes, seen) = (far.borrow().received[*heard..].to_vec(), far.borrow().seen);
            *heard += bytes.len();
            self.server.hear(connection, &bytes);
            if seen != Side::Open {
                connection.hear_end();
            }
            for action in connection.act() {
                has_moved = true;
                let is_mute = far.borrow().sending != Side::Open || far.borrow().hold == Hold::Closed;
                let size = if let Action::Say(bytes) = &action { bytes.len() } else { 0 };
                self.bench.happen(size, |_| match action {
                    Action::Turn | Action::More => {}
                    _ if is_mute => {}
                    Action::Say(bytes) => far.borrow_mut().send(&bytes),
                    Action::Fin => far.borrow_mut().end(Side::Finished),
                    Action::Reset => far.borrow_mut().end(Side::Reset),
                });
            }
        }
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_origins_do_no_harm() {
        (0..3_000).for_each(|seed| origin(&input(seed)));
    }

    /// The cases reach what they are about: most requests are answered, and in many cases all.
    #[test]
    fn requests_are_answered() {
        let (mut asked, mut answered, mut whole) = (0, 0, 0);
        for seed in 0..1_000 {
            let case = Case::of(&input(seed));
            let count = case.answered(&relayed(&case));
            asked += case.asked.len();
            answered += count;
            whole += usize::from(count == case.asked.len());
        }
        assert!(answered * 2 > asked && whole > 250, "{answered} of {asked} are answered, and all in {whole} cases");
    }
}

//! How far the inputs of the fuzz targets come that are messages: the files of their corpora, and those that are drawn, sound but for a twist. `docs/developing.md`
//! has the numbers that this prints.

use std::fs;
use std::path::Path;

use headsnip::testing::generate::{Reached, Target, input, reached};

/// How many inputs are drawn for each target.
const DRAWN: u64 = 2_000;

/// How many of some inputs come so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: usize,
    request: usize,
    response: usize,
    reuse: usize,
    replay: usize,
    unseen: usize,
    splice: usize,
}

impl Counts {
    fn of(target: Target, inputs: impl Iterator<Item = Vec<u8>>) -> Self {
        inputs.map(|input| reached(target, &input)).fold(Self::default(), Self::with)
    }

    fn with(self, input: Reached) -> Self {
        Self {
            all: self.all + 1,
            request: self.request + usize::from(input.request),
            response: self.response + usize::from(input.response),
            reuse: self.reuse + usize::from(input.reuse),
            replay: self.replay + usize::from(input.replay),
            unseen: self.unseen + usize::from(input.unseen),
            splice: self.splice + usize::from(input.splice),
        }
    }

    fn print(self, what: &str) {
        let Self { all, request, response, reuse, replay, unseen, splice } = self;
        println!("| {what} | {all} | {request} | {response} | {reuse} | {replay} | {unseen} | {splice} |");
    }
}

/// The corpus of a target, and what is drawn for it, of which at least half comes to a response, and so many of a hundred to a reuse.
fn of(target: Target, name: &str, least_reuse: usize) -> Counts {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(folder).expect("the corpus is there").map(|entry| entry.expect("an entry").path());
    let corpus = Counts::of(target, files.map(|path| fs::read(path).expect("a file")));
    let drawn = Counts::of(target, (0..DRAWN).map(|seed| input(target, seed)));
    corpus.print(&format!("`{name}`, the corpus"));
    drawn.print(&format!("`{name}`, drawn"));
    assert!(drawn.response * 2 > drawn.all && drawn.reuse * 100 > drawn.all * least_reuse, "{name}: {drawn:?}");
    drawn
}

#[test]
fn what_is_drawn_for_requests_comes_to_a_reuse() {
    of(Target::Request, "request", 40);
}

#[test]
fn what_is_drawn_for_responses_comes_to_a_reuse() {
    of(Target::Response, "response", 30);
}

#[test]
fn what_is_drawn_for_sessions_comes_to_replays_and_long_bodies() {
    let drawn = of(Target::Session, "session", 40);
    assert!(drawn.replay * 20 > drawn.all && drawn.splice * 20 > drawn.all, "{drawn:?}");
}

#[test]
fn what_is_drawn_for_origins_comes_to_a_reuse() {
    of(Target::Origin, "origin", 15);
}

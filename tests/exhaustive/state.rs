//! The state of the core as a text by which two states are told apart, and the sets of states that were met.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::hash::Hash;

use headsnip::http1::Exchange;

/// All that an exchange remembers, as its `Debug` says it: two that say the same do the same from then on. Its policy is left out, which
/// does not change.
pub(crate) fn text(exchange: &Exchange<'_>) -> String {
    let mut text = String::with_capacity(1024);
    write!(text, "{exchange:?}").expect("a text takes all");
    let state = text.find("requests: ").expect("the state stands behind the policy");
    text.split_off(state)
}

/// The same with each number behind these words put into a class.
pub(crate) fn with_classes(text: &str, words: &[&str], class: impl Fn(&str, u64) -> String) -> String {
    let mut put = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let places = words.iter().filter_map(|word| Some((rest.find(word)?, *word)));
        let Some((at, word)) = places.min() else { return put + rest };
        let (before, behind) = rest.split_at(at + word.len());
        put.push_str(before);
        let end = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        if let Ok(number) = behind[..end].parse() {
            put.push_str(&class(word, number));
        }
        rest = &behind[end..];
    }
}

/// States that were met, and those of them whose edges were not walked yet: breadth first.
pub(crate) struct Frontier<K, S> {
    met: HashSet<K>,
    waiting: VecDeque<S>,
    most: usize,
}

impl<K: Hash + Eq, S> Frontier<K, S> {
    /// None, and room for so many: if there are more, a number was not put into classes.
    pub(crate) fn new(most: usize) -> Self {
        Self { met: HashSet::new(), waiting: VecDeque::new(), most }
    }

    /// Adds a state, unless one with this key was met before.
    pub(crate) fn meet(&mut self, key: K, state: S) {
        if self.met.insert(key) {
            self.waiting.push_back(state);
        }
        assert!(self.met.len() <= self.most, "over {} states: the exploration does not close", self.most);
    }

    pub(crate) fn next(&mut self) -> Option<S> {
        self.waiting.pop_front()
    }

    pub(crate) fn count(&self) -> usize {
        self.met.len()
    }
}

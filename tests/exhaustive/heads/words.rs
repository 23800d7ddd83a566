//! The sections that are shown: ways to each state of the table, words behind them, and endings that tell all states apart.

use std::collections::{BTreeSet, HashMap};

use super::ROOM;
use super::reader::{Read, Reader};
use super::table::Form;
use crate::state::Frontier;

/// One byte of each kind, as far as the table tells them apart.
pub(super) const KINDS: [u8; 18] = *b"\r\n \t:(a\x00\x7f\x80HTP/.012";

/// Each state of the table, with a shortest section that leads there.
pub(super) fn states(form: Form) -> Vec<(Reader, Vec<u8>)> {
    let mut frontier = Frontier::new(1_000);
    let mut states = Vec::new();
    let start = Reader::new(form);
    frontier.meet(start.state, (start, Vec::new()));
    while let Some((reader, way)) = frontier.next() {
        for byte in KINDS {
            let mut next = reader.clone();
            if next.read(byte, ROOM) == Read::More {
                frontier.meet(next.state, (next, [&way[..], &[byte]].concat()));
            }
        }
        states.push((reader, way));
    }
    states
}

/// What a reader says to each of some bytes, up to the end of the section.
fn answers(reader: &Reader, bytes: &[u8]) -> Vec<Read> {
    let mut reader = reader.clone();
    let mut answers = Vec::new();
    for byte in bytes {
        let read = reader.read(*byte, ROOM);
        let is_over = matches!(read, Read::Whole | Read::Breaks(_));
        answers.push(read);
        if is_over {
            break;
        }
    }
    answers
}

/// Endings by which all states of the table are told apart that differ.
pub(super) fn endings(states: &[(Reader, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut endings: Vec<Vec<u8>> = vec![b"\r\n\r\n".to_vec()];
    loop {
        // The first state of each group that no ending divides, and each other of it.
        let mut firsts: HashMap<Vec<Vec<Read>>, &Reader> = HashMap::new();
        let mut pairs = Vec::new();
        for (reader, _) in states {
            let all = endings.iter().map(|ending| answers(reader, ending)).collect();
            let first = firsts.entry(all).or_insert(reader);
            pairs.push((*first, reader));
        }
        match pairs.into_iter().filter_map(|(one, other)| telling_apart(one, other)).min_by_key(Vec::len) {
            Some(ending) => endings.push(ending),
            None => return endings,
        }
    }
}

/// A shortest ending by which two states are told apart. `None`: they do not differ.
fn telling_apart(one: &Reader, other: &Reader) -> Option<Vec<u8>> {
    let mut frontier = Frontier::new(100_000);
    frontier.meet((one.state, other.state), (one.clone(), other.clone(), Vec::new()));
    while let Some((one, other, way)) = frontier.next() {
        for byte in KINDS {
            let (mut one, mut other) = (one.clone(), other.clone());
            let way = [&way[..], &[byte]].concat();
            let (read, by_other) = (one.read(byte, ROOM), other.read(byte, ROOM));
            if read != by_other {
                return Some(way);
            }
            if read == Read::More {
                frontier.meet((one.state, other.state), (one, other, way));
            }
        }
    }
    None
}

/// The words that stand between a state and an ending: those of up to two kinds of bytes, and each byte.
pub(super) fn words() -> BTreeSet<Vec<u8>> {
    let none = std::iter::once(Vec::new());
    let each = (0..=u8::MAX).map(|byte| vec![byte]);
    let two = KINDS.iter().flat_map(|first| KINDS.iter().map(move |second| vec![*first, *second]));
    none.chain(each).chain(two).collect()
}

//! The table of a line, walked to closure once, so that a step is a look into an array; and the endings that tell its states apart.

use std::collections::HashMap;

use headsnip::testing::preamble::Read;

use super::table::{MOST, Place, Then, then, told};

/// What follows: another state, by its number, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Next {
    To(usize),
    Whole,
    Refused,
}

pub(super) struct Automaton {
    /// What follows each state on each byte.
    next: Vec<[Next; 256]>,
    /// A shortest way to each state.
    pub(super) ways: Vec<Vec<u8>>,
    /// One byte of each kind, as far as the table tells them apart.
    pub(super) kinds: Vec<u8>,
}

impl Automaton {
    pub(super) fn new() -> Self {
        let start = Place::Protocol(1);
        let mut numbers = HashMap::from([(start, 0)]);
        let mut places = vec![start];
        let mut automaton = Self { next: Vec::new(), ways: vec![b"P".to_vec()], kinds: Vec::new() };
        while let Some(place) = places.get(automaton.next.len()).copied() {
            let way = automaton.ways[automaton.next.len()].clone();
            let row = (0..=u8::MAX).map(|byte| match then(place, byte) {
                Then::Whole => Next::Whole,
                Then::Refused => Next::Refused,
                Then::Goes(to) => Next::To(*numbers.entry(to).or_insert_with(|| {
                    places.push(to);
                    automaton.ways.push([&way[..], &[byte]].concat());
                    places.len() - 1
                })),
            });
            let row: Vec<Next> = row.collect();
            automaton.next.push(row.try_into().expect("256 bytes"));
        }
        let column = |byte: u8| automaton.next.iter().map(|row| row[usize::from(byte)]).collect::<Vec<_>>();
        let mut columns = HashMap::new();
        for byte in 0..=u8::MAX {
            columns.entry(column(byte)).or_insert(byte);
        }
        automaton.kinds = columns.into_values().collect();
        automaton.kinds.sort_unstable();
        automaton
    }

    /// The state behind one more byte. `None`: the line has ended.
    pub(super) fn step(&self, state: usize, byte: u8) -> Option<usize> {
        match self.next[state][usize::from(byte)] {
            Next::To(state) => Some(state),
            Next::Whole | Next::Refused => None,
        }
    }

    /// What the table makes of bytes, of which the last ones may stand behind the line; and of how many it makes that.
    pub(super) fn read(&self, bytes: &[u8]) -> (usize, Read) {
        let mut state = 0;
        for (at, byte) in bytes.iter().enumerate().take(MOST).skip(1) {
            match self.next[state][usize::from(*byte)] {
                Next::To(next) => state = next,
                Next::Whole => return (at + 1, Read::Whole(at + 1, told(&bytes[..=at]))),
                Next::Refused => return (at + 1, Read::Refused),
            }
        }
        if bytes.len() < MOST { (bytes.len(), Read::Partial) } else { (MOST, Read::Refused) }
    }

    /// How an ending is taken in a state, whatever the length: at which byte the line ends, and how.
    fn answer(&self, mut state: usize, ending: &[u8]) -> Option<(usize, Next)> {
        for (at, byte) in ending.iter().enumerate() {
            match self.next[state][usize::from(*byte)] {
                Next::To(next) => state = next,
                over @ (Next::Whole | Next::Refused) => return Some((at, over)),
            }
        }
        None
    }

    /// Endings by which all states are told apart that differ: as long as two that no ending tells apart differ in a byte, or in what follows it, there
    /// is one more, of that byte and what tells those apart (Moore, 1956).
    pub(super) fn endings(&self) -> Vec<Vec<u8>> {
        let mut endings: Vec<Vec<u8>> = Vec::new();
        let mut classes = vec![0; self.next.len()];
        loop {
            let mut firsts = HashMap::new();
            let differing = (0..self.next.len()).find_map(|state| {
                let first = *firsts.entry(classes[state]).or_insert(state);
                self.kinds.iter().find_map(|byte| {
                    match [first, state].map(|state| self.next[state][usize::from(*byte)]) {
                        [Next::To(one), Next::To(other)] if classes[one] == classes[other] => None,
                        [Next::To(one), Next::To(other)] => {
                            let ending =
                                endings.iter().find(|ending| self.answer(one, ending) != self.answer(other, ending))?;
                            Some([&[*byte], &ending[..]].concat())
                        }
                        [one, other] => (one != other).then(|| vec![*byte]),
                    }
                })
            });
            let Some(ending) = differing else { return endings };
            let mut numbers = HashMap::new();
            let refined = classes.iter().enumerate().map(|(state, class)| {
                let count = numbers.len();
                *numbers.entry((*class, self.answer(state, &ending))).or_insert(count)
            });
            classes = refined.collect();
            endings.push(ending);
        }
    }

    /// For each state, the first of these endings behind which the line is whole; where there is none, its end alone.
    pub(super) fn completions<'e>(&self, endings: &'e [Vec<u8>]) -> Vec<&'e [u8]> {
        let is_whole = |state, ending: &[u8]| matches!(self.answer(state, ending), Some((_, Next::Whole)));
        let completion =
            |state| endings.iter().find(|ending| is_whole(state, ending)).map_or(&b"\r\n"[..], Vec::as_slice);
        (0..self.next.len()).map(completion).collect()
    }
}

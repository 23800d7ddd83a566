//! The reader of PROXY protocol preambles beside tables of its specification's sections 2.1 and 2.2: what is one, where it ends, and what it tells.
//!
//! The reader keeps nothing between two looks: what it makes of bytes it makes of all of them. So its states are not to be seen, and it is held
//! to the tables by what it says of each section's bytes, as `heads` does it.
//!
//! **The first version.** A state is the place in the line. Numbers are put into classes that lose nothing, since the table asks for no more:
//!
//! - *An octet, a port*: whether its digits are the limit's own so far, or else how many more it may have. A leading zero may have none.
//! - *A group of an address of IPv6*: how many digits it has; and if it may be the first number of an address of IPv4, the same of that.
//! - *Groups*: how many are over, and whether `::` was read. Behind a dot, it is the place in an address of IPv4 alone.
//! - *The length* is exact.
//!
//! What is shown: to each place by a shortest way, then each kind of byte (where words are read, each of the 256), then each of the endings that tell all
//! places apart (Chow, 1978; Vasilevskii, 1973), and those of all words. So if the reader has no more states than the table while a line is below the
//! limit, it is the table. One that remembers more, such as how the first address was written, might differ where none of this looks. Two more
//! assumptions are tried as far as that is possible: that bytes of one kind are alike (each of the 256 at each place, and behind it what makes the line
//! whole from there, or from where any byte leads), and that length counts apart from all else (each place at each length at which
//! it can be, with each byte, each kind of byte with what makes the line whole, and with bytes up to the limit). What a line tells is compared whenever it
//! is whole, with numbers by the table's own arithmetic: so each digit at each place counts.
//!
//! **The second version.** A state is the place in the 16 fixed bytes, with what the command and the family make of the block: six kinds. All lengths
//! stand for themselves, with each kind. At the command and at the family, each byte is shown with lengths around those that tell kinds
//! apart. Of a block, each byte of addresses has each value; the rest is assumed not to be looked at, and has three patterns. How much of a block has
//! come is 0 to all where it is short, and all but one or two where it is long.

mod automaton;
mod second;
mod table;

use std::collections::BTreeSet;

use headsnip::testing::preamble::read;

use self::automaton::Automaton;
use self::table::MOST;
use super::found::Found;
use super::state::Frontier;

/// Sound lines: of the most digits, of both forms of IPv4 within IPv6, without `::`, and with it everywhere.
const LINES: [&[u8]; 5] = [
    b"PROXY TCP4 203.0.113.249 198.51.100.255 65535 50018\r\n",
    b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:c633:6407 1 2\r\n",
    b"PROXY TCP6 1234:5678:9abc:def0:FEDC:BA98:7654:3210 2001:db8::1 65534 60000\r\n",
    b"PROXY TCP6 1:2:3:4:5:6:203.0.113.7 8:9::a:198.51.100.255 10 9\r\n",
    b"PROXY TCP6 :: 1:2:3:4:5:6:7:: 0 0\r\n",
];

/// More states than this, and a number was not put into a class.
const MOST_STATES: usize = 20_000;

/// `PROXY UNKNOWN`.
const LONGEST_WORDS: usize = 13;

struct Line {
    automaton: Automaton,
    /// How much was shown.
    shown: usize,
}

impl Line {
    /// Holds that the reader makes of bytes what the table makes of them. Tells how many of them make the difference.
    fn agrees(&mut self, parts: &[&[u8]]) -> usize {
        let bytes = parts.concat();
        let (length, expected) = self.automaton.read(&bytes);
        assert_eq!(read(&bytes), expected, "{}", bytes.escape_ascii());
        self.shown += 1;
        length
    }

    /// Each place, each kind of byte there, and each ending behind that; where words are read, each byte.
    fn places_are_the_tables(&mut self, endings: &[Vec<u8>]) {
        let (kinds, all) = (self.automaton.kinds.clone(), (0..=u8::MAX).collect::<Vec<_>>());
        for state in 0..self.automaton.ways.len() {
            let way = self.automaton.ways[state].clone();
            let bytes = if way.len() <= LONGEST_WORDS { &all } else { &kinds };
            for ending in endings {
                let length = self.agrees(&[&way, ending]);
                for end in 0..length - way.len() {
                    self.agrees(&[&way, &ending[..end]]);
                }
                for byte in bytes {
                    let length = self.agrees(&[&way, &[*byte], ending]);
                    assert!(length < MOST, "no limit counts here");
                }
            }
        }
    }

    /// Each byte at each place, and behind it what makes the line whole from there, or from where any byte leads.
    fn bytes_are_of_their_kinds(&mut self, completions: &[&[u8]]) {
        for state in 0..self.automaton.ways.len() {
            let way = self.automaton.ways[state].clone();
            let near = (0..=u8::MAX).filter_map(|byte| self.automaton.step(state, byte)).chain([state]);
            let near: BTreeSet<&[u8]> = near.map(|state| completions[state]).collect();
            for (byte, ending) in (0..=u8::MAX).flat_map(|byte| near.iter().map(move |ending| (byte, ending))) {
                self.agrees(&[&way, &[byte], ending]);
            }
        }
    }

    /// Each place at each length, with each byte. Tells how many there are.
    fn length_counts_at_the_limit_alone(&mut self, completions: &[&[u8]]) -> usize {
        let mut frontier = Frontier::new(MOST_STATES);
        frontier.meet((0, 1), (0, self.automaton.ways[0].clone()));
        while let Some((state, way)) = frontier.next() {
            for length in [MOST - 1, MOST] {
                self.agrees(&[&way, &vec![b'~'; length - way.len()]]);
            }
            for byte in 0..=u8::MAX {
                self.agrees(&[&way, &[byte]]);
                let next = self.automaton.step(state, byte).filter(|_| way.len() + 1 < MOST);
                let Some(next) = next.filter(|_| self.automaton.kinds.contains(&byte)) else { continue };
                self.agrees(&[&way, &[byte], completions[next]]);
                frontier.meet((next, way.len() + 1), (next, [&way[..], &[byte]].concat()));
            }
        }
        frontier.count()
    }

    /// Each byte in the place of each other.
    fn whole_lines_tell_the_same(&mut self) {
        for line in LINES {
            assert_eq!(self.agrees(&[line]), line.len());
            for (at, byte) in (1..line.len()).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                self.agrees(&[&line[..at], &[byte], &line[at + 1..], b"GET"]);
            }
        }
    }
}

#[test]
fn preambles_of_the_first_version_agree_with_the_table() {
    let mut line = Line { automaton: Automaton::new(), shown: 0 };
    let mut endings = line.automaton.endings();
    // One word may begin as one and go on as another.
    let sound = [&b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"[..], b"PROXY TCP6 :: :: 0 0\r\n", b"PROXY UNKNOWN\r\n"];
    endings.extend(sound.iter().flat_map(|line| (1..LONGEST_WORDS).map(|from| line[from..].to_vec())));
    let completions = line.automaton.completions(&endings);
    line.places_are_the_tables(&endings);
    line.bytes_are_of_their_kinds(&completions);
    line.whole_lines_tell_the_same();
    let states = line.length_counts_at_the_limit_alone(&completions);
    Found { states, transitions: line.shown }.is_what_the_page_says("PROXY preambles, version 1");
}

#[test]
fn preambles_of_the_second_version_agree_with_the_table() {
    second::explore().is_what_the_page_says("PROXY preambles, version 2");
}

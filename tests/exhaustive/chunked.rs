//! The scanner of the chunked coding beside the table of RFC 9112 §7.1: every state that can be reached, with each of the 256 bytes.
//!
//! The states are pairs of one of the table's reader and one of the core's, so where no pair is left whose edges were not walked, the two agree on
//! inputs of any length. Three numbers are not finite, or too many, and are put into classes:
//!
//! - *A size that is read*: how many digits were read, how many of them count (leading zeros do not), and whether the first that counts is over 7. The
//!   next class follows from this one and the next digit, since 2^63 − 1 is sixteen digits of which the first is 7; and whether a size is 0 follows
//!   too. So classes lose nothing. That the number is the right one is asked at each digit, by ending the line behind it.
//! - *What is left of chunk data*: 0, 1, 2 or more. From each class the edges lead to each class below it, whatever the number was.
//! - *The bytes of extensions*: each by itself where there are fewer than two or the limit is within two; those between are one class. The scanner asks of
//!   the count only whether it is the limit. The states at the limit are reached by repeating a byte that does not change the place.
//!
//! What the scanner holds back it must not look at again: it is shown other bytes in their place.

mod table;

use headsnip::http1::{Direction, Edits, Exchange, Mark, Policy, Run, Verdict, Violation};

use self::table::{MOST_EXTENSION, Place, Reader};
use super::found::Found;
use super::state::{Frontier, text, with_classes};

/// More states than this, and a number was not put into a class.
const MOST_STATES: usize = 20_000;

/// In place of bytes that are held back.
const NOTHING: u8 = 0xFF;

/// One byte of each kind.
const KINDS: [u8; 16] = *b"0179ag\r\n \t;=\"\\(\x80";

/// What the core made of bytes: how many it took, and what stopped it.
type Taken = (usize, Result<(), Violation>);

/// The core within a chunked body.
#[derive(Clone)]
struct Core<'p> {
    exchange: Exchange<'p>,
    direction: Direction,
    /// Bytes held back.
    held: usize,
}

impl<'p> Core<'p> {
    fn new(policy: &'p Policy, direction: Direction) -> Self {
        let mut exchange = Exchange::new(policy);
        let mut edits = Edits::default();
        let mut show = |direction, head: &[u8]| {
            let verdict = exchange.judge(direction, head, &mut edits);
            assert!(matches!(verdict, Ok(Verdict::Head(length)) if length.get() == head.len()), "{verdict:?}");
        };
        match direction {
            Direction::Inbound => {
                show(direction, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            }
            Direction::Outbound => {
                show(Direction::Inbound, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                show(direction, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            }
        }
        Self { exchange, direction, held: 0 }
    }

    /// Shows bytes behind those held back, until the core wants more.
    fn show(&mut self, bytes: &[u8]) -> Taken {
        let mut shown = vec![NOTHING; self.held];
        shown.extend_from_slice(bytes);
        let mut taken = 0;
        let result = loop {
            match self.exchange.judge(self.direction, &shown[taken..], &mut Edits::default()) {
                Ok(Verdict::NeedMore) => break Ok(()),
                Ok(Verdict::Keep(count)) => taken += count.get(),
                Ok(Verdict::Pass(Run::Exactly(left))) => {
                    let count = (shown.len() - taken).min(usize::try_from(left.get()).expect("64 bits"));
                    if count == 0 {
                        break Ok(());
                    }
                    taken += count;
                    self.exchange.passed(self.direction, u64::try_from(count).expect("64 bits"));
                }
                Ok(verdict) => unreachable!("{verdict:?}"),
                Err(fault) => break Err(fault.violation),
            }
        };
        self.held = shown.len() - taken;
        (taken, result)
    }

    /// What is left of the chunk data that it is in. 0: it is in none.
    fn data_left(&mut self) -> u64 {
        match self.exchange.judge(self.direction, &vec![NOTHING; self.held], &mut Edits::default()) {
            Ok(Verdict::Pass(Run::Exactly(left))) => left.get(),
            Ok(Verdict::NeedMore) => 0,
            other => unreachable!("{other:?}"),
        }
    }

    /// Its state, with classes for numbers. Bytes held are counted by who shows them.
    fn key(&self) -> String {
        let text = text(&self.exchange);
        let is_size = text.contains("place: Size(");
        let words =
            ["size: ", "held: ", "Extension(AfterSize, ", "Extension(BeforeSemicolon, ", "Extension(BeforeName, "];
        let others = ["Name, ", "AfterName, ", "BeforeValue, ", "Token, ", "Quoted, ", "QuotedPair, ", "AfterQuoted, "];
        with_classes(&text, &[&words[..], &others].concat(), |word, number| match word {
            "size: " if is_size => size_class(number.into()),
            "size: " => number.min(3).to_string(),
            "held: " => String::new(),
            _ => extension_class(number.try_into().expect("a small number")),
        })
    }
}

fn size_class(size: u128) -> String {
    let digits = if size == 0 { 0 } else { size.ilog2() / 4 + 1 };
    let is_over_7 = size != 0 && size >> (4 * (digits - 1)) > 7;
    format!("{digits} {is_over_7}")
}

fn extension_class(length: u16) -> String {
    if (2..MOST_EXTENSION - 2).contains(&length) { "some".to_owned() } else { length.to_string() }
}

/// A state of both.
#[derive(Clone)]
struct Pair<'p> {
    reader: Reader,
    core: Core<'p>,
}

impl Pair<'_> {
    fn key(&self) -> (Place, String, u8, String, bool, String) {
        let Reader { place, size, digits, extension, is_extended, .. } = self.reader.clone();
        let size = if place == Place::Size { size_class(size) } else { size.min(3).to_string() };
        (place, size, digits, extension_class(extension), is_extended, self.core.key())
    }

    /// Shows both a byte. They agree on what it breaks, or on what goes on. False: it broke a rule.
    fn step(&mut self, byte: u8) -> bool {
        let before = self.core.held;
        let read = self.reader.read(byte);
        let (taken, result) = self.core.show(&[byte]);
        let at = || format!("{byte:?} at {:?}", self.reader);
        assert_eq!(result.map_err(Violation::name), read, "{}", at());
        let goes = if read.is_err() || self.reader.may_be_last() { 0 } else { before + 1 };
        assert_eq!(taken, goes, "what goes on: {}", at());
        read.is_ok()
    }

    /// The size read is the one that was written.
    fn size_is_right(&self) {
        let mut core = self.core.clone();
        assert_eq!(core.show(b"\r\n").1, Ok(()));
        assert_eq!(u128::from(core.data_left()), self.reader.size, "{:?}", self.reader);
    }

    /// Behind the last chunk's line, an empty trailer section is whole, and goes on with the line. Then the exchange is plain or is not.
    fn ends(&self) {
        let Core { mut exchange, direction, held } = self.core.clone();
        let line = [vec![NOTHING; held], b"\r\n".to_vec()].concat();
        let verdict = exchange.judge(direction, &line, &mut Edits::default());
        assert!(matches!(verdict, Ok(Verdict::Head(length)) if length.get() == held + 2), "{verdict:?}");
        if direction == Direction::Inbound {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            exchange.judge(Direction::Outbound, answer, &mut Edits::default()).expect("it is sound");
            assert_eq!(exchange.spent(), self.reader.is_extended.then_some(Mark::ChunkExtension));
        }
    }

    /// Two bytes of any kinds do the same whether they come together or not.
    fn cuts_do_not_matter(&self) -> usize {
        for (first, second) in KINDS.iter().flat_map(|first| KINDS.iter().map(move |second| (*first, *second))) {
            let (mut whole, mut cut) = (self.core.clone(), self.core.clone());
            let (taken, result) = whole.show(&[first, second]);
            let mut in_pieces = cut.show(&[first]);
            if in_pieces.1.is_ok() {
                let (more, result) = cut.show(&[second]);
                in_pieces = (in_pieces.0 + more, result);
            }
            assert_eq!((taken, result), in_pieces, "{first:?} {second:?} at {:?}", self.reader);
            assert!(result.is_err() || text(&whole.exchange) == text(&cut.exchange), "{:?}", self.reader);
        }
        KINDS.len() * KINDS.len()
    }
}

/// Walks all edges of all states.
fn explore(direction: Direction) -> Found {
    let policy = Policy::default();
    let mut frontier = Frontier::new(MOST_STATES);
    let start = Pair { reader: Reader::new(direction), core: Core::new(&policy, direction) };
    frontier.meet(start.key(), start);
    let mut transitions = 0;
    while let Some(pair) = frontier.next() {
        let place = pair.reader.place;
        if place == Place::Last {
            pair.ends();
            continue;
        }
        let mut repeats = None;
        for byte in 0..=u8::MAX {
            let mut next = pair.clone();
            transitions += 1;
            if next.step(byte) {
                if next.reader.place == Place::Size {
                    next.size_is_right();
                }
                repeats = repeats.or((next.reader.place == place).then_some(byte));
                frontier.meet(next.key(), next);
            }
        }
        if place == Place::Data {
            assert_eq!(pair.reader.size, pair.core.clone().data_left().into());
            for left in 0..pair.reader.size.min(3) {
                let count = u64::try_from(pair.reader.size - left).expect("at most 2^63 - 1");
                let mut next = pair.clone();
                next.reader.skip(count);
                next.core.exchange.passed(direction, count);
                transitions += 1;
                frontier.meet(next.key(), next);
            }
        }
        let is_amid = pair.reader.is_in_extension() && extension_class(pair.reader.extension) == "some";
        if let Some(byte) = repeats.filter(|_| is_amid) {
            let mut next = pair.clone();
            while next.reader.extension < MOST_EXTENSION - 2 {
                assert!(next.step(byte));
            }
            transitions += 1;
            frontier.meet(next.key(), next);
        }
        transitions += pair.cuts_do_not_matter();
    }
    Found { states: frontier.count(), transitions }
}

#[test]
fn requests_agree_with_the_table() {
    explore(Direction::Inbound).is_what_the_page_says("the chunked coding of requests");
}

#[test]
fn responses_agree_with_the_table() {
    explore(Direction::Outbound).is_what_the_page_says("the chunked coding of responses");
}

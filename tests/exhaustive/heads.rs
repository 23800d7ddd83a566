//! The grammar of heads and trailer sections beside a table of RFC 9112 and RFC 9110: what is sound, where it ends, what of it goes on, and which
//! rule is the first that is broken.
//!
//! The scanner keeps positions, and looks back at a line once its LF has come; so what it remembers is the line itself, and its states are not
//! finite. The table's are. Hence the method by which a program is held to be an automaton without a look inside (Chow, 1978; Vasilevskii, 1973):
//! to each state of the table by a shortest way, then each word of up to two kinds of bytes, or each of the 256 bytes, then each of a set of endings
//! that tell all states apart. If the core passes all of them, then it is the table, unless it has at least two states more than the table has.
//!
//! Each such section is shown whole, where most are read by httparse or another quick way, and byte by byte, where the scanner walks. Ways that
//! look at many bytes at once have more states, by where a byte stands among those: so sections are also shown with one byte repeated 0 to 64 times. And
//! each is shown under limits of its own length and one around.

mod reader;
mod table;
mod words;

use headsnip::http1::{Direction, Edits, Exchange, Policy, Verdict};

use self::reader::{MOST_LINES, Read, Reader, State};
use self::table::Form;
use self::words::{KINDS, endings, states, words};
use super::found::Found;

/// Longer than any section here.
const ROOM: usize = 200;

/// As many of a byte as the widest instructions look at at once.
const MOST_MORE: usize = 64;

/// What becomes of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is not whole, and so far sound.
    Open,
    /// It is, and this goes on of it.
    Whole(Vec<u8>),
    Breaks(&'static str),
}

/// What the table says of bytes behind those that a reader has read, of a section of at most so many; and before how many of them that is not known.
fn expected(reader: &Reader, rest: &[u8], most: usize) -> (usize, Outcome) {
    let mut reader = reader.clone();
    for (at, byte) in rest.iter().enumerate() {
        match reader.read(*byte, most) {
            Read::More | Read::EmptyLine => {}
            Read::Whole => return (at, Outcome::Whole(reader.goes_on)),
            Read::Breaks(rule) => return (at, Outcome::Breaks(rule)),
        }
    }
    (rest.len(), Outcome::Open)
}

/// The core before a section, and what of the section it was shown and has not withheld.
#[derive(Clone)]
struct Core<'p> {
    exchange: Exchange<'p>,
    form: Form,
    shown: Vec<u8>,
}

/// The line of the last chunk, before a trailer section.
const LAST_CHUNK: &[u8] = b"0\r\n";

impl<'p> Core<'p> {
    fn new(policy: &'p Policy, form: Form) -> Self {
        let mut core = Self { exchange: Exchange::new(policy), form, shown: Vec::new() };
        let mut edits = Edits::default();
        let mut judge = |direction, head: &[u8]| core.exchange.judge(direction, head, &mut edits).expect("it is sound");
        match form {
            Form::Request => {}
            Form::Response | Form::LooseResponse => {
                judge(Direction::Inbound, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            Form::RequestTrailer => {
                judge(Direction::Inbound, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            }
            Form::ResponseTrailer => {
                judge(Direction::Inbound, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                judge(Direction::Outbound, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            }
        }
        if form.is_behind_a_chunk() {
            core.shown.extend_from_slice(LAST_CHUNK);
        }
        core
    }

    /// Shows more bytes at once.
    fn show(&mut self, bytes: &[u8]) -> Outcome {
        self.shown.extend_from_slice(bytes);
        let direction = if self.form.is_request() { Direction::Inbound } else { Direction::Outbound };
        let before = if self.form.is_behind_a_chunk() { LAST_CHUNK.len() } else { 0 };
        let mut edits = Edits::default();
        loop {
            match self.exchange.judge(direction, &self.shown, &mut edits) {
                Ok(Verdict::NeedMore) => return Outcome::Open,
                Ok(Verdict::Withhold(count)) => {
                    self.shown.drain(..count.get());
                }
                Ok(Verdict::Head(count)) => {
                    let mut goes_on = Vec::new();
                    edits.write(&self.shown[..count.get()], &mut goes_on);
                    self.shown.drain(..count.get());
                    return Outcome::Whole(goes_on.split_off(before));
                }
                Ok(verdict) => unreachable!("{verdict:?}"),
                Err(fault) => return Outcome::Breaks(fault.violation.name()),
            }
        }
    }

    /// Shows more bytes one by one. What they come to, they come to at the first byte at which that is known.
    fn show_each(&mut self, bytes: &[u8]) -> (usize, Outcome) {
        for (at, byte) in bytes.iter().enumerate() {
            let outcome = self.show(&[*byte]);
            if outcome != Outcome::Open {
                return (at, outcome);
            }
        }
        (bytes.len(), Outcome::Open)
    }
}

impl Form {
    fn is_behind_a_chunk(self) -> bool {
        matches!(self, Self::RequestTrailer | Self::ResponseTrailer)
    }

    fn policy(self, most: usize) -> Policy {
        let mut policy = Policy::default();
        policy.max_head = most;
        policy.max_fields = MOST_LINES.into();
        policy.allow_bare_lf = self == Self::LooseResponse;
        policy
    }
}

/// Holds the core to the table.
fn explore(form: Form) -> Found {
    let policy = form.policy(ROOM);
    let policies: Vec<Policy> = (1..ROOM).map(|most| form.policy(most)).collect();
    let (states, words) = (states(form), words());
    let endings = endings(&states);
    let mut transitions = 0;
    let (start, begun) = (Reader::new(form), Core::new(&policy, form));
    for (reader, way) in &states {
        let mut there = begun.clone();
        assert_eq!(there.show_each(way).1, Outcome::Open, "{}", way.escape_ascii());
        for word in &words {
            for ending in &endings {
                let rest = [&word[..], ending].concat();
                let section = [&way[..], &rest].concat();
                let (at, outcome) = expected(reader, &rest, ROOM);
                let shown = || format!("{form:?}: {}", section.escape_ascii());
                let mut whole = begun.clone();
                assert_eq!(whole.show(&section), outcome, "whole, {}", shown());
                assert!(
                    !matches!(outcome, Outcome::Whole(_)) || whole.shown.len() + at + 1 == rest.len(),
                    "{}",
                    shown()
                );
                assert_eq!(there.clone().show_each(&rest), (at, outcome), "byte by byte, {}", shown());
                transitions += 2;
            }
        }
        for word in KINDS.iter().map(|byte| [*byte]).chain([*b"a"]) {
            let section = [&way[..], &word, &endings[0]].concat();
            let [first, last] = repeatable(form, &section);
            // Longer than the heads that stand before a section here, to which the limit applies too.
            transitions += at_limits(form, &policies, &with_more(&section, last, MOST_MORE));
            for (place, count) in
                [first, last].iter().flat_map(|place| (1..=MOST_MORE).map(move |count| (*place, count)))
            {
                let longer = with_more(&section, place, count);
                let (_, outcome) = expected(&start, &longer, ROOM);
                assert_eq!(begun.clone().show(&longer), outcome, "{form:?}: {}", longer.escape_ascii());
                transitions += 1;
            }
        }
    }
    Found { states: states.len(), transitions }
}

/// Shows a section under limits around its length.
fn at_limits(form: Form, policies: &[Policy], section: &[u8]) -> usize {
    let limits = section.len().saturating_sub(2).max(1)..=section.len() + 1;
    for most in limits.clone() {
        let (at, outcome) = expected(&Reader::new(form), section, most);
        let policy = &policies[most - 1];
        assert_eq!(policy.max_head, most);
        let shown = || format!("{form:?}, at most {most}: {}", section.escape_ascii());
        let begun = Core::new(policy, form);
        assert_eq!(begun.clone().show(section), outcome, "whole, {}", shown());
        assert_eq!(begun.clone().show_each(section), (at, outcome), "byte by byte, {}", shown());
    }
    2 * limits.count()
}

/// The section with one of its bytes repeated, so many times more.
fn with_more(section: &[u8], place: usize, count: usize) -> Vec<u8> {
    let (before, behind) = section.split_at(place);
    [before, &vec![section[place]; count], behind].concat()
}

/// The first place and the last at which a byte may be repeated and changes nothing.
fn repeatable(form: Form, section: &[u8]) -> [usize; 2] {
    let mut reader = Reader::new(form);
    let mut places = Vec::new();
    for (at, byte) in section.iter().enumerate() {
        let before: State = reader.state;
        if reader.read(*byte, ROOM) != Read::More {
            break;
        }
        if reader.state == before {
            places.push(at);
        }
    }
    [places.first(), places.last()].map(|place| place.copied().unwrap_or_default())
}

#[test]
fn request_heads_agree_with_the_table() {
    explore(Form::Request).is_what_the_page_says("request heads");
}

#[test]
fn response_heads_agree_with_the_table() {
    explore(Form::Response).is_what_the_page_says("response heads");
}

#[test]
fn response_heads_with_bare_lfs_agree_with_the_table() {
    explore(Form::LooseResponse).is_what_the_page_says("response heads with bare LFs");
}

#[test]
fn trailer_sections_agree_with_the_table() {
    explore(Form::RequestTrailer).is_what_the_page_says("trailer sections of requests");
    explore(Form::ResponseTrailer).is_what_the_page_says("trailer sections of responses");
}

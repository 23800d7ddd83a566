//! What happens to the sessions of a worker, and the letters by which a corpus file says so.

use crate::proxy::handle::Closing;
use crate::testing::{Step, property};

/// The most clients of a worker.
const MOST_CLIENTS: usize = 4;

/// The most ticks that pass in one event: enough for 30 s, and no more.
const MOST_TICKS: usize = 130;

/// The most bytes that are said as a number only.
const MOST_FILLED: usize = 100_000;

/// What happens to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::testing) enum Event {
    Step(Step),
    AtMost(usize),
    Stutter,
    Hold,
    ClientFull(bool),
    OriginFull(bool),
    ClientReset,
    OriginRefuses,
    DialsFail,
    DialsHang,
    DialsWork,
    TimePasses,
    Close(Closing),
    /// Send queues hold so many bytes.
    Queues(usize),
    /// The client, or the origin, takes so many bytes and no more.
    ClientTakes(usize),
    OriginTakes(usize),
    /// What is taken is acknowledged, or is not until it is again.
    Acknowledges(bool),
    /// The kernel tells what is unsent, or does not.
    Tells(bool),
    /// The origin is on another machine.
    Remote,
    /// The origin says more on a connection of which the session has let go.
    OriginSaysMore(Vec<u8>),
    Ticks(usize),
    /// What happens to a client happens to that one from now on; it comes if it was not there.
    Client(usize),
    /// Somebody is to give way, and at the same moment the client says that.
    PlaceWanted(Vec<u8>),
    /// Who holds the largest unfinished head is to give way.
    MemoryWanted,
}

/// What a corpus file says.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) events: Vec<Event>,
    /// How many bytes the sessions may hold, if it says so.
    pub(super) budget: Option<usize>,
    /// Which of what an operator may ask for.
    pub(super) asks: usize,
}

/// Reads a corpus file.
pub(super) fn script(input: &[u8]) -> Script {
    let mut events = Vec::new();
    let mut has_ended = [false; MOST_CLIENTS];
    let (mut client, mut budget, mut asks) = (0, None, 0);
    for (letter, bytes) in property::parts(input) {
        let number =
            |otherwise| std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(otherwise);
        let event = match letter {
            b'n' => Event::AtMost(number(1)),
            b'b' => Event::Stutter,
            b'h' => Event::Hold,
            b'w' | b'W' => Event::ClientFull(letter == b'w'),
            b'v' | b'V' => Event::OriginFull(letter == b'v'),
            b'X' => Event::ClientReset,
            b'F' => Event::OriginRefuses,
            b'f' => Event::DialsFail,
            b'p' => Event::DialsHang,
            b'P' => Event::DialsWork,
            b'T' => Event::TimePasses,
            b'I' => Event::Close(Closing::Dismiss),
            b'K' => Event::Close(Closing::Cut),
            b'q' => Event::Queues(number(1 << 20)),
            b't' => Event::ClientTakes(number(1)),
            b'y' => Event::OriginTakes(number(1)),
            b'a' | b'A' => Event::Acknowledges(letter == b'A'),
            b'u' | b'U' => Event::Tells(letter == b'U'),
            b'r' => Event::Remote,
            b'm' => Event::OriginSaysMore(bytes.to_vec()),
            b's' => Event::Ticks(number(1).min(MOST_TICKS)),
            b'j' => {
                client = number(1) % MOST_CLIENTS;
                Event::Client(client)
            }
            b'k' => Event::Step(Step::Client(vec![b'a'; number(1).min(MOST_FILLED)])),
            b'x' => Event::Step(Step::Origin(vec![b'a'; number(1).min(MOST_FILLED)])),
            b'g' => Event::PlaceWanted(bytes.to_vec()),
            b'G' => Event::MemoryWanted,
            b'd' => {
                asks = number(0);
                continue;
            }
            b'M' => {
                budget = budget.or(Some(number(0)));
                continue;
            }
            _ => Event::Step(property::step(letter, bytes)),
        };
        let speaks = matches!(event, Event::Step(Step::Client(_) | Step::ClientEnd) | Event::PlaceWanted(_));
        if has_ended[client] && speaks {
            continue;
        }
        has_ended[client] |= matches!(event, Event::ClientReset | Event::Step(Step::ClientEnd));
        events.push(event);
    }
    Script { events, budget, asks }
}

//! Inputs of the fuzz targets that come far: messages that are sound but for a twist, in the form that corpus files have.
//!
//! Bytes at random are refused at the first head. Here each input is drawn by a number, and an input that there is can be changed so that most of it stays
//! sound: that is what a fuzz target has libFuzzer do every other time. [`reached`] tells how far an input comes.

mod message;
mod reached;
mod request;
mod response;
mod traffic;

pub use self::reached::{Reached, reached};
use self::request::{Kind, Request};
use self::traffic::Parts;
use super::otherwise;
use super::property;
use super::random::Random;

/// The fuzz targets whose inputs are messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What a client sends, each request of which is answered.
    Request,
    /// What an origin answers to requests that the first line names.
    Response,
    /// Both sides of a session, and what else happens.
    Session,
    /// A client and an origin, by letters.
    Origin,
}

/// The input of that number.
#[must_use]
pub fn input(target: Target, seed: u64) -> Vec<u8> {
    let random = &mut Random(seed);
    match target {
        Target::Request => {
            let count = 1 + random.below(4);
            let special = random.below(count + 1);
            (0..count).flat_map(|index| one_request(random, kind(index == special))).collect()
        }
        Target::Response => {
            let count = 1 + random.below(4);
            let special = random.below(count + 1);
            let answered: Vec<_> = (0..count).map(|index| answered(random, kind(index == special))).collect();
            joined(&answered)
        }
        Target::Session => traffic::file(&traffic::session(random)),
        Target::Origin => otherwise::input(seed),
    }
}

/// For libFuzzer: changes the first bytes of `room`, so many, and tells how many they are then. `None`: bytes are to be changed at random.
pub fn mutate(target: Target, room: &mut [u8], size: usize, seed: u64) -> Option<usize> {
    let random = &mut Random(seed);
    if random.one_in(2) {
        return None;
    }
    let changed = changed(target, room.get(..size)?, random);
    let size = changed.len().min(room.len());
    room[..size].copy_from_slice(&changed[..size]);
    Some(size)
}

/// An input that is that one, but for a message, a line or an event.
fn changed(target: Target, input: &[u8], random: &mut Random) -> Vec<u8> {
    if random.one_in(16) {
        return self::input(target, random.next());
    }
    match target {
        Target::Request => match random.below(3) {
            // Behind a sound one, what there is comes further.
            0 => [one_request(random, Kind::Sound), input.to_vec()].concat(),
            1 => [input, &one_request(random, Kind::Twisted)].concat(),
            _ => with_a_line_changed(input, random),
        },
        Target::Response => {
            let (words, said) = property::named_requests(input);
            let rest = (String::from_utf8_lossy(words).into_owned(), said.to_vec());
            match random.below(3) {
                0 => joined(&[answered(random, Kind::Sound), rest]),
                1 => joined(&[rest, answered(random, Kind::Twisted)]),
                _ => joined(&[(rest.0, with_a_line_changed(said, random))]),
            }
        }
        Target::Session => {
            let mut parts: Parts = property::parts(input).map(|(letter, bytes)| (letter, bytes.to_vec())).collect();
            change_parts(&mut parts, random);
            traffic::file(&parts)
        }
        Target::Origin => with_letters_changed(input, random),
    }
}

fn kind(is_special: bool) -> Kind {
    if is_special { Kind::Twisted } else { Kind::Sound }
}

fn one_request(random: &mut Random, kind: Kind) -> Vec<u8> {
    request::request(random, kind).message.text().into_bytes()
}

/// The word of a request, and the response to it.
fn answered(random: &mut Random, kind: Kind) -> (String, Vec<u8>) {
    let word = random.of(&["GET", "GET", "GET", "HEAD", "POST", "websocket", "h2c", "GET/1.0", "POST/1.0"]);
    let message = message::Message::default();
    let request = Request { message, is_head: word == "HEAD", offers: word == "websocket" };
    (word.to_owned(), response::response(random, &request, kind).into_bytes())
}

fn joined(answered: &[(String, Vec<u8>)]) -> Vec<u8> {
    let words: Vec<&str> = answered.iter().map(|(word, _)| &**word).collect();
    let said = answered.iter().flat_map(|(_, said)| said.iter().copied());
    format!("{}\n", words.join(" ")).into_bytes().into_iter().chain(said).collect()
}

/// A line more, less, again, or elsewhere.
fn with_a_line_changed(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (from, to) = (random.below(lines.len()), random.below(lines.len() + 1));
    let donor = one_request(random, Kind::Twisted);
    let others: Vec<&[u8]> = donor.split_inclusive(|byte| *byte == b'\n').collect();
    match (random.below(4), lines.get(from).copied()) {
        (0, Some(line)) => lines.insert(to, line),
        (1, Some(_)) => drop(lines.remove(from)),
        (2, Some(line)) => {
            lines.remove(from);
            lines.insert(to.min(lines.len()), line);
        }
        _ => lines.insert(to, random.of(&others)),
    }
    lines.concat()
}

/// An exchange or an event more, an event less, again or elsewhere, bytes cut in two, or a line changed.
fn change_parts(parts: &mut Parts, random: &mut Random) {
    let (from, to) = (random.below(parts.len()), random.below(parts.len() + 1));
    match random.below(7) {
        0 => {
            let mut more = Parts::new();
            let kind = kind(random.one_in(2));
            traffic::exchange(random, kind, &mut more);
            parts.splice(to..to, more);
        }
        1 => parts.insert(to, traffic::trouble(random)),
        2 if from < parts.len() => drop(parts.remove(from)),
        3 if from < parts.len() => parts.insert(to, parts[from].clone()),
        4 if from < parts.len() => {
            let part = parts.remove(from);
            parts.insert(to.min(parts.len()), part);
        }
        5 if from < parts.len() && parts[from].1.len() > 1 => {
            let (letter, bytes) = &mut parts[from];
            let (letter, behind) = (*letter, bytes.split_off(1 + random.below(bytes.len() - 1)));
            parts.insert(from + 1, (letter, behind));
        }
        _ if from < parts.len() => parts[from].1 = with_a_line_changed(&parts[from].1.clone(), random),
        _ => parts.push(traffic::trouble(random)),
    }
}

/// A letter more or less, or a line of another input.
fn with_letters_changed(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let place = random.below(lines.len());
    let line = &mut lines[place];
    match random.below(3) {
        0 => line.push(random.of(b"abcdefghijklmnopqrstuvwxyz")),
        1 => drop(line.pop()),
        _ => {
            let other = otherwise::input(random.next());
            let donors: Vec<&[u8]> = other.split(|byte| *byte == b'\n').collect();
            *line = donors.get(place).copied().unwrap_or_default().to_vec();
        }
    }
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::super::session::session;
    use super::*;

    const TARGETS: [Target; 4] = [Target::Request, Target::Response, Target::Session, Target::Origin];

    /// What the target holds of its inputs.
    fn hold(target: Target, input: &[u8]) {
        match target {
            Target::Request => property::request(input),
            Target::Response => property::response(input),
            Target::Session => session(input),
            Target::Origin => otherwise::origin(input),
        }
    }

    #[test]
    fn what_is_drawn_holds() {
        for target in TARGETS {
            (0..150).for_each(|seed| hold(target, &input(target, seed)));
        }
    }

    /// Changed again and again, an input is still of its form, and holds.
    #[test]
    fn what_is_changed_holds() {
        for target in TARGETS {
            for start in 0..10 {
                let mut room = vec![0; 4096];
                let mut bytes = input(target, start);
                for seed in 0..8 {
                    let size = bytes.len().min(room.len());
                    room[..size].copy_from_slice(&bytes[..size]);
                    let changed = mutate(target, &mut room, size, seed).unwrap_or(size);
                    bytes = room[..changed].to_vec();
                    hold(target, &bytes);
                }
            }
        }
    }
}

//! What happens at both sides of a session, of messages that are sound but for a twist: pipelines, cuts, replays, and every kind of trouble.

use super::super::property::MARK;
use super::super::random::Random;
use super::request::{self, Kind, Request};
use super::response::response;

/// Parts of a corpus file: a letter each, and what stands behind it.
pub(super) type Parts = Vec<(u8, Vec<u8>)>;

/// What may happen at any moment: a letter, and the numbers that may stand behind it.
const TROUBLE: [(u8, &[&str]); 26] = [
    (b'n', &["1", "3", "7"]),
    (b'b', &[""]),
    (b'h', &[""]),
    (b'w', &[""]),
    (b'W', &[""]),
    (b'v', &[""]),
    (b'V', &[""]),
    (b'q', &["1", "20", "4000"]),
    (b't', &["1", "30"]),
    (b'y', &["1", "30"]),
    (b'a', &[""]),
    (b'A', &[""]),
    (b'u', &[""]),
    (b'r', &[""]),
    (b's', &["1", "7", "9", "121"]),
    (b'T', &[""]),
    (b'f', &[""]),
    (b'P', &[""]),
    (b'p', &[""]),
    (b'D', &[""]),
    (b'I', &[""]),
    (b'F', &[""]),
    (b'X', &[""]),
    (b'O', &[""]),
    (b'R', &[""]),
    (b'C', &[""]),
];

/// A session: how it is set up, some exchanges, and what else happens.
pub(super) fn session(random: &mut Random) -> Parts {
    let mut parts = Parts::new();
    if random.one_in(2) {
        parts.push((b'd', random.below(64).to_string().into_bytes()));
    }
    let count = 1 + random.below(5);
    let special = random.below(count + 1);
    for index in 0..count {
        let kind = if index == special { Kind::Twisted } else { Kind::Sound };
        exchange(random, kind, &mut parts);
    }
    if random.one_in(2) {
        let place = random.below(parts.len() + 1);
        parts.insert(place, trouble(random));
    }
    parts
}

/// One exchange, and perhaps what its end is.
pub(super) fn exchange(random: &mut Random, kind: Kind, parts: &mut Parts) {
    // Which of the two is strange.
    let (asked, answered) = if random.one_in(2) { (kind, Kind::Sound) } else { (Kind::Sound, kind) };
    let request = request::request(random, asked);
    let is_replayed = random.one_in(4);
    if random.one_in(6) {
        return long(random, is_replayed, parts);
    }
    let (text, answer) = (request.message.text(), response(random, &request, answered));
    if random.one_in(5) {
        // The next one waits behind it.
        let (next, behind) = sound(random);
        say(random, b'c', &format!("{text}{next}"), parts);
        say(random, b'o', &answer, parts);
        return say(random, b'o', &behind, parts);
    }
    say(random, b'c', &text, parts);
    if is_replayed {
        // Where it may be sent once more, it is.
        parts.push((random.of(b"OOR"), Vec::new()));
    }
    say(random, b'o', &answer, parts);
}

fn sound(random: &mut Random) -> (String, String) {
    let request: Request = request::request(random, Kind::Sound);
    let answer = response(random, &request, Kind::Sound);
    (request.message.text(), answer)
}

/// A long body, of one of the two.
fn long(random: &mut Random, is_replayed: bool, parts: &mut Parts) {
    let length = random.of(&[600, 20_000, 66_000, 100_000]);
    let (method, sizes) = if random.one_in(2) { ("POST", (length, 0)) } else { ("GET", (0, length)) };
    let field = if sizes.0 > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
    say(random, b'c', &format!("{method} / HTTP/1.1\r\nHost: a\r\n{field}\r\n"), parts);
    if sizes.0 > 0 {
        parts.push((b'k', length.to_string().into_bytes()));
    }
    if is_replayed {
        parts.push((b'O', Vec::new()));
    }
    say(random, b'o', &format!("HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: {}\r\n\r\n", sizes.1), parts);
    if sizes.1 > 0 {
        parts.push((b'x', length.to_string().into_bytes()));
    }
}

/// Bytes of a side, whole or cut.
fn say(random: &mut Random, letter: u8, text: &str, parts: &mut Parts) {
    let (mut rest, cuts) = (text.as_bytes(), random.of(&[0, 0, 0, 1, 2]));
    for _ in 0..cuts {
        let (part, behind) = rest.split_at(random.below(rest.len()));
        parts.extend((!part.is_empty()).then(|| (letter, part.to_vec())));
        rest = behind;
    }
    parts.push((letter, rest.to_vec()));
}

pub(super) fn trouble(random: &mut Random) -> (u8, Vec<u8>) {
    let (letter, numbers) = random.of(&TROUBLE);
    (letter, random.of(numbers).as_bytes().to_vec())
}

/// The corpus file of these parts.
pub(super) fn file(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    parts.iter().flat_map(|(letter, bytes)| [&[MARK, *letter], &**bytes].concat()).collect()
}

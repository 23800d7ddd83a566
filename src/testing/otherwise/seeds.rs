//! Inputs by number: cases in which something is likely to go wrong.

use super::super::random::Random;

/// What of a request goes with a misreading, so that it shows: its letter, and those of a request and an answer.
const PAIRS: [(u8, &str, &str); 41] = [
    (b'a', "hc", "b"),
    (b'a', "xxxc", ""),
    (b'b', "pv", "b"),
    (b'b', "v", "b"),
    (b'b', "pvvvvv", ""),
    (b'c', "pt", ""),
    (b'c', "utt", ""),
    (b'd', "pnnnnnn", ""),
    (b'e', "pnnnnn", ""),
    (b'f', "ptttttttttt", ""),
    (b'g', "pnnnn", ""),
    (b'h', "pbbbbbbbbbbbjj", ""),
    (b'i', "pbbbbbbb", ""),
    (b'i', "pkbbbbbbbbb", ""),
    (b'j', "pbbjj", ""),
    (b'k', "pe", ""),
    (b'k', "uee", ""),
    (b'l', "pr", ""),
    (b'm', "ps", ""),
    (b'n', "z", ""),
    (b'n', "zz", ""),
    (b'o', "pm", ""),
    (b'p', "dl", ""),
    (b'q', "pq", ""),
    (b'r', "pw", ""),
    (b's', "p", "sss"),
    (b'u', "wp", ""),
    (b'v', "xx", ""),
    (b'v', "gwwwww", ""),
    (b'v', "gbbbb", ""),
    (b'v', "gbbbbbb", ""),
    (b'v', "pv", ""),
    (b'v', "gmm", ""),
    (b'v', "pq", ""),
    (b'w', "g", "ss"),
    (b'w', "p", "dddd"),
    (b'w', "g", "oo"),
    (b'x', "pnnn", ""),
    (b'y', "pn", ""),
    (b'y', "unn", ""),
    (0, "pf", "ee"),
];

/// The letters of a request's twists, and how many variants each has.
const TWISTS: [(u8, usize); 16] = [
    (b'c', 1),
    (b't', 11),
    (b'n', 11),
    (b'e', 9),
    (b'r', 5),
    (b'q', 3),
    (b'w', 5),
    (b'v', 6),
    (b'b', 17),
    (b'z', 2),
    (b'm', 2),
    (b's', 4),
    (b'j', 4),
    (b'l', 1),
    (b'k', 1),
    (b'f', 1),
];

/// The letters of an answer's faults, and how many variants each has.
const FAULTS: [(u8, usize); 24] = [
    (b's', 10),
    (b'c', 1),
    (b'f', 1),
    (b'u', 1),
    (b'x', 2),
    (b'y', 5),
    (b'g', 1),
    (b'h', 1),
    (b'w', 8),
    (b'r', 3),
    (b'e', 3),
    (b'i', 4),
    (b't', 1),
    (b'd', 13),
    (b'o', 11),
    (b'm', 4),
    (b'n', 2),
    (b'l', 4),
    (b'b', 4),
    (b'k', 6),
    (b'q', 6),
    (b'p', 3),
    (b'v', 1),
    (b'z', 5),
];

/// The input of that number.
#[must_use]
pub fn input(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let pair = random.one_in(2).then(|| random.of(&PAIRS));
    let mut setting = setting(&mut random);
    // By another row of numbers, so that this one stays.
    let mut asked = Random(seed ^ u64::MAX);
    setting.extend(b"dax".iter().filter(|_| asked.one_in(4)));
    setting.extend(b"ii".iter().take(asked.below(5).saturating_sub(2)));
    let mut lines = vec![setting, misreadings(&mut random, pair.map(|(letter, ..)| letter))];
    let count = 2 + random.below(3);
    let special = random.below(count - 1);
    for index in 0..count {
        let (mut request, mut answer) = (request(&mut random), answer(&mut random));
        if let Some((_, twist, fault)) = pair.filter(|_| index == special) {
            request.clear();
            request.extend(twist.bytes());
            if !fault.is_empty() || random.one_in(2) {
                answer.clear();
                answer.extend(fault.bytes());
            }
        }
        lines.extend([request, answer]);
    }
    lines.join(&b'\n')
}

fn setting(random: &mut Random) -> Vec<u8> {
    let mut line = Vec::new();
    for (letter, chance) in [(b'b', 8), (b'n', 16), (b'l', 3), (b'w', 3), (b'p', 3), (b'f', 6), (b'r', 20), (b's', 6)] {
        if random.one_in(chance) {
            line.push(letter);
        }
    }
    if random.one_in(4) {
        let most = 1 + random.below(7);
        line.extend(vec![b'm'; most]);
    }
    line
}

fn misreadings(random: &mut Random, paired: Option<u8>) -> Vec<u8> {
    let mut line: Vec<u8> = paired.into_iter().collect();
    let count = random.below(4);
    // All but the one that promises nothing.
    line.extend((0..count).map(|_| random.of(b"abcdefghijklmnopqrsuvwxy")));
    if random.one_in(10) {
        line.push(b't');
    }
    line
}

fn request(random: &mut Random) -> Vec<u8> {
    let mut line = vec![random.of(b"ggghpppuadox")];
    if line == b"x" {
        line = vec![b'x'; 1 + random.below(4)];
    }
    if random.one_in(2) {
        let (letter, variants) = random.of(&TWISTS);
        line.extend(vec![letter; 1 + random.below(variants)]);
    }
    match random.below(6) {
        0 => line.extend(vec![b'y'; 1 + random.below(3)]),
        1 => line.push(b'f'),
        _ => {}
    }
    line
}

fn answer(random: &mut Random) -> Vec<u8> {
    let mut line = Vec::new();
    let count = [0, 0, 0, 1, 1, 2, 3][random.below(7)];
    for _ in 0..count {
        let (letter, variants) = random.of(&FAULTS);
        line.extend(vec![letter; 1 + random.below(variants)]);
    }
    line
}

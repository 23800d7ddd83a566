//! A case: a client and an origin, as an input says, and what must hold of what the client was sent.
//!
//! An input is lines of letters. The first tells the setting, the second the origin's misreadings, and then a request and an answer take turns. So
//! `l`, `cp`, `pt`, nothing, `g` is: trailers allowed; codings to the letter and bodies of odd methods unread; a POST with an odd coding, answered
//! soundly; a GET.
//!
//! The letters of the setting: `b` and `n` reuse, bodyless and never; `l` lenient, to trailers and bare line ends; `w` the client waits for each response,
//! `d` method overrides are denied, `a` a line is added, `x` requests name the client, `i` origin connections begin with a preamble; `p` it pipelines; `f` it ends by FIN, `r` by a reset; `m` so few bytes go at once; `s` writes are put off.
//!
//! Behind a byte 0xFE stands what the origin says instead, to the letter, each time that it is asked; another 0xFE ends it, and the next begins.

use super::super::Rules;
use super::answer::{self, Setting};
use super::client::{Habit, Last, Piece, requests};
use super::letters::Line;
use super::misreading::Misreading;
use super::reader::{ADDED, Asked, Broken, Read, View, read};
use super::server::Server;
use crate::http1::Reuse;
use crate::net::preamble::PreambleVersion;

/// The most requests of a case.
const MAX_REQUESTS: usize = 8;

/// Lines by which some origins take another method.
const OVERRIDES: [&str; 2] = ["x-http-method*", "x-method-override"];

/// Begins what the origin says to the letter: a byte that UTF-8 never has.
const QUOTE: u8 = 0xFE;

/// A client and an origin.
#[derive(Clone, Debug)]
pub struct Case {
    /// The requests that the client sends.
    pub asked: Vec<Asked>,
    /// How it sends them.
    pub pieces: Vec<Piece>,
    /// The origin.
    pub server: Server,
    /// What the proxy is told.
    pub rules: Rules,
    /// With what each connection to the origin begins.
    pub send_proxy: Option<PreambleVersion>,
    /// The most bytes that go at once; 0: as many as there are.
    pub at_most: usize,
    /// Whether writes are put off for a moment.
    pub stutters: bool,
    misreadings: Line,
    moods: Vec<Line>,
    waits: bool,
    /// Whether the origin says what the input says.
    is_quoted: bool,
}

/// Whether what an origin says late comes surely before, or surely after, what the client sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// In memory.
    Sure,
    /// Over sockets.
    Unsure,
}

impl Case {
    /// The case of an input.
    #[must_use]
    pub fn of(input: &[u8]) -> Self {
        let mut parts = input.split(|byte| *byte == QUOTE);
        let mut lines = parts.next().unwrap_or_default().split(|byte| *byte == b'\n').map(Line::of);
        let quotes: Vec<_> = parts.map(<[u8]>::to_vec).collect();
        let (setting, misreadings) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let rest: Vec<_> = lines.take(2 * MAX_REQUESTS).collect();
        let (habit, waits) = match (setting.has(b'w'), setting.has(b'p')) {
            (true, _) => (Habit::Waits, true),
            (false, true) => (Habit::Pipelines, false),
            (false, false) => (Habit::Turns, false),
        };
        let last = if setting.has(b'r') {
            Last::Reset
        } else if setting.has(b'f') {
            Last::Fin
        } else {
            Last::Nothing
        };
        let reuse_origin = if setting.has(b'n') {
            Reuse::Never
        } else if setting.has(b'b') {
            Reuse::Bodyless
        } else {
            Reuse::Plain
        };
        let is_lenient = setting.has(b'l');
        let allow_request_trailers = is_lenient.then(|| "x-t".to_owned()).into_iter().collect();
        let (asked, pieces) = requests(&rest.iter().copied().step_by(2).collect::<Vec<_>>(), habit, last);
        let moods: Vec<_> = rest.iter().copied().skip(1).step_by(2).collect();
        Self {
            asked,
            pieces,
            is_quoted: !quotes.is_empty(),
            server: Server::new(misreadings, moods.clone(), quotes),
            rules: Rules {
                deny_request: OVERRIDES.iter().filter(|_| setting.has(b'd')).map(ToString::to_string).collect(),
                add: setting.has(b'a').then(|| ADDED.to_owned()).into_iter().collect(),
                forwarded_for: setting.has(b'x'),
                allow_bare_lf: is_lenient,
                allow_request_trailers,
                reuse_origin,
                ..Rules::default()
            },
            send_proxy: setting.choice(b'i', &[PreambleVersion::V1, PreambleVersion::V2]),
            at_most: setting.count(b'm'),
            stutters: setting.has(b's'),
            misreadings,
            moods,
            waits,
        }
    }

    /// Tells whether no response may reach another request.
    #[must_use]
    pub fn is_promised(&self, timing: Timing) -> bool {
        let setting = Setting { reuse: self.rules.reuse_origin, waits: self.waits, is_timed: timing == Timing::Sure };
        let mut misread = Misreading::ALL.iter().filter(|(_, misreading)| misreading.is_in(&self.misreadings));
        !self.is_quoted
            && misread.all(|(_, misreading)| misreading.is_promised(self.rules.reuse_origin))
            && self.moods.iter().all(|mood| answer::is_promised(mood, setting))
    }

    /// How many responses are whole of what the client was sent.
    #[must_use]
    pub fn answered(&self, received: &[u8]) -> usize {
        read(&self.asked, View::Strict, received).complete
    }

    /// What is wrong with what the client was sent.
    #[must_use]
    pub fn broken(&self, received: &[u8], timing: Timing) -> Vec<Broken> {
        let views = [View::Strict, View::Folded].map(|view| read(&self.asked, view, received));
        let denied = views.iter().map(Read::nothing_is_denied);
        // A quote may have it anywhere.
        let secret = views.iter().filter(|_| !self.is_quoted).map(Read::nothing_is_secret);
        let [strict, _] = &views;
        let crossed = self.is_promised(timing).then(|| strict.nothing_has_crossed(&self.asked));
        denied.chain(secret).chain([strict.all_is_readable()]).chain(crossed).filter_map(Result::err).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Action;
    use super::super::seeds::input;
    use super::super::server::Connection;
    use super::*;

    /// What the client is sent where nothing judges: its bytes go on and the origin's come back, on one connection.
    fn relayed(case: &Case) -> Vec<u8> {
        let mut server = case.server.clone();
        let (mut connection, mut received) = (Connection::default(), Vec::new());
        for piece in &case.pieces {
            match piece {
                Piece::Bytes(bytes) => server.hear(&mut connection, bytes),
                Piece::Await(count) if case.answered(&received) < *count => break,
                Piece::Await(_) | Piece::Turn => {}
                Piece::Fin | Piece::Reset => break,
            }
            loop {
                let actions = connection.act();
                if actions.is_empty() {
                    break;
                }
                for action in actions {
                    match action {
                        Action::Say(bytes) => received.extend(bytes),
                        Action::Fin | Action::Reset => return received,
                        Action::Turn | Action::More => {}
                    }
                }
            }
        }
        received
    }

    /// A relay that takes the denied lines from each sound head that an answer begins with.
    fn without_denied_lines(received: &[u8]) -> Vec<u8> {
        let text: String = received.iter().map(|byte| char::from(*byte)).collect();
        text.replace("Server: SECRET\r\nX-Powered-By: SECRET\r\n", "").bytes().collect()
    }

    #[test]
    fn a_relay_that_does_not_judge_breaks_each_promise() {
        let (mut denied, mut crossed, mut promised) = (0, 0, 0);
        for seed in 0..2_000 {
            let case = Case::of(&input(seed));
            promised += usize::from(case.is_promised(Timing::Sure));
            let broken = case.broken(&relayed(&case), Timing::Sure);
            denied += usize::from(broken.iter().any(|broken| matches!(broken, Broken::Denied(_))));
            crossed += usize::from(broken.iter().any(|broken| matches!(broken, Broken::Crossed(_))));
        }
        println!("of 2000 cases, {promised} promised; denied lines in {denied}, another's response in {crossed}");
        assert!(promised > 1_000 && denied > 1_900 && crossed > 300, "{promised} {denied} {crossed}");
    }

    /// No misreading is without effect, and none is hidden by another.
    #[test]
    fn each_misreading_has_a_response_reach_another_request() {
        let (mut without, mut harmless) = (0, Vec::new());
        for (letter, misreading) in Misreading::ALL {
            let found = (0..40_000).find(|seed| {
                let mut lines: Vec<_> = input(*seed).split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                if !lines[1].contains(&letter) {
                    return false;
                }
                let has_crossed = |case: Case| {
                    let broken = case.broken(&without_denied_lines(&relayed(&case)), Timing::Sure);
                    broken.iter().any(|broken| matches!(broken, Broken::Crossed(_)))
                };
                lines[1] = Vec::new();
                if has_crossed(Case::of(&lines.join(&b'\n'))) {
                    without += 1;
                    return false;
                }
                lines[0].push(b'b');
                lines[1] = vec![letter];
                has_crossed(Case::of(&lines.join(&b'\n')))
            });
            // A switch of protocols is no response to another.
            if found.is_none() && misreading != Misreading::Switches {
                harmless.push(misreading);
            }
        }
        assert_eq!(harmless, []);
        assert!(without > 0, "some answers cross by themselves");
    }
}

//! An origin: reads requests in its own way, and answers them. Pure: bytes in, actions out.

use std::collections::VecDeque;

use super::answer::{self, Action, Question};
use super::letters::Line;
use super::misreading::Misreading;
use super::parser::{Body, End, Head, Next, Parser};

/// An origin, whatever connections there are to it.
#[derive(Clone, Debug)]
pub struct Server {
    parser: Parser,
    /// How it answers, in turn, and round and round.
    moods: Vec<Line>,
    /// What it says instead, to the letter; if there is any.
    quotes: Vec<Vec<u8>>,
    answers: usize,
}

/// A connection to an origin.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    unread: Vec<u8>,
    /// How many bytes have come.
    heard: usize,
    /// A request that was answered before its body had come.
    answered: Option<Body>,
    /// Of the last request read.
    label: String,
    /// What is to be done, and for the waits among it, how much had come when it was decided.
    waiting: VecDeque<(Action, usize)>,
    /// Nothing more is read.
    is_over: bool,
}

impl Server {
    /// An origin of these misreadings and moods.
    pub(super) fn new(misreadings: Line, moods: Vec<Line>, quotes: Vec<Vec<u8>>) -> Self {
        Self { parser: Parser { misreadings }, moods, quotes, answers: 0 }
    }

    /// Takes what came on a connection, and decides what to do.
    pub fn hear(&mut self, connection: &mut Connection, bytes: &[u8]) {
        connection.heard += bytes.len();
        connection.unread.extend_from_slice(bytes);
        while !connection.is_over && self.read(connection) {}
    }

    /// Reads a request, or the rest of one. False: more must come.
    fn read(&mut self, connection: &mut Connection) -> bool {
        if let Some(body) = connection.answered {
            return match self.parser.body_end(body, &connection.unread) {
                End::NeedMore => false,
                End::At(end) => {
                    connection.unread.drain(..end);
                    connection.answered = None;
                    true
                }
                End::Nowhere => connection.end(),
            };
        }
        match self.parser.next(&connection.unread) {
            Next::NeedMore => false,
            Next::Garbage(length) => {
                connection.unread.drain(..length);
                connection.label =
                    if connection.label.is_empty() { "?".into() } else { format!("{}-in", connection.label) };
                let label = connection.label.clone();
                self.answer(connection, &Question::refused(&label));
                true
            }
            Next::Head(head) => self.request(connection, &head),
        }
    }

    fn request(&mut self, connection: &mut Connection, head: &Head) -> bool {
        let method = self.parser.method(head);
        let mood = self.mood();
        let body = self.parser.body(head);
        let rest = connection.unread.get(head.length..).unwrap_or_default();
        let end = self.parser.body_end(body, rest);
        let has_come = !matches!(end, End::NeedMore);
        let is_unread = self.parser.leaves_unread(head, &method, &mood) || (mood.count(b'e') == 2 && !has_come);
        if !has_come && !is_unread && !mood.has(b'e') {
            return false;
        }
        let is_odd = self.parser.is(Misreading::OddTwice) && head.is_odd(body, rest);
        connection.label = head.target.chars().filter(char::is_ascii_graphic).take(80).collect();
        let label = connection.label.clone();
        let length = match end {
            _ if is_unread => 0,
            End::At(end) => end,
            End::NeedMore => {
                connection.answered = Some(body);
                0
            }
            End::Nowhere => {
                self.answer(connection, &Question::refused(&label));
                return connection.end();
            }
        };
        connection.unread.drain(..head.length + length);
        let offer = head.value("upgrade");
        let status = (self.parser.is(Misreading::Switches) && offer.is_some()).then_some(101);
        let question =
            Question { label: &label, is_head: method == "HEAD", offer, status, has_body: body != Body::Length(0) };
        self.answer(connection, &question);
        if is_odd || (mood.count(b'e') > 2 && !has_come) {
            connection.queue(answer::late(&mood, &label));
        }
        true
    }

    fn mood(&self) -> Line {
        self.moods.get(self.answers % self.moods.len().max(1)).copied().unwrap_or_default()
    }

    fn answer(&mut self, connection: &mut Connection, question: &Question<'_>) {
        let mood = self.mood();
        let quote = self.quotes.get(self.answers % self.quotes.len().max(1)).cloned();
        self.answers += 1;
        if let Some(quote) = quote {
            return connection.queue([Action::Say(quote)]);
        }
        connection.queue(answer::answer(&mood, question));
        if self.parser.is(Misreading::OddAnswerTwice) && answer::is_odd(&mood, question) {
            connection.queue(answer::late(&mood, question.label));
        }
    }
}

impl Connection {
    /// What is to be done now; nothing more before something moves.
    pub fn act(&mut self) -> Vec<Action> {
        let mut now = Vec::new();
        while let Some((action, heard)) = self.waiting.pop_front() {
            match action {
                Action::Turn => {
                    now.push(Action::Turn);
                    break;
                }
                Action::More if self.heard == heard => {
                    self.waiting.push_front((Action::More, heard));
                    break;
                }
                Action::More => {}
                Action::Say(bytes) if bytes.is_empty() => {}
                Action::Say(bytes) => now.push(Action::Say(bytes)),
                Action::Fin | Action::Reset => {
                    now.push(action);
                    self.waiting.clear();
                    self.is_over = true;
                }
            }
        }
        now
    }

    fn queue(&mut self, actions: impl IntoIterator<Item = Action>) {
        let heard = self.heard;
        self.waiting.extend(actions.into_iter().map(|action| (action, heard)));
    }

    /// The other side has ended: so will this one, behind what it has to say.
    pub fn hear_end(&mut self) {
        if !self.is_over {
            self.end();
        }
    }

    /// It ends behind what it has to say. Nothing more is read.
    fn end(&mut self) -> bool {
        self.waiting.push_back((Action::Fin, self.heard));
        self.is_over = true;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The labels of the answers to what comes, with such an origin.
    fn labels(misreadings: &str, mood: &str, bytes: &str) -> Vec<String> {
        let mut server = Server::new(Line::of(misreadings.as_bytes()), vec![Line::of(mood.as_bytes())], Vec::new());
        let mut connection = Connection::default();
        let mut said = String::new();
        for byte in bytes.as_bytes() {
            server.hear(&mut connection, &[*byte]);
            for action in connection.act() {
                if let Action::Say(bytes) = action {
                    said.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        said.split("X-Label: ").skip(1).map(|after| after.split('\r').next().unwrap_or_default().to_owned()).collect()
    }

    const IN: &str = "GET /0-in HTTP/1.1\r\n\r\n";

    #[test]
    fn a_request_is_read_otherwise_by_each_misreading() {
        let request = |line: &str, fields: &str, body: &str| format!("{line} HTTP/1.1\r\n{fields}\r\n{body}");
        let chunked = "Transfer-Encoding: chunked\r\n";
        for (letter, bytes) in [
            ('c', request("POST /0", "Transfer-Encoding: Chunked\r\n", &format!("16\r\n{IN}\r\n0\r\n\r\n"))),
            ('d', request("POST /0", "Content-Length: 0\r\nContent-Length: 22\r\n", IN)),
            ('e', request("POST /0", "Content-Length: 22\r\nContent-Length: 0\r\n", IN)),
            (
                'f',
                request("POST /0", &format!("{chunked}Content-Length: 5\r\n"), &format!("0016\r\n{IN}\r\n0\r\n\r\n")),
            ),
            ('g', request("POST /0", "Content-Length: +22\r\n", IN)),
            (
                'h',
                request("POST /0", "Content-Length: 27\r\nTransfer_Encoding: chunked\r\n", &format!("0\r\n\r\n{IN}")),
            ),
            ('i', request("POST /0", "Content-Length: 22\r\nConnection: Content-Length\r\n", IN)),
            ('j', request("POST /0", "Content-Length: 27\r\nTE: chunked\r\n", &format!("0\r\n\r\n{IN}"))),
            ('k', request("POST /0", chunked, &format!("16;a\r\n{IN}\r\n0\r\n\r\n"))),
            ('l', request("POST /0", chunked, "0\r\nX-T: 1\r\n\r\n")),
            ('m', request("GET /0", "", "\r\n")),
            ('n', request("GET /0", &"X-A: b\r\n".repeat(70), "")),
            ('o', request("POST /0", "Content-Length: 22\r\n", IN).replace("/0 HTTP/1.1", "/0 HTTP/1.0")),
            ('p', request("GET /0", "Content-Length: 22\r\n", IN)),
            ('q', request("POST /0", "Expect: a\r\nContent-Length: 22\r\n", IN)),
            ('r', request("POST /0", "Upgrade: a\r\nContent-Length: 22\r\n", IN)),
            ('t', request("POST /0", "Content-Length: 22\r\n", IN)),
            ('x', request("POST /0", "Content-Length: 027\r\n", &format!("{IN}abc\r\n"))),
            ('y', request("POST /0", "Content-Length: 22\r\nContent-Length: 22\r\n", IN)),
        ] {
            let letter = letter.to_string();
            let more = labels(&letter, "", &bytes);
            assert!(more.len() > 1 && more[0] == "/0", "{letter}: {more:?}");
            assert!(labels("", "", &bytes).len() == 1, "{letter} is no misreading: {:?}", labels("", "", &bytes));
        }
        let refused = request("POST /0", "Content-Length: 22\r\n", IN);
        assert_eq!(labels("s", "sss", &refused), ["/0", "/0-in"]);
        assert_eq!(labels("", "sss", &refused), ["/0"]);
        assert_eq!(labels("", "ee", &refused), ["/0", "/0-in"]);
        assert_eq!(labels("", "e", &refused), ["/0"]);
    }
}

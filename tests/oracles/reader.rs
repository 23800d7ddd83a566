//! A process that reads messages with a parser that others wrote.
//!
//! It is given a line for each question: `response` and the method that was asked (with `+` behind it where the request offered to switch protocols), or
//! `requests` and nothing; the bytes in hexadecimal; and whether their sender then `ended`. It answers with lines: for each message `message`, `header`
//! and `trailer` (names and values), `body`, and `complete` with the offset of its end and whether the connection lives on (`keeps` or `closes`); then
//! `tunnel` and what is not read as HTTP any more, or `error`; and a full stop at the end. Of responses, it reads up to the first final one.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::setup::{ASGI, Setup};

/// Whose parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oracle {
    Llhttp,
    H11,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Response,
    Request,
}

/// A field as an oracle sees it: its name in lower case, and its value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A message as an oracle sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The status, the version and the reason; or the method, the target and the version.
    pub(crate) start: String,
    /// Of the header section, then of the trailer section.
    pub(crate) headers: Vec<Field>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) body: Vec<u8>,
    /// Where it ends, if all of it is there.
    pub(crate) end: Option<usize>,
    /// Whether another may follow it on its connection.
    pub(crate) keeps: bool,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn is_interim(&self) -> bool {
        self.status().starts_with('1') && self.status() != "101"
    }

    /// Leaves only the fields that a caller wants.
    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&Field) -> bool) {
        self.headers.retain(&mut is_wanted);
        self.trailers.retain(&mut is_wanted);
    }

    /// Tells whether it says the same as another.
    pub(crate) fn says(&self, other: &Self) -> bool {
        self.end.is_some() == other.end.is_some() && self.body == other.body && self.begins_as(other)
    }

    /// Tells whether the other is this one, cut short.
    pub(crate) fn is_cut_to(&self, cut: &Self) -> bool {
        cut.end.is_none() && self.begins_as(cut)
    }

    fn begins_as(&self, other: &Self) -> bool {
        let is_whole = other.end.is_some();
        self.start == other.start
            && self.headers == other.headers
            && (self.trailers == other.trailers || !is_whole)
            && self.body.starts_with(&other.body)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |fields: &[Field]| {
            let field = |(name, value): &Field| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            fields.iter().map(field).collect::<Vec<_>>()
        };
        let (headers, trailers) = (fields(&self.headers), fields(&self.trailers));
        let Self { start, body, end, keeps, .. } = self;
        write!(formatter, "{start} {headers:?} \"{}\" {trailers:?} end: {end:?}, keeps: {keeps}", body.escape_ascii())
    }
}

/// What an oracle made of an input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) messages: Vec<Message>,
    pub(crate) error: Option<String>,
    /// What is not read as HTTP any more.
    pub(crate) tunnel: Option<Vec<u8>>,
}

/// The process, ended when dropped.
pub(crate) struct Reader {
    pub(crate) oracle: Oracle,
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    pub(crate) fn start(oracle: Oracle, setup: &Setup) -> Result<Self, String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles");
        let mut command = match oracle {
            Oracle::Llhttp => Command::new(setup.node()?),
            Oracle::H11 => Command::new(setup.python_with(&ASGI)?.join("python")),
        };
        command.arg(match oracle {
            Oracle::Llhttp => format!("{folder}/llhttp_reader.js"),
            Oracle::H11 => format!("{folder}/h11_reader.py"),
        });
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let (questions, answers) = (process.stdin.take(), process.stdout.take());
        let (Some(questions), Some(answers)) = (questions, answers) else {
            return Err("no pipes".to_owned());
        };
        Ok(Self { oracle, process, questions, answers: BufReader::new(answers) })
    }

    /// Reads the response to a request of that method, up to the first that is final.
    pub(crate) fn response(&mut self, asked: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
        self.read("response", asked, bytes, is_ended)
    }

    /// Reads the requests on a connection that is still open.
    pub(crate) fn requests(&mut self, bytes: &[u8]) -> Result<Read, String> {
        self.read("requests", "", bytes, false)
    }

    fn read(&mut self, kind: &str, asked: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
        let ended = if is_ended { "ended" } else { "open" };
        writeln!(self.questions, "{kind}\t{asked}\t{}\t{ended}", hexadecimal(bytes))
            .map_err(|error| error.to_string())?;
        let mut read = Read::default();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
                return Err(format!("{:?} is gone", self.oracle));
            }
            let (word, rest) = line.trim_end_matches('\n').split_once(' ').unwrap_or((line.trim_end(), ""));
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            let field = || (bytes_of(first), bytes_of(second));
            match (word, read.messages.last_mut()) {
                (".", _) => return Ok(read),
                ("message", _) => read.messages.push(Message { start: rest.to_owned(), ..Message::default() }),
                ("error", _) => read.error = Some(rest.to_owned()),
                ("tunnel", _) => read.tunnel = Some(bytes_of(rest)),
                ("header", Some(message)) => message.headers.push(field()),
                ("trailer", Some(message)) => message.trailers.push(field()),
                ("body", Some(message)) => message.body.extend(bytes_of(rest)),
                ("complete", Some(message)) => {
                    message.end = Some(first.parse().map_err(|_| format!("not an offset: {line}"))?);
                    message.keeps = second == "keeps";
                }
                _ => return Err(format!("{:?} says {line:?}", self.oracle)),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("0"), 16).unwrap_or(0);
    digits.chunks(2).map(pair).collect()
}

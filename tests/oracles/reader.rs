//! A process that reads messages with a parser that others wrote.

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

/// A message as an oracle sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The status, or the method and the target.
    pub(crate) start: String,
    /// Names in lower case, and values; of the header section, then of the trailer section.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) is_complete: bool,
}

impl Message {
    /// The start and the body of a request, by the plainest of readings. Its grammar is known to be sound.
    pub(crate) fn of_request(bytes: &[u8]) -> Self {
        let text = bytes.trim_ascii_start();
        let (head, body) = split(text, b"\r\n\r\n").unwrap_or((text, &[]));
        let mut line = head.split(|byte| *byte == b' ' || *byte == b'\r');
        let mut word = || line.next().map(hexadecimal).unwrap_or_default();
        let start = format!("{} {}", word(), word());
        let is_chunked = head.to_ascii_lowercase().windows(18).any(|bytes| bytes == b"transfer-encoding:");
        Self {
            start,
            body: if is_chunked { decoded(body) } else { body.to_vec() },
            is_complete: true,
            ..Self::default()
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().chain(&self.trailers).map(|(name, _)| &**name)
    }

    /// Removes the fields of these names.
    pub(crate) fn remove(&mut self, is_denied: impl Fn(&[u8]) -> bool) {
        self.headers.retain(|(name, _)| !is_denied(name));
        self.trailers.retain(|(name, _)| !is_denied(name));
    }

    /// Tells whether the other is this one, cut short.
    pub(crate) fn starts_with(&self, cut: &Self) -> bool {
        self.start == cut.start && self.headers == cut.headers && self.body.starts_with(&cut.body)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |fields: &[(Vec<u8>, Vec<u8>)]| {
            let field =
                |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            fields.iter().map(field).collect::<Vec<_>>()
        };
        let (headers, trailers) = (fields(&self.headers), fields(&self.trailers));
        let (body, is_complete) = (self.body.escape_ascii(), self.is_complete);
        write!(formatter, "{} {headers:?} \"{body}\" {trailers:?} complete: {is_complete}", self.start)
    }
}

/// The data of a chunked body, as far as it goes.
fn decoded(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some((line, rest)) = split(body, b"\r\n") {
        let digits: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(0);
        let here = size.min(rest.len());
        data.extend_from_slice(&rest[..here]);
        if size == 0 {
            break;
        }
        body = rest.get(here + 2..).unwrap_or_default();
    }
    data
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
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

    pub(crate) fn read(&mut self, kind: &str, methods: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
        let ended = if is_ended { "ended" } else { "open" };
        writeln!(self.questions, "{kind}\t{methods}\t{}\t{ended}", hexadecimal(bytes))
            .map_err(|error| error.to_string())?;
        let mut read = Read::default();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
                return Err(format!("{:?} is gone", self.oracle));
            }
            let (word, rest) = line.trim_end_matches('\n').split_once(' ').unwrap_or((line.trim_end(), ""));
            let field =
                || rest.split_once(' ').map(|(name, value)| (bytes_of(name), bytes_of(value))).unwrap_or_default();
            match (word, read.messages.last_mut()) {
                (".", _) => return Ok(read),
                ("message", _) => read.messages.push(Message { start: rest.to_owned(), ..Message::default() }),
                ("error", _) => read.error = Some(rest.to_owned()),
                ("tunnel", _) => read.tunnel = Some(bytes_of(rest)),
                ("header", Some(message)) => message.headers.push(field()),
                ("trailer", Some(message)) => message.trailers.push(field()),
                ("body", Some(message)) => message.body.extend(bytes_of(rest)),
                ("complete", Some(message)) => message.is_complete = true,
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

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("0"), 16).unwrap_or(0);
    digits.chunks(2).map(pair).collect()
}

//! Reads messages with a parser that others wrote: hyper here, the others in a process of their own.
//!
//! A process is given a line for each question: `response` and the method that was asked (with `+` behind it where the request offered to switch protocols), or
//! `requests` and nothing; the bytes in hexadecimal; and whether their sender then `ended`. It answers with lines: for each message `message`, `header`
//! and `trailer` (names and values), `body`, and `complete` with the offset of its end and whether the connection lives on (`keeps` or `closes`); then
//! `tunnel` and what is not read as HTTP any more, or `error`; and a full stop at the end. Of responses, it reads up to the first final one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::hyper_reader;
use crate::message::{Message, Read, hexadecimal};
use crate::setup::{ASGI, Setup};

/// Whose parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oracle {
    Llhttp,
    H11,
    Hyper,
}

/// Reads with the parser of an oracle.
pub(crate) enum Reader {
    Process(Process),
    Hyper,
}

impl Reader {
    pub(crate) fn start(oracle: Oracle, setup: &Setup) -> Result<Self, String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles");
        let (mut command, script) = match oracle {
            Oracle::Llhttp => (Command::new(setup.node()?), "llhttp_reader.js"),
            Oracle::H11 => (Command::new(setup.python_with(&ASGI)?.join("python")), "h11_reader.py"),
            Oracle::Hyper => return Ok(Self::Hyper),
        };
        command.arg(format!("{folder}/{script}"));
        Process::start(command).map(Self::Process)
    }

    /// Reads the response to a request of that method, up to the first that is final.
    pub(crate) fn response(&mut self, asked: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
        match self {
            Self::Process(process) => process.read("response", asked, bytes, is_ended),
            Self::Hyper => hyper_reader::response(asked, bytes, is_ended),
        }
    }

    /// Reads the requests on a connection that is still open.
    pub(crate) fn requests(&mut self, bytes: &[u8]) -> Result<Read, String> {
        match self {
            Self::Process(process) => process.read("requests", "", bytes, false),
            Self::Hyper => Ok(hyper_reader::requests(bytes)),
        }
    }
}

/// The process, ended when dropped.
pub(crate) struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(mut command: Command) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let (Some(questions), Some(answers)) = (questions, answers) else {
            return Err("no pipes".to_owned());
        };
        Ok(Self { child, questions, answers: BufReader::new(answers) })
    }

    fn read(&mut self, kind: &str, asked: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
        let ended = if is_ended { "ended" } else { "open" };
        writeln!(self.questions, "{kind}\t{asked}\t{}\t{ended}", hexadecimal(bytes))
            .map_err(|error| error.to_string())?;
        let mut read = Read::default();
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line).map_err(|error| error.to_string())? == 0 {
                return Err("the oracle is gone".to_owned());
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
                _ => return Err(format!("the oracle says {line:?}")),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("0"), 16).unwrap_or(0);
    digits.chunks(2).map(pair).collect()
}

//! headsnip beside parsers that others wrote: llhttp, as it is in Node, and h11.
//!
//! Each input of the corpora of requests and responses is read by both. What an oracle makes of headsnip's output must be what it
//! makes of the origin's bytes less the denied fields; and where an oracle and headsnip disagree on where a message ends,
//! headsnip must have refused it. Which differences are accepted, and why, is in `accepted.rs`.
//!
//! A reader is a process that is given a line for each input (what it is, the requests, the bytes in hexadecimal, whether
//! their sender then ends) and answers with lines: `message`, `header` and `trailer` (names and values), `body`, `complete`,
//! `tunnel`, `error`, and a full stop at the end. Where Python or Node is missing, its tests are skipped, which is said; with
//! `CI=true` in the environment they fail instead.

mod accepted;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "only what installs packages is needed of it")]
mod process;
mod reader;
#[path = "../support/setup.rs"]
#[expect(dead_code, reason = "only the virtual environment and Node are needed of it")]
mod setup;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use headsnip::http1::Policy;
use headsnip::testing::drive::{Driven, drive};
use headsnip::testing::{End, Step, property};
use libtest_mimic::{Arguments, Failed, Trial};

use accepted::is_accepted;
use reader::{Message, Oracle, Reader};
use setup::{Needs, Setup};

fn main() -> ExitCode {
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    let setup = match Setup::new() {
        Ok(setup) => Arc::new(setup),
        Err(error) => {
            eprintln!("oracles: {error}");
            return ExitCode::FAILURE;
        }
    };
    let trial = |oracle: Oracle, target: &'static str, check: fn(&mut Reader, &[u8]) -> Result<(), String>| {
        let setup = Arc::clone(&setup);
        let test = move || {
            if let Some(reason) = setup.missing(oracle.needs()) {
                eprintln!(
                    "oracles: {reason}; this test {}",
                    if must_run { "fails, as CI=true wants it" } else { "is skipped" }
                );
                return if must_run { Err(reason.into()) } else { Ok(()) };
            }
            let mut reader = Reader::start(oracle, &setup)?;
            each(target, |input| check(&mut reader, input))
        };
        Trial::test(format!("{target}, {oracle:?}"), test)
    };
    let trials = [Oracle::Llhttp, Oracle::H11]
        .into_iter()
        .flat_map(|oracle| [trial(oracle, "response", check_response), trial(oracle, "request", check_request)]);
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

impl Oracle {
    fn needs(self) -> Needs {
        match self {
            Self::Llhttp => Needs::Node,
            Self::H11 => Needs::Python,
        }
    }
}

/// Checks each file of a corpus; tells of all that fail.
fn each(target: &str, mut check: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut failures, mut files) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Err(error) = check(&std::fs::read(&path)?) {
            failures.push(format!("{}: {error}", path.file_name().unwrap_or_default().to_string_lossy()));
        }
        files += 1;
    }
    assert!(files > 400, "only {files} files");
    failures.sort();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// What the client makes of headsnip's output is what it would make of the origin's, less the denied fields.
fn check_response(reader: &mut Reader, input: &[u8]) -> Result<(), String> {
    let [client, origin, end] = property::response_steps(input);
    let policy = Policy::default();
    let driven = drive(&policy, &[client, origin.clone(), end]);
    let methods = methods(input);
    let ours = reader.read("responses", &methods, &driven.outcome.to_client, ends(&driven))?;
    let mut theirs = reader.read("responses", &methods, origin.bytes(), true)?;
    for message in &mut theirs.messages {
        message.remove(|name| policy.denylist.denies(name));
    }
    for (index, message) in ours.messages.iter().enumerate() {
        if message.names().any(|name| policy.denylist.denies(name)) {
            return Err(format!("message {index} has a denied field: {message:?}"));
        }
        // One that was cut is compared as far as it goes.
        let is_same = match theirs.messages.get(index) {
            Some(other) if message.is_complete => other == message,
            Some(other) => other.starts_with(message),
            None => false,
        };
        if !is_same {
            return Err(format!(
                "message {index} differs:\n  through headsnip {message:?}\n  by itself {:?}",
                theirs.messages.get(index)
            ));
        }
    }
    if driven.violation.is_none() {
        if let Some(error) = ours.error.as_ref().filter(|_| !is_accepted(reader.oracle, &ours, ours.messages.len())) {
            return Err(format!("it goes on, though the client finds: {error}"));
        }
        if ours.messages.len() != theirs.messages.len() {
            return Err(format!("{} messages, not {}", ours.messages.len(), theirs.messages.len()));
        }
    }
    Ok(())
}

/// The origin finds the same requests in what headsnip sent on, with the same bodies.
fn check_request(reader: &mut Reader, input: &[u8]) -> Result<(), String> {
    let [client, ..] = property::request_steps(input);
    let steps = [client, Step::Origin(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(40)), Step::ClientEnd];
    let driven = drive(&Policy::default(), &steps);
    let sent = &driven.outcome.to_origin;
    let read = reader.read("requests", "", sent, false)?;
    let ends = driven.heads.iter().skip(1).copied().chain([sent.len()]);
    let ours: Vec<_> =
        driven.heads.iter().zip(ends).map(|(start, end)| Message::of_request(&sent[*start..end])).collect();
    for (index, ours) in ours.iter().enumerate() {
        let is_same = read
            .messages
            .get(index)
            .is_some_and(|theirs| theirs.start == ours.start && (theirs.body == ours.body || !theirs.is_complete));
        if !is_same && !is_accepted(reader.oracle, &read, index) {
            return Err(format!(
                "request {index} differs:\n  to headsnip {ours:?}\n  to the origin {:?}, {:?}",
                read.messages.get(index),
                read.error
            ));
        }
        if !is_same {
            return Ok(());
        }
    }
    if read.messages.len() > ours.len() {
        return Err(format!("the origin finds {} requests, not {}", read.messages.len(), ours.len()));
    }
    Ok(())
}

/// The methods of the requests of an input of the target `response`.
fn methods(input: &[u8]) -> String {
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = |word: &[u8]| match word.strip_suffix(b"/1.0").unwrap_or(word) {
        b"HEAD" => "HEAD",
        b"POST" => "POST",
        b"websocket" => "websocket",
        b"h2c" => "h2c",
        _ => "GET",
    };
    line.split(|byte| *byte == b' ').take(20).map(word).collect::<Vec<_>>().join(",")
}

/// Whether the client sees a clean end.
fn ends(driven: &Driven) -> bool {
    !matches!(driven.outcome.end, End::Open | End::OriginDropped | End::Reset)
}

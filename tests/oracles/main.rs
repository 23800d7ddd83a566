//! headsnip beside parsers that others wrote: llhttp, as it is in Node, h11, and hyper.
//!
//! Each file of the corpora that are traffic and each vector is driven; then an oracle reads what headsnip sent to each side, and what
//! the origin said. It must end each message where headsnip does, and find in it what headsnip found; what headsnip refused need not
//! be read. What an oracle refuses or leaves unread is a difference. Which differences are accepted, and why, is in `accepted.rs`.
//!
//! A response that headsnip mends is compared where the oracle can read it as it was; else it must be readable now. Where Python
//! or Node is missing, its test is skipped, which is said; with `CI=true` in the environment it fails instead. hyper is compiled in, and never skipped. It
//! reads heads with httparse, as headsnip does those of responses; where messages end, it finds by itself.

mod accepted;
mod exchanges;
mod hyper_reader;
mod message;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "only what installs packages is needed of it")]
mod process;
mod reader;
mod requests;
mod responses;
#[path = "../support/setup.rs"]
#[expect(dead_code, reason = "only the virtual environment and Node are needed of it")]
mod setup;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use headsnip::http1::Policy;
use headsnip::testing::drive::policy;
use headsnip::testing::{Step, property, vector};
use libtest_mimic::{Arguments, Failed, Trial};

use accepted::Differences;
use exchanges::Driving;
use reader::{Oracle, Reader};
use setup::{Needs, Setup};

fn main() -> ExitCode {
    let setup = match Setup::new() {
        Ok(setup) => Arc::new(setup),
        Err(error) => {
            eprintln!("oracles: {error}");
            return ExitCode::FAILURE;
        }
    };
    let trials = [Oracle::Llhttp, Oracle::H11, Oracle::Hyper].map(|oracle| {
        let setup = Arc::clone(&setup);
        Trial::test(format!("{oracle:?}"), move || test(oracle, &setup))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

impl Oracle {
    /// What must be there for it.
    fn needs(self) -> Option<Needs> {
        match self {
            Self::Llhttp => Some(Needs::Node),
            Self::H11 => Some(Needs::Python),
            Self::Hyper => None,
        }
    }
}

/// Compares one oracle with headsnip over all inputs; tells of all that fail.
fn test(oracle: Oracle, setup: &Setup) -> Result<(), Failed> {
    if let Some(reason) = oracle.needs().and_then(|needs| setup.missing(needs)) {
        let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
        eprintln!(
            "oracles: {reason}; this test {}",
            if must_run { "fails, as CI=true wants it" } else { "is skipped" }
        );
        return if must_run { Err(reason.into()) } else { Ok(()) };
    }
    let inputs = inputs()?;
    let mut reader = Reader::start(oracle, setup)?;
    let mut differences = Differences::new(oracle);
    let mut failures = Vec::new();
    for input in &inputs {
        let driving = Driving::new(&input.policy, &input.steps);
        let checked = requests::check(&mut reader, &mut differences, &driving)
            .and_then(|()| responses::check(&mut reader, &mut differences, &driving));
        failures.extend(checked.err().map(|error| format!("{}: {error}", input.name)));
    }
    let (requests, responses) = differences.compared();
    eprintln!("oracles: {oracle:?}: {} inputs, {requests} requests and {responses} responses compared", inputs.len());
    if !failures.is_empty() {
        failures.sort();
        return Err(failures.join("\n").into());
    }
    assert!(requests > 4_000 && responses > 4_000, "too few are compared");
    eprint!("{}", differences.found()?);
    Ok(())
}

/// What is longer is a run of thousands of interim responses, or empty lines: byte by byte, those few inputs would take most of the time.
const MAX_BYTES: usize = 70_000;

/// What is driven.
struct Input {
    name: String,
    policy: Policy,
    steps: Vec<Step>,
}

/// How a file of a corpus is read.
type Read = fn(&[u8]) -> Vec<Step>;

/// All corpora whose files are traffic, and all vectors; then what their clients say, all at once and each request answered.
fn inputs() -> Result<Vec<Input>, Failed> {
    let mut inputs = Vec::new();
    let corpora: [(_, Read); 5] = [
        ("response", property::response_steps),
        ("request", property::request_steps),
        ("exchange", property::steps),
        ("chunked", chunked_response),
        ("chunked", chunked_request),
    ];
    for (corpus, steps) in corpora {
        let files = files(&format!("fuzz/corpus/{corpus}"))?;
        assert!(files.len() > 150, "only {} files", files.len());
        inputs.extend(files.into_iter().map(|(name, bytes)| Input {
            name: format!("{corpus}/{name}"),
            policy: Policy::default(),
            steps: steps(&bytes),
        }));
    }
    for (file, text) in files("tests/vectors")? {
        for vector in vector::parse(&String::from_utf8(text)?)? {
            let policy = policy(&vector.rules).ok_or("the core refuses the options")?;
            inputs.push(Input { name: format!("{file}: {}", vector.name), policy, steps: vector.steps });
        }
    }
    let at_once: Vec<Input> = inputs.iter().filter_map(Input::at_once).collect();
    inputs.extend(at_once);
    inputs.retain(|input| input.steps.iter().map(|step| step.bytes().len()).sum::<usize>() <= MAX_BYTES);
    Ok(inputs)
}

impl Input {
    /// What its client says, if that came in parts.
    fn at_once(&self) -> Option<Self> {
        let parts = || self.steps.iter().filter(|step| matches!(step, Step::Client(_)));
        let bytes: Vec<u8> = parts().flat_map(Step::bytes).copied().collect();
        let steps = property::request_steps(&bytes);
        let is_other = steps != self.steps && parts().count() > 1;
        is_other.then(|| Self { name: format!("{}, at once", self.name), policy: self.policy.clone(), steps })
    }
}

fn chunked_response(input: &[u8]) -> Vec<Step> {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    vec![Step::Client(request), Step::Origin([head, input].concat()), Step::OriginEnd]
}

fn chunked_request(input: &[u8]) -> Vec<Step> {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    property::request_steps(&[head, input].concat())
}

/// The files of a folder, by name.
fn files(folder: &str) -> Result<Vec<(String, Vec<u8>)>, Failed> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, std::fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

//! Runs the vectors of `tests/vectors/*.txt` through the protocol core: whole, a byte at a time, over every cut and every
//! two cuts where they are short, twice, and beside the plain model.

use std::path::Path;

use headsnip::http1::Violation;
use headsnip::testing::drive::policy;
use headsnip::testing::property::{self, cuts_do_not_matter};
use headsnip::testing::vector::{self, Vector};
use libtest_mimic::{Arguments, Failed, Trial};

/// Up to so many bytes every pair of cuts is tried: 20,000 pairs.
const ALL_PAIRS: usize = 200;

/// Up to so many bytes every single cut is tried.
const ALL_CUTS: usize = 8_000;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of vectors is there") {
        let path = entry.expect("the folder can be read").path();
        let theme = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a vector file is text");
        let vectors =
            vector::parse(&text).map_err(|error| format!("{}: {error}", path.display())).expect("vectors can be read");
        trials.extend(vectors.into_iter().map(|vector| {
            let name = format!("{theme}::{}", vector.name);
            Trial::test(name, move || check(&vector))
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn check(vector: &Vector) -> Result<(), Failed> {
    let whole = property::holds(&vector.rules, &vector.steps)?;
    compare("to origin", &whole.outcome.to_origin.concat(), &vector.to_origin)?;
    if let Some(dials) = vector.dials {
        same("dials", &whole.outcome.to_origin.len(), &dials)?;
    }
    compare("to client", &whole.outcome.to_client, &vector.to_client)?;
    same("end", &whole.outcome.end, &vector.end)?;
    if let Some(error) = &vector.error {
        same("error", &whole.violation.map(Violation::name), &Some(error.as_str()))?;
    }
    let policy = policy(&vector.rules).ok_or("the core refuses the options")?;
    let length: usize = vector.steps.iter().map(|step| step.bytes().len()).sum();
    let try_cuts = |positions: &[usize]| cuts_do_not_matter(&policy, &vector.steps, &whole, positions);
    if length <= ALL_CUTS {
        (1..length).try_for_each(|at| try_cuts(&[at]))?;
    }
    if length <= ALL_PAIRS {
        (1..length).try_for_each(|first| (first + 1..length).try_for_each(|second| try_cuts(&[first, second])))?;
    }
    Ok(())
}

fn compare(what: &str, found: &[u8], expected: &[u8]) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {:?}\nexpected {:?}", text(found), text(expected)).into())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}").into()) }
}

/// Bytes as a person reads them, the middle of long ones left out.
fn text(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    match (text.get(..400), text.get(text.len().saturating_sub(200)..)) {
        (Some(start), Some(end)) if text.len() > 700 => format!("{start} ... {end}"),
        _ => text,
    }
}

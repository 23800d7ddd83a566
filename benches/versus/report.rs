//! The table, in Markdown, and the chart.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Measured;
use super::figures::{Figures, median, median_of};
use super::jobs::Job;
use super::proxies::Peer;

/// Prints the table and writes it and the chart.
pub(crate) fn write(jobs: &[Job], proxies: &[Peer], measured: &Measured, idle: &[f64]) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    let versions = proxies
        .iter()
        .filter(|proxy| !proxy.version.is_empty())
        .map(|proxy| format!("{} {}", proxy.name, proxy.version));
    writeln!(text, "{}\n", versions.collect::<Vec<_>>().join(", "))?;
    let names: Vec<_> = proxies.iter().map(|proxy| proxy.name).collect();
    let floor = names.iter().position(|name| *name == "relay");
    for (title, figure, digits) in FIGURES {
        writeln!(text, "{title}\n\n| | {} |\n|---{}|", names.join(" | "), "|---:".repeat(names.len()))?;
        for (at, job) in jobs.iter().enumerate() {
            let of = |beside: usize| measured.get(&(at, beside)).map(|rounds| median(rounds, figure));
            let ratio = |beside: usize| {
                let rounds = |at_proxy| measured.get(&(at, at_proxy));
                let pairs = rounds(beside)?.iter().zip(rounds(floor?)?);
                Some(median_of(pairs.map(|(own, least)| figure(own) / figure(least)).collect()))
            };
            let cells = (0..proxies.len()).map(|beside| match (of(beside), ratio(beside)) {
                (Some(value), Some(ratio)) if floor != Some(beside) && title.contains("processor") => {
                    format!("{value:.digits$} ({ratio:.2})")
                }
                (Some(value), _) => format!("{value:.digits$}"),
                (None, _) => String::new(),
            });
            writeln!(text, "| {} | {} |", job.name, cells.collect::<Vec<_>>().join(" | "))?;
        }
        writeln!(text)?;
    }
    let cells: Vec<_> = idle.iter().map(|bytes| format!("{bytes:.0}")).collect();
    writeln!(
        text,
        "Bytes of memory for an idle client with its origin connection, of 2,000\n\n| | {} |\n|---{}|\n| | {} |",
        names.join(" | "),
        "|---:".repeat(names.len()),
        cells.join(" | ")
    )?;
    print!("{text}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/versus");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("versus.md"), &text)?;
    eprintln!("written to {}", folder.display());
    Ok(())
}

type Figure = (&'static str, fn(&Figures) -> f64, usize);

const FIGURES: [Figure; 5] = [
    (
        "Microseconds of processor time of the proxy for a request (and beside the relay)",
        |figures| figures.processor,
        1,
    ),
    ("Requests a second", |figures| figures.rate, 0),
    ("Microseconds to the answer, median", |figures| figures.median, 0),
    ("Microseconds to the answer, 99th of 100", |figures| figures.slow, 0),
    ("KiB of memory of its own", |figures| figures.memory / 1024.0, 0),
];

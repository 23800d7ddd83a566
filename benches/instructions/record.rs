//! The counts that the repository holds, and what compares new ones with them.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A job's name, and its instructions per exchange.
pub(crate) type Counted = (String, f64);

/// An exchange may grow by so much before the check fails. One binary's counts differ by 1.5 % at most from run to run.
const GROWTH: f64 = 1.05;

const HEAD: &str = "| Instructions of user space per exchange | |\n|---|---:|\n";

/// Writes the page.
pub(crate) fn write(counted: &[Counted]) -> Result<(), Box<dyn Error>> {
    let mut text = format!(
        "What an exchange costs headsnip in user space, by `INSTRUCTIONS_RECORD=write cargo bench --bench instructions`. \
         [docs/performance.md](../docs/performance.md) says what each row is.\n\nCounted with {}.\n\n{HEAD}",
        counted_with()?
    );
    for (job, count) in counted {
        writeln!(text, "| {job} | {count:.0} |")?;
    }
    Ok(fs::write(page(), text)?)
}

/// Fails where an exchange has grown, or where the page lacks a job.
pub(crate) fn check(counted: &[Counted]) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(page())?;
    let with = text.lines().find_map(|line| line.strip_prefix("Counted with ")?.strip_suffix('.'));
    let (now, then) = (counted_with()?, with.ok_or("the page does not say with what it was counted")?);
    if now != then {
        println!("Not compared with the repository's, which were counted with {then}. Here: {now}.");
        return Ok(());
    }
    let mut grown = Vec::new();
    for (job, count) in counted {
        let row = text.lines().find_map(|line| line.strip_prefix(&format!("| {job} | "))?.strip_suffix(" |"));
        let recorded: f64 = row.ok_or_else(|| format!("not in the page: {job}"))?.parse()?;
        if *count > recorded * GROWTH {
            grown.push(format!("{job}: {count:.0}, and was {recorded:.0}"));
        }
    }
    if !grown.is_empty() {
        return Err(format!("more instructions per exchange than the repository says: {}", grown.join("; ")).into());
    }
    println!("No exchange has grown by more than a twentieth.");
    Ok(())
}

fn page() -> PathBuf {
    headsnip_benches::top().join("benches/instructions.md")
}

/// What the counts depend on beside the code: the compiler, and which instructions are at hand.
fn counted_with() -> Result<String, Box<dyn Error>> {
    let said = |program: &str| -> Result<String, Box<dyn Error>> {
        let output = Command::new(program).arg("--version").output()?.stdout;
        Ok(String::from_utf8(output)?.trim().to_owned())
    };
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let wide = if processor.split_whitespace().any(|flag| flag == "avx2") { "avx2" } else { "no avx2" };
    Ok(format!("{}, {}, {} with {wide}", said("rustc")?, said("valgrind")?, std::env::consts::ARCH))
}

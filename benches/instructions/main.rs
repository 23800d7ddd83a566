//! What an exchange costs headsnip, in instructions of user space or in CPU time.
//!
//! `cargo bench --bench instructions` counts instructions with valgrind's callgrind (`apt-get install valgrind`), in the binary
//! that `cargo build --release` makes. Each job runs twice, with few exchanges and with many. The difference is divided by the
//! difference in exchanges, so that the start, the end and the opening of connections cancel out.
//!
//! - `INSTRUCTIONS_JOBS`: only jobs whose names contain one of these (a comma list).
//! - `INSTRUCTIONS_BINARIES`: these binaries instead (a comma list of paths), each in a column.
//! - `INSTRUCTIONS_FUNCTIONS=30`: then also the functions and the source files that cost most, from a build with symbols.
//!   callgrind's files are kept in `target/instructions`.
//! - `INSTRUCTIONS_RECORD=check`: then compares with `benches/instructions.md`, and fails where an exchange has grown by more
//!   than a twentieth. `INSTRUCTIONS_RECORD=write` writes that page.
//! - `INSTRUCTIONS_TIME=1`: instead, the CPU time of plain and of alone exchanges, the kernel's included, beside that of a GET.
//!   `INSTRUCTIONS_ROUNDS` is the number of rounds. The figures are medians of the rounds, with the quartiles of the ratios.

mod callgrind;
mod jobs;
mod load;
mod proxy;
mod record;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use headsnip_benches::{self as support, OTHER_CORE, is_wanted, list, setting};
use jobs::Job;
use mio::net::TcpListener;
use proxy::Proxy;
use record::Counted;

/// Exchanges of a job, on all its connections together: few, many, and when they are timed. Multiples of every job's connections.
const FEW: usize = 5 * 512;
const MANY: usize = 40 * 512;
const TIMED: usize = 10 * 512;

fn main() -> Result<(), Box<dyn Error>> {
    support::pin(std::process::id(), &OTHER_CORE)?;
    let is_timed = setting("INSTRUCTIONS_TIME", "") == "1";
    let functions: usize = setting("INSTRUCTIONS_FUNCTIONS", "0").parse()?;
    let wanted = list("INSTRUCTIONS_JOBS");
    let mut jobs = if is_timed { jobs::plain_and_alone() } else { jobs::ordinary() };
    jobs.retain(|job| is_wanted(&wanted, job.name));
    let mut binaries: Vec<PathBuf> = list("INSTRUCTIONS_BINARIES").into_iter().map(PathBuf::from).collect();
    if binaries.is_empty() {
        binaries.push(if functions > 0 { proxy::build_with_symbols()? } else { support::release()? });
    }
    if is_timed {
        return time(&jobs, &binaries);
    }
    let counted = count(&jobs, &binaries, functions)?;
    match setting("INSTRUCTIONS_RECORD", "").as_str() {
        "write" => record::write(&counted),
        "check" => record::check(&counted),
        _ => Ok(()),
    }
}

/// Prints the instructions of each job, and gives those of the first binary.
fn count(jobs: &[Job], binaries: &[PathBuf], functions: usize) -> Result<Vec<Counted>, Box<dyn Error>> {
    header("Instructions per exchange", binaries.iter().map(|binary| binary.display().to_string()));
    let mut tables = Vec::new();
    let mut first = Vec::new();
    for job in jobs {
        let mut row = Vec::new();
        for binary in binaries {
            // An older version may lack the flag that the job is about.
            if let Some(flag) = job.flags.first()
                && !proxy::knows(binary, flag)?
            {
                row.push("–".to_owned());
                continue;
            }
            let few = counted(job, binary, FEW).map_err(|error| format!("{}: {error}", job.name))?;
            let many = counted(job, binary, MANY).map_err(|error| format!("{}: {error}", job.name))?;
            let exchanges = f64::from(u32::try_from(MANY - FEW)?);
            let count = (callgrind::total(&many)? - callgrind::total(&few)?) / exchanges;
            if row.is_empty() {
                first.push((job.name.to_owned(), count));
            }
            row.push(format!("{count:.0}"));
            if functions > 0 {
                tables.push(format!("\n{}, {}", job.name, binary.display()));
                tables.extend(most_expensive(&few, &many, exchanges, functions)?);
            }
        }
        println!("| {} | {} |", job.name, row.join(" | "));
    }
    println!("{}", tables.join("\n"));
    Ok(first)
}

/// Runs a job with its proxy under callgrind; gives the file of counts.
fn counted(job: &Job, binary: &Path, exchanges: usize) -> Result<PathBuf, Box<dyn Error>> {
    let name = job.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let binary_name = binary.file_name().unwrap_or_default().display();
    let counts = proxy::folder()?.join(format!("{binary_name}.{name}.{exchanges}.callgrind"));
    let (mut origin, upstream) = origin()?;
    let proxy = Proxy::start(&callgrind::command(&counts), binary, &job.flags, upstream)?;
    load::run(job, proxy.address, &mut origin, each(job, exchanges)?)?;
    proxy.end()?;
    Ok(counts)
}

/// The functions, and then the source files, in which most instructions of an exchange are.
fn most_expensive(few: &Path, many: &Path, exchanges: f64, rows: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let few = callgrind::by_function(few)?;
    let mut sums = [BTreeMap::new(), BTreeMap::new()];
    for (place, cost) in callgrind::by_function(many)? {
        let cost = (cost - few.get(&place).copied().unwrap_or(0.0)) / exchanges;
        for (sums, name) in sums.iter_mut().zip([place.function, place.file]) {
            *sums.entry(name).or_insert(0.0) += cost;
        }
    }
    let mut lines = Vec::new();
    for sums in sums {
        let mut costs: Vec<(String, f64)> = sums.into_iter().collect();
        costs.sort_by(|one, other| other.1.total_cmp(&one.1));
        lines.extend(costs.into_iter().take(rows).map(|(name, cost)| format!("{cost:8.0}  {name}")));
        lines.push(String::new());
    }
    Ok(lines)
}

/// Prints the CPU time of each job beside that of the first. Jobs and binaries take turns, so that drift affects all alike.
fn time(jobs: &[Job], binaries: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let rounds: usize = setting("INSTRUCTIONS_ROUNDS", "31").parse()?;
    let (mut origin, upstream) = origin()?;
    let start = |binary: &PathBuf| Proxy::start(&[], binary, &[], upstream);
    let proxies = binaries.iter().map(start).collect::<Result<Vec<Proxy>, _>>()?;
    // By proxy, by job, by round.
    let mut measured = vec![vec![Vec::new(); jobs.len()]; proxies.len()];
    for round in 0..=rounds {
        for (at, job) in jobs.iter().enumerate() {
            for (proxy, measured) in proxies.iter().zip(&mut measured) {
                let before = proxy.processor_time()?;
                load::run(job, proxy.address, &mut origin, each(job, TIMED)?)
                    .map_err(|error| format!("{}: {error}", job.name))?;
                let spent = proxy.processor_time()?.saturating_sub(before);
                // The first round is for warming up.
                if round > 0 {
                    measured[at].push(spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(TIMED)?));
                }
            }
        }
    }
    for (binary, measured) in binaries.iter().zip(&measured) {
        println!("\n{}", binary.display());
        let first = jobs.first().map_or("none", |job| job.name);
        header("", ["microseconds per request".to_owned(), format!("of {first}"), "quartiles".to_owned()].into_iter());
        for (job, times) in jobs.iter().zip(measured) {
            let first = measured.first().map(Vec::as_slice).unwrap_or_default();
            let [_, time, _] = quartiles(times.clone());
            let [low, ratio, high] = quartiles(times.iter().zip(first).map(|(time, first)| time / first).collect());
            println!("| {} | {time:.1} | {ratio:.2} | {low:.2} to {high:.2} |", job.name);
        }
    }
    Ok(())
}

fn origin() -> Result<(TcpListener, SocketAddr), Box<dyn Error>> {
    let origin = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let upstream = origin.local_addr()?;
    Ok((origin, upstream))
}

/// Exchanges on each connection of a job.
fn each(job: &Job, exchanges: usize) -> Result<u32, Box<dyn Error>> {
    Ok(u32::try_from(exchanges / job.connections)?)
}

fn header(title: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    println!("| {title} | {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len()));
}

/// The lower quartile, the median, the upper quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

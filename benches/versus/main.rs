//! headsnip beside a relay that knows no HTTP and beside other proxies: the same jobs, in the same run, each on one core.
//!
//! `cargo bench --bench versus` prints a table, and writes it and a chart to `target/versus`. The proxies have the first core
//! for themselves, the clients and the origin the second. Rounds go round all of them, so that drift hits all alike; figures
//! are medians of the rounds. `VERSUS_ROUNDS`, `VERSUS_SECONDS`, `VERSUS_PROXIES` and `VERSUS_JOBS` (comma lists) choose less.
//! With `VERSUS_CURVE=1` the jobs are bodies and chunks of many lengths, and beside headsnip as it is stand one that copies all
//! and one that splices whatever it can.

mod chart;
mod figures;
mod jobs;
mod load;
mod origin;
mod proxies;
mod relay;
mod report;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use figures::Figures;
use headsnip::config::Config;
use headsnip::proxy::Proxy;
use jobs::Job;
use proxies::Peer;
use report::Report;

/// Which core the proxies have, and which the clients and the origin.
const PROXY_CORE: &str = "0";
const OTHER_CORE: &str = "1";

/// What was measured, by job and proxy.
type Measured = BTreeMap<(usize, usize), Vec<Figures>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["origin", address] => origin::run(address),
        ["relay", listen, upstream] => relay::run(listen, upstream),
        ["headsnip", listen, upstream, splice_from] => embedded(listen, upstream, splice_from),
        [] => versus(),
        other => Err(format!("these arguments mean nothing here: {other:?}").into()),
    }
}

fn versus() -> Result<(), Box<dyn Error>> {
    let rounds: u32 = setting("VERSUS_ROUNDS", "5").parse()?;
    let duration = Duration::from_secs_f32(setting("VERSUS_SECONDS", "1").parse()?);
    proxies::pin(std::process::id(), OTHER_CORE)?;
    let origin = proxies::Origin::start()?;
    let is_curve = setting("VERSUS_CURVE", "") == "1";
    let wanted = setting("VERSUS_PROXIES", "");
    let recipes = if is_curve { proxies::CURVE } else { proxies::ALL };
    let proxies = proxies::start(recipes, &origin, |name| is_wanted(&wanted, name))?;
    let wanted = setting("VERSUS_JOBS", "");
    let jobs = if is_curve { jobs::curve() } else { jobs::all() };
    let jobs: Vec<Job> = jobs.into_iter().filter(|job| is_wanted(&wanted, job.name)).collect();
    let mut measured = Measured::new();
    for round in 0..=rounds {
        for (at, job) in jobs.iter().enumerate() {
            for (beside, proxy) in proxies.iter().enumerate() {
                let figures =
                    measure(job, proxy, duration).map_err(|error| format!("{}, {}: {error}", proxy.name, job.name))?;
                // The first round is for warming up.
                if round > 0 {
                    measured.entry((at, beside)).or_default().push(figures);
                }
            }
        }
        eprintln!("round {round} of {rounds}");
    }
    Report { jobs: &jobs, proxies: &proxies, measured: &measured }.write()
}

/// headsnip from the library, with another threshold for splice: a number of bytes, or none at all.
fn embedded(listen: &str, upstream: &str, splice_from: &str) -> Result<(), Box<dyn Error>> {
    let mut config = Config::new(listen.parse()?, upstream.parse()?);
    config.splice_from = splice_from.parse().ok();
    Proxy::bind(config)?.run(std::future::pending())?;
    Ok(())
}

/// One job, once, through one proxy.
fn measure(job: &Job, proxy: &Peer, duration: Duration) -> Result<Figures, Box<dyn Error>> {
    let before = proxy.processor_time()?;
    let done = load::run(job, proxy.address, duration)?;
    let spent = proxy.processor_time()?.saturating_sub(before);
    Ok(Figures::new(spent, proxy.memory()?, done))
}

fn is_wanted(list: &str, name: &str) -> bool {
    list.is_empty() || list.split(',').any(|wanted| name.contains(wanted))
}

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

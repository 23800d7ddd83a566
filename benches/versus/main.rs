//! headsnip beside a relay that knows no HTTP and beside other proxies: the same jobs, in the same run, each on one core.
//!
//! `cargo bench --bench versus` prints tables, and writes them and a chart to `target/versus`. headsnip is the binary that
//! `cargo build --release` makes. The proxies have the first core, the clients and the origin the second. In each round all
//! proxies take their turn at each job, so that drift affects all alike; figures are medians of the rounds.
//!
//! - `VERSUS_ROUNDS` (5), `VERSUS_SECONDS` (1, for each turn), `VERSUS_PROXIES` and `VERSUS_JOBS` (comma lists of parts of names).
//! - `VERSUS_BUILDS=old/headsnip,new/headsnip`: instead of the peers, these binaries beside the relay; ratios are to the first.
//! - `VERSUS_CURVE=1`: the jobs are bodies and chunks of many lengths, and beside headsnip as it is stand one that copies all and
//!   one that splices whatever it can.

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
use std::io;
use std::sync::Arc;
use std::time::Duration;

use figures::Figures;
use headsnip::config::Config;
use headsnip::proxy::Proxy;
use headsnip_benches::{self as support, OTHER_CORE, is_wanted, list, setting};
use jobs::Job;
use proxies::Peer;
use report::Report;
use socket2::{SockAddr, Socket, Type};

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

/// A socket that listens, with room for all connections of a job at once. Where it is full, a client tries again after a second.
fn listen(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.bind(address)?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn versus() -> Result<(), Box<dyn Error>> {
    let rounds: u32 = setting("VERSUS_ROUNDS", "5").parse()?;
    let duration = Duration::from_secs_f32(setting("VERSUS_SECONDS", "1").parse()?);
    support::pin(std::process::id(), &OTHER_CORE)?;
    let origin = proxies::Origin::start()?;
    let is_curve = setting("VERSUS_CURVE", "") == "1";
    let builds = list("VERSUS_BUILDS");
    let recipes = match (builds.is_empty(), is_curve) {
        (false, _) => proxies::builds(builds),
        (true, true) => proxies::curve(&support::release()?),
        (true, false) => proxies::all(&support::release()?),
    };
    let proxies = proxies::start(recipes, &origin, &list("VERSUS_PROXIES"))?;
    let wanted = list("VERSUS_JOBS");
    let mut jobs = if is_curve { jobs::curve() } else { jobs::all() };
    jobs.retain(|job| is_wanted(&wanted, job.name));
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
    Proxy::bind(config, Arc::new(()))?.run(std::future::pending())?;
    Ok(())
}

/// One job, once, through one proxy.
fn measure(job: &Job, proxy: &Peer, duration: Duration) -> Result<Figures, Box<dyn Error>> {
    let before = proxy.processor_time()?;
    let done = load::run(job, proxy.address, duration)?;
    let spent = proxy.processor_time()?.saturating_sub(before);
    Ok(Figures::new(spent, proxy.memory()?, done))
}

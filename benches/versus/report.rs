//! The tables, in Markdown, and what the chart shows.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Measured;
use super::chart::{self, Group};
use super::figures::{Estimate, Figures, median};
use super::jobs::{EVENT_PAUSE, Job, Kind};
use super::proxies::Peer;

/// Those that follow HTTP and remove the field.
const HTTP_PEERS: [&str; 4] = ["nginx", "haproxy", "envoy", "caddy"];

/// Those that the chart shows, beside the relay, which is its measure.
const IN_CHART: [&str; 6] = ["headsnip", "nginx", "haproxy", "haproxy, tcp", "envoy", "caddy"];

/// The jobs that the chart shows.
const JOBS_IN_CHART: [&str; 5] =
    ["small, 64 connections", "a connection per request", "64 KiB bodies", "200 event streams", "uploads of 16 KiB"];

/// What was measured, and of whom.
pub(crate) struct Report<'a> {
    pub(crate) jobs: &'a [Job],
    pub(crate) proxies: &'a [Peer],
    pub(crate) measured: &'a Measured,
}

impl Report<'_> {
    /// Prints the tables and writes them and the chart.
    pub(crate) fn write(&self) -> Result<(), Box<dyn Error>> {
        let mut text = self.provenance()?;
        self.summary(&mut text)?;
        for figure in FIGURES {
            self.table(&mut text, figure)?;
        }
        print!("{text}");
        let folder = headsnip_benches::folder("versus")?;
        fs::write(folder.join("versus.md"), &text)?;
        let charted: Vec<_> = IN_CHART.into_iter().filter(|name| self.place(name).is_some()).collect();
        let jobs = self.jobs.iter().enumerate().filter(|(_, job)| JOBS_IN_CHART.contains(&job.name));
        let groups = jobs.map(|(job, Job { name, .. })| {
            let ratios = charted.iter().map(|proxy| self.ratio(job, self.place(proxy)?, self.place("relay")?));
            Group { job: name, ratios: ratios.map(|ratio| ratio.map(|ratio| ratio.median)).collect() }
        });
        chart::draw(&folder.join("versus.svg"), &charted, &groups.collect::<Vec<_>>())?;
        eprintln!("written to {}", folder.display());
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.proxies.iter().position(|proxy| proxy.name == name)
    }

    /// What one proxy took beside another in the same round.
    fn ratio(&self, job: usize, own: usize, other: usize) -> Option<Estimate> {
        let pairs = self.measured.get(&(job, own))?.iter().zip(self.measured.get(&(job, other))?);
        Some(Estimate::of(pairs.map(|(own, other)| own.processor / other.processor).collect()))
    }

    /// The machine, the day and the versions.
    fn provenance(&self) -> Result<String, Box<dyn Error>> {
        let processor = fs::read_to_string("/proc/cpuinfo")?;
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let day = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?.stdout;
        // Not again for those that are another by other settings.
        let versions = self.proxies.iter().filter(|proxy| !proxy.version.is_empty() && !proxy.name.contains(','));
        let versions: Vec<_> = versions.map(|proxy| format!("{} {}", proxy.name, proxy.version)).collect();
        Ok(format!(
            "{}, {}, Linux {}: {}. Medians of {} rounds. A ratio is taken within each round; behind its median stand the limits \
             between which the true median lies with a confidence of 95 % (or the extremes, below six rounds).\n\n",
            String::from_utf8(day)?.trim(),
            processor.trim_start_matches([' ', '\t', ':']),
            kernel.trim().split('-').next().unwrap_or_default(),
            versions.join(", "),
            self.measured.values().map(Vec::len).max().unwrap_or_default()
        ))
    }

    /// headsnip beside the relay and beside the cheapest HTTP proxy; or builds of it beside the first.
    fn summary(&self, text: &mut String) -> std::fmt::Result {
        let Some(relay) = self.place("relay") else { return Ok(()) };
        let Some(own) = self.place("headsnip") else { return self.builds(text, relay) };
        writeln!(
            text,
            "headsnip's CPU time per request, divided by that of the raw relay and of the cheapest HTTP proxy\n"
        )?;
        writeln!(text, "| | ÷ relay | ÷ cheapest HTTP proxy |\n|---|---:|---:|")?;
        for (job, Job { name, kind, .. }) in self.jobs.iter().enumerate() {
            let peers = HTTP_PEERS.into_iter().filter_map(|name| self.place(name)).filter(|peer| {
                // A proxy that holds events back, to write several at once, does another job.
                let slow = self.measured.get(&(job, *peer)).map(|rounds| median(rounds, |figures| figures.slow));
                *kind != Kind::Events || slow.is_some_and(|slow| slow < EVENT_PAUSE.as_secs_f64() * 1e6)
            });
            let cost = |peer: usize| self.measured.get(&(job, peer)).map(|rounds| median(rounds, |f| f.processor));
            let cheapest = peers.min_by(|a, b| cost(*a).partial_cmp(&cost(*b)).unwrap_or(std::cmp::Ordering::Equal));
            let peer = cheapest.and_then(|peer| Some((self.ratio(job, own, peer)?, &self.proxies.get(peer)?.name)));
            let peer = peer.map_or_else(String::new, |(ratio, name)| format!("{} ({name})", written(ratio)));
            let relay = self.ratio(job, own, relay).map_or_else(String::new, written);
            writeln!(text, "| {name} | {relay} | {peer} |")?;
        }
        writeln!(text)
    }

    fn builds(&self, text: &mut String, relay: usize) -> std::fmt::Result {
        let builds: Vec<usize> = (0..self.proxies.len()).filter(|proxy| *proxy != relay).collect();
        let Some((first, others)) = builds.split_first() else { return Ok(()) };
        let names: Vec<_> = builds.iter().filter_map(|build| Some(self.proxies.get(*build)?.name.as_str())).collect();
        writeln!(text, "CPU time per request of {}: each ÷ relay, then the others ÷ the first\n", names.join(", "))?;
        writeln!(text, "| |{}\n|---|{}", " |".repeat(names.len() * 2 - 1), "---:|".repeat(names.len() * 2 - 1))?;
        for (job, Job { name, .. }) in self.jobs.iter().enumerate() {
            let pairs = builds.iter().map(|build| (*build, relay)).chain(others.iter().map(|build| (*build, *first)));
            let cells = pairs.map(|(own, other)| self.ratio(job, own, other).map_or_else(String::new, written));
            writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        writeln!(text)
    }

    fn heading(&self, text: &mut String, title: &str) -> std::fmt::Result {
        let names: Vec<_> = self.proxies.iter().map(|proxy| proxy.name.as_str()).collect();
        writeln!(text, "{title}\n\n| | {} |\n|---{}|", names.join(" | "), "|---:".repeat(names.len()))
    }

    fn table(&self, text: &mut String, (title, figure, digits): Figure) -> std::fmt::Result {
        self.heading(text, title)?;
        for (job, Job { name, .. }) in self.jobs.iter().enumerate() {
            let cells = (0..self.proxies.len()).map(|proxy| {
                let rounds = self.measured.get(&(job, proxy));
                rounds.map_or_else(String::new, |rounds| format!("{:.digits$}", median(rounds, figure)))
            });
            writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
        writeln!(text)
    }
}

fn written(Estimate { median, low, high }: Estimate) -> String {
    format!("{median:.2} ({low:.2} to {high:.2})")
}

type Figure = (&'static str, fn(&Figures) -> f64, usize);

const FIGURES: [Figure; 5] = [
    ("Microseconds of CPU time of the proxy per request", |figures| figures.processor, 1),
    ("Requests per second", |figures| figures.rate, 0),
    ("Microseconds to the answer, median", |figures| figures.median, 0),
    ("Microseconds to the answer, 99th of 100", |figures| figures.slow, 0),
    ("KiB of memory of its own", |figures| figures.memory / 1024.0, 0),
];

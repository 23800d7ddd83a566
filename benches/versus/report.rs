//! The tables, in Markdown, and what the chart shows.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Measured;
use super::chart::{self, Group};
use super::figures::{Figures, median, median_of};
use super::jobs::{EVENT_PAUSE, Job, Kind};
use super::proxies::Peer;

/// Those that follow HTTP and remove the field.
const HTTP_PEERS: [&str; 4] = ["nginx", "haproxy", "envoy", "caddy"];

/// Those that the chart shows, beside the relay, which is its measure.
const IN_CHART: [&str; 6] = ["headsnip", "nginx", "haproxy", "haproxy, tcp", "envoy", "caddy"];

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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/versus");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("versus.md"), &text)?;
        let charted: Vec<_> = IN_CHART.into_iter().filter(|name| self.place(name).is_some()).collect();
        let groups = self.jobs.iter().enumerate().map(|(job, Job { name, .. })| {
            let ratios = charted.iter().map(|proxy| self.ratio(job, self.place(proxy)?, self.place("relay")?));
            Group { job: name, ratios: ratios.collect() }
        });
        chart::draw(&folder.join("versus.svg"), &charted, &groups.collect::<Vec<_>>())?;
        eprintln!("written to {}", folder.display());
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.proxies.iter().position(|proxy| proxy.name == name)
    }

    /// The median over the rounds of what one proxy took beside another in the same round.
    fn ratio(&self, job: usize, own: usize, other: usize) -> Option<f64> {
        let pairs = self.measured.get(&(job, own))?.iter().zip(self.measured.get(&(job, other))?);
        Some(median_of(pairs.map(|(own, other)| own.processor / other.processor).collect()))
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
            "{}, {}, Linux {}: {}. Medians of {} rounds; of a ratio too, each within its round.\n\n",
            String::from_utf8(day)?.trim(),
            processor.trim_start_matches([' ', '\t', ':']),
            kernel.trim().split('-').next().unwrap_or_default(),
            versions.join(", "),
            self.measured.values().map(Vec::len).max().unwrap_or_default()
        ))
    }

    /// headsnip beside the relay and beside the cheapest HTTP proxy.
    fn summary(&self, text: &mut String) -> std::fmt::Result {
        let Some((own, relay)) = self.place("headsnip").zip(self.place("relay")) else { return Ok(()) };
        writeln!(
            text,
            "headsnip's processor time a request beside that of the raw relay and of the cheapest HTTP proxy\n"
        )?;
        writeln!(text, "| | of the relay | of the cheapest HTTP proxy |\n|---|---:|---:|")?;
        for (job, Job { name, kind, .. }) in self.jobs.iter().enumerate() {
            let peers = HTTP_PEERS.into_iter().filter_map(|name| self.place(name)).filter(|peer| {
                // Who holds events back to write several at once does another job.
                let slow = self.measured.get(&(job, *peer)).map(|rounds| median(rounds, |figures| figures.slow));
                *kind != Kind::Events || slow.is_some_and(|slow| slow < EVENT_PAUSE.as_secs_f64() * 1e6)
            });
            let cost = |peer: usize| self.measured.get(&(job, peer)).map(|rounds| median(rounds, |f| f.processor));
            let cheapest = peers.min_by(|a, b| cost(*a).partial_cmp(&cost(*b)).unwrap_or(std::cmp::Ordering::Equal));
            let beside = cheapest.and_then(|peer| Some((self.ratio(job, own, peer)?, self.proxies.get(peer)?.name)));
            let beside = beside.map_or_else(String::new, |(ratio, name)| format!("{ratio:.2} ({name})"));
            let of_relay = self.ratio(job, own, relay).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            writeln!(text, "| {name} | {of_relay} | {beside} |")?;
        }
        writeln!(text)
    }

    fn heading(&self, text: &mut String, title: &str) -> std::fmt::Result {
        let names: Vec<_> = self.proxies.iter().map(|proxy| proxy.name).collect();
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

type Figure = (&'static str, fn(&Figures) -> f64, usize);

const FIGURES: [Figure; 5] = [
    ("Microseconds of processor time of the proxy a request", |figures| figures.processor, 1),
    ("Requests a second", |figures| figures.rate, 0),
    ("Microseconds to the answer, median", |figures| figures.median, 0),
    ("Microseconds to the answer, 99th of 100", |figures| figures.slow, 0),
    ("KiB of memory of its own", |figures| figures.memory / 1024.0, 0),
];

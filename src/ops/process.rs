//! Metrics of this process from `/proc`, read on request. See `proc_pid_stat(5)`.

use std::fmt::{self, Display};
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// When the process was started, in seconds since 1970: of all that is told, what never changes.
static STARTED: LazyLock<Option<Duration>> = LazyLock::new(|| {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(Duration::from_secs(booted) + Stat::read()?.time(STARTED_AFTER_BOOT)?)
});

/// In a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// Places of fields after the name of the program, which is the second and may hold anything.
const USER_TIME: usize = 14 - 3;
const SYSTEM_TIME: usize = 15 - 3;
const STARTED_AFTER_BOOT: usize = 22 - 3;
const VIRTUAL_MEMORY: usize = 23 - 3;
const RESIDENT_PAGES: usize = 24 - 3;

/// A metric, by the name that other Prometheus clients give it.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    pub(super) value: Number,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Seconds(Duration),
}

/// All process metrics; few if `/proc` is not mounted.
pub(super) fn metrics() -> impl Iterator<Item = Metric> {
    let stat = Stat::read();
    let stat = stat.as_ref();
    let cpu = stat.and_then(|stat| Some(stat.time(USER_TIME)? + stat.time(SYSTEM_TIME)?));
    let resident =
        stat.and_then(|stat| stat.number(RESIDENT_PAGES)).map(|pages| pages.saturating_mul(whole(page_size())));
    let virtual_memory = stat.and_then(|stat| stat.number(VIRTUAL_MEMORY));
    let gauge = |name, help, value: Option<u64>| {
        value.map(|value| Metric { name, kind: "gauge", help, value: Number::Whole(value) })
    };
    let counted = cpu.map(|value| Metric {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "CPU time used, user and system.",
        value: Number::Seconds(value),
    });
    let gauges = [
        gauge("process_open_fds", "Open file descriptors.", open_descriptors()),
        gauge("process_max_fds", "Limit of open file descriptors.", most_descriptors()),
        gauge("process_resident_memory_bytes", "Resident memory.", resident),
        gauge("process_virtual_memory_bytes", "Virtual memory.", virtual_memory),
    ];
    let started = STARTED.map(|value| Metric {
        name: "process_start_time_seconds",
        kind: "gauge",
        help: "Start time, since the Unix epoch.",
        value: Number::Seconds(value),
    });
    counted.into_iter().chain(gauges.into_iter().flatten()).chain(started)
}

/// The fields of `/proc/self/stat` from the third on.
struct Stat(Vec<String>);

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(Self(fields.split_whitespace().map(str::to_owned).collect()))
    }

    fn number(&self, place: usize) -> Option<u64> {
        self.0.get(place)?.parse().ok()
    }

    fn time(&self, place: usize) -> Option<Duration> {
        let (ticks, a_second) = (self.number(place)?, clock_ticks_per_second());
        let rest = (ticks % a_second).saturating_mul(NANOSECONDS) / a_second;
        Some(Duration::from_secs(ticks / a_second) + Duration::from_nanos(rest))
    }
}

impl Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(formatter, "{number}"),
            Self::Seconds(time) => write!(formatter, "{}.{:09}", time.as_secs(), time.subsec_nanos()),
        }
    }
}

fn open_descriptors() -> Option<u64> {
    // One of them is that of the folder itself.
    fs::read_dir("/proc/self/fd").ok().map(|entries| whole(entries.count().saturating_sub(1)))
}

fn most_descriptors() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields are numbered from 1 on, and these begin with the third.
    #[test]
    fn fields_are_those_that_the_manual_page_numbers_so() {
        let second = clock_ticks_per_second();
        let stat = Stat((3..=52).map(|field| (field * second + second / 2).to_string()).collect());
        let times = [USER_TIME, SYSTEM_TIME, STARTED_AFTER_BOOT].map(|place| stat.time(place));
        assert_eq!(times, [14_500, 15_500, 22_500].map(|time| Some(Duration::from_millis(time))));
        let numbers = [VIRTUAL_MEMORY, RESIDENT_PAGES].map(|place| stat.number(place));
        assert_eq!(numbers, [23, 24].map(|field| Some(field * second + second / 2)));
        assert_eq!(
            (stat.time(50), Number::Seconds(Duration::from_millis(1_002)).to_string()),
            (None, "1.002000000".to_owned())
        );
    }
}

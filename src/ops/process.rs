//! What the kernel knows of this process, as `/proc` tells it; read when it is asked for. See `proc_pid_stat(5)`.

use std::fs;
use std::sync::LazyLock;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// When the process was started, in seconds since 1970: of all that is told, what never changes.
static STARTED: LazyLock<Option<f64>> = LazyLock::new(|| {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(booted + Stat::read()?.seconds(STARTED_AFTER_BOOT)?)
});

/// Places of fields behind the name of the program, which is the second and may hold anything.
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
    pub(super) value: f64,
}

/// All that can be told; where `/proc` is not mounted, little.
pub(super) fn metrics() -> impl Iterator<Item = Metric> {
    let stat = Stat::read();
    let stat = stat.as_ref();
    let cpu = stat.and_then(|stat| Some(stat.seconds(USER_TIME)? + stat.seconds(SYSTEM_TIME)?));
    let resident = stat.and_then(|stat| stat.number(RESIDENT_PAGES)).map(|pages| pages * real(page_size()));
    let virtual_memory = stat.and_then(|stat| stat.number(VIRTUAL_MEMORY));
    let gauge = |name, help, value: Option<f64>| value.map(|value| Metric { name, kind: "gauge", help, value });
    let counted = cpu.map(|value| Metric {
        name: "process_cpu_seconds_total",
        kind: "counter",
        help: "CPU time used, the kernel's on behalf of the process too.",
        value,
    });
    let gauges = [
        gauge("process_open_fds", "Open file descriptors.", open_descriptors()),
        gauge("process_max_fds", "File descriptors that may be open.", most_descriptors()),
        gauge("process_resident_memory_bytes", "Memory in RAM.", resident),
        gauge("process_virtual_memory_bytes", "Addresses in use.", virtual_memory),
        gauge("process_start_time_seconds", "When the process was started, since 1970.", *STARTED),
    ];
    counted.into_iter().chain(gauges.into_iter().flatten())
}

/// The fields of `/proc/self/stat` from the third on.
struct Stat(Vec<String>);

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(Self(fields.split_whitespace().map(str::to_owned).collect()))
    }

    fn number(&self, place: usize) -> Option<f64> {
        self.0.get(place)?.parse().ok()
    }

    fn seconds(&self, place: usize) -> Option<f64> {
        Some(self.number(place)? / real(clock_ticks_per_second()))
    }
}

fn open_descriptors() -> Option<f64> {
    // One of them is that of the folder itself.
    fs::read_dir("/proc/self/fd").ok().map(|entries| real(entries.count().saturating_sub(1)))
}

fn most_descriptors() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(real)
}

/// Metrics are 64-bit floats in the end.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn real(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

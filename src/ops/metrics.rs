//! The counters as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::{Display, Write};

use super::counters::{CLASSES, Counter, Counters, DialResult, Gauge, Histogram, Means};
use super::process::{self, Number};
use super::reason::{GaveWay, Reason, Side};
use crate::http1::{Direction, Mark, Mended, Policy};

/// The media type of the text.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be wrong with a dial.
const DIAL_FAILURES: [Reason; 4] =
    [Reason::ConnectionRefused, Reason::ConnectionTimeout, Reason::DestinationUnavailable, Reason::DnsError];

/// What clients may have together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Clients served at once.
    pub(crate) clients: usize,
    /// Bytes held for them.
    pub(crate) memory: usize,
}

/// What has been counted since the start, by each worker for itself.
#[derive(Debug)]
pub struct Counts {
    pub(crate) workers: Vec<Counters>,
    pub(crate) limits: Limits,
    pub(crate) policy: &'static Policy,
}

impl Counts {
    /// Requests that went again, because a connection that had served before was closed under them.
    #[must_use]
    pub fn replays(&self) -> u64 {
        self.workers.iter().map(|worker| worker.replays.value()).sum()
    }

    /// Bytes that were moved by splice(2), both ways; the others were copied.
    #[must_use]
    pub fn spliced(&self) -> u64 {
        let spliced = |worker: &Counters, direction| worker.bytes(direction, Means::Splice).value();
        let both = |worker| spliced(worker, Direction::Inbound) + spliced(worker, Direction::Outbound);
        self.workers.iter().map(both).sum()
    }

    /// All that `/metrics` shows, of the process too, in the text format of Prometheus.
    #[must_use]
    pub fn exposition(&self) -> String {
        render(self)
    }
}

fn render(Counts { workers, limits, policy }: &Counts) -> String {
    let mut text = Text { text: String::new(), workers };
    text.head("headsnip_build_info", "gauge", "Always 1; the label is the version.");
    text.sample("headsnip_build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    text.counter("headsnip_connections_total", "Client connections accepted.", |worker| &worker.connections_opened);
    text.head("headsnip_open_connections", "gauge", "Client connections open.");
    // Those closed first: whoever opens and closes in between must not make it negative.
    let closed = text.sum(|worker| &worker.connections_closed);
    let open = text.sum(|worker| &worker.connections_opened).saturating_sub(closed);
    text.sample("headsnip_open_connections", &[], open);
    text.head("headsnip_connections_limit", "gauge", "Client connections served at once; more wait.");
    text.sample("headsnip_connections_limit", &[], limits.clients);
    let words = GaveWay::ALL.iter().map(|why| why.name());
    let help = "Clients closed to make room for others, by reason.";
    text.each("headsnip_gave_way_total", help, "why", words, |worker| &worker.gave_way);
    text.head("headsnip_memory_bytes", "gauge", "Memory held for clients, including pipes.");
    let memory: u64 = workers.iter().map(|worker| Gauge::value(&worker.memory)).sum();
    text.sample("headsnip_memory_bytes", &[], memory);
    text.head("headsnip_memory_limit_bytes", "gauge", "Memory that may be held for clients.");
    text.sample("headsnip_memory_limit_bytes", &[], limits.memory);
    text.counter("headsnip_requests_total", "Requests with a valid head, meant for the origin.", |worker| {
        &worker.requests
    });
    text.responses();
    text.removed(policy);
    text.bytes();
    text.dials();
    text.counter("headsnip_replays_total", "Requests sent once more, on a fresh origin connection.", |worker| {
        &worker.replays
    });
    let words = Mended::ALL.iter().map(|rule| rule.name());
    let help = "Parts of heads and trailer sections withheld because readers differ on them, by rule.";
    text.each("headsnip_mended_total", help, "rule", words, |worker| &worker.mended);
    let words = Mark::ALL.iter().map(|mark| mark.name());
    let help = "Exchanges that were not plain, so the origin connection was closed after them, by the first mark.";
    text.each("headsnip_alone_total", help, "mark", words, |worker| &worker.alone);
    text.failures();
    text.first_byte();
    text.process();
    text.text
}

struct Text<'a> {
    text: String,
    workers: &'a [Counters],
}

impl Text<'_> {
    fn responses(&mut self) {
        let name = "headsnip_responses_total";
        self.head(name, "counter", "Response heads sent to clients by class of status, including own replies and 1xx.");
        for class in (1..).take(CLASSES) {
            let count = self.sum(|worker| worker.responses(class * 100));
            if class <= 5 || count > 0 {
                self.sample(name, &[("class", &format_args!("{class}xx"))], count);
            }
        }
    }

    fn removed(&mut self, policy: &Policy) {
        let name = "headsnip_field_lines_removed_total";
        self.head(
            name,
            "counter",
            "Field lines removed from responses, or found in a dry run, by entry of the denylist.",
        );
        self.removed_of(name, Direction::Outbound, policy.denylist.entries());
        let name = "headsnip_request_field_lines_removed_total";
        self.head(
            name,
            "counter",
            "Field lines removed from requests, or found in a dry run, by entry of --deny-request.",
        );
        self.removed_of(name, Direction::Inbound, policy.request_denylist.entries());
    }

    fn removed_of(&mut self, name: &str, direction: Direction, entries: impl Iterator<Item = String>) {
        for (place, entry) in (0..).zip(entries) {
            let counters = self.workers.iter().filter_map(|worker| worker.removed(direction, place));
            let count: u64 = counters.map(Counter::value).sum();
            self.sample(name, &[("name", &entry)], count);
        }
    }

    fn bytes(&mut self) {
        let name = "headsnip_bytes_total";
        self.head(
            name,
            "counter",
            "Bytes forwarded to the origin (inbound) and to clients (outbound), including own replies.",
        );
        for (direction, to) in [(Direction::Inbound, "inbound"), (Direction::Outbound, "outbound")] {
            for (path, by) in [(Means::Copy, "copy"), (Means::Splice, "splice")] {
                let count = self.sum(|worker| worker.bytes(direction, path));
                self.sample(name, &[("direction", &to), ("path", &by)], count);
            }
        }
    }

    fn dials(&mut self) {
        let name = "headsnip_origin_dials_total";
        self.head(name, "counter", "Connections to the origin, and attempts that failed.");
        let connected = self.sum(|worker| worker.dials(DialResult::Connected));
        self.sample(name, &[("result", &"connected")], connected);
        for reason in DIAL_FAILURES {
            let count = self.sum(|worker| worker.dials(DialResult::Failed(reason)));
            self.sample(name, &[("result", &reason)], count);
        }
    }

    /// A counter of each word of a label.
    fn each(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        words: impl Iterator<Item = &'static str>,
        of: impl Fn(&Counters) -> &[Counter],
    ) {
        self.head(name, "counter", help);
        for (place, word) in words.enumerate() {
            let count = self.sum(|worker| &of(worker)[place]);
            self.sample(name, &[(label, &word)], count);
        }
    }

    fn failures(&mut self) {
        let name = "headsnip_failures_total";
        self.head(
            name,
            "counter",
            "Exchanges and connections that failed, by the side at fault and the reason (RFC 9209).",
        );
        for side in Side::ALL.iter().copied() {
            for reason in side.reasons().iter().copied() {
                let count = self.sum(|worker| worker.failures(side, reason));
                self.sample(name, &[("side", &side), ("reason", &reason)], count);
            }
        }
    }

    fn first_byte(&mut self) {
        let name = "headsnip_first_byte_seconds";
        self.head(name, "histogram", "From a request's whole head to that of its final response.");
        let mut within = [0; Histogram::BOUNDS.len() + 1];
        for worker in self.workers {
            within.iter_mut().zip(worker.first_byte.within()).for_each(|(sum, count)| *sum += count);
        }
        let bounds = Histogram::BOUNDS.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        for (bound, count) in bounds.zip(within) {
            self.sample("headsnip_first_byte_seconds_bucket", &[("le", &bound)], count);
        }
        let sum = self.workers.iter().map(|worker| worker.first_byte.sum()).sum();
        self.sample("headsnip_first_byte_seconds_sum", &[], Number::Seconds(sum));
        self.sample("headsnip_first_byte_seconds_count", &[], within[Histogram::BOUNDS.len()]);
    }

    fn process(&mut self) {
        for metric in process::metrics() {
            self.head(metric.name, metric.kind, metric.help);
            self.sample(metric.name, &[], metric.value);
        }
    }

    // A copy at each call would be a third of the code here.
    #[inline(never)]
    fn counter(&mut self, name: &str, help: &str, of: impl Fn(&Counters) -> &Counter) {
        self.head(name, "counter", help);
        let count = self.sum(of);
        self.sample(name, &[], count);
    }

    fn sum(&self, of: impl Fn(&Counters) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| of(worker).value()).sum()
    }

    // Writing to a string does not fail.

    #[inline(never)]
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Values of labels are words of ours and field names, of which none holds a quote, a backslash or a line end.
    #[inline(never)]
    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{text}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_workers_count_is_told_together_under_the_name_of_each() {
        let policy: &'static Policy = Box::leak(Box::default());
        let workers = vec![Counters::new(policy), Counters::new(policy)];
        for worker in &workers {
            worker.mended(Mended::Fold).count();
            worker.alone(Mark::Expect).count();
            worker.gave_way(GaveWay::Idle).count();
            worker.dials(DialResult::Failed(Reason::DnsError)).count();
            worker.responses(700).count();
            for nanoseconds in [1_000_000, 1_000_001, 61_000_000_000] {
                worker.first_byte.observe(Duration::from_nanos(nanoseconds));
            }
        }
        let text = Counts { workers, limits: Limits { clients: 1, memory: 2 }, policy }.exposition();
        for (sample, count) in [
            ("headsnip_mended_total{rule=\"fold\"}", Some(2)),
            ("headsnip_alone_total{mark=\"expect\"}", Some(2)),
            ("headsnip_gave_way_total{why=\"idle\"}", Some(2)),
            ("headsnip_origin_dials_total{result=\"connected\"}", Some(0)),
            ("headsnip_origin_dials_total{result=\"dns_error\"}", Some(2)),
            // A class that no server should send is told of once one does.
            ("headsnip_responses_total{class=\"5xx\"}", Some(0)),
            ("headsnip_responses_total{class=\"6xx\"}", None),
            ("headsnip_responses_total{class=\"7xx\"}", Some(2)),
            ("headsnip_first_byte_seconds_bucket{le=\"0.0005\"}", Some(0)),
            ("headsnip_first_byte_seconds_bucket{le=\"0.001\"}", Some(2)),
            ("headsnip_first_byte_seconds_bucket{le=\"0.0025\"}", Some(4)),
            ("headsnip_first_byte_seconds_bucket{le=\"60\"}", Some(4)),
            ("headsnip_first_byte_seconds_bucket{le=\"+Inf\"}", Some(6)),
        ] {
            let told = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse::<u64>().ok());
            assert_eq!(told, count, "{sample} in\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known = |name: &str| ["HELP", "TYPE"].iter().all(|kind| text.contains(&format!("# {kind} {name} ")));
            assert!(known(name) || of_histogram.is_some_and(known), "{name} in\n{text}");
        }
    }
}

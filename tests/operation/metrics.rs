//! `/metrics`: the numbers are those of what happened, in a text that Prometheus reads.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use super::support::{Origin, first_exchange, full_backlog, text};
use super::{GET, LEAKY, STRIPPED, ask, exchange, with_admin, with_admin_before};

/// The value of a sample.
fn value(metrics: &str, sample: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn the_metrics_of_the_contract_count_what_happened() {
    let origin = Origin::new();
    let (proxy, admin) = with_admin(
        &origin,
        &["--deny", "x-amz-*", "--workers", "2", "--max-connections", "50", "--max-memory", "9MiB"],
    );
    let answer = "HTTP/1.1 200 OK\r\nX-Amz-Id: 1\r\nserver: a\r\nX-AMZ-2: b\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(exchange(&proxy, &origin, GET, LEAKY), STRIPPED);
    assert_eq!(exchange(&proxy, &origin, GET, answer), STRIPPED);
    let hinted = "HTTP/1.1 103 Early Hints\r\nServer: a\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    exchange(&proxy, &origin, GET, hinted);
    let mut bad = proxy.dial();
    bad.send("GET / HTTP/1.1\r\n\r\n");
    let (reply, _) = bad.read_to_end();
    assert!(reply.starts_with(b"HTTP/1.1 400 "), "{}", text(&reply));
    exchange(&proxy, &origin, GET, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    let idle = proxy.dial();
    proxy.await_line("; memory: 9 MiB for clients, by --max-memory");
    proxy.await_line("no_host");
    let metrics = super::support::headsnip::until(super::support::LIMIT, "the last connection to be counted", || {
        let metrics = ask(&admin, "GET", "/metrics").1;
        let counted = ["headsnip_connections_total", "headsnip_open_connections"].map(|name| value(&metrics, name));
        (counted == [Some(6.0), Some(1.0)]).then_some(metrics)
    });
    drop(idle);
    for (sample, expected) in [
        (concat!("headsnip_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ("headsnip_connections_total", 6.0),
        ("headsnip_open_connections", 1.0),
        ("headsnip_connections_limit", 50.0),
        ("headsnip_memory_limit_bytes", 9.0 * 1024.0 * 1024.0),
        ("headsnip_gave_way_total{why=\"memory\"}", 0.0),
        ("headsnip_gave_way_total{why=\"lingering\"}", 0.0),
        ("headsnip_gave_way_total{why=\"ended\"}", 0.0),
        ("headsnip_gave_way_total{why=\"no_request\"}", 0.0),
        ("headsnip_gave_way_total{why=\"idle\"}", 0.0),
        ("headsnip_requests_total", 4.0),
        ("headsnip_responses_total{class=\"1xx\"}", 1.0),
        ("headsnip_responses_total{class=\"2xx\"}", 2.0),
        ("headsnip_responses_total{class=\"3xx\"}", 0.0),
        // Its own replies too.
        ("headsnip_responses_total{class=\"4xx\"}", 2.0),
        ("headsnip_responses_total{class=\"5xx\"}", 1.0),
        ("headsnip_field_lines_removed_total{name=\"server\"}", 3.0),
        ("headsnip_field_lines_removed_total{name=\"x-powered-by\"}", 0.0),
        ("headsnip_field_lines_removed_total{name=\"x-amz-*\"}", 2.0),
        ("headsnip_bytes_total{direction=\"inbound\",path=\"copy\"}", 4.0 * length(GET)),
        ("headsnip_bytes_total{direction=\"inbound\",path=\"splice\"}", 0.0),
        ("headsnip_bytes_total{direction=\"outbound\",path=\"splice\"}", 0.0),
        ("headsnip_origin_dials_total{result=\"connected\"}", 4.0),
        ("headsnip_origin_dials_total{result=\"connection_refused\"}", 0.0),
        ("headsnip_replays_total", 0.0),
        ("headsnip_failures_total{side=\"client\",reason=\"http_request_error\"}", 1.0),
        ("headsnip_failures_total{side=\"origin\",reason=\"http_upgrade_failed\"}", 1.0),
        ("headsnip_first_byte_seconds_bucket{le=\"+Inf\"}", 3.0),
        ("headsnip_first_byte_seconds_count", 3.0),
    ] {
        assert_eq!(value(&metrics, sample), Some(expected), "{sample} in\n{metrics}");
    }
    let hinted = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let replies = "HTTP/1.1 400 Bad Request\r\nHTTP/1.1 502 Bad Gateway\r\n";
    let own = 2.0 * length("Content-Length: 0\r\nConnection: close\r\n\r\n") + length(replies);
    let sample = "headsnip_bytes_total{direction=\"outbound\",path=\"copy\"}";
    assert_eq!(value(&metrics, sample), Some(2.0 * length(STRIPPED) + length(hinted) + own), "{metrics}");
    // A note for the client that is idle, and what is kept for the next ones.
    assert!(value(&metrics, "headsnip_memory_bytes").is_some_and(|held| held < 1024.0 * 1024.0), "{metrics}");
    assert!(value(&metrics, "headsnip_first_byte_seconds_sum").is_some_and(|sum| sum > 0.0), "{metrics}");
    check_by_promtool(&metrics);
}

/// The time to a final head goes on over interim ones, of which a client of HTTP/1.0 gets none.
#[test]
fn interim_responses_are_no_first_byte_and_count_only_where_they_go() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let origin = Origin::new();
    let (proxy, admin) = with_admin(&origin, &[]);
    let of = |name: &str| value(&ask(&admin, "GET", "/metrics").1, name);
    exchange(&proxy, &origin, "GET / HTTP/1.0\r\n\r\n", &format!("{HINTS}{STRIPPED}"));
    assert_eq!(of("headsnip_responses_total{class=\"1xx\"}"), Some(0.0));
    let (mut client, mut server) = first_exchange(proxy.dial(), &origin, GET, HINTS);
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.send(STRIPPED);
    client.expect(STRIPPED);
    assert_eq!(of("headsnip_responses_total{class=\"1xx\"}"), Some(1.0));
    assert!(of("headsnip_first_byte_seconds_sum").is_some_and(|sum| sum >= 0.1));
}

/// By the names and in the units of other Prometheus clients.
#[test]
fn the_process_is_told_of_as_the_kernel_knows_it() {
    let (proxy, admin) = with_admin(&Origin::new(), &[]);
    let process = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", proxy.id())).expect("procfs");
    let status = |name: &str| -> f64 {
        let text = process("status");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel's");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let metrics = ask(&admin, "GET", "/metrics").1;
    let told = |name: &str| value(&metrics, name).unwrap_or_else(|| panic!("no {name} in\n{metrics}"));
    let is_near = |name: &str, expected: f64, by: f64| {
        assert!((told(name) - expected).abs() <= by, "{name}: {} and {expected}", told(name));
    };
    is_near("process_virtual_memory_bytes", status("VmSize:") * 1024.0, 8e6);
    // The kernel sums up what threads have taken now and then.
    is_near("process_resident_memory_bytes", status("VmRSS:") * 1024.0, 3e6);
    // That of who asks is one of them.
    let open = u32::try_from(proxy.descriptors()).expect("not many");
    is_near("process_open_fds", f64::from(open), 2.0);
    let limits = process("limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    is_near("process_max_fds", limit.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number"), 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    is_near("process_start_time_seconds", now - 30.0, 31.0);
    assert!((0.0..60.0).contains(&told("process_cpu_seconds_total")), "{metrics}");
    let again = ask(&admin, "GET", "/metrics").1;
    assert_eq!(value(&again, "process_start_time_seconds"), value(&metrics, "process_start_time_seconds"));
}

/// "One named reason": what else comes of a connection that has failed is told and counted no more.
#[test]
fn a_bad_end_has_one_reason_and_a_dial_in_vain_is_counted() {
    let origin = Origin::new();
    let (proxy, admin) = with_admin(&origin, &["--access-log", "--log-format", "json"]);
    let mut client = proxy.dial();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let server = origin.accept_speaking();
    client.finish();
    proxy.await_line("request_incomplete");
    drop(server);
    assert_eq!(client.read_to_end().0, b"", "who has ended is told no 502");
    let full = full_backlog();
    let (slow, slow_admin) = with_admin_before(&full.address(), &["--connect-timeout", "200ms"]);
    let mut client = slow.dial();
    client.send(GET);
    assert!(client.read_to_end().0.starts_with(b"HTTP/1.1 504 "));
    let metrics = ask(&admin, "GET", "/metrics").1;
    let failures = metrics.lines().filter(|line| line.starts_with("headsnip_failures_total") && !line.ends_with(" 0"));
    let failures: Vec<&str> = failures.collect();
    assert_eq!(failures, ["headsnip_failures_total{side=\"client\",reason=\"http_request_error\"} 1"]);
    assert_eq!(proxy.log().iter().filter(|line| line.contains("\"warning\"")).count(), 1, "{:?}", proxy.log());
    let metrics = ask(&slow_admin, "GET", "/metrics").1;
    let sample = "headsnip_origin_dials_total{result=\"connection_timeout\"}";
    assert_eq!(value(&metrics, sample), Some(1.0), "{metrics}");
}

/// A side and a reason are exported together where one can occur on the other, which is what the page has rows for.
#[test]
fn failures_have_the_labels_that_the_page_explains() {
    let (_proxy, admin) = with_admin(&Origin::new(), &[]);
    let metrics = ask(&admin, "GET", "/metrics").1;
    let pair = |line: &str| {
        let labels = line.strip_prefix("headsnip_failures_total{side=\"")?.split_once("\"}")?.0;
        labels.split_once("\",reason=\"").map(|(side, reason)| (side.to_owned(), reason.to_owned()))
    };
    let exported: BTreeSet<_> = metrics.lines().filter_map(pair).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md")).expect("a page");
    let rows = page.lines().skip_while(|line| !line.starts_with("| side and reason |")).skip(2);
    let explained = rows.map_while(|row| row.strip_prefix("| ")?.split(" |").next()).flat_map(|cell| {
        let (side, reasons) = cell.split_once(' ').expect("a side and its reasons");
        let reasons = reasons.split('`').skip(1).step_by(2);
        reasons.map(|reason| (side.to_owned(), reason.to_owned())).collect::<Vec<_>>()
    });
    assert_eq!(exported, explained.collect::<BTreeSet<_>>());
    assert_eq!(exported.len(), 19);
}

fn length(text: &str) -> f64 {
    u32::try_from(text.len()).expect("a short text").into()
}

/// Prometheus's own parser and linter, where it is installed; with `CI` in the environment it must be.
fn check_by_promtool(metrics: &str) {
    let mut command = Command::new("promtool");
    let started =
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut promtool) = started else {
        assert!(std::env::var_os("CI").is_none(), "promtool is not installed (Debian's package prometheus)");
        println!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "promtool: {}\n{metrics}", text(&said));
}

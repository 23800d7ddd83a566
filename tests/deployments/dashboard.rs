//! The dashboard: it shows each metric that a headsnip exports and none else, by labels that these have, and promtool reads what it asks.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{must, read};

const FILE: &str = "grafana-dashboard.json";

/// What stands for a choice of the reader's, and what that may be.
const VARIABLES: [(&str, &str); 3] = [("$__rate_interval", "5m"), ("$job", ".*"), ("$instance", ".*")];

/// Metrics of the process that need no panel.
const NOT_SHOWN: [&str; 1] = ["process_virtual_memory_bytes"];

pub(super) fn shows_what_is_exported() -> Result<(), String> {
    let (text, metrics) = (read(FILE)?, exported()?);
    shows(&text, &metrics)?;
    for (right, wrong) in [
        ("headsnip_replays_total", "headsnip_replay_total"),
        ("sum by (class)", "sum by (status)"),
        ("\"w\": 8", "\"w\": 9"),
    ] {
        let mistaken = text.replacen(right, wrong, 1);
        must(mistaken != text && shows(&mistaken, &metrics).is_err(), &format!("{wrong} is seen"))?;
    }
    let more = format!("{metrics}# HELP headsnip_new A new one.\n# TYPE headsnip_new gauge\nheadsnip_new 1\n");
    must(shows(&text, &more).is_err(), "a metric that is not shown is seen")
}

pub(super) fn asks_what_promtool_reads() -> Result<(), String> {
    let text = read(FILE)?;
    is_read(&text)?;
    let mistaken = text.replacen("sum by (class) (", "sum by (class (", 1);
    must(mistaken != text && is_read(&mistaken).is_err(), "a mistake is seen")
}

/// Holds a dashboard to the text of `/metrics`.
fn shows(text: &str, metrics: &str) -> Result<(), String> {
    let dashboard: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    must(dashboard["uid"].is_string() && dashboard["schemaVersion"].is_u64(), "it is a dashboard")?;
    let panels = dashboard["panels"].as_array().ok_or("no panels")?;
    let mut places = BTreeSet::new();
    for (place, panel) in panels.iter().enumerate() {
        must(panel["id"] == place + 1 && panel["title"].is_string(), "panels have numbers and titles")?;
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or_default());
        let mut cells = (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row)));
        must(x + w <= 24 && w * h > 0 && cells.all(|cell| places.insert(cell)), "panels stand side by side")?;
    }
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families: BTreeSet<&str> = types.map(|(name, _)| name).collect();
    must(families.len() > 20, "metrics are exported")?;
    let mut shown = BTreeSet::new();
    for (expression, legend) in questions(&dashboard) {
        let names: Vec<&str> = words(expression).filter(|word| is_metric(word)).collect();
        must(!names.is_empty(), expression)?;
        for name in &names {
            let is_sample = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            must(metrics.lines().any(is_sample), &format!("{name} is exported"))?;
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            shown.insert(of_histogram.filter(|family| families.contains(family)).unwrap_or(name));
        }
        let by = expression.split("sum by (").skip(1).filter_map(|rest| rest.split(')').next());
        let told = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        for label in by.flat_map(|labels| labels.split(", ")).chain(told) {
            let is_labelled = |line: &str| line.starts_with(names[0]) && line.contains(&format!("{label}=\""));
            must(label == "instance" || metrics.lines().any(is_labelled), &format!("{} has {label}", names[0]))?;
        }
    }
    let missing: Vec<&&str> =
        families.iter().filter(|name| !shown.contains(*name) && !NOT_SHOWN.contains(name)).collect();
    must(missing.is_empty(), &format!("{missing:?} are shown"))
}

/// What is asked of Prometheus, and by which words the answers are told apart.
fn questions(dashboard: &Value) -> Vec<(&str, &str)> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.filter_map(|target| Some((target["expr"].as_str()?, target["legendFormat"].as_str()?))).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
}

fn is_metric(word: &str) -> bool {
    word.starts_with("headsnip_") || word.starts_with("process_")
}

/// Has promtool check all that is asked, as rules that record it.
fn is_read(text: &str) -> Result<(), String> {
    let dashboard: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let rules = questions(&dashboard).into_iter().enumerate().map(|(place, (expression, _))| {
        let chosen = |text: String, (variable, value): &(&str, &str)| text.replace(variable, value);
        json!({ "record": format!("dashboard:{place}"), "expr": VARIABLES.iter().fold(expression.to_owned(), chosen) })
    });
    // JSON is YAML.
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules.collect::<Vec<_>>() }] });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.yaml");
    fs::write(&file, rules.to_string()).map_err(|error| error.to_string())?;
    let output =
        Command::new("promtool").args(["check", "rules"]).arg(&file).output().map_err(|error| error.to_string())?;
    must(output.status.success(), &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))
}

/// What a headsnip answers to `/metrics`.
fn exported() -> Result<String, String> {
    let mut headsnip = Command::new(env!("CARGO_BIN_EXE_headsnip"))
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--deny-request", "forwarded"])
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let answer = asked(&mut BufReader::new(headsnip.stderr.take().ok_or("no pipe")?));
    let ended = headsnip.kill().and_then(|()| headsnip.wait());
    ended.map_err(|error| error.to_string())?;
    answer
}

/// Waits until it says where its admin listener is, and asks that.
fn asked(log: &mut impl BufRead) -> Result<String, String> {
    let mut lines = log.lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once("admin on ")?.1.to_owned())).ok_or("no admin listener")?;
    let ask = || {
        let mut stream = TcpStream::connect(&address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| "no answer".to_owned())
}

//! The tables of the pages are those of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use headsnip::http1::{Mark, Mended};

/// The page with flags, logs and metrics.
const OPERATING: &str = "docs/operating.md";

/// The page with what happens to each form.
const PROTOCOL: &str = "docs/protocol.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of this repository")
}

/// What stands in backquotes.
fn spans(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What stands in backquotes in the first cell of each row of the table with that heading.
fn first_cells(page: &str, heading: &str) -> Vec<String> {
    let page = read(page);
    let rows = page.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |"))).skip(2);
    let cells = rows.map_while(|row| row.strip_prefix("| ")?.split(" |").next().map(str::to_owned));
    cells.flat_map(|cell| spans(&cell).collect::<Vec<_>>()).collect()
}

/// What stands in backquotes in the last cell of each row of all tables whose last column has that heading.
fn last_cells(page: &str, heading: &str) -> BTreeSet<String> {
    let page = read(page);
    let mut cells = BTreeSet::new();
    let mut is_within = false;
    for line in page.lines() {
        let row = line.strip_prefix("| ").and_then(|row| row.strip_suffix('|'));
        is_within = line.starts_with('|') && (is_within || line.ends_with(&format!("| {heading} |")));
        if let Some(last) = row.filter(|_| is_within).and_then(|row| row.rsplit('|').next()) {
            cells.extend(spans(last));
        }
    }
    cells
}

/// The names of the variants of an enum, by its source: in snake case, or as its attribute says.
fn variants(path: &str, name: &str) -> Vec<String> {
    let source = read(path);
    let body = source.split(&format!("enum {name} {{\n")).nth(1).and_then(|rest| rest.split("\n}").next());
    let mut names = Vec::new();
    let mut given = None;
    for line in body.expect("that enum").lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[strum(serialize = \"") {
            given = attribute.split('"').next().map(str::to_owned);
        } else if let Some(variant) = line.strip_suffix(',').filter(|line| !line.starts_with("//")) {
            names.push(given.take().unwrap_or_else(|| snake_case(variant)));
        }
    }
    names
}

fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[test]
fn the_flags_are_those_of_the_help_text_with_their_defaults() {
    let help = Command::new(env!("CARGO_BIN_EXE_headsnip")).arg("--help").output().expect("the binary runs").stdout;
    let help = String::from_utf8(help).expect("text");
    let options = help.split("Options:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of options");
    let flags = options.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split("  ").next());
    let flags = flags.map(flag_of).filter(|flag| !matches!(&**flag, "--help" | "--version"));
    let flags: Vec<String> = flags.collect();
    let documented = first_cells(OPERATING, "flag");
    let names: Vec<String> = documented.iter().map(|cell| cell.split(' ').next().expect("a name").to_owned()).collect();
    assert_eq!(names, flags);
    // "(5s)" in the help text is `5s` in the table.
    let page = read(OPERATING);
    for name in names {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}"))).expect("its row");
        let default = row.split('|').nth(2).expect("three cells").trim().trim_matches('`');
        let told = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let after = told.split(&format!(" {name} ")).nth(1).expect("it is in the help text");
        let after = after.split(" --").next().unwrap_or(after);
        assert!(
            default.is_empty() || default == "off" || after.contains(&format!("({default})")),
            "{name}: {default} in {after}"
        );
    }
}

fn flag_of(told: &str) -> String {
    format!("--{}", told.split(' ').next().unwrap_or_default().trim_end_matches(','))
}

#[test]
fn the_metrics_are_those_that_are_rendered() {
    let source = read("src/ops/metrics.rs");
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let rendered: BTreeSet<&str> = source.split('"').filter(|word| word.starts_with("headsnip_")).collect();
    let rendered: BTreeSet<&str> = rendered
        .into_iter()
        .filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)))
        .collect();
    let documented = first_cells(OPERATING, "metric");
    let documented: BTreeSet<&str> = documented.iter().filter_map(|cell| cell.split('{').next()).collect();
    assert_eq!(documented, rendered);
}

#[test]
fn the_reasons_are_those_that_can_be_told() {
    let told: BTreeSet<String> = variants("src/ops/reason.rs", "Reason").into_iter().collect();
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(first_cells(OPERATING, "side and reason").into_iter().collect::<BTreeSet<_>>(), told);
}

#[test]
fn the_fields_of_the_access_log_are_those_that_are_written() {
    let source = read("src/ops/log/exchange.rs");
    let names = source.split_once("const NAMES:").and_then(|(_, rest)| rest.split_once("];")).expect("the names").0;
    let written: Vec<&str> = ["time"].into_iter().chain(names.split('"').skip(1).step_by(2)).collect();
    let documented = first_cells(OPERATING, "field");
    assert_eq!(documented.into_iter().filter(|cell| !cell.contains('\\')).collect::<Vec<_>>(), written);
}

#[test]
fn the_rules_are_those_that_can_be_broken_and_those_by_which_is_mended() {
    let broken = variants("src/http1/error.rs", "Violation");
    assert!(broken.len() > 30, "{broken:?}");
    let mended = Mended::ALL.iter().map(|rule| rule.name().to_owned());
    let rules: BTreeSet<String> = mended.chain(broken).collect();
    assert_eq!(last_cells(PROTOCOL, "rule"), rules);
}

#[test]
fn the_marks_are_those_that_are_counted() {
    let counted: Vec<String> = Mark::ALL.iter().map(|mark| mark.name().to_owned()).collect();
    assert_eq!(first_cells(PROTOCOL, "mark"), counted);
    assert_eq!(variants("src/http1/message.rs", "Mark"), counted, "the names are read from the source as they are");
}

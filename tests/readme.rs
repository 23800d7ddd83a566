//! The README's tables are those of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of this repository")
}

/// What stands in backquotes in the first cell of each row of the table with that heading.
fn first_cells(heading: &str) -> Vec<String> {
    let readme = read("README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |"))).skip(2);
    let cells = rows.map_while(|row| row.strip_prefix("| ")?.split(" |").next().map(str::to_owned));
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    words.collect()
}

#[test]
fn the_flags_are_those_of_the_help_text_with_their_defaults() {
    let help = Command::new(env!("CARGO_BIN_EXE_headsnip")).arg("--help").output().expect("the binary runs").stdout;
    let help = String::from_utf8(help).expect("text");
    let options = help.split("Options:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of options");
    let flags = options.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split("  ").next());
    let flags = flags.map(flag_of).filter(|flag| !matches!(&**flag, "--help" | "--version"));
    let flags: Vec<String> = flags.collect();
    let documented = first_cells("flag");
    let names: Vec<String> = documented.iter().map(|cell| cell.split(' ').next().expect("a name").to_owned()).collect();
    assert_eq!(names, flags);
    // "(5s)" in the help text is `5s` in the table.
    let readme = read("README.md");
    for name in names {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}"))).expect("its row");
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
    let rendered: BTreeSet<&str> = source.split('"').filter(|word| word.starts_with("headsnip_")).collect();
    let rendered: BTreeSet<&str> = rendered
        .into_iter()
        .filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)))
        .collect();
    let documented = first_cells("metric");
    let documented: BTreeSet<&str> = documented.iter().filter_map(|cell| cell.split('{').next()).collect();
    assert_eq!(documented, rendered);
}

#[test]
fn the_reasons_are_those_that_can_be_told() {
    let source = read("src/ops/reason.rs");
    let names = source.split(" => \"").skip(1).filter_map(|rest| rest.split('"').next());
    let told: BTreeSet<String> = names.filter(|name| name.contains('_')).map(str::to_owned).collect();
    assert!(told.len() > 10, "{told:?}");
    assert_eq!(first_cells("side and reason").into_iter().collect::<BTreeSet<_>>(), told);
}

#[test]
fn the_fields_of_the_access_log_are_those_that_are_written() {
    let source = read("src/ops/access.rs");
    let fields = source.split("(\"").skip(1).filter_map(|rest| rest.split_once("\", ").map(|(name, _)| name));
    let fields = fields.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let written: Vec<&str> = ["time"].into_iter().chain(fields.take(14)).collect();
    assert_eq!(first_cells("field").into_iter().filter(|cell| !cell.contains('\\')).collect::<Vec<_>>(), written);
}

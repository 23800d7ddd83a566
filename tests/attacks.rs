//! Every row of `docs/attacks.md` is held by a test, and states what that test has shown; every row of `docs/requirements.md` is held, or excepted for a
//! reason.
//!
//! What stands in backquotes in the last cell of a row exists: a vector (`file: name`), a file of the fuzzer's corpora
//! (`request/name`), or a test (`tests/file.rs: name`). A status and a rule in the cell before it (400 `bare_lf`) are the
//! end of one of the row's vectors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use headsnip::testing::End;
use headsnip::testing::vector::{self, ERRORS, Vector};

/// Fewer rows than this, and the page was not read, or lost some.
const LEAST_ROWS: usize = 150;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn page() -> String {
    read("docs/attacks.md")
}

fn read(relative: &str) -> String {
    fs::read_to_string(path(relative)).expect("a file of this repository")
}

/// All vectors, each by the name that the page gives it.
fn vectors() -> BTreeMap<String, Vector> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path("tests/vectors")).expect("the folder of vectors is there") {
        let file = entry.expect("the folder can be read").path();
        let theme = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let vectors = vector::parse(&fs::read_to_string(&file).expect("a vector file is text"));
        let vectors = vectors.expect("vectors can be read").into_iter();
        all.extend(vectors.map(|vector| (format!("{theme}: {}", vector.name), vector)));
    }
    all
}

/// A row of a table: its line, what headsnip does, and what holds it.
struct Row<'a> {
    line: usize,
    first: &'a str,
    does: &'a str,
    held_by: Vec<&'a str>,
    /// The cell of what holds it.
    last: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: usize, text: &'a str) -> Self {
        let cells: Vec<&str> = text.trim_matches('|').split(" | ").map(str::trim).collect();
        let (&first, &last) = cells.first().zip(cells.last()).expect("a split gives a part");
        let does = cells.len().checked_sub(2).map_or("", |before_the_last| cells[before_the_last]);
        Self { line, first, does, held_by: quoted(last).map(|(_, word)| word).collect(), last }
    }
}

/// The rows of all tables, without their headings.
fn rows(page: &str) -> Vec<Row<'_>> {
    let lines = (1..).zip(page.lines()).filter(|(_, line)| line.starts_with("| ") && !line.ends_with("| held by |"));
    lines.map(|(line, text)| Row::of(line, text)).collect()
}

/// What stands in backquotes, each with the text before it.
fn quoted(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces: Vec<&str> = cell.split('`').collect();
    let pairs: Vec<(&str, &str)> = pieces.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter()
}

/// What is wrong with a row, if anything is.
fn fault(row: &Row<'_>, vectors: &BTreeMap<String, Vector>) -> Option<String> {
    if row.held_by.is_empty() {
        return Some("nothing holds it".into());
    }
    if let Some(missing) = row.held_by.iter().find(|reference| !exists(reference, vectors)) {
        return Some(format!("there is no {missing}"));
    }
    let ends: Vec<&Vector> = row.held_by.iter().filter_map(|reference| vectors.get(*reference)).collect();
    let mut stated = quoted(row.does).filter(|(_, rule)| ERRORS.contains(rule));
    stated.find_map(|(before, rule)| {
        let status = before.split_whitespace().last().and_then(|word| word.parse().ok());
        let is_shown = |vector: &&Vector| {
            status.is_some_and(|status| vector.end == End::Reply(status)) && vector.error.as_deref() == Some(rule)
        };
        (!ends.iter().any(is_shown)).then(|| format!("none of its vectors ends with {status:?} {rule}"))
    })
}

/// Whether there is what a row names.
fn exists(reference: &str, vectors: &BTreeMap<String, Vector>) -> bool {
    match reference.split_once(": ") {
        Some((file, test)) if file.starts_with("tests/") || file.starts_with("src/") => {
            fs::read_to_string(path(file)).is_ok_and(|source| source.contains(&format!("fn {test}()")))
        }
        Some(_) => vectors.contains_key(reference),
        None => {
            ["request/", "response/"].iter().any(|corpus| reference.starts_with(corpus))
                && path("fuzz/corpus").join(reference).is_file()
        }
    }
}

/// What is wrong with a page, row by row.
fn faults(page: &str) -> Vec<String> {
    let vectors = vectors();
    let fault = |row: &Row<'_>| fault(row, &vectors).map(|fault| format!("line {}: {fault}", row.line));
    rows(page).iter().filter_map(fault).collect()
}

#[test]
fn every_row_is_held() {
    let page = page();
    let count = rows(&page).len();
    assert!(count >= LEAST_ROWS, "only {count} rows");
    let faults = faults(&page);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_vector_of_the_attacks_is_in_the_page() {
    let page = page();
    let rows = rows(&page);
    let is_named = |name: &String| rows.iter().any(|row| row.held_by.contains(&name.as_str()));
    let unnamed: Vec<String> =
        vectors().into_keys().filter(|name| name.starts_with("attacks: ") && !is_named(name)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn every_cve_has_one_row_in_order() {
    let page = page();
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let cves = rows(&page).into_iter().filter_map(|row| row.first.strip_prefix("CVE-")?.split_once('-'));
    let cves: Vec<(u32, u32)> = cves.map(|(year, within)| (number(year), number(within))).collect();
    assert!(cves.len() > 50, "only {}", cves.len());
    assert!(cves.is_sorted_by(|one, next| one < next), "{cves:?}");
}

/// Fewer rows than this, and the page of requirements was not read, or lost some.
const LEAST_REQUIREMENTS: usize = 110;

/// What is wrong with a row of requirements, if anything is: a section, what the code does and where, and what holds it or why nothing has to.
fn requirement_fault(row: &Row<'_>, vectors: &BTreeMap<String, Vector>) -> Option<String> {
    let is_section =
        row.first.strip_prefix('§').is_some_and(|number| number.split('.').all(|part| part.parse::<u8>().is_ok()));
    if !is_section {
        return Some(format!("{} is no section", row.first));
    }
    let files: Vec<&str> = quoted(row.does).map(|(_, file)| file).collect();
    if let Some(missing) = files.iter().find(|file| !file.starts_with("src/") || !path(file).is_file()) {
        return Some(format!("there is no {missing}"));
    }
    if let Some(missing) = row.held_by.iter().find(|reference| reference.contains(": ") && !exists(reference, vectors))
    {
        return Some(format!("there is no {missing}"));
    }
    let is_excepted = row.last.strip_prefix("Excepted: ").is_some_and(|reason| reason.split_whitespace().count() > 2);
    let is_held = row.held_by.iter().any(|reference| reference.contains(": ")) && !row.last.starts_with("Excepted");
    match (files.len(), is_held || is_excepted) {
        (1, true) => None,
        (1, false) => Some("nothing holds it".into()),
        (_, _) => Some("it is not in one file".into()),
    }
}

fn requirement_faults(page: &str) -> Vec<String> {
    let vectors = vectors();
    let fault = |row: &Row<'_>| Some(format!("line {}: {}", row.line, requirement_fault(row, &vectors)?));
    rows(page).iter().filter_map(fault).collect()
}

#[test]
fn every_requirement_is_held_or_excepted() {
    let page = read("docs/requirements.md");
    assert!(rows(&page).len() >= LEAST_REQUIREMENTS, "only {}", rows(&page).len());
    assert_eq!(requirement_faults(&page), Vec::<String>::new());
}

/// Each table goes by the RFC, so that what is missing is seen.
#[test]
fn requirements_are_in_the_order_of_the_rfc() {
    let page = read("docs/requirements.md");
    let number =
        |row: &Row<'_>| row.first.split(['§', '.']).filter_map(|part| part.parse::<u8>().ok()).collect::<Vec<_>>();
    for table in page.split("\n## ").skip(1) {
        let sections: Vec<Vec<u8>> = rows(table).iter().map(number).collect();
        assert!(sections.is_sorted(), "{sections:?}");
    }
}

#[test]
fn a_requirement_that_is_not_held_is_found() {
    let row = |section: &str, place: &str, held_by: &str| format!("| {section} | a | {place} | {held_by} |\n");
    let (scan, vector) = ("`src/http1/scan.rs`", "`requests-heads: no-host`");
    assert_eq!(requirement_faults(&row("§3.2", scan, vector)), Vec::<String>::new());
    assert_eq!(requirement_faults(&row("§3.2", scan, "Excepted: for that reason.")), Vec::<String>::new());
    for (section, place, held_by, fault) in [
        ("3.2", scan, vector, "3.2 is no section"),
        ("§3.2", "`src/http1/none.rs`", vector, "there is no src/http1/none.rs"),
        ("§3.2", "", vector, "it is not in one file"),
        ("§3.2", scan, "`requests-heads: none`", "there is no requests-heads: none"),
        ("§3.2", scan, "Excepted: for a reason. `requests-heads: none`", "there is no requests-heads: none"),
        ("§3.2", scan, "`tests/attacks.rs: none`", "there is no tests/attacks.rs: none"),
        ("§3.2", scan, "", "nothing holds it"),
        ("§3.2", scan, "Excepted: ", "nothing holds it"),
        ("§3.2", scan, "a test", "nothing holds it"),
    ] {
        assert_eq!(requirement_faults(&row(section, place, held_by)), [format!("line 1: {fault}")], "{held_by}");
    }
}

/// The checks above can fail.
#[test]
fn a_row_that_does_not_hold_is_found() {
    let row = |does: &str, held_by: &str| {
        format!(
            "| technique | published | headsnip | held by |\n|---|---|---|---|\n| a | b, 2025 | {does} | {held_by} |\n"
        )
    };
    let vector = "`requests-heads: bare-lf-after-field`";
    assert_eq!(faults(&row("400 `bare_lf`", vector)), Vec::<String>::new());
    assert_eq!(faults(&row("alone, by `Expect`", "`request/smuggling-length-empty`")), Vec::<String>::new());
    for (does, held_by, fault) in [
        ("alone", "", "nothing holds it"),
        ("alone", "a test", "nothing holds it"),
        ("alone", "`requests-heads: no-such-vector`", "there is no requests-heads: no-such-vector"),
        ("alone", "`bare-lf-after-field`", "there is no bare-lf-after-field"),
        ("alone", "`request/smuggling-nothing`", "there is no request/smuggling-nothing"),
        ("alone", "`tests/attacks.rs: no_such_test`", "there is no tests/attacks.rs: no_such_test"),
        ("400 `bare_cr`", vector, "none of its vectors ends with Some(400) bare_cr"),
        ("502 `bare_lf`", vector, "none of its vectors ends with Some(502) bare_lf"),
        ("`bare_lf`", vector, "none of its vectors ends with None bare_lf"),
    ] {
        assert_eq!(faults(&row(does, held_by)), [format!("line 3: {fault}")], "{does} | {held_by}");
    }
}

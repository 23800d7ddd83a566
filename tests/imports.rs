//! Imports run one way: `main → cli, config, proxy, ops`; `proxy → net, http1, ops`; `ops → net,
//! http1`; `net` and `http1` know nobody.
//! Reads the sources and holds that.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file of `src`, and the modules of this crate that it may name.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("http1", &["http1"]),
    ("net", &["net"]),
    ("config.rs", &["http1", "net"]),
    ("ops", &["http1", "net", "ops"]),
    ("proxy", &["config", "http1", "net", "ops", "proxy"]),
    ("testing", &["cli", "config", "http1", "net", "ops", "proxy", "testing"]),
    ("cli.rs", &["config", "http1", "net", "ops"]),
    ("cli", &["config", "http1", "net", "ops"]),
    ("main.rs", &["cli", "config", "ops", "proxy"]),
];

/// What the core must not name: a socket, a clock, a runtime or a lock.
const IMPURE: [&str; 9] =
    ["tokio", "socket2", "std::net", "std::io", "std::time", "std::thread", "std::sync", "async ", ".await"];

#[test]
fn imports_run_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for (place, allowed) in ALLOWED {
        for file in files(&source.join(place)) {
            for module in imported(&fs::read_to_string(&file).expect("a source file is text")) {
                assert!(allowed.contains(&module.as_str()), "{} names {module}", file.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "the sources have moved: only {checked} imports were seen");
}

#[test]
fn the_core_is_pure() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http1");
    for file in files(&core) {
        let text = fs::read_to_string(&file).expect("a source file is text");
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in IMPURE {
                assert!(!line.contains(word), "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn only_one_file_names_httparse() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names_it = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a source file is text");
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("httparse"))
    };
    let naming: Vec<_> = files(&source).into_iter().filter(names_it).collect();
    assert_eq!(naming, [source.join("http1/head.rs")]);
}

/// Folders in which no two files import each other. A `mod.rs` gathers what its files have; what they share stands in it.
const WITHOUT_CIRCLES: [&str; 4] = ["http1", "net", "ops", "proxy"];

#[test]
fn no_two_files_import_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in WITHOUT_CIRCLES {
        let place = source.join(folder);
        let names: Vec<String> = files(&place).iter().filter_map(|file| name_within(file, &place)).collect();
        let mut seen = Vec::new();
        for file in files(&place) {
            let Some(name) = name_within(&file, &place) else { continue };
            let text = fs::read_to_string(&file).expect("a source file is text");
            seen.extend(
                siblings(&text, folder)
                    .into_iter()
                    .filter(|other| names.contains(other))
                    .map(|other| (name.clone(), other)),
            );
        }
        assert!(seen.len() > names.len() / 2, "the sources have moved: only {} imports were seen", seen.len());
        // Whoever is reached from a file must not reach it.
        for start in &names {
            let mut reached = vec![start.clone()];
            let mut at = 0;
            while at < reached.len() {
                let next = seen.iter().filter(|(from, _)| *from == reached[at]).map(|(_, to)| to.clone());
                let next: Vec<String> = next.collect();
                assert!(!next.contains(start), "{folder}/{start}.rs and {folder}/{}.rs import each other", reached[at]);
                reached.extend(next.into_iter().filter(|to| !reached.contains(to)).collect::<Vec<_>>());
                at += 1;
            }
        }
    }
}

/// The module of a folder that a file is, or belongs to.
fn name_within(file: &Path, folder: &Path) -> Option<String> {
    let within = file.strip_prefix(folder).ok()?.components().next()?;
    let name = within.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
    (name != "mod").then_some(name)
}

/// The modules that a file of a folder imports from that folder: `super::name` or `crate::folder::name`, tests left out.
fn siblings(text: &str, folder: &str) -> Vec<String> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    let lines: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with("//")).collect();
    let lines = lines.join("\n");
    let within = format!("crate::{folder}::");
    let paths = lines.split("use super::").skip(1).chain(lines.split(within.as_str()).skip(1));
    let names = paths.flat_map(|path| match path.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).collect::<Vec<_>>(),
        None => vec![path],
    });
    let name = |path: &str| path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    names.map(name).collect()
}

/// The modules of this crate that a file imports from.
fn imported(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let paths = lines.flat_map(|line| line.split("crate::").skip(1).chain(line.split("headsnip::").skip(1)));
    paths.map(|path| path.chars().take_while(|letter| letter.is_alphanumeric()).collect()).collect()
}

fn files(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.flat_map(|path| files(&path)).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "rs"));
    files
}

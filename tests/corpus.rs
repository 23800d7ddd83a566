//! Puts every file of the fuzzer's corpora through the property that its target checks.

use std::path::Path;

use headsnip::testing::{operator, otherwise, preamble, property, session};

/// Puts the files of a corpus through a property. There are at least so many.
fn replay(target: &str, least: usize, property: fn(&[u8])) {
    let files = corpus(target);
    assert!(files.len() >= least, "only {} files", files.len());
    for (name, input) in files {
        let checked = std::panic::catch_unwind(|| property(&input));
        assert!(checked.is_ok(), "{target}/{name}");
    }
}

/// The files of a corpus and their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: &Path| std::fs::read(path).expect("a corpus file can be read");
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), read(&path))).collect()
}

#[test]
fn the_corpus_of_exchange_holds() {
    replay("exchange", 150, property::exchange);
}

#[test]
fn the_corpus_of_session_holds() {
    replay("session", 1_500, session::session);
    replay("exchange", 150, session::session);
}

#[test]
fn the_corpus_of_origin_holds() {
    replay("origin", 100, otherwise::origin);
}

#[test]
fn the_corpus_of_response_holds() {
    replay("response", 400, property::response);
}

#[test]
fn the_corpus_of_request_holds() {
    replay("request", 400, property::request);
}

#[test]
fn the_corpus_of_chunked_holds() {
    replay("chunked", 300, property::chunked);
}

#[test]
fn the_corpus_of_denylist_holds() {
    replay("denylist", 100, operator::denylist);
}

#[test]
fn the_corpus_of_preamble_holds() {
    replay("preamble", 50, preamble::preamble);
}

#[test]
fn the_corpus_of_command_line_holds() {
    replay("command_line", 100, operator::command_line);
}

/// Techniques against responses that change nothing for anybody, and why.
const HARMLESS: [(&str, &[&str]); 2] = [
    (
        "without `chunked`, the end of the connection is that of the body (RFC 9112 §6.3)",
        &["encoding-gzip", "encoding-identity", "encoding-prefixed", "encoding-single-quoted", "encoding-suffixed"],
    ),
    (
        "it is within a denied line, which goes whole",
        &[
            "chunk-trailer-space-before-colon",
            "encoding-space-before-name",
            "length-folded-first",
            "line-tab-line",
            "server-space-before-colon",
            "server-value-folded",
        ],
    ),
];

/// Published techniques by which two parsers are brought to disagree: whatever else becomes of them, none goes on as
/// if nothing were wrong, and the request that most of them hide never goes inbound as one.
#[test]
fn every_technique_of_smuggling_is_refused() {
    let named = |target, prefix: &'static str| {
        let files = corpus(target).into_iter().filter(move |(name, _)| name.starts_with(prefix)).collect::<Vec<_>>();
        assert!(files.len() > 100, "only {} files {prefix}*", files.len());
        files
    };
    for (name, input) in named("request", "smuggling-") {
        assert!(property::request_is_refused(&input, b"/smuggled"), "request/{name}");
    }
    for (name, input) in named("response", "desync-") {
        let is_harmless = HARMLESS.iter().any(|(_, names)| names.contains(&name.trim_start_matches("desync-")));
        assert!(is_harmless != property::response_is_refused_or_mended(&input), "response/{name}");
    }
}

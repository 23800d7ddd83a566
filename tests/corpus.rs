//! Puts every file of the fuzzer's corpora through the property that its target checks.

use std::path::Path;

use headsnip::testing::{property, session};

/// The corpora that a property must hold for, and how many files there are at least.
fn replay(targets: &[&str], least: usize, property: fn(&[u8])) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files = 0;
    for target in targets {
        for entry in std::fs::read_dir(corpora.join(target)).expect("the corpus is there") {
            let path = entry.expect("an entry").path();
            let input = std::fs::read(&path).expect("a corpus file can be read");
            let checked = std::panic::catch_unwind(|| property(&input));
            assert!(checked.is_ok(), "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= least, "only {files} files");
}

#[test]
fn the_corpus_of_exchange_holds() {
    replay(&["exchange"], 50, property::exchange);
}

#[test]
fn the_corpus_of_session_holds() {
    replay(&["exchange", "session"], 100, session::session);
}

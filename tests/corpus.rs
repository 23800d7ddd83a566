//! Puts every file of the fuzzer's corpora through the property that its target checks.

use std::path::Path;

use headsnip::testing::property;

#[test]
fn the_corpus_of_exchange_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/exchange");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        let input = std::fs::read(&path).expect("a corpus file can be read");
        let checked = std::panic::catch_unwind(|| property::exchange(&input));
        assert!(checked.is_ok(), "{}", path.display());
        files += 1;
    }
    assert!(files >= 50, "only {files} files");
}

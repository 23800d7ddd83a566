//! What an exploration found, and what the page says of it.

use std::fs;
use std::path::Path;

/// How much was explored until nothing new was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
}

impl Found {
    /// Holds that the row of `docs/developing.md` with this name says these numbers.
    pub(crate) fn is_what_the_page_says(self, name: &str) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/developing.md");
        let page = fs::read_to_string(page).expect("a page of this repository");
        println!("{name}: {} states, {} transitions", self.states, self.transitions);
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        let said: Vec<usize> =
            row.split('|').skip(2).filter_map(|cell| cell.trim().replace(',', "").parse().ok()).collect();
        assert_eq!(said, [self.states, self.transitions], "{name}, of docs/developing.md: {row:?}");
    }
}

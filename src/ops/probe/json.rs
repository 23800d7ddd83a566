//! Findings as one JSON object.

use std::collections::BTreeSet;

use serde::Serialize;

/// All of it.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) url: &'a str,
    pub(super) failed: bool,
    pub(super) clean: bool,
    pub(super) discloses: bool,
    pub(super) names: BTreeSet<String>,
    pub(super) deny: Vec<String>,
    pub(super) missing: Vec<&'a str>,
    pub(super) add: Vec<String>,
    pub(super) answers: Vec<Answered<'a>>,
}

/// What was said to a request.
#[derive(Serialize)]
pub(super) struct Answered<'a> {
    pub(super) request: &'a str,
    pub(super) statuses: &'a [u16],
    pub(super) lines: Vec<Line<'a>>,
    pub(super) body: Vec<&'a str>,
    pub(super) http2: bool,
    pub(super) missed: Option<&'a str>,
}

/// A line that discloses something.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) status: u16,
    pub(super) line: &'a str,
}

/// Over several lines. It cannot fail: all names are text, and so is what it is written to.
pub(super) fn written(document: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

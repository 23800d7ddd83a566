//! Findings as test results in the XML of `JUnit`, which CI servers read: a case per request, and one for the lines that should be there.
//! What is not failed on stands in the output of its case.

use std::fmt::Write;
use std::time::Duration;

use super::answer::Answer;
use super::fail_on::FailOn;
use super::finding::{Finding, Rule};

/// The name of the case of what is missing.
const RECOMMENDED: &str = "recommended lines";

// Writing to a string does not fail.

pub(super) fn suite(url: &str, answers: &[Answer], findings: &[Finding], fail_on: &FailOn) -> String {
    let (mut cases, mut failures) = (String::new(), 0);
    for answer in answers {
        let of_answer =
            findings.iter().filter(|finding| finding.rule != Rule::Missing && finding.request == answer.request);
        failures += case(&mut cases, answer.request, answer.took, of_answer, fail_on);
    }
    let missing = findings.iter().filter(|finding| finding.rule == Rule::Missing);
    failures += case(&mut cases, RECOMMENDED, Duration::ZERO, missing, fail_on);
    let took = seconds(answers.iter().map(|answer| answer.took).sum());
    let tests = answers.len() + 1;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"headsnip probe {}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\" skipped=\"0\" time=\"{took}\">\n{cases}  </testsuite>\n</testsuites>\n",
        escaped(url)
    )
}

/// Adds a case, and tells how many failed with it.
fn case<'a>(
    cases: &mut String,
    name: &str,
    took: Duration,
    findings: impl Iterator<Item = &'a Finding>,
    fail_on: &FailOn,
) -> usize {
    let (failed, others): (Vec<&Finding>, Vec<&Finding>) = findings.partition(|finding| fail_on.includes(finding));
    let (name, took) = (escaped(name), seconds(took));
    let _ = writeln!(cases, "    <testcase classname=\"headsnip.probe\" name=\"{name}\" time=\"{took}\">");
    let lines = |findings: &[&Finding]| {
        findings
            .iter()
            .map(|finding| format!("{}: {}", finding.rule.name(), finding.told))
            .collect::<Vec<_>>()
            .join("\n")
    };
    if let Some(first) = failed.first() {
        let _ = writeln!(
            cases,
            "      <failure type=\"{}\" message=\"{}\">{}</failure>",
            first.rule.name(),
            escaped(&first.told),
            escaped(&lines(&failed))
        );
    }
    if !others.is_empty() {
        let _ = writeln!(cases, "      <system-out>{}</system-out>", escaped(&lines(&others)));
    }
    cases.push_str("    </testcase>\n");
    usize::from(!failed.is_empty())
}

/// Without floating point, which takes 36 KB.
fn seconds(took: Duration) -> String {
    format!("{}.{:03}", took.as_secs(), took.subsec_millis())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

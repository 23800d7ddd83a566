//! What the probe finds, as code scanning and CI servers read it.

use std::process::Command;

use serde_json::{Value, json};

use super::action::answering;
use super::setup::{Needs, Setup};
use super::{must, validate};

/// Lines that disclose something, in as many ways as there are rules for lines.
const LINES: &str = "Server: a<b>&\"c\"\r\nX-Powered-By: PHP/8\r\nVia: 1.1 varnish\r\n";

/// What is missing, if anything is, beside Node.
pub(super) fn no_validator() -> Option<String> {
    (!cfg!(target_arch = "x86_64")).then(|| "the SARIF Multitool is for x86-64".to_owned())
}

fn report(format: &str, fail_on: &str) -> Result<(String, String), String> {
    let url = format!("http://{}/a?b&c", answering(LINES)?);
    let mut probe = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let output = probe.args(["probe", "--format", format, "--fail-on", fail_on, &url]).output();
    let text =
        String::from_utf8(output.map_err(|error| error.to_string())?.stdout).map_err(|error| error.to_string())?;
    Ok((text, url))
}

/// What the validator reads, as JSON, where that is sound.
pub(super) fn read(setup: &Setup, needs: Needs, kind: &str, text: &str) -> Result<Value, String> {
    let output = validate(setup, needs, kind, text)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let documents: Vec<Value> = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    documents.into_iter().next().ok_or_else(|| "no document".to_owned())
}

/// "SARIF that code scanning takes (no `http` artifact URIs; validated against its schema), rules with ZAP 10036/10037 and CWE-497."
pub(super) fn are_taken_by_code_scanning(setup: &Setup) -> Result<(), String> {
    let (text, url) = report("sarif", "@lines")?;
    let log = read(setup, Needs::Node, "sarif", &text)?;
    // What the schema wants, and what GitHub wants besides.
    for (right, wrong) in [("\"ruleId\"", "\"rule\""), ("\"fullDescription\"", "\"shortDescription\"")] {
        let mistaken = text.replacen(right, wrong, 1);
        must(mistaken != text && read(setup, Needs::Node, "sarif", &mistaken).is_err(), "a mistake is seen")?;
    }
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().ok_or("no rules")?;
    let tags = |id: &str| {
        rules.iter().find(|rule| rule["id"] == id).map(|rule| rule["properties"]["tags"].clone()).ok_or(id.to_owned())
    };
    must(tags("server-line")? == json!(["security", "external/cwe/cwe-497", "zap-10036"]), "ZAP's number for Server")?;
    let powered = json!(["security", "external/cwe/cwe-497", "zap-10037"]);
    must(tags("x-powered-by-line")? == powered, "ZAP's number for X-Powered-By")?;
    let results = run["results"].as_array().ok_or("no results")?;
    for rule in ["server-line", "x-powered-by-line", "disclosing-line", "missing-line"] {
        must(results.iter().any(|result| result["ruleId"] == rule), rule)?;
    }
    let mut prints = Vec::new();
    for result in results {
        must(rules.iter().any(|rule| rule["id"] == result["ruleId"]), "each result has a rule")?;
        must(result["message"]["text"].as_str().is_some_and(|text| text.contains(&url)), "it tells the URL")?;
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap_or_default();
        must(!uri.is_empty() && !uri.contains(':') && !uri.starts_with('/'), "it is placed in a file")?;
        must(place["region"]["startLine"] == 1, "it is placed in a line")?;
        prints.push(result["partialFingerprints"]["primaryLocationLineHash"].to_string());
    }
    let count = prints.len();
    prints.sort();
    prints.dedup();
    must(count > 20 && prints.len() == count, "no two findings have the same fingerprint")?;
    let again = report("sarif", "@nothing")?.0;
    must(again.matches("\"ruleId\"").count() == count, "what is failed on is another matter")
}

/// A reader of theirs finds the cases, which failed, and why.
pub(super) fn are_read_as_test_results(setup: &Setup) -> Result<(), String> {
    let text = report("junit", "server")?.0;
    let results = read(setup, Needs::Python, "junit", &text)?;
    let mistaken = text.replacen(" failures=\"9\"", " failures=\"8\"", 1);
    must(mistaken != text && read(setup, Needs::Python, "junit", &mistaken).is_err(), "a wrong count is seen")?;
    let suite = &results["suites"][0];
    must(suite["name"].as_str().is_some_and(|name| name.ends_with("/a?b&c")), "the URL is told")?;
    let cases = suite["cases"].as_array().ok_or("no cases")?;
    must(cases.len() == 10 && cases.iter().filter(|case| case["result"] == "failure").count() == 9, "what failed")?;
    let output = |name: &str| {
        let case = cases.iter().find(|case| case["name"] == name);
        case.and_then(|case| case["output"].as_str()).unwrap_or_default().to_owned()
    };
    must(output("GET").contains("disclosing-line: Via: 1.1 varnish"), "what was not failed on is told")?;
    must(output("recommended lines").contains("X-Frame-Options is missing"), "what is missing is told")?;
    let failed = report("junit", "@missing")?.0;
    must(failed.contains("failures=\"1\"") && failed.contains("type=\"missing-line\""), "it can be failed on")?;
    must(text.contains("Server: a&lt;b&gt;&amp;\\&quot;c\\&quot;"), "it is escaped, not lost")
}

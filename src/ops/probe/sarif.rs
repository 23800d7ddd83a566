//! Findings as SARIF 2.1.0, in the form that GitHub's code scanning takes.
//!
//! What was found is in no file, and code scanning takes no place that is a URL; so all of it is in one file that is called as the command is,
//! the request is the logical location, and the fingerprint tells findings apart.

use serde::Serialize;

use super::finding::{Finding, Rule};

#[derive(Serialize)]
pub(super) struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
struct Run {
    tool: Tool,
    results: Vec<Found>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Described>,
}

/// Code scanning wants both descriptions and the help.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    id: &'static str,
    short_description: Text,
    full_description: Text,
    help: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<String>,
    default_configuration: Configuration,
    properties: Properties,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Properties {
    tags: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    rule_id: &'static str,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: Fingerprints,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Place,
    logical_locations: [Logical; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u16,
}

#[derive(Serialize)]
struct Logical {
    name: &'static str,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprints {
    primary_location_line_hash: String,
}

pub(super) fn log(url: &str, findings: &[Finding]) -> Log {
    let driver = Driver {
        name: "headsnip probe",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: Rule::ALL.into_iter().map(described).collect(),
    };
    Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, results: findings.iter().map(|finding| found(url, finding)).collect() }],
    }
}

fn described(rule: Rule) -> Described {
    let cwe = rule.cwe().map(|number| format!("external/cwe/cwe-{number}"));
    let zap = rule.zap().map(|number| format!("zap-{number}"));
    Described {
        id: rule.name(),
        short_description: text(rule.description()),
        full_description: text(rule.description()),
        help: text(rule.help()),
        help_uri: rule.page(),
        default_configuration: Configuration { level: level(rule) },
        properties: Properties { tags: [Some("security".to_owned()), cwe, zap].into_iter().flatten().collect() },
    }
}

fn found(url: &str, finding: &Finding) -> Found {
    let Finding { rule, request, name, told } = finding;
    let place = Place { artifact_location: Artifact { uri: "headsnip-probe" }, region: Region { start_line: 1 } };
    Found {
        rule_id: rule.name(),
        level: level(*rule),
        message: text(format!("{request} {url}: {told}")),
        locations: [Location {
            physical_location: place,
            logical_locations: [Logical { name: request, kind: "resource" }],
        }],
        partial_fingerprints: Fingerprints {
            primary_location_line_hash: fingerprint([url, rule.name(), request, name]),
        },
    }
}

fn text(text: impl Into<String>) -> Text {
    Text { text: text.into() }
}

fn level(rule: Rule) -> &'static str {
    if rule == Rule::Missing { "note" } else { "warning" }
}

/// The same for the same finding, of each version: FNV-1a.
fn fingerprint(parts: [&str; 4]) -> String {
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([b'\n']));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}:1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has dismissed a finding is not shown it again by the next version.
    #[test]
    fn fingerprints_stay_what_they_are() {
        assert_eq!(fingerprint(["server-line", "GET", "http://a/", "Server: b"]), "b29846242db02e02:1");
    }

    #[test]
    fn what_is_missing_is_a_note_and_what_is_disclosed_a_warning() {
        assert!(Rule::ALL.iter().all(|rule| (level(*rule) == "note") == (*rule == Rule::Missing)));
    }
}

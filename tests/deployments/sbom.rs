//! The SBOM of a release: what goes into the binary, and nothing that only tests, benchmarks or further features need.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::reports::read;
use super::setup::{Needs, Setup};
use super::{must, path};

/// What a command prints that must succeed.
fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// "NAME vVERSION" of each package that cargo has for the binary, this one first.
fn packages(edges: &str) -> Result<BTreeSet<String>, String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--package", "headsnip", "--target", TARGET, "--edges", edges, "--prefix", "none"]);
    let words = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(printed(&mut tree)?.lines().map(words).collect())
}

/// Another than most machines of those who run this have.
const TARGET: &str = "aarch64-unknown-linux-musl";

pub(super) fn lists_what_is_linked(setup: &Setup) -> Result<(), String> {
    let python = setup.python()?;
    let text = printed(Command::new(python).arg(path("build-sbom")).arg(TARGET))?;
    let sbom = read(setup, Needs::Python, "sbom", &text)?;
    let mistaken = text.replacen("\"purl\"", "\"url\"", 1);
    must(mistaken != text && read(setup, Needs::Python, "sbom", &mistaken).is_err(), "a mistake is seen")?;

    let components = sbom["components"].as_array().ok_or("no components")?;
    let package = |part: &Value| Some(format!("{} v{}", part["name"].as_str()?, part["version"].as_str()?));
    let listed = |is_wanted: fn(&Value) -> bool| {
        let parts = components.iter().filter(|part| is_wanted(part)).chain([&sbom["metadata"]["component"]]);
        parts.filter_map(package).collect::<BTreeSet<_>>()
    };
    must(listed(|_| true) == packages("normal")?, "it lists the packages of the binary")?;
    let linked = packages("normal,no-proc-macro")?;
    must(listed(|part| part["scope"] == "required") == linked, "what the compiler alone runs is marked")?;
    must(components.len() + 1 == packages("normal")?.len(), "none is listed twice")?;
    for part in components {
        let has = |name: &str| part[name].as_array().is_some_and(|list| list.len() == 1);
        must(has("licenses") && has("hashes") && part["purl"] == part["bom-ref"], &format!("it is whole: {part}"))?;
    }
    let names: BTreeSet<_> = components.iter().filter_map(|part| part["name"].as_str()).collect();
    must(names.contains("tokio") && names.contains("libmimalloc-sys"), "what it needs")?;
    must(["rustls", "libtest-mimic", "want", "criterion", "cc"].iter().all(|name| !names.contains(name)), "and no more")
}

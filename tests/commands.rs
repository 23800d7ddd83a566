//! Whatever a reader can copy from a page is run: here, by a test, or by a step of the gate.

#![allow(clippy::panic, reason = "a test says what fails")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::headsnip::Headsnip;
use support::{Origin, Peer};

/// Beside those of `docs`.
const PAGES: [&str; 4] = ["README.md", "SECURITY.md", "deploy/README.md", "deploy/moving.md"];

/// Who runs a command.
enum Run {
    /// A line of `.ci/run`, perhaps with less to do.
    Gate(&'static str),
    /// A test in this file of `tests`, in which that stands.
    In(&'static str, &'static str),
    /// This, with the command's arguments.
    Here(fn(&[&str])),
}

const COMMANDS: [(&str, Run); 32] = [
    ("cargo run --example demo", Run::Gate("cargo run --locked --example demo")),
    ("cargo run --example embedded", Run::Gate("cargo run --locked --example embedded")),
    ("cargo run --example heads", Run::Gate("cargo run --locked --example heads")),
    ("cargo test", Run::Gate("cargo test --locked")),
    ("cargo test --test deployments", Run::Gate("cargo test --locked")),
    ("cargo test --test packaging", Run::Gate("cargo test --locked")),
    ("cargo test --test real_servers fastapi_story", Run::In("real_servers/cases/story.rs", "\"fastapi_story\"")),
    ("cargo test --test exhaustive", Run::Gate("cargo test --locked")),
    ("cargo test --test reached -- --nocapture", Run::Gate("cargo test --locked")),
    ("cargo test --test vectors NAME", Run::Gate("cargo test --locked")),
    ("cargo install --locked --path .", Run::Gate("cargo install --locked --path . --root target/installed")),
    (
        "cargo install --locked --path . --features https",
        Run::Gate("cargo test --locked --profile dev -p headsnip --features https --test operation probe"),
    ),
    (
        "cargo test --profile dev --features https --test operation probe",
        Run::Gate("cargo test --locked --profile dev -p headsnip --features https --test operation probe"),
    ),
    ("cargo bench --bench versus", Run::Gate("cargo bench --locked -p headsnip-benches --bench versus")),
    (
        "VERSUS_CURVE=1 cargo bench --bench versus",
        Run::Gate("VERSUS_CURVE=1 cargo bench --locked -p headsnip-benches --bench versus"),
    ),
    (
        "INSTRUCTIONS_RECORD=check cargo bench --bench instructions",
        Run::Gate("INSTRUCTIONS_RECORD=check cargo bench --locked -p headsnip-benches --bench instructions"),
    ),
    ("cargo bench --bench core", Run::Gate("cargo bench --locked -p headsnip-benches --bench core -- --test")),
    ("SOAK_SECONDS=300 cargo test --release --test soak -- --nocapture", Run::In("soak/main.rs", "SOAK_SECONDS")),
    ("OTHERWISE_SEEDS=5000-9000 cargo test --release --test otherwise", Run::In("otherwise.rs", "OTHERWISE_SEEDS")),
    (
        "cargo +nightly fuzz run session -- -dict=fuzz/http.dict -max_len=1500 -max_total_time=1800",
        Run::Gate("cargo +nightly fuzz run session -- -dict=fuzz/http.dict -max_len=1500 -max_total_time="),
    ),
    ("OUT=/tmp/out .clusterfuzzlite/build.sh", Run::Gate("OUT=\"$PWD/target/fuzz\" .clusterfuzzlite/build.sh")),
    ("docker build -f deploy/Dockerfile -t headsnip .", Run::In("packaging/image.rs", "deploy/Dockerfile")),
    ("headsnip --listen 127.0.0.1:8080 --upstream 127.0.0.1:3000", Run::Here(serves)),
    ("headsnip probe http://127.0.0.1:3000/hello", Run::In("real_servers/cases/readme.rs", "3000")),
    ("headsnip probe http://127.0.0.1:8080/hello", Run::In("real_servers/cases/readme.rs", "8080")),
    ("headsnip probe http://127.0.0.1:3000/", Run::In("operation/probe.rs", "\"probe\"")),
    ("headsnip probe http://127.0.0.1:8080/", Run::In("operation/probe.rs", "\"probe\"")),
    ("headsnip man", Run::Here(prints)),
    ("headsnip completions SHELL", Run::In("packaging/deb.rs", "\"completions\"")),
    ("deploy/build-binary", Run::In("../deploy/build-release", "deploy/build-binary")),
    ("deploy/build-release target/release-files", Run::Gate("deploy/build-release target/release-files")),
    ("deploy/build-deb", Run::In("packaging/deb.rs", "deploy/build-deb")),
];

#[test]
fn every_command_of_the_pages_is_run() {
    let gate = read(".ci/run");
    let mut shown: BTreeSet<String> = pages().iter().flat_map(|page| commands(&read(page))).collect();
    for (command, run) in &COMMANDS {
        assert!(shown.remove(*command), "no page has: {command}");
        match run {
            Run::Gate(line) => assert!(gate.contains(line), "not in .ci/run: {line}"),
            Run::In(file, words) => assert!(read(&format!("tests/{file}")).contains(words), "{words} not in {file}"),
            Run::Here(run) => run(&command.split(' ').skip(1).collect::<Vec<_>>()),
        }
    }
    assert!(shown.is_empty(), "run by nobody: {shown:?}");
}

/// All pages: whoever adds one to `docs` need not name it here.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let entries = fs::read_dir(folder).expect("a folder of this repository").map(|entry| entry.expect("a page"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let docs: Vec<String> = names.map(|name| format!("docs/{name}")).collect();
    assert!(docs.len() > 3, "{docs:?}");
    PAGES.into_iter().map(str::to_owned).chain(docs).collect()
}

/// What a page has in blocks of shell, and between backquotes where that is a whole command.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (place, part) in page.split("```").enumerate() {
        if let Some(block) = part.strip_prefix("sh\n") {
            commands.extend(block.lines().map(str::to_owned));
        } else if place % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2).map(str::to_owned);
            commands.extend(spans.filter(|span| is_command(span)));
        }
    }
    commands
}

fn is_command(span: &str) -> bool {
    let mut words = span.split(' ').skip_while(|word| word.contains('=') && !word.starts_with('-'));
    match (words.next(), words.next()) {
        (Some("cargo" | "docker"), Some(_)) => true,
        (Some(script), _) if script.starts_with("deploy/build-") || script == ".clusterfuzzlite/build.sh" => true,
        (Some("headsnip"), Some(argument)) => ["probe", "man", "completions", "--listen"].contains(&argument),
        _ => false,
    }
}

/// headsnip starts with these flags, at free ports, and strips.
fn serves(arguments: &[&str]) {
    let ["--listen", "127.0.0.1:8080", "--upstream", "127.0.0.1:3000", further @ ..] = arguments else {
        panic!("other addresses: {arguments:?}");
    };
    let origin = Origin::new();
    let proxy = Headsnip::start(&origin.address(), further);
    let mut client: Peer = proxy.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut server = origin.accept_speaking();
    server.expect("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Length: 2\r\n\r\nok");
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

fn prints(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_headsnip")).args(arguments).output().expect("the binary runs");
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of this repository")
}

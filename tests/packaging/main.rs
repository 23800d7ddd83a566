//! What users install: the image, built by the Dockerfile and run, and the Debian package, built and unpacked, and installed and removed.
//!
//! The image's first stage wants an image of Rust, which is not to be had everywhere; in its place stands a folder with what that stage
//! makes, built here: a static binary. Where buildah (and root), or cargo-deb, is missing, the test is skipped, which is said;
//! with `CI=true` in the environment it fails instead.

mod deb;
mod image;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each test uses a part")]
mod process;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};

/// A build from nothing; it took two minutes where this was written.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

fn main() -> ExitCode {
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    let trials: [(&str, Option<String>, Test); 3] = [
        ("image", image::missing(), image::works),
        ("deb", deb::missing(), deb::is_whole),
        ("deb upgrade", upgrade::missing(), upgrade::works),
    ];
    let trials = trials.map(|(name, missing, test)| {
        if let Some(what) = &missing {
            let outcome = if must_run { "fails, as CI=true wants it" } else { "is skipped" };
            eprintln!("packaging: {what}; {name} {outcome}");
        }
        let is_skipped = missing.is_some() && !must_run;
        Trial::test(name, move || missing.map_or_else(test, Err).map_err(Into::into)).with_ignored_flag(is_skipped)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

type Test = fn() -> Result<(), String>;

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty folder for a test.
fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// Tells whether a program can be asked for its version.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// What a command that must succeed prints, without white space around it.
fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{command:?}: {} {}", text(&output.stdout), text(&output.stderr)))
    }
}

fn must(holds: bool, what: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it does not hold: {what}")) }
}

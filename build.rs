//! Packs the relocations of the binary, which then take 3 KB instead of 50, where the dynamic linker of this system can read that.

use std::env::var;
use std::process::Command;

/// The first glibc that can.
const SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_for_this_system = var("HOST") == var("TARGET") && var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    // Whoever sets flags, as for a static binary or one for other systems, says how it is linked.
    let is_left_to_us = var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.is_empty());
    if is_for_this_system && is_left_to_us && glibc().is_some_and(|version| version >= SINCE) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this system's C library.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

//! The Debian package, unpacked: what it holds, and what it says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run_to_end;
use super::{BUILD_LIMIT, folder, is_there, must, printed, top};

/// What is missing, if anything is.
pub(super) fn missing() -> Option<String> {
    if !is_there("dpkg-deb", &["--version"]) {
        return Some("dpkg-deb is missing".to_owned());
    }
    (!is_there(env!("CARGO"), &["deb", "--version"])).then(|| "cargo-deb is missing".to_owned())
}

/// Builds it, and tells where it is.
pub(super) fn build(folder: &Path) -> Result<PathBuf, String> {
    let log = folder.join("build.log");
    let mut build = Command::new(top().join("deploy/build-deb"));
    // The gate builds the binary that is packaged; what the package holds does not depend on which it is.
    build.arg(env!("CARGO_BIN_EXE_headsnip"));
    let target = folder.join("target");
    build.env("CARGO_TARGET_DIR", &target);
    run_to_end(build, &log, BUILD_LIMIT)?;
    let told = fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let is_package = |line: &&str| Path::new(line.trim()).extension().is_some_and(|extension| extension == "deb");
    let package = PathBuf::from(told.lines().rfind(is_package).ok_or("no package is named")?.trim());
    must(package.starts_with(&target), "CARGO_TARGET_DIR is honoured")?;
    Ok(package)
}

pub(super) fn is_whole() -> Result<(), String> {
    let folder = folder("deb")?;
    let package = build(&folder)?;
    let tree = folder.join("tree");
    printed(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&tree))?;
    printed(Command::new("dpkg-deb").arg("--control").arg(&package).arg(folder.join("control")))?;

    let version = printed(Command::new(tree.join("usr/bin/headsnip")).arg("--version"))?;
    must(version == concat!("headsnip ", env!("CARGO_PKG_VERSION")), version)?;
    let page = printed(Command::new("gzip").args(["-dc"]).arg(tree.join("usr/share/man/man1/headsnip.1.gz")))?;
    must(
        page == printed(Command::new(env!("CARGO_BIN_EXE_headsnip")).arg("man"))?,
        "the man page is that of the binary",
    )?;
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/headsnip"),
        ("fish", "usr/share/fish/vendor_completions.d/headsnip.fish"),
        ("zsh", "usr/share/zsh/vendor-completions/_headsnip"),
    ] {
        let found = read(&tree.join(path))?;
        let wanted = printed(Command::new(env!("CARGO_BIN_EXE_headsnip")).args(["completions", shell]))?;
        must(found.trim() == wanted, path)?;
    }
    for (path, source) in [
        ("usr/lib/systemd/system/headsnip.service", "deploy/headsnip.service"),
        ("usr/lib/systemd/system/headsnip.socket", "deploy/headsnip.socket"),
        ("etc/default/headsnip", "deploy/headsnip.default"),
    ] {
        must(read(&tree.join(path))? == read(&top().join(source))?, path)?;
    }
    must(
        read(&folder.join("control/conffiles"))?.contains("/etc/default/headsnip"),
        "its settings are kept on upgrades",
    )?;
    let control = read(&folder.join("control/control"))?;
    must(control.contains("\nDepends: libc6 ") || control.contains("\nDepends: libgcc"), control)?;
    must(tree.join("usr/share/doc/headsnip/copyright").exists(), "the licence")
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

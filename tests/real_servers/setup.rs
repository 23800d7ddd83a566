//! What the servers need on this machine: Python and Node themselves, which must be there, and packages of pinned
//! versions, which are installed under the build folder once and kept until their list changes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::{ask, run_to_end};

/// Packages and versions of the ASGI servers, as `pip freeze` listed them.
const MAIN: &str = include_str!("requirements-main.txt");

/// The same for `BentoML`, as it was before it stopped sending `Server`. It needs older versions of what it shares with
/// the others, so it gets a virtual environment of its own.
const BENTOML: &str = include_str!("requirements-bentoml.txt");

/// Express and what it needs.
const PACKAGE_JSON: &str = include_str!("package.json");

/// The Python versions for which every pinned package exists.
const PYTHON: std::ops::RangeInclusive<u32> = 11..=13;

/// The oldest Node that Express runs on.
const NODE: u32 = 18;

/// An installation over a slow network; it took a minute where this was written.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Where the results go: a folder of the build that is ours.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/real-servers");

/// What a server cannot run without.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Python,
    Node,
}

/// The tools found, and the packages installed so far.
pub(crate) struct Setup {
    python: Result<Tool, String>,
    node: Result<Tool, String>,
    main: OnceLock<Result<PathBuf, String>>,
    bentoml: OnceLock<Result<PathBuf, String>>,
    express: OnceLock<Result<PathBuf, String>>,
    scratch: Scratch,
}

struct Tool {
    program: String,
    version: String,
}

impl Setup {
    /// Looks for the tools; installs nothing yet.
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            python: find_python(),
            node: find_node(),
            main: OnceLock::new(),
            bentoml: OnceLock::new(),
            express: OnceLock::new(),
            scratch: Scratch::new()?,
        })
    }

    /// Why what `needs` says is not there, if it is not.
    pub(crate) fn missing(&self, needs: Needs) -> Option<&str> {
        let tool = match needs {
            Needs::Python => &self.python,
            Needs::Node => &self.node,
        };
        tool.as_ref().err().map(String::as_str)
    }

    /// A folder for sockets and logs, removed at the end. Its path is short: a socket's may have 107 bytes.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch.0
    }

    /// Python without any packages.
    pub(crate) fn python(&self) -> Result<OsString, String> {
        Ok(OsString::from(&tool(&self.python)?.program))
    }

    /// Node, without any packages.
    pub(crate) fn node(&self) -> Result<OsString, String> {
        Ok(OsString::from(&tool(&self.node)?.program))
    }

    /// The folder of the programs of the virtual environment of the ASGI servers.
    pub(crate) fn main(&self) -> Result<PathBuf, String> {
        self.main.get_or_init(|| self.virtual_environment("venv-main", MAIN)).clone()
    }

    /// The folder of the programs of the virtual environment of `BentoML`.
    pub(crate) fn bentoml(&self) -> Result<PathBuf, String> {
        self.bentoml.get_or_init(|| self.virtual_environment("venv-bentoml", BENTOML)).clone()
    }

    /// The `node_modules` folder that holds Express.
    pub(crate) fn express(&self) -> Result<PathBuf, String> {
        self.express.get_or_init(|| self.node_modules()).clone()
    }

    fn virtual_environment(&self, name: &str, requirements: &str) -> Result<PathBuf, String> {
        let python = tool(&self.python)?;
        let folder = Path::new(FOLDER).join(name);
        let programs = folder.join("bin");
        let wanted = format!("{}\n{requirements}", python.version);
        install_once(&folder, &wanted, |log| {
            let mut create = Command::new(&python.program);
            create.args(["-m", "venv"]).arg(&folder);
            run_to_end(create, log, INSTALL_LIMIT)?;
            let list = folder.join("requirements.txt");
            write(&list, requirements)?;
            let mut install = Command::new(programs.join("python"));
            install
                .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement"])
                .arg(&list);
            run_to_end(install, log, INSTALL_LIMIT)
        })?;
        Ok(programs)
    }

    fn node_modules(&self) -> Result<PathBuf, String> {
        let node = tool(&self.node)?;
        let folder = Path::new(FOLDER).join("express");
        install_once(&folder, &format!("{}\n{PACKAGE_JSON}", node.version), |log| {
            write(&folder.join("package.json"), PACKAGE_JSON)?;
            let mut install = Command::new("npm");
            install.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
            run_to_end(install, log, INSTALL_LIMIT)
        })?;
        Ok(folder.join("node_modules"))
    }
}

/// Fills `folder` by `install`, unless a stamp in it says that this very text was installed there before.
fn install_once(folder: &Path, wanted: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let stamp = folder.join("installed.stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    eprintln!("real servers: installing into {}", folder.display());
    install(&folder.join("install.log")).map_err(|error| {
        format!(
            "the pinned packages could not be installed into {} (this is done once and needs the network): {error}",
            folder.display()
        )
    })?;
    write(&stamp, wanted)
}

fn find_python() -> Result<Tool, String> {
    let question = "import sys, ensurepip, venv; print('%d.%d.%d' % sys.version_info[:3])";
    let mut unfit = String::new();
    for program in ["python3", "python3.11", "python3.12", "python3.13"] {
        let Some(version) = ask(program, &["-c", question]) else { continue };
        let minor = version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        if minor.is_some_and(|minor| PYTHON.contains(&minor)) {
            return Ok(Tool { program: program.to_owned(), version });
        }
        unfit = format!("; {program} is {version}");
    }
    Err(format!("Python 3.{} to 3.{} with its venv module is missing{unfit}", PYTHON.start(), PYTHON.end()))
}

fn find_node() -> Result<Tool, String> {
    let version = ask("node", &["--version"]).ok_or("Node is missing")?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE) {
        return Err(format!("Node {NODE} or later is missing; node is {version}"));
    }
    ask("npm", &["--version"]).ok_or("npm is missing")?;
    Ok(Tool { program: "node".to_owned(), version })
}

fn tool(found: &Result<Tool, String>) -> Result<&Tool, String> {
    found.as_ref().map_err(Clone::clone)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A folder that is removed with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("headsnip-real-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // An error leaves some files in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

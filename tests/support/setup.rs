//! What the servers need on this machine: Python, Node and Java themselves, which must be there, and packages of pinned
//! versions, which are installed under the build folder once and kept until their list changes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process::{ask, run_to_end};

/// A list of packages, and where they were installed.
pub(crate) struct Packages {
    name: &'static str,
    list: &'static str,
    installed: OnceLock<Result<PathBuf, String>>,
}

/// The ASGI servers, their clients and h11, as `pip freeze` listed them.
pub(crate) static ASGI: Packages = Packages::new("venv-main", include_str!("packages/asgi.txt"));

/// The same for `BentoML`, as it was before it stopped sending `Server`. It needs older versions of what it shares with
/// the others.
pub(crate) static BENTOML: Packages = Packages::new("venv-bentoml", include_str!("packages/bentoml.txt"));

/// `FastAPI` and uvicorn of today.
pub(crate) static STORY: Packages = Packages::new("venv-story", include_str!("packages/story.txt"));

/// Express and what it needs.
pub(crate) static EXPRESS: Packages = Packages::new("express", include_str!("packages/express.json"));

/// Python servers that are old or read requests otherwise than others: gunicorn 21.2, aiohttp 3.12.13, h11 0.14, cheroot.
/// And Django.
pub(crate) static OLD_PYTHON: Packages = Packages::new("venv-old", include_str!("packages/old_python.txt"));

/// Express 4 and its method-override.
pub(crate) static EXPRESS_4: Packages = Packages::new("express-4", include_str!("packages/express_4.json"));

/// Bun, which is a package of Node's registry: a program for each kind of machine, of which one is installed.
pub(crate) static BUN: Packages = Packages::new("bun", include_str!("packages/bun.json"));

/// kubectl, which has Kustomize in it.
pub(crate) static KUSTOMIZE: Packages = Packages::new("venv-kustomize", include_str!("packages/kustomize.txt"));

/// The schemas of Kubernetes and of AWS.
pub(crate) static SCHEMAS: Packages = Packages::new("venv-schemas", include_str!("packages/schemas.txt"));

/// Those of the Prometheus operator and of Docker Compose, and the validator of SARIF.
pub(crate) static MORE_SCHEMAS: Packages = Packages::new("schemas", include_str!("packages/schemas.json"));

/// All of them.
static PACKAGES: [&Packages; 10] =
    [&ASGI, &BENTOML, &STORY, &EXPRESS, &OLD_PYTHON, &EXPRESS_4, &BUN, &KUSTOMIZE, &SCHEMAS, &MORE_SCHEMAS];

impl Packages {
    const fn new(name: &'static str, list: &'static str) -> Self {
        Self { name, list, installed: OnceLock::new() }
    }

    /// What its folder is called.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    fn folder(&self) -> PathBuf {
        Path::new(FOLDER).join(self.name)
    }

    /// What its stamp says once it is installed for that tool.
    fn stamp(&self, tool: &Tool) -> String {
        format!("{}\n{}", tool.version, self.list)
    }

    /// Whether Node installs it.
    fn is_of_node(&self) -> bool {
        self.list.starts_with('{')
    }
}

/// The Python versions for which every pinned package exists.
const PYTHON: std::ops::RangeInclusive<u32> = 11..=13;

/// The oldest Node that Express runs on.
const NODE: u32 = 18;

/// The oldest Java that runs a program from its source.
const JAVA: u32 = 11;

/// An installation over a slow network; it took a minute where this was written.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Where the results go: a folder of the build that is ours.
const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/packages");

/// The file in such a folder that says what was installed.
const STAMP: &str = "installed.stamp";

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
    java: Result<Tool, String>,
    proxies: Result<(), String>,
    scratch: Scratch,
}

struct Tool {
    program: String,
    version: String,
}

impl Setup {
    /// Looks for the tools; installs nothing yet.
    pub(crate) fn new() -> Result<Self, String> {
        let (python, node, java, proxies) = (find_python(), find_node(), find_java(), find_proxies());
        Ok(Self { python, node, java, proxies, scratch: Scratch::new()? })
    }

    /// Why what `needs` says is not there, if it is not.
    pub(crate) fn missing(&self, needs: Needs) -> Option<&str> {
        let tool = match needs {
            Needs::Python => &self.python,
            Needs::Node => &self.node,
        };
        tool.as_ref().err().map(String::as_str)
    }

    /// All that is missing.
    pub(crate) fn all_missing(&self) -> impl Iterator<Item = &str> {
        let tools =
            [self.missing(Needs::Python), self.missing(Needs::Node), self.java_missing(), self.proxies_missing()];
        tools.into_iter().flatten()
    }

    /// The packages that are still to be installed, of those that can be.
    pub(crate) fn not_installed(&self) -> impl Iterator<Item = &'static Packages> {
        PACKAGES.into_iter().filter(|packages| {
            let tool = if packages.is_of_node() { &self.node } else { &self.python };
            tool.as_ref().is_ok_and(|tool| !is_stamped(&packages.folder(), &packages.stamp(tool)))
        })
    }

    /// The same for Java, which no server needs, but one of the clients.
    pub(crate) fn java_missing(&self) -> Option<&str> {
        self.java.as_ref().err().map(String::as_str)
    }

    /// The same for nginx and `HAProxy`.
    pub(crate) fn proxies_missing(&self) -> Option<&str> {
        self.proxies.as_ref().err().map(String::as_str)
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

    /// Java with its compiler.
    pub(crate) fn java(&self) -> Result<OsString, String> {
        Ok(OsString::from(&tool(&self.java)?.program))
    }

    /// The folder of the programs of a virtual environment with these packages.
    pub(crate) fn python_with(&self, packages: &Packages) -> Result<PathBuf, String> {
        packages.installed.get_or_init(|| self.virtual_environment(packages)).clone()
    }

    /// A `node_modules` folder with these packages.
    pub(crate) fn node_with(&self, packages: &Packages) -> Result<PathBuf, String> {
        packages.installed.get_or_init(|| self.node_modules(packages)).clone()
    }

    fn virtual_environment(&self, packages: &Packages) -> Result<PathBuf, String> {
        let python = tool(&self.python)?;
        let folder = packages.folder();
        let programs = folder.join("bin");
        install_once(&folder, &packages.stamp(python), |log| {
            let mut create = Command::new(&python.program);
            create.args(["-m", "venv"]).arg(&folder);
            run_to_end(create, log, INSTALL_LIMIT)?;
            let list = folder.join("requirements.txt");
            write(&list, packages.list)?;
            let mut install = Command::new(programs.join("python"));
            install
                .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement"])
                .arg(&list);
            run_to_end(install, log, INSTALL_LIMIT)
        })?;
        Ok(programs)
    }

    fn node_modules(&self, packages: &Packages) -> Result<PathBuf, String> {
        let node = tool(&self.node)?;
        let folder = packages.folder();
        install_once(&folder, &packages.stamp(node), |log| {
            write(&folder.join("package.json"), packages.list)?;
            let mut install = Command::new("npm");
            install.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
            run_to_end(install, log, INSTALL_LIMIT)
        })?;
        Ok(folder.join("node_modules"))
    }
}

/// Fills `folder` by `install`, unless a stamp in it says that this very text was installed there before.
fn install_once(folder: &Path, wanted: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    if is_stamped(folder, wanted) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    eprintln!("installing into {}", folder.display());
    install(&folder.join("install.log")).map_err(|error| {
        format!(
            "the pinned packages could not be installed into {} (this is done once and needs the network): {error}",
            folder.display()
        )
    })?;
    write(&folder.join(STAMP), wanted)
}

fn is_stamped(folder: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == wanted)
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

fn find_java() -> Result<Tool, String> {
    let version = ask("javac", &["--version"]).ok_or("Java with its compiler is missing")?;
    let major = version.split([' ', '.']).nth(1).and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < JAVA) {
        return Err(format!("Java {JAVA} or later is missing; its compiler is {version}"));
    }
    Ok(Tool { program: "java".to_owned(), version })
}

fn find_proxies() -> Result<(), String> {
    ask("nginx", &["-v"]).ok_or("nginx is missing")?;
    ask("haproxy", &["-v"]).ok_or("HAProxy is missing")?;
    Ok(())
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
        let path = std::env::temp_dir().join(format!("headsnip-tests-{}", std::process::id()));
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

//! What the benchmarks that run headsnip as a process share: which binary, on which core, and what it used.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// The core of the proxy.
pub const PROXY_CORE: &str = "0";

/// The core of the clients and the origin: another, if there is one. Looked for once, before this process is pinned to one.
pub static OTHER_CORE: LazyLock<&str> = LazyLock::new(|| {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { "1" } else { PROXY_CORE }
});

/// The binary that `cargo build --release` makes. The one that cargo builds for a benchmark has more features in its
/// dependencies, since tests need them: a mutex behind each look at the clock is one.
pub fn release() -> Result<PathBuf, Box<dyn Error>> {
    build(&target()?, &[])
}

/// Builds it into a folder, with settings of the profile.
pub fn build(target: &Path, profile: &[(&str, &str)]) -> Result<PathBuf, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--locked", "--release", "--bin", "headsnip", "--target-dir"]).arg(target);
    command.current_dir(top()).envs(profile.iter().copied());
    if command.status()?.success() {
        Ok(target.join("release/headsnip"))
    } else {
        Err("headsnip cannot be built".into())
    }
}

/// A folder of the target folder.
pub fn folder(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = target()?.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The target folder: a benchmark is `release/deps/NAME` in it.
pub fn target() -> Result<PathBuf, Box<dyn Error>> {
    Ok(std::env::current_exe()?.ancestors().nth(3).ok_or("no target folder")?.to_owned())
}

/// The top of the repository.
#[must_use]
pub fn top() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Has a process run on these cores alone.
pub fn pin(process: u32, cores: &str) -> Result<(), Box<dyn Error>> {
    let status = Command::new("taskset").args(["-cp", cores, &process.to_string()]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("cannot pin a process to core {cores}").into()) }
}

/// The CPU time that all threads of a process have had.
pub fn processor_time(process: u32) -> Result<Duration, Box<dyn Error>> {
    let mut spent = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        spent += Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?);
    }
    Ok(spent)
}

/// The variable of that name.
#[must_use]
pub fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

/// The members of a comma list.
pub fn list(name: &str) -> Vec<String> {
    setting(name, "").split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect()
}

/// Whether a name contains a member of the list, or there is none.
#[must_use]
pub fn is_wanted(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|member| name.contains(member.as_str()))
}

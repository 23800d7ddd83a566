//! Starting and ending of other programs.
//!
//! A [`Process`] is a server: it ends with its owner, however the owner ends. It runs as the child of a few lines of
//! shell, in a process group of its own, and these lines end the group when their standard input closes, which the
//! kernel sees to even if this program is killed. [`run_to_end`] is for a program that ends by itself, such as pip.
//! Every wait here has a limit.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The pause between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a server may take to go after it was told to; the shell kills what is left after 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How much of the end of a log goes into a message.
const LOG_TAIL: usize = 2_000;

/// Runs the command given and waits for it. When standard input closes, the command is told to end. When it has ended,
/// for whatever reason, what is left of its process group is killed, this shell with it.
const LIFELINE: &str = r#"
signal=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ read -r _; kill -s "$signal" "$child"; sleep 10; kill -s KILL 0; } <&3 &
exec 3<&-
wait "$child"
kill -s KILL 0
"#;

/// How a server is told to stop.
pub(crate) enum Stop {
    /// Without asking: for a program of one process.
    Kill,
    /// Asked, and killed only if it does not listen: for a program that has workers to end.
    Ask,
}

/// A server that runs until this value is dropped.
pub(crate) struct Process {
    shell: Child,
    log: PathBuf,
}

impl Process {
    /// A command to which arguments can be added as if it were `program` itself; to be given to [`Process::start`].
    pub(crate) fn command(program: impl AsRef<OsStr>, stop: &Stop) -> Command {
        let mut command = Command::new("sh");
        let signal = match stop {
            Stop::Kill => "KILL",
            Stop::Ask => "TERM",
        };
        command.args(["-c", LIFELINE, "lifeline", signal]).arg(program);
        command
    }

    /// Starts what [`Process::command`] made. What it prints goes to the file `log`.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Result<Self, String> {
        let (output, errors) = log_file(&log)?;
        let shell = command
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(Self { shell, log })
    }

    /// Asks `ready` again and again until it gives a value. An error if the program ends first, or `limit` has passed.
    pub(crate) fn until<T>(&mut self, limit: Duration, mut ready: impl FnMut(&str) -> Option<T>) -> Result<T, String> {
        let end = Instant::now() + limit;
        loop {
            let ended = matches!(self.shell.try_wait(), Ok(Some(_)) | Err(_));
            let log = std::fs::read(&self.log).unwrap_or_default();
            if let Some(value) = ready(&String::from_utf8_lossy(&log)) {
                return Ok(value);
            }
            if ended || Instant::now() > end {
                let what = if ended { "it ended before it was ready" } else { "it was not ready in time" };
                return Err(format!("{what}; it printed:\n{}", tail(&log)));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The end of what the program has printed.
    pub(crate) fn printed(&self) -> String {
        tail(&std::fs::read(&self.log).unwrap_or_default())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        if wait(&mut self.shell, STOP_LIMIT).is_none() {
            eprintln!("real servers: a server did not stop; its shell is killed, {}", self.log.display());
            // Errors: it has ended in this very moment.
            let _ = self.shell.kill();
            let _ = self.shell.wait();
        }
    }
}

/// Runs `command` and waits until it ends well. Otherwise the error holds the end of what it printed.
pub(crate) fn run_to_end(mut command: Command, log: &Path, limit: Duration) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (output, errors) = log_file(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let status = wait(&mut child, limit);
    if status.is_none() {
        // Errors: it has ended in this very moment.
        let _ = child.kill();
        let _ = child.wait();
    }
    let printed = || tail(&std::fs::read(log).unwrap_or_default());
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{name}: {status}; it printed:\n{}", printed())),
        None => Err(format!("{name} took more than {limit:?}; it printed:\n{}", printed())),
    }
}

/// The output of a program that is asked a short question, such as for its version.
pub(crate) fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let status = wait(&mut child, Duration::from_secs(20));
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let mut answer = String::new();
    child.stdout.take()?.read_to_string(&mut answer).ok()?;
    status?.success().then(|| answer.trim().to_owned())
}

/// Waits until the child ends; `None` if it has not after `limit`.
fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A new file at `log`, twice: for standard output and standard error.
fn log_file(log: &Path) -> Result<(File, File), String> {
    let both = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
    both.map_err(|error| format!("cannot write {}: {error}", log.display()))
}

fn tail(log: &[u8]) -> String {
    let from = log.len().saturating_sub(LOG_TAIL);
    String::from_utf8_lossy(&log[from..]).into_owned()
}

//! The binary as a process of its own: what it listens on, what it logs, what it costs, how it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::headsnip::net::address::Address;

use super::{LIMIT, Peer};

/// headsnip as a child process; killed when dropped.
pub struct Headsnip {
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Headsnip {
    /// Starts it on a free port in front of `upstream`, with further flags.
    pub fn start(upstream: &Address, flags: &[&str]) -> Self {
        Self::start_by(&mut Command::new(env!("CARGO_BIN_EXE_headsnip")), upstream, flags)
    }

    /// The same, started by a command that runs the rest of its arguments, such as `prlimit`.
    pub fn start_by(command: &mut Command, upstream: &Address, flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", command, upstream, flags)
    }

    /// The same, listening at another address; with a path, `port` is 0.
    pub fn start_at(listen: &str, command: &mut Command, upstream: &Address, flags: &[&str]) -> Self {
        let log = |child: &mut Child| child.stderr.take().expect("a pipe");
        Self::start_read(listen, command.stderr(Stdio::piped()), upstream, flags, log)
    }

    /// The same, with its log read from elsewhere.
    pub fn start_read<R: Read + Send + 'static>(
        listen: &str,
        command: &mut Command,
        upstream: &Address,
        flags: &[&str],
        log: impl FnOnce(&mut Child) -> R,
    ) -> Self {
        let command = command.args(["--listen", listen, "--upstream", &upstream.to_string()]).args(flags);
        let mut child = command.spawn().expect("the binary is built");
        let lines = BufReader::new(log(&mut child)).lines();
        let mut lines = lines.map_while(Result::ok).map(undated);
        let mut before = Vec::new();
        let port = loop {
            let line = lines.next().unwrap_or_else(|| panic!("no start line after {before:?}"));
            let address = line.split("listening on ").nth(1).and_then(|after| after.split(',').next());
            let port = address.map(|address| address.rsplit(':').next().and_then(|port| port.parse().ok()));
            before.push(line);
            if let Some(port) = port {
                break port.unwrap_or_default();
            }
        };
        let log = Arc::new(Mutex::new(before));
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            lines.for_each(|line| written.lock().expect("no test panics with the log").push(line));
        });
        Self { child, port, log, reader: Some(reader) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn dial(&self) -> Peer {
        Peer::new(TcpStream::connect(("127.0.0.1", self.port)).expect("the proxy listens"))
    }

    /// The lines on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no test panics with the log").clone()
    }

    /// Waits for a line on standard error that contains these words.
    pub fn await_line(&self, words: &str) -> String {
        until(LIMIT, words, || self.log().into_iter().find(|line| line.contains(words)))
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success(), "there is no process to signal");
    }

    /// Waits for its end; gives the exit status and all lines of standard error.
    pub fn wait(mut self, limit: Duration) -> (ExitStatus, Vec<String>) {
        let status = until(limit, "the end of the process", || self.child.try_wait().expect("it can be waited for"));
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log can be read");
        }
        (status, self.log())
    }

    /// The memory that is its own, in bytes.
    pub fn anonymous_memory(&self) -> usize {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id())).expect("procfs");
        let line = rollup.lines().find(|line| line.starts_with("Anonymous:")).expect("a line of anonymous memory");
        let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
        kilobytes.expect("a number") * 1024
    }

    /// Returns whether SIGSTOP has stopped it.
    pub fn is_stopped(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("procfs").contains("\nState:\tT")
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("procfs").count()
    }
}

impl Drop for Headsnip {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something to see.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A line without the time that stands before it; tests/operation/logs.rs has what holds of that.
fn undated(mut line: String) -> String {
    if let Some((time, rest)) = line.split_once(' ')
        && time.ends_with('Z')
        && rest.starts_with("headsnip: ")
    {
        line.drain(..=time.len());
    }
    line
}

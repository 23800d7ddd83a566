//! headsnip as a process: how it is started, alone or under valgrind, and ended.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use headsnip_benches::{self as support, PROXY_CORE};

/// How long headsnip may take to listen, and to end. Under valgrind it is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary that is released, with symbols, in its own target folder.
pub(crate) fn build_with_symbols() -> Result<PathBuf, Box<dyn Error>> {
    let symbols = [("CARGO_PROFILE_RELEASE_DEBUG", "1"), ("CARGO_PROFILE_RELEASE_STRIP", "none")];
    support::build(&folder()?.join("build"), &symbols)
}

/// Where the files of this benchmark are.
pub(crate) fn folder() -> Result<PathBuf, Box<dyn Error>> {
    support::folder("instructions")
}

/// Whether a binary knows a flag.
pub(crate) fn knows(binary: &Path, flag: &str) -> Result<bool, Box<dyn Error>> {
    let help = Command::new(binary).arg("--help").output().map_err(|error| format!("{}: {error}", binary.display()))?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(flag))
}

/// A running headsnip, killed when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts it, by way of another command if one is given.
    pub(crate) fn start(
        by_way_of: &[String],
        binary: &Path,
        flags: &[&str],
        upstream: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("taskset");
        command.args(["-c", PROXY_CORE]).args(by_way_of).arg(binary).args(flags);
        command.args(["--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
        let log = fs::File::create(folder()?.join("log"))?;
        let mut proxy = Self { process: command.stderr(log).spawn()?, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end || proxy.process.try_wait()?.is_some() {
                return Err(fs::read_to_string(folder()?.join("log"))?.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }

    /// The CPU time of all its threads so far.
    pub(crate) fn processor_time(&self) -> Result<Duration, Box<dyn Error>> {
        support::processor_time(self.process.id())
    }

    /// Has it end by itself, since callgrind writes its counts at the end.
    pub(crate) fn end(mut self) -> Result<(), Box<dyn Error>> {
        Command::new("kill").args(["-INT", &self.process.id().to_string()]).status()?;
        let end = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > end {
                return Err("headsnip does not end".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

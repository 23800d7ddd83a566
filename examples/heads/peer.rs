//! Other proxies, started with the configurations of `deploy/moving.md`.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Another proxy, ended when dropped.
pub(crate) struct Peer {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts it with a configuration in which its own address and the origin's are replaced. `None`: it is not installed.
    pub(crate) fn start(
        name: &str,
        configuration: &str,
        origin: SocketAddr,
        folder: &Path,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let text =
            configuration.replace("8080", &address.port().to_string()).replace("3000", &origin.port().to_string());
        let file = folder.join(format!("{name}.conf{}", if name == "Envoy" { ".yaml" } else { "" }));
        fs::write(&file, text)?;
        let mut command = Command::new(program(name));
        match name {
            "nginx" => {
                command.arg("-p").arg(folder).args(["-g", "daemon off; pid nginx.pid; error_log nginx.log;", "-c"])
            }
            "HAProxy" => command.args(["-db", "-q", "-f"]),
            _ => command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]),
        };
        let log = fs::File::create(folder.join("log"))?;
        let spawned = command.arg(&file).stdout(Stdio::null()).stderr(log).spawn();
        let process = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let mut peer = Self { process, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end || peer.process.try_wait()?.is_some() {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("{name} does not listen: {log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(peer))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // By the usual signal, so that it ends its own children.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// What a proxy says of its version: the first number with two dots.
pub(crate) fn version(name: &str) -> Result<String, Box<dyn Error>> {
    let argument = if name == "Envoy" { "--version" } else { "-v" };
    let output = Command::new(program(name)).arg(argument).output()?;
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    let mut numbers = told.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let number = numbers.find(|number| number.split('.').filter(|part| !part.is_empty()).count() == 3);
    Ok(number.ok_or_else(|| format!("{name} does not tell its version: {told}"))?.to_owned())
}

fn program(name: &str) -> PathBuf {
    match name {
        "nginx" => "nginx".into(),
        "HAProxy" => "haproxy".into(),
        _ => std::env::var_os("ENVOY").unwrap_or_else(|| "envoy".into()).into(),
    }
}

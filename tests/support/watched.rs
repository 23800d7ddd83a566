//! The binary with its admin listener and its access log, so that a test sees what an operator sees; and clients that are slow.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ::headsnip::net::address::Address;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::headsnip::{Headsnip, until};
use super::{Ended, LIMIT, Peer};

/// headsnip, where its admin listener is, and the file of its access log.
pub struct Watched {
    proxy: Headsnip,
    admin: String,
    access_log: PathBuf,
}

impl Watched {
    pub fn start(upstream: &Address, flags: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_headsnip")), "127.0.0.1:0", upstream, flags)
    }

    /// The same, started by a command that runs the rest of its arguments, and listening at another address.
    pub fn start_by(mut command: Command, listen: &str, upstream: &Address, flags: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("watched-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let access_log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        command.stdout(File::create(&access_log).expect("the folder is there"));
        let flags = [&["--admin", "127.0.0.1:0"], flags].concat();
        let proxy = Headsnip::start_at(listen, &mut command, upstream, &flags);
        let line = proxy.await_line("admin on ");
        let address = line.split("admin on ").nth(1).unwrap_or_default();
        let admin = address.chars().take_while(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ':'));
        Self { admin: admin.collect(), proxy, access_log }
    }

    /// The sum of the samples whose names begin so: with braces one, without them all of that name.
    pub fn metric(&self, sample: &str) -> u64 {
        let mut peer = Peer::new(TcpStream::connect(&self.admin).expect("the admin listener listens"));
        peer.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = String::from_utf8(peer.read_to_end().0).expect("text");
        let is_it = |line: &&str| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with([' ', '{', ',']));
        let samples: Vec<_> = answer.lines().filter(is_it).collect();
        assert!(!samples.is_empty(), "no {sample} in\n{answer}");
        samples
            .iter()
            .map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect(line))
            .sum()
    }

    /// How many clients gave way, for the reason given.
    pub fn gave_way(&self, why: &str) -> u64 {
        self.metric(&format!("headsnip_gave_way_total{{why=\"{why}\"}}"))
    }

    /// Waits until a metric is what it should be.
    pub fn await_metric(&self, sample: &str, is_right: impl Fn(u64) -> bool) {
        until(LIMIT, sample, || is_right(self.metric(sample)).then_some(()));
    }

    /// The exchanges of the access log, which must be in JSON, once there are so many.
    pub fn await_exchanges(&self, count: usize) -> Vec<Value> {
        until(LIMIT, "lines of the access log", || {
            let text = std::fs::read_to_string(&self.access_log).expect("the file is there");
            let is_whole = text.lines().count() >= count && text.ends_with('\n');
            is_whole.then(|| text.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
        })
    }

    /// The most that it took of memory, in bytes.
    pub fn peak_resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("procfs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line of the peak");
        let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
        kilobytes.expect("a number") * 1024
    }
}

impl Deref for Watched {
    type Target = Headsnip;

    fn deref(&self) -> &Headsnip {
        &self.proxy
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.access_log);
    }
}

/// A connection to a port of this machine, for which the kernel holds as little as it can of what is not read.
pub fn narrow(port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("a socket option");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("the proxy listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a time limit");
    stream.set_nodelay(true).expect("a TCP option");
    stream
}

/// Reads to the end, for at least so long if that many bytes come: a piece at a time.
pub fn read_slowly(stream: &mut TcpStream, count: usize, duration: Duration) -> (Vec<u8>, Ended) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room) {
            Ok(0) => return (bytes, Ended::Fin),
            Ok(read) => bytes.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (bytes, Ended::Reset),
            Err(error) => panic!("{error} after {} bytes", bytes.len()),
        }
        let part = f64::min(
            1.0,
            f64::from(u32::try_from(bytes.len()).expect("few")) / f64::from(u32::try_from(count).expect("few")),
        );
        sleep(duration.mul_f64(part).saturating_sub(begun.elapsed()));
    }
}

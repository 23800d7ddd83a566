//! What is told to who supervises, by datagrams as of `sd_notify(3)`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::answering::Answering;
use super::support::headsnip::{Headsnip, until};
use super::support::{LIMIT, text};
use super::{BINARY, is_answered, path};

/// Who supervises.
struct Supervisor {
    socket: UnixDatagram,
    name: String,
}

impl Supervisor {
    fn at(address: &SocketAddr, name: String) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("a free name");
        socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
        Self { socket, name }
    }

    fn at_path(name: &str) -> Self {
        let path = path(name);
        Self::at(&SocketAddr::from_pathname(&path).expect("a path"), path.display().to_string())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.env("NOTIFY_SOCKET", &self.name);
        command
    }

    /// What it is told next; nothing, if not within its time limit.
    fn next(&self) -> String {
        let mut room = [0; 512];
        let count = self.socket.recv(&mut room).unwrap_or_default();
        text(&room[..count])
    }

    /// Tells whether it is told nothing for a while.
    fn is_silent(&self, pause: Duration) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        while !self.next().is_empty() {}
        self.socket.set_nonblocking(false).expect("a socket");
        self.socket.set_read_timeout(Some(pause)).expect("a time limit");
        let is_silent = self.next().is_empty();
        self.socket.set_read_timeout(Some(LIMIT)).expect("a time limit");
        is_silent
    }
}

#[test]
fn a_supervisor_is_told_of_the_start_and_of_the_drain() {
    let origin = Answering::start();
    let name = format!("headsnip-{}-notified", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&name).expect("a name");
    for supervisor in [Supervisor::at_path("notified"), Supervisor::at(&abstract_address, format!("@{name}"))] {
        for signal in ["TERM", "INT"] {
            let proxy = Headsnip::start_by(&mut supervisor.command(), &origin.address, &["--drain-delay", "0s"]);
            assert_eq!(supervisor.next(), "READY=1");
            is_answered(([127, 0, 0, 1], proxy.port()).into());
            proxy.signal(signal);
            assert_eq!(supervisor.next(), "STOPPING=1");
            assert!(proxy.wait(LIMIT).0.success());
        }
    }
}

/// It serves all the same.
#[test]
fn a_supervisor_that_cannot_be_told_is_a_warning() {
    let origin = Answering::start();
    for (name, words) in [
        ("/nonexistent/notify", "cannot notify the supervisor of READY=1: "),
        ("vsock:2:1234", "neither a path nor an abstract name"),
    ] {
        let mut command = Command::new(BINARY);
        command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "0");
        let proxy = Headsnip::start_by(&mut command, &origin.address, &[]);
        proxy.await_line(words);
        is_answered(([127, 0, 0, 1], proxy.port()).into());
    }
}

/// Stops one thread of a process at its next wait, until it is dropped.
struct Stuck(Child);

impl Stuck {
    fn new(thread: &str) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-q", "-o", "/dev/null", "-e", "trace=epoll_wait", "-e", "inject=epoll_wait:delay_exit=60000000"]);
        Self(strace.args(["-p", thread]).stderr(Stdio::null()).spawn().expect("strace is installed"))
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whichever it is: "from the worker's runtime itself, so that a stuck worker is noticed".
#[test]
fn the_watchdog_is_told_for_as_long_as_all_workers_go_on() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return;
    }
    let (origin, pause) = (Answering::start(), Duration::from_millis(500));
    for name in ["headsnip", "worker"] {
        let supervisor = Supervisor::at_path("watchdog");
        let mut command = supervisor.command();
        command.env("WATCHDOG_USEC", "1000000");
        let proxy = Headsnip::start_by(&mut command, &origin.address, &["--workers", "2", "--drain-delay", "0s"]);
        assert_eq!(supervisor.next(), "READY=1");
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(supervisor.next(), "WATCHDOG=1");
        }
        assert!(begun.elapsed() < 8 * pause, "it is told twice in the time that it waits");
        let threads = std::fs::read_dir(format!("/proc/{}/task", proxy.id())).expect("procfs").map_while(Result::ok);
        let is_it = |thread: &std::fs::DirEntry| {
            std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let thread = threads.into_iter().find(is_it).expect("a thread of that name").file_name();
        let stuck = Stuck::new(&thread.to_string_lossy());
        until(LIMIT, "silence", || supervisor.is_silent(4 * pause).then_some(()));
        drop(stuck);
        until(LIMIT, "a word", || (supervisor.next() == "WATCHDOG=1").then_some(()));
        drop(proxy);
    }
}

#[test]
fn a_watchdog_of_another_process_or_that_is_off_is_not_told() {
    let origin = Answering::start();
    for variables in [&[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")][..], &[("WATCHDOG_USEC", "0")]] {
        let supervisor = Supervisor::at_path("other-watchdog");
        let mut command = supervisor.command();
        command.envs(variables.iter().copied());
        let _proxy = Headsnip::start_by(&mut command, &origin.address, &[]);
        assert_eq!(supervisor.next(), "READY=1");
        assert!(supervisor.is_silent(Duration::from_millis(300)), "{variables:?}");
    }
}

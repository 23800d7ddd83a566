//! Where it listens: the permissions of a socket file, and `[::]` where there is no IPv6.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::support::answering::Answering;
use super::support::headsnip::Headsnip;
use super::{BINARY, is_answered, path};

/// strace, where it is installed; with `CI` in the environment it must be.
fn strace() -> Option<Command> {
    if Command::new("strace").arg("--version").output().is_ok() {
        return Some(Command::new("strace"));
    }
    assert!(std::env::var_os("CI").is_none(), "strace is not installed");
    println!("skipped: strace is not installed");
    None
}

#[test]
fn a_socket_file_has_the_permissions_asked_for_whatever_the_umask() {
    let origin = Answering::start();
    for (umask, flags, mode) in [
        ("022", &["--listen-mode", "0666"][..], 0o666),
        ("000", &["--listen-mode", "600"], 0o600),
        ("077", &["--listen-mode", "660"], 0o660),
        ("027", &[], 0o750),
    ] {
        let path = path("mode");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", BINARY]);
        let proxy = Headsnip::start_at(&format!("unix:{}", path.display()), &mut shell, &origin.address, flags);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, mode, "{umask} {flags:?}");
        UnixStream::connect(&path).expect("it listens");
        let status = fs::read_to_string(format!("/proc/{}/status", proxy.id())).expect("procfs");
        assert!(status.contains(&format!("\nUmask:\t0{umask}\n")), "the umask is as it was: {status}");
    }
}

/// It has them from the first moment: there is nothing that changes them.
#[test]
fn no_permissions_are_changed() {
    let Some(mut strace) = strace() else { return };
    let (origin, path, trace) = (Answering::start(), path("traced"), path("trace"));
    strace.args(["-D", "-q", "-e", "trace=/chmod,/umask,bind,listen", "-o"]).arg(&trace).arg(BINARY);
    let listen = format!("unix:{}", path.display());
    let _proxy = Headsnip::start_at(&listen, &mut strace, &origin.address, &["--listen-mode", "600"]);
    let trace = fs::read_to_string(trace).expect("it was traced");
    let calls: Vec<&str> = trace.lines().filter_map(|line| line.split('(').next()).collect();
    assert_eq!(calls, ["umask", "bind", "umask", "listen"], "{trace}");
    assert!(trace.starts_with("umask(0177)"), "{trace}");
}

/// Has a command's first socket be of a kind that the kernel does not know.
fn without_ipv6(strace: Command) -> Command {
    failing_once(strace, "socket", "EAFNOSUPPORT")
}

/// Has the first of a command's system calls of that name fail.
fn failing_once(mut strace: Command, call: &str, error: &str) -> Command {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when=1"));
    strace.args(["-D", "-q", "-e", &trace, "-e", &inject, "-o"]).arg(path("failing")).arg(BINARY);
    strace
}

/// As with `ipv6.disable=1`: `[::]` is the one address for all nodes of a cluster.
#[test]
fn all_addresses_are_those_of_ipv4_where_the_kernel_has_no_ipv6() {
    for (listen, is_served) in [("[::]:0", true), ("[::1]:0", false)] {
        let Some(mut strace) = strace().map(without_ipv6) else { return };
        let origin = Answering::start();
        if is_served {
            let proxy = Headsnip::start_at(listen, &mut strace, &origin.address, &[]);
            let line = proxy.await_line("headsnip: listening on 0.0.0.0:");
            let port = line.split([':', ',']).nth(2).and_then(|port| port.parse().ok()).expect("a port");
            is_answered(([127, 0, 0, 1], port).into());
            let line = format!("headsnip: this kernel has no IPv6: listening on 0.0.0.0:0 instead of {listen}");
            assert!(proxy.log().iter().filter(|said| said.contains("IPv6")).eq([&line]), "{:?}", proxy.log());
        } else {
            let output = strace.args(["--listen", listen]).output().expect("strace runs");
            assert_eq!(output.status.code(), Some(1), "only what is meant as all addresses");
        }
    }
}

/// It asks where one listens that was told the same. Where IPv6 is only switched off (`disable_ipv6`), `[::]` can be listened on, and not asked.
#[test]
fn a_health_check_knows_a_kernel_without_ipv6() {
    let origin = Answering::start();
    let proxy = Headsnip::start_by(&mut Command::new(BINARY), &origin.address, &["--admin", "127.0.0.1:0"]);
    let line = proxy.await_line("admin on 127.0.0.1:");
    let port = line.rsplit(':').next().expect("a port");
    for (call, error) in [("socket", "EAFNOSUPPORT"), ("connect", "EADDRNOTAVAIL")] {
        let Some(mut strace) = strace().map(|strace| failing_once(strace, call, error)) else { return };
        let output = strace.args(["healthcheck", "--admin", &format!("[::]:{port}")]).output().expect("strace runs");
        assert_eq!(output.stdout, b"alive\n", "{call}: {output:?}");
    }
}

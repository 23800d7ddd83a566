//! In a container, where headsnip is the first process.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use super::BINARY;
use super::support::answering::Answering;
use super::support::headsnip::{Headsnip, until};
use super::support::{LIMIT, text};

/// What starts a program in a namespace of processes of its own, as in a container. It takes root.
fn container() -> Option<Command> {
    let apart = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    if !Command::new("unshare").args(apart).arg("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "there is no namespace of processes to be had");
        println!("skipped: there is no namespace of processes to be had");
        return None;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(apart).arg(BINARY);
    Some(unshare)
}

/// The process that it started.
fn first_process(unshare: u32) -> String {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    until(LIMIT, "the process within", || {
        Some(fs::read_to_string(&children).ok()?.split_whitespace().next()?.to_owned())
    })
}

#[test]
fn a_health_check_knows_the_argument_of_the_first_process() {
    let Some(mut unshare) = container() else { return };
    let origin = Answering::start();
    // Where the variable says, nobody listens.
    unshare.env("HEADSNIP_ADMIN", "127.0.0.1:1");
    let socket = super::path("admin");
    let admin = format!("unix:{}", socket.display());
    let proxy = Headsnip::start_by(&mut unshare, &origin.address, &["--admin", &admin]);
    proxy.await_line("admin on ");
    let child = first_process(proxy.id());
    let ask = |arguments: &[&str]| {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &child, "--pid", "--mount", BINARY, "healthcheck"]).args(arguments);
        nsenter.env("HEADSNIP_ADMIN", "127.0.0.1:1").output().expect("nsenter runs")
    };
    let output = ask(&[]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "alive\\n"), "{}", text(&output.stderr));
    // Its own argument comes before.
    assert_eq!(ask(&["--admin", "127.0.0.1:1"]).status.code(), Some(1));
    drop(proxy);
    // It was killed.
    let _ = fs::remove_file(socket);
}

/// The kernel keeps from the first process each signal that it does not handle. The start is held up by a lock, and fails in the end.
#[test]
fn a_signal_before_it_listens_ends_the_first_process() {
    let Some(mut unshare) = container() else { return };
    let folder = super::path("locked");
    fs::create_dir(&folder).expect("a free path");
    let stale = folder.join("stale");
    drop(UnixListener::bind(&stale).expect("a free path"));
    let lock = File::open(&folder).expect("it is there");
    lock.lock().expect("it is new");
    unshare.args(["--upstream", "127.0.0.1:1", "--listen", &format!("unix:{}", stale.display())]);
    let starting = unshare.stderr(Stdio::piped()).spawn().expect("it runs");
    let child = first_process(starting.id());
    until(LIMIT, "the signal to be handled", || {
        let status = fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"))?;
        (u64::from_str_radix(handled, 16).ok()? & 1 << 14 != 0).then_some(())
    });
    Command::new("kill").args(["-s", "TERM", &child]).status().expect("kill runs");
    let ended = starting.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), &*text(&ended.stderr)), (Some(0), ""));
    fs::remove_dir_all(folder).expect("the folder is ours");
}

//! A health check in a container, where headsnip is the first process.

use std::process::Command;

use super::BINARY;
use super::support::answering::Answering;
use super::support::headsnip::{Headsnip, until};
use super::support::{LIMIT, text};

/// In a namespace of processes, as in a container, which takes root.
#[test]
fn a_health_check_knows_the_argument_of_the_first_process() {
    let apart = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    if !Command::new("unshare").args(apart).arg("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "there is no namespace of processes to be had");
        println!("skipped: there is no namespace of processes to be had");
        return;
    }
    let origin = Answering::start();
    let mut unshare = Command::new("unshare");
    // Where the variable says, nobody listens.
    unshare.args(apart).arg(BINARY).env("HEADSNIP_ADMIN", "127.0.0.1:1");
    let socket = super::path("admin");
    let admin = format!("unix:{}", socket.display());
    let proxy = Headsnip::start_by(&mut unshare, &origin.address, &["--admin", &admin]);
    proxy.await_line("admin on ");
    let children = format!("/proc/{0}/task/{0}/children", proxy.id());
    let child = until(LIMIT, "the process within", || {
        std::fs::read_to_string(&children).ok()?.split_whitespace().next().map(str::to_owned)
    });
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
    let _ = std::fs::remove_file(socket);
}

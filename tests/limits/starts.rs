//! What a start without enough descriptors, threads or memory comes to: one line that says so, and exit code 1. Never a panic, and never a wait.

use std::process::Command;

use super::Answering;
use super::support::headsnip::Headsnip;
use super::support::text;

const BINARY: &str = env!("CARGO_BIN_EXE_headsnip");

/// Runs it to its end, for a while at most.
fn expect_failure(command: &Command, flags: &[&str], words: &str) {
    let mut bounded = Command::new("timeout");
    bounded.args(["-s", "KILL", "10"]).arg(command.get_program()).args(command.get_args());
    bounded.args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:1"]).args(flags);
    let output = bounded.output().expect("it runs");
    let said = text(&output.stderr);
    let is_one_line = said.lines().count() == 1 && said.contains("headsnip: ") && said.contains(words);
    assert!(output.status.code() == Some(1) && is_one_line, "{:?} {said}", output.status);
}

/// By a shell, so that only headsnip has the limit; what the test inherited is closed.
fn with_files(count: u32, inherited: u32) -> Command {
    let open = format!("for at in $(seq 10 {}); do eval \"exec $at</dev/null\"; done; ", 9 + inherited);
    let mut shell = Command::new("bash");
    let close = "for at in /proc/$$/fd/*; do at=${at##*/}; if [ $at -gt 2 ]; then eval \"exec $at<&-\"; fi; done; ";
    shell.args(["-c", &format!("{close}{open}ulimit -n {count}; exec \"$@\""), "bash", BINARY]);
    shell
}

#[test]
fn too_few_descriptors_are_told() {
    // With less, the dynamic linker is what fails.
    for count in 5..26 {
        expect_failure(&with_files(count, 0), &[], "cannot open the 26 files");
    }
    expect_failure(&with_files(47, 0), &["--admin", "127.0.0.1:0"], "cannot open the 48 files");
    expect_failure(&with_files(60, 0), &["--workers", "5"], "cannot open the 70 files");
    // What was inherited cannot be seen in the limit.
    expect_failure(&with_files(64, 40), &[], "cannot open the 26 files");
}

#[test]
fn enough_descriptors_for_one_client_are_enough() {
    let origin = Answering::start();
    for (count, flags) in [(26, &[][..]), (48, &["--admin", "127.0.0.1:0"]), (70, &["--workers", "5"])] {
        let proxy = Headsnip::start_by(&mut with_files(count, 0), &origin.address, flags);
        super::exchange(&mut proxy.dial());
        super::exchange(&mut proxy.dial());
    }
}

/// As with a limit on processes, which root does not have: a stack for which there is no memory.
#[test]
fn a_thread_that_cannot_be_had_is_told() {
    let mut command = Command::new("env");
    command.args([&format!("RUST_MIN_STACK={}", 1_u64 << 46), BINARY]);
    expect_failure(&command, &[], "cannot start a thread for the log");
}

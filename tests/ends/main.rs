//! How connections end: whoever is owed bytes gets them, whoever waits for an end gets it in time, and the access log knows what arrived.
//!
//! Most of these tests wait, so that they run all at once.

#[path = "../support/mod.rs"]
mod support;

mod cuts;
mod early;
mod limits;
mod logged;
mod origins;
mod resets;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const MEGABYTES: usize = 1024 * 1024;

/// Tests by their names.
type Tests = Vec<(String, Box<dyn FnOnce() + Send>)>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(64);
    let tests = [early::tests(), limits::tests(), cuts::tests(), origins::tests(), resets::tests(), logged::tests()];
    let trial = |(name, test): (String, Box<dyn FnOnce() + Send>)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, tests.into_iter().flatten().map(trial).collect()).exit_code()
}

/// A test by the name of its function.
fn test(name: &str, test: impl FnOnce() + Send + 'static) -> (String, Box<dyn FnOnce() + Send>) {
    (name.to_owned(), Box::new(test))
}

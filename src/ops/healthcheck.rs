//! Asks the admin listener of a headsnip how it is: for images without a shell.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::client::Connection;
pub use super::health::Check;
use super::health::{DRAINING, UNREACHABLE};
use crate::net::address::Address;
use crate::net::dial::is_absent;
use crate::net::listener::is_not_of_this_machine;

/// Bytes of an answer that are read: more than any of ours has.
const LONGEST_ANSWER: u64 = 4096;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Question {
    /// The admin listener.
    pub admin: Address,
    /// About what.
    pub check: Check,
    /// For the whole answer.
    pub timeout: Duration,
}

impl Question {
    /// Asks. Either way, a line for whoever reads it.
    pub fn ask(&self) -> Result<String, String> {
        let Self { admin, check, timeout } = self;
        let path = check.path();
        let answer = self.exchange().map_err(|error| {
            if is_absent(&error) {
                format!(
                    "nothing answers at --admin {admin}: {error}; is headsnip running there, with the same --admin?"
                )
            } else if error.kind() == io::ErrorKind::TimedOut {
                format!("no answer from {admin} in {timeout:?}")
            } else {
                format!("cannot ask {admin}: {error}")
            }
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let body = body.trim();
        if head.starts_with("HTTP/1.1 200 ") && body == self.check.good() {
            Ok(body.to_owned())
        } else if head.starts_with("HTTP/1.1 503 ") && is_ours(body) {
            Err(body.to_owned())
        } else {
            let line = head.lines().next().unwrap_or_default();
            Err(format!("{admin} does not answer {path} as headsnip does: \"{line}\"; is it another server's address?"))
        }
    }

    /// On a kernel without IPv6, a headsnip with `[::]` listens on the IPv4 addresses.
    fn dialled(&self) -> io::Result<Connection> {
        match (Connection::open(&self.admin, self.timeout), &self.admin) {
            (Err(error), Address::Tcp { host, port }) if is_not_of_this_machine(&error) && **host == *"::" => {
                Connection::open(&Address::Tcp { host: "0.0.0.0".into(), port: *port }, self.timeout)
            }
            (connection, _) => connection,
        }
    }

    fn exchange(&self) -> io::Result<String> {
        let mut connection = self.dialled()?;
        connection.write_all(
            format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", self.check.path()).as_bytes(),
        )?;
        let mut answer = Vec::new();
        connection.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
        // What another server says may hold anything.
        Ok(String::from_utf8_lossy(&answer).chars().filter(|letter| !is_control(*letter)).collect())
    }
}

/// Returns whether a line is what the admin listener says of a headsnip that is not ready.
fn is_ours(line: &str) -> bool {
    line.lines().count() == 1 && (line == DRAINING || line.starts_with(UNREACHABLE))
}

fn is_control(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\r' | '\n')
}

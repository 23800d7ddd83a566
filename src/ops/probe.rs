//! What would a security test see? Sends the requests that reveal what a server is made of, and tells which response
//! discloses what, and which lines that OWASP recommends are missing.
//!
//! Responses are followed by the protocol core with a denylist of all that OWASP lists, so that each head is looked at that
//! headsnip would look at: 1xx, 101, final, trailers. What it would drop is what is disclosed.

mod answer;
mod body;
mod fail_on;
mod finding;
mod json;
mod junit;
mod recommended;
mod report;
mod request;
mod sarif;
#[cfg(feature = "https")]
mod secure;
mod target;
mod telltale;
mod way;

use std::io;
use std::time::Duration;

use self::answer::{Answer, answer};
pub use self::fail_on::FailOn;
pub use self::report::Findings;
use self::request::requests;
pub use self::target::Target;
use self::way::Way;
use crate::net::dial::is_absent;

/// What is probed, and how that is told.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The server.
    pub target: Target,
    /// For each answer.
    pub timeout: Duration,
    /// What makes it fail.
    pub fail_on: FailOn,
    /// How it is told.
    pub report: Report,
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// For people.
    Text,
    /// One JSON object.
    Json,
    /// For code scanning.
    Sarif,
    /// As test results.
    Junit,
}

impl Probe {
    /// Sends all requests, one after another, each on a connection of its own.
    pub fn run(&self) -> Result<Findings, String> {
        let Self { target, timeout, .. } = self;
        let way = Way::to(target)?;
        let answers = requests(target).into_iter().map(|request| answer(&way, &request, *timeout));
        match answers.collect::<io::Result<Vec<Answer>>>() {
            Err(error) => Err(format!("cannot reach {}: {error}{}", target.address, advice(&error))),
            Ok(answers) => Ok(Findings::new(target, answers, &self.fail_on)),
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    if is_absent(error) {
        "; nothing listens there: is the port right, and the server started?"
    } else if error.kind() == io::ErrorKind::TimedOut {
        "; --timeout gives it more time"
    } else {
        ""
    }
}

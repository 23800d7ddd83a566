//! What would a security test see? Sends the requests that reveal a server's software, and reports which response
//! discloses what.
//!
//! Responses are followed by the protocol core with a denylist of all that OWASP lists, so that each head is looked at that
//! headsnip would look at: 1xx, 101, final, trailers. What it would drop is what is disclosed.

mod answer;
mod report;
mod request;
mod telltale;

use std::io;
use std::str::FromStr;
use std::time::Duration;

use self::answer::{Answer, answer};
pub use self::report::Findings;
use self::request::requests;
use crate::net::address::Address;
use crate::net::dial::is_absent;

/// What is probed, and the form of the report.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The server.
    pub target: Target,
    /// For each answer.
    pub timeout: Duration,
    /// The form of the report.
    pub report: Report,
}

/// The form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// A URL that can be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: Address,
    /// As in `Host`.
    authority: String,
    /// Begins with a slash.
    path: String,
}

impl Probe {
    /// Sends all requests, one after another, each on a connection of its own.
    pub fn run(&self) -> Result<Findings, String> {
        let Self { target, timeout, .. } = self;
        let answers = requests(target).into_iter().map(|request| answer(&target.address, &request, *timeout));
        match answers.collect::<io::Result<Vec<Answer>>>() {
            Err(error) => Err(format!("cannot reach {}: {error}{}", target.address, advice(&error))),
            Ok(answers) => Ok(Findings::new(target, answers)),
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

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.to_ascii_lowercase().starts_with("https://") {
            return Err(
                "probe speaks no TLS; probe the address behind what terminates it, such as http://127.0.0.1:8080/"
                    .into(),
            );
        }
        let (scheme, rest) = text.split_at_checked(7).unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("http://") {
            return Err("expected a URL such as http://127.0.0.1:8080/".into());
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) || authority.contains('@') {
            return Err("not a URL that can be probed; for example http://127.0.0.1:8080/".into());
        }
        let problem =
            "expected a host and a port, as in http://127.0.0.1:8080/ (a Unix-domain socket cannot be probed)";
        let address = with_port.parse::<Address>().map_err(|_| problem)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { address, authority: authority.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_probed() {
        for (url, address, authority, path) in [
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://app", "app:80", "app", "/"),
            ("http://[::1]/a?b#c", "[::1]:80", "[::1]", "/a?b"),
            ("HTTP://app:1?b", "app:1", "app:1", "/?b"),
        ] {
            let target: Target = url.parse().expect(url);
            assert_eq!((&*target.address.to_string(), &*target.authority, &*target.path), (address, authority, path));
        }
        for (url, word) in [
            ("https://a/", "no TLS"),
            ("127.0.0.1:8080", "http://"),
            ("http://", "expected a host"),
            ("http://a:b/", "as in http://"),
            ("http://unix:/run/a", "cannot be probed"),
            ("http://u@a/", "for example http://"),
            ("http://a/ b", "for example http://"),
        ] {
            let complaint = url.parse::<Target>().expect_err(url);
            assert!(complaint.contains(word), "{url}: {complaint}");
        }
    }
}

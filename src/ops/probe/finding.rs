//! What can be found, as others number it.

use super::answer::{Answer, Seen};
use super::recommended;
use super::telltale::{self, Word};

/// One thing that was found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) request: &'static str,
    /// Of a field, in lower case, or of a server.
    pub(super) name: String,
    /// In printable ASCII.
    pub(super) told: String,
}

/// Kinds of what can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A `Server` line.
    Server,
    /// An `X-Powered-By` line.
    PoweredBy,
    /// Another line that discloses something.
    Line,
    /// A page in which a server names itself, or that is known to be its own.
    Page,
    /// HTTP/2 is spoken: heads inside it were not looked at, and no HTTP/1.1 proxy could.
    Http2,
    /// An answer could not be looked at, or not to its end.
    Unseen,
    /// A line that OWASP recommends is not there.
    Missing,
}

impl Rule {
    pub(super) const ALL: [Self; 7] =
        [Self::Server, Self::PoweredBy, Self::Line, Self::Page, Self::Http2, Self::Unseen, Self::Missing];

    pub(super) fn is_line(self) -> bool {
        matches!(self, Self::Server | Self::PoweredBy | Self::Line)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server-line",
            Self::PoweredBy => "x-powered-by-line",
            Self::Line => "disclosing-line",
            Self::Page => "naming-page",
            Self::Http2 => "http2",
            Self::Unseen => "unseen",
            Self::Missing => "missing-line",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Server => "A Server line says what the server is made of.",
            Self::PoweredBy => "An X-Powered-By line says what the application is made of.",
            Self::Line => "A field line that OWASP lists, or in which a server names itself, says what is behind it.",
            Self::Page => "A page of a server's own says which server it is.",
            Self::Http2 => "HTTP/2 is spoken, in which heads pass every HTTP/1.1 proxy.",
            Self::Unseen => "A response could not be looked at, or not to its end.",
            Self::Missing => "A field line that OWASP recommends is missing.",
        }
    }

    /// What mends it.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Server | Self::PoweredBy => "headsnip in front of the server removes the line.",
            Self::Line => "headsnip in front of the server removes the line if --deny names it.",
            Self::Page => "Have the application write error pages of its own: headsnip changes no body.",
            Self::Http2 => "headsnip in front of the server refuses HTTP/2.",
            Self::Unseen => {
                "Is the application up, and is --timeout long enough? Until it can be looked at, it may say anything."
            }
            Self::Missing => "Have the application send the line, or headsnip add it by --add.",
        }
    }

    /// A page of others about it.
    pub(super) fn page(self) -> Option<String> {
        match (self.zap(), self.cwe()) {
            (Some(number), _) => Some(format!("https://www.zaproxy.org/docs/alerts/{number}/")),
            (None, Some(number)) => Some(format!("https://cwe.mitre.org/data/definitions/{number}.html")),
            (None, None) => None,
        }
    }

    /// The number of the alert of ZAP that finds the same.
    pub(super) fn zap(self) -> Option<u32> {
        match self {
            Self::Server => Some(10036),
            Self::PoweredBy => Some(10037),
            Self::Line | Self::Page | Self::Http2 | Self::Unseen | Self::Missing => None,
        }
    }

    /// Exposure of information about the system (497); a protection that is missing (693).
    pub(super) fn cwe(self) -> Option<u32> {
        match self {
            Self::Server | Self::PoweredBy | Self::Line | Self::Page => Some(497),
            Self::Missing => Some(693),
            Self::Http2 | Self::Unseen => None,
        }
    }
}

/// All that an answer to a request for that path discloses, in the order in which it is told.
pub(super) fn findings(answer: &mut Answer, path: &str) -> Vec<Finding> {
    let request = answer.request;
    let found = |rule, name: &str, told| Finding { rule, request, name: name.to_owned(), told };
    let mut findings = Vec::new();
    let is_many = answer.statuses.len() > 1;
    for (status, line) in &answer.lines {
        let name = line.split(':').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let rule = match name.as_str() {
            "server" => Rule::Server,
            "x-powered-by" => Rule::PoweredBy,
            _ => Rule::Line,
        };
        findings.push(found(rule, &name, if is_many { format!("{line} (on {status})") } else { line.clone() }));
    }
    for word in telltale::in_body(answer, path) {
        findings.push(match word {
            Word::Said(name) => found(Rule::Page, name, format!("the body says \"{name}\"")),
            Word::Known(name) => found(Rule::Page, &name.to_ascii_lowercase(), format!("the body is a page of {name}")),
        });
    }
    if answer.is_switched() {
        let told = "speaks HTTP/2: heads inside it pass every HTTP/1.1 proxy".to_owned();
        findings.push(found(Rule::Http2, "http2", told));
    }
    if answer.seen == Seen::Whole && answer.has_own_page() && !answer.body.is_empty() && answer.text().is_none() {
        answer.seen = Seen::Partly("the coding of its body cannot be read".to_owned());
    }
    if let Some(why) = answer.is_missed() {
        findings.push(found(Rule::Unseen, "unseen", why.to_owned()));
    }
    findings
}

/// What a response to GET should have, and has not.
pub(super) fn missing(answer: &Answer) -> Vec<Finding> {
    let is_there = |name: &str| answer.names.iter().any(|there| there.eq_ignore_ascii_case(name));
    let is_judged = answer.statuses.last().is_some_and(|status| *status >= 200) && answer.is_missed().is_none();
    let missing = recommended::LINES.iter().filter(|(name, _)| is_judged && !is_there(name));
    missing
        .map(|(name, _)| Finding {
            rule: Rule::Missing,
            request: answer.request,
            name: name.to_ascii_lowercase(),
            told: format!("{name} is missing"),
        })
        .collect()
}

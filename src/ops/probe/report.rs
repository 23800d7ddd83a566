//! What was found, for people and for machines, and what would mend it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::answer::Answer;
use super::{Report, Target};
use crate::http1::Denylist;

/// What error pages say of who wrote them, in lower case.
const TELLTALES: [&str; 34] = [
    "apache",
    "basehttp",
    "bentoml",
    "caddy",
    "cherrypy",
    "cloudflare",
    "cowboy",
    "daphne",
    "envoy",
    "gunicorn",
    "haproxy",
    "httpstatus.",
    "hypercorn",
    "internet information services",
    "jetty",
    "kestrel",
    "lighttpd",
    "litespeed",
    "nginx",
    "openresty",
    "passenger",
    "php",
    "puma",
    "starlette",
    "tengine",
    "tomcat",
    "tornado",
    "traceback (most recent call last)",
    "undertow",
    "unicorn",
    "uvicorn",
    "varnish",
    "waitress",
    "werkzeug",
];

/// What a probe found.
#[derive(Debug)]
pub struct Findings {
    url: String,
    answers: Vec<Answered>,
}

/// One answer, and what it discloses.
#[derive(Debug)]
struct Answered {
    answer: Answer,
    /// Words of the body.
    telltales: Vec<&'static str>,
}

impl Findings {
    pub(super) fn new(target: &Target, answers: Vec<Answer>) -> Self {
        let answers = answers.into_iter().map(|answer| Answered { telltales: telltales(&answer), answer });
        Self { url: format!("http://{}{}", target.authority, target.path), answers: answers.collect() }
    }

    /// Whether anything was disclosed, or could not be looked at.
    #[must_use]
    pub fn is_disclosing(&self) -> bool {
        self.answers.iter().any(Answered::is_disclosing)
    }

    /// The findings, as asked for.
    #[must_use]
    pub fn told(&self, report: Report) -> String {
        match report {
            Report::Table => self.to_string(),
            Report::Json => format!("{:#}\n", self.json()),
        }
    }

    /// Names that were disclosed, in lower case.
    fn names(&self) -> BTreeSet<String> {
        let lines = self.answers.iter().flat_map(|answered| &answered.answer.lines);
        lines.filter_map(|(_, line)| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect()
    }

    /// Names that must be denied beside those that always are.
    fn to_deny(&self) -> Vec<String> {
        let always = Denylist::default();
        self.names().into_iter().filter(|name| !always.denies(name.as_bytes())).collect()
    }

    fn json(&self) -> Value {
        let answers = self.answers.iter().map(|Answered { answer, telltales }| {
            let lines = answer.lines.iter().map(|(status, line)| json!({ "status": status, "line": line }));
            json!({
                "request": answer.request,
                "statuses": answer.statuses,
                "lines": lines.collect::<Vec<_>>(),
                "body": telltales,
                "http2": answer.is_switched(),
                "trouble": answer.trouble,
            })
        });
        json!({
            "url": self.url,
            "discloses": self.is_disclosing(),
            "names": self.names(),
            "deny": self.to_deny(),
            "answers": answers.collect::<Vec<_>>(),
        })
    }
}

impl Answer {
    /// Whether HTTP/2 was spoken: heads inside it were not looked at, and no HTTP/1.1 proxy could.
    fn is_switched(&self) -> bool {
        self.speaks_http2 || (self.request == "Upgrade: h2c" && self.statuses.last() == Some(&101))
    }
}

impl Answered {
    fn is_disclosing(&self) -> bool {
        !self.answer.lines.is_empty() || !self.telltales.is_empty() || self.answer.is_switched()
    }

    fn response(&self) -> String {
        let Answer { statuses, trouble, .. } = &self.answer;
        let statuses: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        match (statuses.is_empty(), trouble) {
            (false, _) => statuses.join(", "),
            (true, Some(trouble)) => trouble.clone(),
            (true, None) => "nothing".to_owned(),
        }
    }

    fn disclosures(&self) -> Vec<String> {
        let Self { answer, telltales } = self;
        let is_many = answer.statuses.len() > 1;
        let line =
            |(status, line): &(u16, String)| if is_many { format!("{line} (on {status})") } else { line.clone() };
        let mut told: Vec<String> = answer.lines.iter().map(line).collect();
        told.extend(telltales.iter().map(|word| format!("the body says \"{word}\"")));
        if answer.is_switched() {
            told.push("speaks HTTP/2: heads inside it pass every HTTP/1.1 proxy".to_owned());
        }
        told
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n", self.url)?;
        let responses: Vec<String> = self.answers.iter().map(Answered::response).collect();
        let width = responses.iter().map(String::len).max().unwrap_or_default().clamp(8, 40);
        writeln!(formatter, "{:<26}{:<width$}  discloses", "request", "response")?;
        for (answered, response) in self.answers.iter().zip(responses) {
            let disclosures = answered.disclosures();
            let first = disclosures.first().map_or("-", String::as_str);
            writeln!(formatter, "{:<26}{response:<width$}  {first}", answered.answer.request)?;
            for more in disclosures.iter().skip(1) {
                writeln!(formatter, "{:<26}{:<width$}  {more}", "", "")?;
            }
        }
        formatter.write_char('\n')?;
        self.advise(formatter)
    }
}

impl Findings {
    fn advise(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disclosing = self.answers.iter().filter(|answered| answered.is_disclosing()).count();
        if disclosing == 0 {
            return writeln!(formatter, "Nothing is disclosed.");
        }
        writeln!(formatter, "{disclosing} of {} responses disclose something.", self.answers.len())?;
        let (names, to_deny) = (self.names(), self.to_deny());
        if to_deny.is_empty() && !names.is_empty() {
            writeln!(formatter, "headsnip in front of it removes these lines as it comes.")?;
        } else if !to_deny.is_empty() {
            writeln!(formatter, "headsnip in front of it removes these lines with:\n  --deny '{}'", to_deny.join(","))?;
        }
        if self.answers.iter().any(|answered| answered.answer.is_switched()) {
            writeln!(formatter, "headsnip in front of it refuses HTTP/2.")?;
        }
        if self.answers.iter().any(|answered| !answered.telltales.is_empty()) {
            writeln!(formatter, "headsnip changes no body: have the application write error pages of its own.")?;
        }
        Ok(())
    }
}

/// What an error page says of who wrote it. Other pages may say what they like.
fn telltales(answer: &Answer) -> Vec<&'static str> {
    if answer.statuses.last().is_none_or(|status| *status < 400) {
        return Vec::new();
    }
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    TELLTALES.into_iter().filter(|word| is_within(&body, word)).collect()
}

/// Tells whether a text has that word, not as part of another.
fn is_within(text: &str, word: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, found)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
        !is_letter(before) && (!is_letter(after) || word.ends_with('.'))
    })
}

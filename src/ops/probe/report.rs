//! What was found, for people and for machines, and what would mend it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::answer::{Answer, Seen};
use super::telltale;
use super::{Report, Target};
use crate::http1::Denylist;

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
    pub(super) fn new(target: &Target, mut answers: Vec<Answer>) -> Self {
        // Behind a proxy, headsnip too, that cannot reach the application, nothing was seen of that.
        if let Some(get) = answers.first_mut()
            && get.seen == Seen::Whole
            && matches!(get.statuses.last(), Some(502..=504))
        {
            get.seen = Seen::Partly("not the application".to_owned());
        }
        let answers =
            answers.into_iter().map(|answer| Answered { telltales: telltale::in_body(&answer, &target.path), answer });
        Self { url: format!("http://{}{}", target.authority, target.path), answers: answers.collect() }
    }

    /// Whether all could be checked, and nothing was disclosed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.answers.iter().all(|answered| !answered.is_disclosing() && answered.answer.is_missed().is_none())
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
                "missed": answer.is_missed(),
            })
        });
        json!({
            "url": self.url,
            "clean": self.is_clean(),
            "discloses": self.answers.iter().any(Answered::is_disclosing),
            "names": self.names(),
            "deny": self.to_deny(),
            "answers": answers.collect::<Vec<_>>(),
        })
    }
}

impl Answered {
    fn is_disclosing(&self) -> bool {
        !self.answer.lines.is_empty() || !self.telltales.is_empty() || self.answer.is_switched()
    }

    fn response(&self) -> String {
        let Answer { statuses, seen, .. } = &self.answer;
        let mut told: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        match seen {
            Seen::Whole => {}
            Seen::Partly(why) | Seen::Nothing(why) => told.push(why.clone()),
        }
        told.join(", ")
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
        let missed = self.answers.iter().filter(|answered| answered.answer.is_missed().is_some()).count();
        if missed > 0 {
            writeln!(
                formatter,
                "{missed} of {} responses could not be checked to their end. Does the server speak HTTP/1.1 without TLS, \
                 is the application behind it up, and is --timeout long enough?",
                self.answers.len()
            )?;
        }
        let disclosing = self.answers.iter().filter(|answered| answered.is_disclosing()).count();
        if disclosing == 0 {
            let what = if missed == 0 { "Nothing" } else { "In the others, nothing" };
            return writeln!(
                formatter,
                "{what} that OWASP lists is disclosed, and no server names itself in an error page."
            );
        }
        writeln!(formatter, "{disclosing} of {} responses disclose something.", self.answers.len())?;
        let (names, to_deny) = (self.names(), self.to_deny());
        if to_deny.is_empty() && !names.is_empty() {
            writeln!(formatter, "headsnip in front of it removes these lines by default.")?;
        } else if !to_deny.is_empty() {
            writeln!(formatter, "headsnip in front of it removes these lines with:\n  --deny '{}'", to_deny.join(","))?;
        }
        if self.answers.iter().any(|answered| answered.answer.is_switched()) {
            writeln!(formatter, "headsnip in front of it refuses HTTP/2.")?;
        }
        if self.answers.iter().any(|answered| !answered.telltales.is_empty()) {
            writeln!(formatter, "headsnip changes no body: have the application send its own error pages.")?;
        }
        Ok(())
    }
}

//! What was found, for people and for machines, and what would mend it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::answer::{Answer, Seen};
use super::fail_on::FailOn;
use super::finding::{Finding, Rule, findings, missing};
use super::json::{Answered, Document, Line, written};
use super::{Report, Target, junit, recommended, sarif};
use crate::http1::Denylist;

/// What a probe found.
#[derive(Debug)]
pub struct Findings {
    url: String,
    answers: Vec<Answer>,
    /// By answers, in their order, and what is missing at last.
    found: Vec<Finding>,
    fail_on: FailOn,
}

impl Findings {
    pub(super) fn new(target: &Target, mut answers: Vec<Answer>, fail_on: &FailOn) -> Self {
        // Behind a proxy, headsnip too, that cannot reach the application, nothing was seen of that.
        if let Some(get) = answers.first_mut()
            && get.seen == Seen::Whole
            && matches!(get.statuses.last(), Some(502..=504))
        {
            get.seen = Seen::Partly("not the application".to_owned());
        }
        let mut found: Vec<Finding> = answers.iter_mut().flat_map(|answer| findings(answer, &target.path)).collect();
        found.extend(answers.first().map(missing).unwrap_or_default());
        Self { url: target.url.clone(), answers, found, fail_on: fail_on.clone() }
    }

    /// Whether there is something that was to be failed on.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.found.iter().any(|finding| self.fail_on.includes(finding))
    }

    /// The findings, as asked for.
    #[must_use]
    pub fn told(&self, report: Report) -> String {
        match report {
            Report::Text => self.to_string(),
            Report::Json => written(&self.json()),
            Report::Sarif => written(&sarif::log(&self.url, &self.found)),
            Report::Junit => junit::suite(&self.url, &self.answers, &self.found, &self.fail_on),
        }
    }

    fn by_rule(&self, is_of_rule: impl Fn(Rule) -> bool) -> impl Iterator<Item = &Finding> {
        self.found.iter().filter(move |finding| is_of_rule(finding.rule))
    }

    fn disclosed_by(&self, answer: &Answer) -> Vec<&Finding> {
        let is_its = |finding: &&Finding| finding.request == answer.request && is_disclosing(finding.rule);
        self.found.iter().filter(is_its).collect()
    }

    /// Names that were disclosed, in lower case.
    fn names(&self) -> BTreeSet<String> {
        self.by_rule(Rule::is_line).map(|finding| finding.name.clone()).collect()
    }

    /// Names that must be denied beside those that always are.
    fn to_deny(&self) -> Vec<String> {
        let always = Denylist::default();
        self.names().into_iter().filter(|name| !always.denies(name.as_bytes())).collect()
    }

    /// Flags that add what is missing.
    fn to_add(&self) -> impl Iterator<Item = String> {
        self.by_rule(|rule| rule == Rule::Missing).filter_map(|finding| recommended::flag(&finding.name))
    }

    fn json(&self) -> Document<'_> {
        let answers = self.answers.iter().map(|answer| Answered {
            request: answer.request,
            statuses: &answer.statuses,
            lines: answer.lines.iter().map(|(status, line)| Line { status: *status, line }).collect(),
            body: names(self.disclosed_by(answer).into_iter().filter(|finding| finding.rule == Rule::Page)),
            http2: answer.is_switched(),
            missed: answer.is_missed(),
        });
        Document {
            url: &self.url,
            failed: self.is_failed(),
            clean: self.by_rule(|rule| rule != Rule::Missing).next().is_none(),
            discloses: self.by_rule(is_disclosing).next().is_some(),
            names: self.names(),
            deny: self.to_deny(),
            missing: names(self.by_rule(|rule| rule == Rule::Missing)),
            add: self.to_add().collect(),
            answers: answers.collect(),
        }
    }
}

fn names<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<&'a str> {
    findings.map(|finding| finding.name.as_str()).collect()
}

/// Whether it says something of what is behind it.
fn is_disclosing(rule: Rule) -> bool {
    rule.is_line() || matches!(rule, Rule::Page | Rule::Http2)
}

fn response(answer: &Answer) -> String {
    let Answer { statuses, seen, .. } = answer;
    let mut told: Vec<String> = statuses.iter().map(ToString::to_string).collect();
    match seen {
        Seen::Whole => {}
        Seen::Partly(why) | Seen::Nothing(why) => told.push(why.clone()),
    }
    told.join(", ")
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n", self.url)?;
        let responses: Vec<String> = self.answers.iter().map(response).collect();
        let width = responses.iter().map(String::len).max().unwrap_or_default().clamp(8, 40);
        writeln!(formatter, "{:<26}{:<width$}  discloses", "request", "response")?;
        for (answer, response) in self.answers.iter().zip(responses) {
            let disclosures = self.disclosed_by(answer);
            let first = disclosures.first().map_or("-", |finding| &finding.told);
            writeln!(formatter, "{:<26}{response:<width$}  {first}", answer.request)?;
            for more in disclosures.iter().skip(1) {
                writeln!(formatter, "{:<26}{:<width$}  {}", "", "", more.told)?;
            }
        }
        formatter.write_char('\n')?;
        self.advise(formatter)?;
        self.advise_what_to_add(formatter)
    }
}

impl Findings {
    fn advise(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missed = self.by_rule(|rule| rule == Rule::Unseen).count();
        if missed > 0 {
            writeln!(
                formatter,
                "{missed} of {} responses could not be checked to their end. Does the server speak HTTP/1.1{}, \
                 is the application behind it up, and is --timeout long enough?",
                self.answers.len(),
                if self.url.starts_with("https:") { "" } else { " without TLS" }
            )?;
        }
        let disclosing = self.answers.iter().filter(|answer| !self.disclosed_by(answer).is_empty()).count();
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
        if self.by_rule(|rule| rule == Rule::Http2).next().is_some() {
            writeln!(formatter, "headsnip in front of it refuses HTTP/2.")?;
        }
        if self.by_rule(|rule| rule == Rule::Page).next().is_some() {
            writeln!(formatter, "headsnip changes no body: have the application send its own error pages.")?;
        }
        Ok(())
    }

    fn advise_what_to_add(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, flag) in self.to_add().enumerate() {
            if place == 0 {
                writeln!(
                    formatter,
                    "\nThe response to GET lacks fields that OWASP recommends. headsnip adds them with (try one at a time):"
                )?;
            }
            writeln!(formatter, "  {flag}")?;
        }
        Ok(())
    }
}

//! Which findings make the probe fail.

use std::str::FromStr;

use super::finding::{Finding, Rule};

/// What is failed on: kinds of findings, and names of fields.
#[derive(Clone, Debug)]
pub struct FailOn(Vec<Entry>);

#[derive(Clone, Debug)]
enum Entry {
    Lines,
    Pages,
    Http2,
    Unseen,
    Missing,
    Nothing,
    /// A field of that name is disclosed, or missing. In lower case.
    Name(String),
    /// The same of names that begin so.
    Prefix(String),
}

impl Default for FailOn {
    fn default() -> Self {
        Self(vec![Entry::Lines, Entry::Pages, Entry::Http2, Entry::Unseen])
    }
}

impl FailOn {
    /// Fails on these; where none are given, on all but what is missing.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let entries = names.into_iter().map(str::parse).collect::<Result<Vec<Entry>, String>>()?;
        Ok(if entries.is_empty() { Self::default() } else { Self(entries) })
    }

    pub(super) fn includes(&self, finding: &Finding) -> bool {
        let is_of_field = finding.rule.is_line() || finding.rule == Rule::Missing;
        self.0.iter().any(|entry| match entry {
            Entry::Lines => finding.rule.is_line(),
            Entry::Pages => finding.rule == Rule::Page,
            Entry::Http2 => finding.rule == Rule::Http2,
            Entry::Unseen => finding.rule == Rule::Unseen,
            Entry::Missing => finding.rule == Rule::Missing,
            Entry::Nothing => false,
            Entry::Name(name) => is_of_field && finding.name == *name,
            Entry::Prefix(prefix) => is_of_field && finding.name.starts_with(prefix.as_str()),
        })
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match name.as_str() {
            "@lines" => Ok(Self::Lines),
            "@pages" => Ok(Self::Pages),
            "@http2" => Ok(Self::Http2),
            "@unseen" => Ok(Self::Unseen),
            "@missing" => Ok(Self::Missing),
            "@nothing" => Ok(Self::Nothing),
            _ if is_name(&name) => Ok(Self::Name(name)),
            _ => match name.strip_suffix('*').filter(|prefix| is_name(prefix)) {
                Some(prefix) => Ok(Self::Prefix(prefix.to_owned())),
                None => Err(format!(
                    "--fail-on {text:?}: expected @lines, @pages, @http2, @unseen, @missing, @nothing, or a field name like server or x-*"
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_failed_on_by_kind_and_by_name() {
        let finding = |rule, name: &str| Finding { rule, request: "GET", name: name.to_owned(), told: String::new() };
        let all = [
            finding(Rule::Server, "server"),
            finding(Rule::Line, "x-a"),
            finding(Rule::Page, "nginx"),
            finding(Rule::Http2, "http2"),
            finding(Rule::Unseen, "unseen"),
            finding(Rule::Missing, "x-frame-options"),
        ];
        for (names, failed) in [
            (&[][..], [true, true, true, true, true, false]),
            (&["@lines"], [true, true, false, false, false, false]),
            (&["@missing", "@PAGES"], [false, false, true, false, false, true]),
            (&["Server", "nginx"], [true, false, false, false, false, false]),
            (&["x-*"], [false, true, false, false, false, true]),
            (&["@http2", "@unseen"], [false, false, false, true, true, false]),
            (&["@nothing"], [false; 6]),
        ] {
            let fail_on = FailOn::new(names.iter().copied()).expect("sound names");
            assert_eq!(all.each_ref().map(|finding| fail_on.includes(finding)), failed, "{names:?}");
        }
        for name in ["@owsap", "", "*", "a b"] {
            assert!(FailOn::new([name]).is_err_and(|complaint| complaint.contains("@lines")), "{name:?}");
        }
    }
}

//! What an operator asks for beside `--deny`, and what a plain reader of the wire sees of it.

use headsnip::testing::Rules;

use super::message::{Broken, Field, ensure};

/// Whether one asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Silent,
    /// Lines go from requests and from their trailer sections, lines are added to final heads, of which one replaces what is denied, and requests
    /// name the client.
    Asks,
}

/// The client's address.
const CLIENT: &str = "127.0.0.1";

impl Operator {
    /// Small limits, so that they are reached.
    pub(super) fn rules(self) -> Rules {
        let small = Rules { max_head: 200, max_fields: 3, ..Rules::default() };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        match self {
            Self::Silent => small,
            Self::Asks => Rules {
                deny_request: names(&["x-*"]),
                keep_request: names(&["x-keep", "x-forwarded-for"]),
                add: names(&["Server: mine", "X-New: mine"]),
                forwarded_for: true,
                allow_request_trailers: names(&["x-a", "x-keep"]),
                ..small
            },
        }
    }

    /// Of a request head that goes inbound: nothing that is denied, and the client once, last.
    pub(super) fn of_request(self, fields: &[Field]) -> Broken {
        if self == Self::Silent {
            return Ok(());
        }
        self.of_request_trailers(fields)?;
        let forwarded: Vec<&Field> = fields.iter().filter(|(name, _)| dashed(name) == "x-forwarded-for").collect();
        let [(name, value)] = &forwarded[..] else {
            return Err(format!("the client is told {} times", forwarded.len()));
        };
        let is_last = value.rsplit(',').next().is_some_and(|last| last.trim() == CLIENT);
        ensure(name == "x-forwarded-for" && is_last, "the client's own word is the last")
    }

    /// Of a trailer section that goes inbound.
    pub(super) fn of_request_trailers(self, fields: &[Field]) -> Broken {
        let is_kept = |name: &str| !name.starts_with("x-") || name == "x-keep" || name == "x-forwarded-for";
        let is_denied = |(name, _): &Field| self == Self::Asks && !is_kept(&dashed(name));
        ensure(!fields.iter().any(is_denied), "a line goes inbound that is denied in requests")
    }

    /// Of a final head: of each line that is added one, or what the origin said of that name and may say. It said so many of `X-New`.
    pub(super) fn of_final_head(self, fields: &[Field], said: usize) -> Broken {
        if self == Self::Silent {
            return nothing_is_added(fields, said);
        }
        let values =
            |name: &str| fields.iter().filter(|(of, _)| of == name).map(|(_, value)| &**value).collect::<Vec<_>>();
        ensure(values("server") == ["mine"], "invariant 12: a denied line is not replaced")?;
        ensure(values("x-powered-by").is_empty(), "invariant 12: a denied line goes on")?;
        let new = values("x-new");
        let is_as_said = new.len() == said && !new.contains(&"mine");
        ensure(
            if said == 0 { new == ["mine"] } else { is_as_said },
            "a line is added, or is not, against what was asked",
        )
    }
}

/// Of what is no final head: nothing is denied (invariant 12), and nothing is added.
pub(super) fn nothing_is_added(fields: &[Field], said: usize) -> Broken {
    let is_denied = |(name, _): &Field| name == "server" || name == "x-powered-by";
    ensure(!fields.iter().any(is_denied), "invariant 12: a denied line goes on")?;
    let new = fields.iter().filter(|(name, _)| name == "x-new").count();
    ensure(new == said, "a line is added to what is no final head")
}

fn dashed(name: &str) -> String {
    name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}

/// How many lines of a section, as it came, are named `X-New`.
pub(super) fn said_new(section: &[u8]) -> usize {
    let text = String::from_utf8_lossy(section).to_ascii_lowercase();
    text.lines().filter(|line| line.split(':').next().is_some_and(|name| name.trim_end() == "x-new")).count()
}

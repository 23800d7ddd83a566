//! Which field lines are denied.
//!
//! Names are compared whole, in any ASCII case; an underscore is not a dash, but in those of requests any mark is, since servers take them for it. An entry is an exact name, a prefix
//! (`x-amz-*`), or the preset `@owasp`. What is kept wins over what is denied. Names that carry framing or the connection
//! itself cannot be denied. Asking costs no allocation: most names are turned away by their length and first letter.

use std::borrow::Cow;

use super::error::SettingError;
use super::names::{bit, dashed, is_meant, is_name, overlap, with_dashes};

/// Names that carry framing or the connection itself; with a star, all that begin so.
const PROTECTED: [&str; 6] = ["connection", "content-length", "transfer-encoding", "trailer", "te", "sec-websocket-*"];

/// Names that frame, route or connect a request: what they say must reach the origin, or is judged here.
const PROTECTED_OF_REQUESTS: [&str; 6] =
    ["host", "expect", "upgrade", "http2-settings", "keep-alive", "proxy-connection"];

/// Denied unless kept by name: what the two most common leaks are called.
const ALWAYS: [&str; 2] = ["server", "x-powered-by"];

/// Header fields that disclose a technology, of the OWASP Secure Headers Project, `headers_remove.json` as of
/// 2026-07-19, Apache-2.0 (<https://owasp.org/www-project-secure-headers/>).
const OWASP: &str = include_str!("owasp-secure-headers-remove.txt");

/// The denied field names of responses.
#[derive(Clone, Debug)]
pub struct Denylist {
    denied: Names,
    kept: Names,
}

impl Default for Denylist {
    /// `Server` and `X-Powered-By`.
    fn default() -> Self {
        let mut denied = Names::default();
        for name in ALWAYS {
            denied.add(name);
        }
        Self { denied, kept: Names::default() }
    }
}

impl Denylist {
    /// The default list, more names, and exceptions; each an exact name, `prefix*`, or `@owasp`.
    pub fn new<'a>(
        deny: impl IntoIterator<Item = &'a str>,
        keep: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SettingError> {
        let mut list = Self::default();
        for entry in deny {
            for name in expand(entry)? {
                if let Some(protected) = protected_by(name) {
                    return Err(needed(entry, protected, "framing or the connection"));
                }
                list.denied.add(name);
            }
        }
        list.keep(keep)
    }

    /// With these exceptions.
    fn keep<'a>(mut self, keep: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingError> {
        for entry in keep {
            expand(entry)?.into_iter().for_each(|name| self.kept.add(name));
        }
        let kept = &self.kept;
        self.denied.exact.retain(|name| kept.find(name.as_bytes()).is_none());
        Ok(self)
    }

    /// Returns whether a field line of that name is denied.
    #[must_use]
    pub fn denies(&self, name: &[u8]) -> bool {
        self.entry(name).is_some()
    }

    /// Which of [`entries`](Self::entries), counted from 0, denies a field line of that name. `None`: it passes.
    #[must_use]
    pub fn entry(&self, name: &[u8]) -> Option<u16> {
        let place = self.denied.find(name)?;
        // Of the exact names those that are kept have gone.
        let is_kept = place >= self.denied.exact.len() && self.kept.find(name).is_some();
        // Nobody writes as many entries; those beyond deny anyway.
        (!is_kept).then(|| u16::try_from(place).unwrap_or(u16::MAX))
    }

    /// The bits of names that may be denied.
    pub(super) fn bits(&self) -> u64 {
        self.denied.bits
    }

    /// What is denied, as an operator would write it: names and prefixes less those that are kept.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        let exact = self.denied.exact.iter().map(ToString::to_string);
        exact.chain(self.denied.prefixes.iter().map(|prefix| format!("{prefix}*")))
    }

    /// What is kept though an entry with a star covers it, or may cover it, in the same form.
    pub fn exceptions(&self) -> impl Iterator<Item = String> {
        let covers =
            |name: &str| self.denied.prefixes.iter().any(|prefix| starts_with(name.as_bytes(), prefix.as_bytes()));
        let within = |name: &str| self.denied.prefixes.iter().any(|prefix| prefix.starts_with(name));
        let exact = self.kept.exact.iter().filter(move |name| covers(name)).map(ToString::to_string);
        let prefixes = self.kept.prefixes.iter().filter(move |name| covers(name) || within(name));
        exact.chain(prefixes.map(|prefix| format!("{prefix}*")))
    }
}

/// The denied field names of requests: none by default. An underscore, a dot or another mark counts as a dash.
#[derive(Clone, Debug)]
pub struct RequestDenylist(Denylist);

impl Default for RequestDenylist {
    fn default() -> Self {
        Self(Denylist { denied: Names::default(), kept: Names::default() })
    }
}

impl RequestDenylist {
    /// Names and exceptions, each in the forms of [`Denylist::new`].
    pub fn new<'a>(
        deny: impl IntoIterator<Item = &'a str>,
        keep: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SettingError> {
        let Self(mut list) = Self::default();
        for entry in deny {
            for name in expand(entry)? {
                let name = with_dashes(name);
                let mut protected = PROTECTED_OF_REQUESTS.into_iter().chain(PROTECTED);
                if let Some(protected) = protected.find(|protected| overlap(&name, protected)) {
                    return Err(needed(entry, protected, "framing, routing or the connection"));
                }
                list.denied.add(&name);
                if name.starts_with('-') {
                    // By its first letter, one that begins with another mark would be turned away.
                    list.denied.bits = u64::MAX;
                }
            }
        }
        // What is not a name must be told as it was written.
        let keep = keep.into_iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let keep: Vec<_> = keep.into_iter().flatten().map(with_dashes).collect();
        list.keep(keep.iter().map(String::as_str)).map(Self)
    }

    /// Which of [`entries`](Self::entries), counted from 0, denies a field line of that name. `None`: it passes.
    #[must_use]
    pub fn entry(&self, name: &[u8]) -> Option<u16> {
        let is_read_otherwise = name.iter().any(|byte| dashed(*byte) != *byte);
        let read = if is_read_otherwise {
            Cow::Owned(name.iter().copied().map(dashed).collect())
        } else {
            Cow::Borrowed(name)
        };
        self.0.entry(&read)
    }

    /// What is denied, as an operator would write it: names and prefixes less those that are kept.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.0.entries()
    }

    /// What is kept though an entry with a star covers it, or may cover it, in the same form.
    pub fn exceptions(&self) -> impl Iterator<Item = String> {
        self.0.exceptions()
    }

    /// The bits of names that may be denied.
    pub(super) fn bits(&self) -> u64 {
        self.0.bits()
    }
}

#[derive(Clone, Debug, Default)]
struct Names {
    /// Lower case, each once.
    exact: Vec<Box<str>>,
    /// Lower case, without the star.
    prefixes: Vec<Box<str>>,
    /// The bits of names that may be among these.
    bits: u64,
}

impl Names {
    /// Adds a name or `prefix*`.
    fn add(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        let (names, name, bits) = match name.strip_suffix('*') {
            Some(prefix) => (&mut self.prefixes, prefix, u64::MAX),
            None => (&mut self.exact, name.as_str(), bit(name.as_bytes())),
        };
        self.bits |= bits;
        if !names.iter().any(|known| **known == *name) {
            names.push(name.into());
        }
    }

    /// Where the first entry stands that covers a name, among the exact names and then the prefixes.
    fn find(&self, name: &[u8]) -> Option<usize> {
        self.exact.iter().position(|exact| is_name(name, exact.as_bytes())).or_else(|| {
            let prefix = self.prefixes.iter().position(|prefix| starts_with(name, prefix.as_bytes()))?;
            Some(self.exact.len() + prefix)
        })
    }
}

fn starts_with(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// An entry would take away a name that is needed, or with a star all that begin so.
fn needed(entry: &str, name: &str, what_for: &str) -> SettingError {
    let problem = format!("{entry:?} covers \"{name}\", which is needed for {what_for} and cannot be denied");
    SettingError::of(entry, problem)
}

/// The names and prefixes that an entry stands for.
fn expand(entry: &str) -> Result<Vec<&str>, SettingError> {
    if let Some(preset) = entry.strip_prefix('@') {
        return match preset {
            "owasp" => Ok(owasp().collect()),
            _ => Err(SettingError::of(entry, format!("there is no preset {entry:?}; the only one is @owasp"))),
        };
    }
    // A star is a token byte, but within a name it was surely meant as a pattern. Alone it is a prefix of every name.
    let name = entry.strip_suffix('*').unwrap_or(entry);
    if entry == "*" || is_meant(name) {
        return Ok(vec![entry]);
    }
    Err(SettingError::of(entry, format!("{entry:?} is not a field name; for example x-runtime, x-amz-* or @owasp")))
}

/// The names of the preset `@owasp`.
fn owasp() -> impl Iterator<Item = &'static str> {
    OWASP.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// What is protected of an exact name or `prefix*`.
pub(super) fn protected_by(entry: &str) -> Option<&'static str> {
    let entry = entry.to_ascii_lowercase();
    PROTECTED.into_iter().find(|protected| overlap(&entry, protected))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Which entry a list was refused for.
    fn culprit<T: std::fmt::Debug>(list: Result<T, SettingError>) -> String {
        list.expect_err("it is refused").culprit.expect("one entry")
    }

    #[test]
    fn most_names_are_turned_away_by_their_mark() {
        let common = "date content-type content-length connection cache-control etag vary set-cookie location age via \
                      accept-ranges last-modified expires transfer-encoding content-encoding keep-alive x-request-id";
        let bits = Denylist::default().denied.bits;
        let looked_at = |name: &&str| bits & bit(name.as_bytes()) != 0;
        assert!(common.split(' ').filter(looked_at).count() <= 1);
        let different: HashSet<u64> = common.split(' ').map(|name| bit(name.as_bytes())).collect();
        assert!(different.len() > 12, "{different:?}");
    }

    #[test]
    fn names_compare_whole_and_in_any_case() {
        let list = Denylist::default();
        for name in ["server", "Server", "SERVER", "X-Powered-By"] {
            assert!(list.denies(name.as_bytes()), "{name}");
        }
        for name in ["", "serve", "servers", "server-timing", "x-server", "x_powered_by", "ser\u{212a}er"] {
            assert!(!list.denies(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn prefixes_match_from_the_start_and_what_is_kept_wins() {
        let list = Denylist::new(["x-amz-*", "Via", "x-b-*"], ["X-Amz-Request-Id", "server", "x-amz-k*"])
            .expect("a sound list");
        for name in ["x-amz-", "X-AMZ-Id-2", "via", "x-powered-by"] {
            assert!(list.denies(name.as_bytes()), "{name}");
        }
        for name in ["x-amz", "ax-amz-1", "x-amz-request-id", "x-amz-key", "server", "vi", "via2"] {
            assert!(!list.denies(name.as_bytes()), "{name}");
        }
        let entries: Vec<_> = list.entries().collect();
        assert_eq!(entries, ["x-powered-by", "via", "x-amz-*", "x-b-*"]);
        assert_eq!(list.exceptions().collect::<Vec<_>>(), ["x-amz-request-id", "x-amz-k*"]);
        let all = Denylist::new(["x-a-*"], ["x-*", "y-*"]).expect("a sound list");
        assert_eq!(all.exceptions().collect::<Vec<_>>(), ["x-*"]);
        let denied_by = |name: &str| list.entry(name.as_bytes()).map(|place| &*entries[usize::from(place)]);
        let denied_by: Vec<_> = ["VIA", "X-Amz-Id", "X-Amz-Key", "Server", "X-B-C"].map(denied_by).to_vec();
        assert_eq!(denied_by, [Some("via"), Some("x-amz-*"), None, None, Some("x-b-*")]);
    }

    #[test]
    fn the_owasp_preset_is_all_of_its_list() {
        let list = Denylist::new(["@owasp"], []).expect("a sound list");
        for name in owasp() {
            assert!(is_meant(name) && list.denies(name.as_bytes()), "{name}");
        }
        assert!(owasp().count() > 70 && list.denies(b"x-aspnet-version") && !list.denies(b"content-type"));
    }

    #[test]
    fn framing_and_connection_names_cannot_be_denied() {
        for entry in ["Connection", "content-length", "Transfer-Encoding", "trailer", "TE", "Sec-WebSocket-Accept"] {
            assert_eq!(culprit(Denylist::new([entry], [])), entry);
        }
        for (entry, name) in [
            ("*", "connection"),
            ("con*", "connection"),
            ("t*", "transfer-encoding"),
            ("te*", "te"),
            ("sec-*", "sec-websocket-*"),
            ("sec-websocket-x*", "sec-websocket-*"),
        ] {
            assert_eq!(Denylist::new([entry], []).err(), Some(needed(entry, name, "framing or the connection")));
        }
        assert!(Denylist::new(["sec-fetch-*", "t", "teapot", "trailers", "upgrade"], []).is_ok());
    }

    #[test]
    fn in_requests_an_underscore_is_a_dash() {
        let deny = ["X_Forwarded-*", "forwarded", "x-real-ip", "-odd"];
        let list = RequestDenylist::new(deny, ["x_forwarded_for"]).expect("a sound list");
        for name in ["X-Forwarded-Host", "x_forwarded_proto", "FORWARDED", "X_Real-IP", "_odd", "-ODD"] {
            assert!(list.entry(name.as_bytes()).is_some() && list.bits() & bit(name.as_bytes()) != 0, "{name}");
        }
        for name in ["x-forwarded-for", "X_Forwarded_For", "x-forwarded", "server", "x-powered-by", ""] {
            assert_eq!(list.entry(name.as_bytes()), None, "{name}");
        }
        assert_eq!(list.entries().collect::<Vec<_>>(), ["forwarded", "x-real-ip", "-odd", "x-forwarded-*"]);
        assert_eq!(list.exceptions().collect::<Vec<_>>(), ["x-forwarded-for"]);
        let list = RequestDenylist::new(["x-*"], ["@owasp"]).expect("a sound list");
        assert_eq!((list.entry(b"X.Powered-By"), list.entry(b"x-other")), (None, Some(0)));
        assert_eq!((RequestDenylist::default().bits(), RequestDenylist::default().entry(b"server")), (0, None));
    }

    #[test]
    fn what_frames_routes_or_connects_cannot_be_denied_in_requests() {
        for (entry, name) in [
            ("Host", "host"),
            ("EXPECT", "expect"),
            ("content_length", "content-length"),
            ("Transfer_Encoding", "transfer-encoding"),
            ("sec_websocket_key", "sec-websocket-*"),
            ("ho*", "host"),
            ("*", "host"),
            ("x", ""),
            ("upgrade", "upgrade"),
            ("te", "te"),
        ] {
            let refused = needed(entry, name, "framing, routing or the connection");
            let expected = if name.is_empty() { None } else { Some(refused) };
            assert_eq!(RequestDenylist::new([entry], []).err(), expected, "{entry}");
        }
        for entry in ["x_*_id", "a b"] {
            assert_eq!(culprit(RequestDenylist::new([], [entry])), entry);
        }
        assert!(RequestDenylist::new(["@owasp", "x-forwarded-*", "proxy", "forwarded"], []).is_ok());
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for entry in ["", "a b", "a:", "x-*-id", "a**", "\u{e9}", "'server'", "`a`", "^x-a*", "a'"] {
            assert_eq!(culprit(Denylist::new([entry], [])), entry);
        }
        assert_eq!(culprit(Denylist::new(["@owsap"], [])), "@owsap");
    }
}

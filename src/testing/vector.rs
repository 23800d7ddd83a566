//! Reads the test vectors: text files that say what comes in at both sockets and what must go out.
//!
//! A line that starts with `#` and a blank line are comments, outside blocks. The rest is `key: value` lines; a
//! `vector:` line begins a vector. A key that takes bytes is followed by a block: lines indented by four spaces, of
//! which neither the indentation nor the line's end is part of the bytes.
//!
//! ```text
//! vector: a-unique-name-in-kebab-case
//! row: request: the row of docs/protocol.md that this covers, in short
//! rule: RFC 9112 §6.3
//! options: deny=x-foo,x-bar* keep=x-bar-a allow-upgrade=foo max-head=512     (optional; see below)
//! client:                              a step; also: origin:
//!     GET / HTTP/1.1\r\n
//!     Host: a\r\n\r\n
//! client ends                          a step; also: origin ends, origin resets, drain
//! to origin: same                      all that the client has sent; or: nothing; or a block; over all connections
//! to client: same                      all that the origin has sent; or: nothing; or a block
//! end: open                            or: closed, reply 400, cut, reset, origin dropped
//! dials: 2                             how many origin connections received bytes (optional)
//! error: no_host                       the name of the broken rule (optional)
//! ```
//!
//! The other options are `deny-request=a,b`, `keep-request=a`, `add=Name:value` (once for each line), `forwarded-for=true`, `dry-run=true`,
//! `max-fields=N`, `allow-bare-lf=true`, `allow-request-trailers=a,b` and `reuse-origin=plain|bodyless|never`. The client is at 127.0.0.1. The names after `deny=` and `allow-upgrade=` come on top of the default ones,
//! as they do on the command line.
//! Escapes in a block: `\r`, `\n`, `\t`, `\0`, `\\`, `\s` (a space), `\xNN`; `{text*COUNT}` repeats the text, and a
//! `{` is written `\x7b`.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Lines;

use strum::VariantNames;

use super::{End, Rules, Step};
use crate::http1::{Reuse, Violation};

/// What a vector may name as its error: each rule that can be broken.
pub const ERRORS: &[&str] = Violation::VARIANTS;

/// The longest block, in bytes after its escapes: a slip in a count must not eat the memory.
const MAX_BLOCK: usize = 1 << 22;

/// One case: what happens at the two sockets, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Unique in its file, in kebab-case.
    pub name: String,
    /// The line of its `vector:`.
    pub line: usize,
    /// The table and row of docs/protocol.md that it covers.
    pub row: String,
    /// The section of the RFC.
    pub rule: String,
    /// The configuration.
    pub rules: Rules,
    /// What happens, in this order.
    pub steps: Vec<Step>,
    /// What the origin must have received: of all its connections together, in the order in which they were dialled.
    pub to_origin: Vec<u8>,
    /// What the client must have received of the origin.
    pub to_client: Vec<u8>,
    /// How the exchange must stand.
    pub end: End,
    /// How many origin connections must have received a byte, if the vector says so.
    pub dials: Option<usize>,
    /// The name of the broken rule, if the vector gives one.
    pub error: Option<String>,
}

/// Reads a file of vectors. An error begins with the number of its line.
pub fn parse(text: &str) -> Result<Vec<Vector>, String> {
    let mut reader = Reader { lines: text.lines().peekable(), number: 0 };
    let mut vectors: Vec<Vector> = Vec::new();
    let mut names = HashSet::new();
    let mut draft: Option<Draft> = None;
    while let Some(line) = reader.next_line() {
        let number = reader.number;
        let at_line = |message: String| format!("line {number}: {message}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("vector:") {
            vectors.extend(draft.take().map(Draft::finish).transpose()?);
            let name = checked_name(name.trim()).map_err(at_line)?;
            if !names.insert(name.clone()) {
                return Err(format!("line {number}: a second vector {name}"));
            }
            draft = Some(Draft::new(name, number));
        } else if let Some(draft) = &mut draft {
            draft.take_line(line, &mut reader).map_err(at_line)?;
        } else {
            return Err(format!("line {number}: stands before the first vector"));
        }
    }
    vectors.extend(draft.map(Draft::finish).transpose()?);
    Ok(vectors)
}

/// Hands out lines, and knows the number of the last one.
struct Reader<'a> {
    lines: Peekable<Lines<'a>>,
    number: usize,
}

impl<'a> Reader<'a> {
    fn next_line(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.lines.next()
    }

    /// The bytes of the indented lines that follow.
    fn block(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut any = false;
        while let Some(content) = self.lines.peek().and_then(|line| line.strip_prefix("    ")) {
            self.next_line();
            any = true;
            unescape(content, &mut bytes).map_err(|message| format!("(block line {}) {message}", self.number))?;
        }
        if any { Ok(bytes) } else { Err("a block of indented lines must follow".into()) }
    }
}

/// What one side must have received.
enum Expected {
    /// All that the other side has sent.
    Same,
    Bytes(Vec<u8>),
}

/// A vector of which not all lines are read.
struct Draft {
    name: String,
    line: usize,
    row: Option<String>,
    rule: Option<String>,
    rules: Option<Rules>,
    steps: Vec<Step>,
    to_origin: Option<Expected>,
    to_client: Option<Expected>,
    end: Option<End>,
    dials: Option<usize>,
    error: Option<String>,
}

impl Draft {
    fn new(name: String, line: usize) -> Self {
        Self {
            name,
            line,
            row: None,
            rule: None,
            rules: None,
            steps: Vec::new(),
            to_origin: None,
            to_client: None,
            end: None,
            dials: None,
            error: None,
        }
    }

    /// Takes a line that is no `vector:` line, and the block that belongs to it.
    fn take_line(&mut self, line: &str, reader: &mut Reader<'_>) -> Result<(), String> {
        let (key, value) = line.split_once(':').map_or((line, None), |(key, value)| (key, Some(value.trim())));
        match (key, value) {
            ("client", Some("")) => self.steps.push(Step::Client(reader.block()?)),
            ("origin", Some("")) => self.steps.push(Step::Origin(reader.block()?)),
            ("client ends", None) => self.steps.push(Step::ClientEnd),
            ("origin ends", None) => self.steps.push(Step::OriginEnd),
            ("origin resets", None) => self.steps.push(Step::OriginReset),
            ("drain", None) => self.steps.push(Step::Drain),
            ("row", Some(text)) => set(&mut self.row, row(text)?)?,
            ("rule", Some(text)) if !text.is_empty() => set(&mut self.rule, text.to_owned())?,
            ("options", Some(text)) => set(&mut self.rules, options(text)?)?,
            ("to origin", Some(text)) => set(&mut self.to_origin, expected(text, reader)?)?,
            ("to client", Some(text)) => set(&mut self.to_client, expected(text, reader)?)?,
            ("end", Some(text)) => set(&mut self.end, end(text)?)?,
            ("dials", Some(text)) => set(&mut self.dials, number(text)?)?,
            ("error", Some(text)) if ERRORS.contains(&text) => {
                set(&mut self.error, text.to_owned())?;
            }
            ("error", Some(text)) => return Err(format!("no rule of this name: {text}")),
            _ => return Err(format!("not understood: {line}")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Vector, String> {
        let missing = |what: &str| format!("line {}: vector {} has no {what}", self.line, self.name);
        if self.steps.is_empty() {
            return Err(missing("steps"));
        }
        let from_client = self.steps.iter().filter_map(|step| match step {
            Step::Client(bytes) => Some(bytes.as_slice()),
            Step::Origin(_) | Step::ClientEnd | Step::OriginEnd | Step::OriginReset | Step::Drain => None,
        });
        let from_origin = self.steps.iter().filter_map(|step| match step {
            Step::Origin(bytes) => Some(bytes.as_slice()),
            Step::Client(_) | Step::ClientEnd | Step::OriginEnd | Step::OriginReset | Step::Drain => None,
        });
        let to_origin = match self.to_origin.ok_or_else(|| missing("`to origin`"))? {
            Expected::Same => from_client.collect::<Vec<_>>().concat(),
            Expected::Bytes(bytes) => bytes,
        };
        let to_client = match self.to_client.ok_or_else(|| missing("`to client`"))? {
            Expected::Same => from_origin.collect::<Vec<_>>().concat(),
            Expected::Bytes(bytes) => bytes,
        };
        Ok(Vector {
            row: self.row.ok_or_else(|| missing("`row`"))?,
            rule: self.rule.ok_or_else(|| missing("`rule`"))?,
            rules: self.rules.unwrap_or_default(),
            end: self.end.ok_or_else(|| missing("`end`"))?,
            name: self.name,
            line: self.line,
            steps: self.steps,
            to_origin,
            to_client,
            dials: self.dials,
            error: self.error,
        })
    }
}

/// A key other than a step stands once in a vector.
fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("the key stands twice in this vector".into()),
    }
}

fn checked_name(name: &str) -> Result<String, String> {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.split('-').all(is_word) { Ok(name.to_owned()) } else { Err(format!("not in kebab-case: {name}")) }
}

fn row(text: &str) -> Result<String, String> {
    match text.split_once(": ") {
        Some(("request" | "response" | "names" | "drain", row)) if !row.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("a row is `request: ...`, `response: ...`, `names: ...` or `drain: ...`, not: {text}")),
    }
}

fn options(text: &str) -> Result<Rules, String> {
    let mut rules = Rules::default();
    for option in text.split_whitespace() {
        let (key, value) = option.split_once('=').ok_or_else(|| format!("not key=value: {option}"))?;
        let names = value.split(',').map(str::to_ascii_lowercase);
        match key {
            "deny" => rules.deny.extend(names),
            "keep" => rules.keep.extend(names),
            "deny-request" => rules.deny_request.extend(names),
            "keep-request" => rules.keep_request.extend(names),
            "add" => rules.add.push(value.replacen(':', ": ", 1)),
            "forwarded-for" => rules.forwarded_for = switch(value)?,
            "dry-run" => rules.dry_run = switch(value)?,
            "allow-upgrade" => rules.allow_upgrade.extend(names),
            "max-head" => rules.max_head = number(value)?,
            "max-fields" => rules.max_fields = number(value)?,
            "allow-bare-lf" => rules.allow_bare_lf = switch(value)?,
            "allow-request-trailers" => rules.allow_request_trailers.extend(names),
            "reuse-origin" => rules.reuse_origin = reuse(value)?,
            _ => return Err(format!("no such option: {key}")),
        }
    }
    Ok(rules)
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("not a bool: {text}"))
}

fn reuse(text: &str) -> Result<Reuse, String> {
    match text {
        "plain" => Ok(Reuse::Plain),
        "bodyless" => Ok(Reuse::Bodyless),
        "never" => Ok(Reuse::Never),
        _ => Err(format!("plain, bodyless or never, not: {text}")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn expected(text: &str, reader: &mut Reader<'_>) -> Result<Expected, String> {
    match text {
        "same" => Ok(Expected::Same),
        "nothing" => Ok(Expected::Bytes(Vec::new())),
        "" => reader.block().map(Expected::Bytes),
        _ => Err(format!("`same`, `nothing` or a block, not: {text}")),
    }
}

fn end(text: &str) -> Result<End, String> {
    match text {
        "open" => Ok(End::Open),
        "closed" => Ok(End::Closed),
        "cut" => Ok(End::Cut),
        "reset" => Ok(End::Reset),
        "origin dropped" => Ok(End::OriginDropped),
        _ => text
            .strip_prefix("reply ")
            .and_then(|status| status.parse().ok())
            .map(End::Reply)
            .ok_or_else(|| format!("no such end: {text}")),
    }
}

/// Appends the bytes that one line of a block stands for.
fn unescape(text: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = text;
    while let Some(position) = rest.find(['{', '\\']) {
        let (plain, special) = rest.split_at(position);
        bytes.extend_from_slice(plain.as_bytes());
        if let Some(repeat) = special.strip_prefix('{') {
            let (inner, after) = repeat.split_once('}').ok_or("a { without its }")?;
            let (inner, count) = inner.rsplit_once('*').ok_or("a repeat is {text*COUNT}")?;
            let count: usize = count.parse().map_err(|_| format!("not a count: {count}"))?;
            if inner.contains('{') {
                return Err("a repeat within a repeat".into());
            }
            let mut once = Vec::new();
            unescape(inner, &mut once)?;
            if once.len().saturating_mul(count).saturating_add(bytes.len()) > MAX_BLOCK {
                return Err(format!("a block of over {MAX_BLOCK} bytes"));
            }
            bytes.extend(once.repeat(count));
            rest = after;
        } else {
            let (byte, after) = escape(special.get(1..).unwrap_or_default())?;
            bytes.push(byte);
            rest = after;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// The byte that an escape stands for, its backslash being read, and what follows it.
fn escape(text: &str) -> Result<(u8, &str), String> {
    let unknown = || format!("no such escape: \\{}", text.chars().take(3).collect::<String>());
    let mut rest = text.chars();
    let byte = match rest.next() {
        Some('r') => b'\r',
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('s') => b' ',
        Some('\\') => b'\\',
        Some('x') => {
            let digits = text.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(unknown)?;
            return Ok((byte, text.get(3..).unwrap_or_default()));
        }
        _ => return Err(unknown()),
    };
    Ok((byte, rest.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_repeats() {
        let mut bytes = Vec::new();
        unescape(r"a\s\x7b{\0b*3}}\\\t", &mut bytes).unwrap();
        assert_eq!(bytes, b"a {\0b\0b\0b}\\\t");
        for bad in [r"\q", r"\x7", r"\x+7", r"\", "{a*b}", "{a*1", "{a}", "{a*99999999}"] {
            assert!(unescape(bad, &mut Vec::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line) in [
            ("end: open\n", 1),
            ("# a\n\nvector: Not-kebab\n", 3),
            ("vector: a\nvector: b\n", 1),
            ("vector: a\nrow: request: x\nrow: request: x\n", 3),
            ("vector: a\nclient:\nend: open\n", 2),
            ("vector: a\nerror: unheard_of\n", 2),
            ("vector: a\ndials: two\n", 2),
            ("vector: a\noptions: reuse-origin=always\n", 2),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        }
    }
}

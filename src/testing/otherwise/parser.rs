//! A naive parser of requests, with misreadings. It is nobody else's, so that it shares no view of the RFC with what it is put behind.

use super::answer;
use super::letters::Line;
use super::misreading::Misreading;

/// Bytes and lines of the longest head that a short-sighted origin reads.
const SHORT_HEAD: (usize, usize) = (8192, 64);

/// Reads requests, in its own way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parser {
    pub(super) misreadings: Line,
}

/// How a body ends, as the origin reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(usize),
    Chunked,
    /// Nobody knows.
    Unsound,
}

pub(super) struct Head {
    pub(super) length: usize,
    method: String,
    pub(super) target: String,
    version: String,
    fields: Vec<(String, String)>,
}

/// What stands at the start of what was not read.
pub(super) enum Next {
    NeedMore,
    Head(Head),
    /// So many bytes that are no request.
    Garbage(usize),
}

/// Where a body ends.
pub(super) enum End {
    NeedMore,
    At(usize),
    Nowhere,
}

impl Parser {
    pub(super) fn is(&self, misreading: Misreading) -> bool {
        misreading.is_in(&self.misreadings)
    }

    pub(super) fn leaves_unread(&self, head: &Head, method: &str, mood: &Line) -> bool {
        let is_odd = !matches!(method, "POST" | "PUT" | "PATCH");
        let is_refused = !(200..300).contains(&answer::status(mood));
        [
            (Misreading::Unread, true),
            (Misreading::UnreadOdd, is_odd),
            (Misreading::UnreadOld, head.version == "HTTP/1.0"),
            (Misreading::UnreadExpect, head.value("expect").is_some()),
            (Misreading::UnreadUpgrade, head.value("upgrade").is_some()),
            (Misreading::UnreadRefused, is_refused),
        ]
        .into_iter()
        .any(|(misreading, applies)| applies && self.is(misreading))
    }

    /// The method, as the origin takes it.
    pub(super) fn method(&self, head: &Head) -> String {
        let names = ["x-http-method-override", "x-http-method", "x-method-override"];
        let override_of =
            |(name, value): &(String, String)| names.contains(&&*name.replace('_', "-")).then(|| value.clone());
        let overridden = self.is(Misreading::Override).then(|| head.fields.iter().find_map(override_of)).flatten();
        let method = overridden.unwrap_or_else(|| head.method.clone());
        if self.is(Misreading::FoldsMethod) { method.to_ascii_uppercase() } else { method }
    }

    pub(super) fn next(&self, bytes: &[u8]) -> Next {
        if let Some(rest) = bytes.strip_prefix(b"\r\n") {
            if self.is(Misreading::EmptyLineIsRequest) {
                return Next::Garbage(2);
            }
            // Those that are skipped belong to the head behind them.
            return match self.next(rest) {
                Next::NeedMore => Next::NeedMore,
                Next::Garbage(length) => Next::Garbage(length + 2),
                Next::Head(head) => Next::Head(Head { length: head.length + 2, ..head }),
            };
        }
        let Some(line) = find(bytes, b"\r\n") else { return Next::NeedMore };
        let text = String::from_utf8_lossy(&bytes[..line]).into_owned();
        let [method, target, version] = text.split(' ').collect::<Vec<_>>()[..] else { return Next::Garbage(line + 2) };
        if !version.starts_with("HTTP/1.") {
            return Next::Garbage(line + 2);
        }
        let end = find(bytes, b"\r\n\r\n").map(|end| end + 4);
        let Some(length) = self.cut_short(bytes, end) else { return Next::NeedMore };
        let section = String::from_utf8_lossy(bytes.get(line + 2..length).unwrap_or_default()).into_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((self.name(name.trim()), value.trim().to_owned()))
        };
        let fields = section.split("\r\n").filter_map(field).collect();
        let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
        Next::Head(Head { length, method, target, version, fields })
    }

    /// Where a head ends that ends there, or that is too long.
    fn cut_short(&self, bytes: &[u8], end: Option<usize>) -> Option<usize> {
        if !self.is(Misreading::ShortHead) {
            return end;
        }
        let (most, lines) = SHORT_HEAD;
        let mut line_ends = bytes.windows(2).enumerate().filter(|(_, bytes)| bytes == b"\r\n").map(|(at, _)| at + 2);
        let cut = line_ends.nth(lines).into_iter().chain((bytes.len() > most).then_some(most)).min();
        end.into_iter().chain(cut).min()
    }

    fn name(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        if self.is(Misreading::Underscore) { name.replace('_', "-") } else { name }
    }

    /// How the body ends, as the origin reads it.
    pub(super) fn body(&self, head: &Head) -> Body {
        let options = head
            .values("connection")
            .into_iter()
            .flat_map(|value| value.split(','))
            .map(|option| option.trim().to_ascii_lowercase());
        let options: Vec<_> = options.filter(|_| self.is(Misreading::ConnectionStrips)).collect();
        let values = |name: &'static str| -> Vec<&str> {
            if options.iter().any(|option| option == name) { Vec::new() } else { head.values(name) }
        };
        // What says `trailers` and no more is plain, and so is not misread.
        let te = values("te").into_iter().filter(|value| self.is(Misreading::TeIsCoding) && value.contains("chunked"));
        let codings: Vec<_> = values("transfer-encoding").into_iter().chain(te).collect();
        let is_chunked = if self.is(Misreading::ExactChunked) {
            codings == ["chunked"]
        } else {
            codings
                .last()
                .and_then(|value| value.rsplit(',').next())
                .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
        };
        let lengths: Vec<_> =
            values("content-length").into_iter().flat_map(|value| value.split(',')).map(str::trim).collect();
        let length = match &*lengths {
            [] => return if is_chunked { Body::Chunked } else { Body::Length(0) },
            _ if is_chunked && !self.is(Misreading::LengthBeforeCoding) => return Body::Chunked,
            [length] => length,
            [_, _, ..] if self.is(Misreading::TwoLengthsAreNone) => return Body::Length(0),
            [first, ..] if self.is(Misreading::FirstLength) => first,
            [.., last] if self.is(Misreading::LastLength) => last,
            [first, others @ ..] if others.iter().all(|other| other == first) => first,
            _ => return Body::Unsound,
        };
        let digits = length.bytes().take_while(u8::is_ascii_digit).count();
        let radix = if length.starts_with('0') && self.is(Misreading::Octal) { 8 } else { 10 };
        match usize::from_str_radix(&length[..digits], radix) {
            Ok(number) if digits == length.len() || self.is(Misreading::Atoi) => Body::Length(number),
            Err(_) if self.is(Misreading::Atoi) => Body::Length(0),
            _ => Body::Unsound,
        }
    }

    pub(super) fn body_end(&self, body: Body, bytes: &[u8]) -> End {
        match body {
            Body::Length(length) if length > bytes.len() => End::NeedMore,
            Body::Length(length) => End::At(length),
            Body::Chunked => self.chunks_end(bytes),
            Body::Unsound => End::Nowhere,
        }
    }

    fn chunks_end(&self, bytes: &[u8]) -> End {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(line) = find(rest, b"\r\n") else { return End::NeedMore };
            let text = String::from_utf8_lossy(&rest[..line]).into_owned();
            let digits = text.split(';').next().unwrap_or_default().trim();
            at += line + 2;
            let size = if text.contains(';') && self.is(Misreading::ExtensionHidesSize) {
                return End::At(at);
            } else {
                usize::from_str_radix(digits, 16).unwrap_or(usize::MAX)
            };
            match size {
                0 => return self.trailers_end(bytes, at),
                size if size > 1 << 20 => return End::Nowhere,
                size => at += size + 2,
            }
            if at > bytes.len() {
                return End::NeedMore;
            }
            if bytes.get(at - 2..at) != Some(b"\r\n") {
                return End::Nowhere;
            }
        }
    }

    fn trailers_end(&self, bytes: &[u8], mut at: usize) -> End {
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match find(rest, b"\r\n") {
                None => return End::NeedMore,
                Some(0) => return End::At(at + 2),
                Some(_) if self.is(Misreading::TrailersAreRequest) => return End::At(at),
                Some(line) => at += line + 2,
            }
        }
    }
}

impl Head {
    /// Tells whether the request is surely not plain, with what of its body has come: a list of its own, of what servers are known to misread.
    pub(super) fn is_odd(&self, body: Body, rest: &[u8]) -> bool {
        let is_upload = ["POST", "PUT", "PATCH"].contains(&&*self.method);
        let is_usual = is_upload || ["GET", "DELETE", "OPTIONS"].contains(&&*self.method);
        let names = ["expect", "upgrade", "trailer", "x-http-method-override", "x-http-method", "x-method-override"];
        let has_name = self.fields.iter().any(|(name, _)| names.contains(&&*name.replace('_', "-")));
        let has_option = self.values("connection").iter().any(|value| !value.eq_ignore_ascii_case("keep-alive"));
        let has_te = self.values("te").iter().any(|value| !value.eq_ignore_ascii_case("trailers"));
        let is_long = self.length > SHORT_HEAD.0 || self.fields.len() > SHORT_HEAD.1;
        let has_extension =
            body == Body::Chunked && rest.split(|byte| *byte == b'\n').next().is_some_and(|line| line.contains(&b';'));
        let has_trailers = body == Body::Chunked && find(rest, b"\r\n0\r\nX-T").is_some();
        !is_usual
            || self.version != "HTTP/1.1"
            || (!is_upload && body != Body::Length(0))
            || self.values("transfer-encoding").iter().any(|value| *value != "chunked")
            || [has_name, has_option, has_te, is_long, has_extension, has_trailers].contains(&true)
    }

    fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

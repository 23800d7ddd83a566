//! What a client makes of what it was sent, by RFC 9112 and its own view of its requests; written against the RFC and not against the core.
//!
//! In a head it is a pessimist: a line ends at an LF, and white space around a name does not hide it.

use std::fmt;
use std::ops::Range;

/// What a proxy may be told to add to heads.
pub(super) const ADDED: &str = "X-Added: a line";

/// What a client knows of a request that it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its target, which is its label.
    pub target: String,
    /// Its method, as it was sent.
    pub method: String,
    /// Whether it offers to speak the WebSocket protocol.
    pub offers_websocket: bool,
}

/// How a client takes its own methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// To the letter (RFC 9110 §9.1).
    Strict,
    /// In whatever case: it has as much to lose as an origin that does so.
    Folded,
}

/// What a client must never see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A denied line in a head.
    Denied(String),
    /// A response of another request.
    Crossed(String),
    /// No message, where one must be.
    Unreadable(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Denied(what) | Self::Crossed(what) | Self::Unreadable(what)) = self;
        let how = match self {
            Self::Denied(_) => "a denied line in a head",
            Self::Crossed(_) => "a response of another request",
            Self::Unreadable(_) => "not a message",
        };
        write!(formatter, "{how}: {what}")
    }
}

/// What a client has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The final responses that are whole.
    pub(super) complete: usize,
    /// Heads, trailer sections and bodies, and which request each answers.
    parts: Vec<(usize, Part)>,
    /// How reading came to an end but for want of bytes.
    stopped: Option<Broken>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head,
    /// Ours: a status-line, an empty body, and the connection's end.
    Reply,
    Body,
    Trailers,
}

/// Reads what a client was sent, as far as it can be delimited.
#[must_use]
pub(super) fn read(asked: &[Asked], view: View, received: &[u8]) -> Read {
    let mut reader = Reader { asked, view, bytes: received, at: 0, read: Read::default() };
    if let Err(Stop::Wrong(broken)) = reader.responses() {
        reader.read.stopped.get_or_insert(broken);
    }
    reader.read
}

impl Asked {
    fn is_head(&self, view: View) -> bool {
        match view {
            View::Strict => self.method == "HEAD",
            View::Folded => self.method.eq_ignore_ascii_case("HEAD"),
        }
    }
}

impl Read {
    /// Holds that no head has a denied line.
    pub(super) fn nothing_is_denied(&self) -> Result<(), Broken> {
        self.no_head_has(|head| {
            lines(head).any(|line| {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
                name.eq_ignore_ascii_case(b"server") || name.eq_ignore_ascii_case(b"x-powered-by")
            })
        })
    }

    /// Holds that no head has the value of a denied line, which may have stood on a line of its own.
    pub(super) fn nothing_is_secret(&self) -> Result<(), Broken> {
        self.no_head_has(|head| head.windows(6).any(|bytes| bytes == b"SECRET"))
    }

    fn no_head_has(&self, what: impl Fn(&[u8]) -> bool) -> Result<(), Broken> {
        let mut heads = self.parts.iter().map(|(_, part)| part).filter(|part| part.kind != Kind::Body);
        let found = heads.find(|part| what(&part.bytes));
        found.map_or(Ok(()), |part| Err(Broken::Denied(part.bytes.escape_ascii().to_string())))
    }

    /// Holds that what the client could not read was no message of the origin's: the proxy lets none go on that could be read in two ways.
    pub(super) fn all_is_readable(&self) -> Result<(), Broken> {
        self.stopped.clone().map_or(Ok(()), Err)
    }

    /// Holds that each response carries the label of its request, and no other.
    pub(super) fn nothing_has_crossed(&self, asked: &[Asked]) -> Result<(), Broken> {
        for (index, part) in &self.parts {
            let target = asked.get(*index).map(|asked| asked.target.as_str());
            let labels = labels(&part.bytes);
            let is_own = |label: &String| {
                let behind = target.and_then(|target| label.strip_prefix(target));
                // A body may hold what the origin made of the request's own.
                behind.is_some_and(|behind| behind.is_empty() || (part.kind == Kind::Body && behind.starts_with("-in")))
            };
            let is_labelled = !labels.is_empty() || part.kind != Kind::Head;
            if !is_labelled || !labels.iter().all(is_own) {
                let to = target.unwrap_or("nothing");
                return Err(Broken::Crossed(format!("to {to}: {}", part.bytes.escape_ascii())));
            }
        }
        Ok(())
    }
}

/// The labels within: of an `X-Label` line, or between braces.
fn labels(bytes: &[u8]) -> Vec<String> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let after = |mark: &'static str, end: char| {
        let found = text.match_indices(mark).map(move |(at, mark)| at + mark.len());
        // One that was cut short says nothing.
        found.filter_map(|at| text[at..].split_once(end)).map(|(label, _)| label.trim().to_owned()).collect::<Vec<_>>()
    };
    [after("X-Label: ", '\n'), after("{", '}')].concat()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

struct Reader<'a> {
    asked: &'a [Asked],
    view: View,
    bytes: &'a [u8],
    at: usize,
    read: Read,
}

/// How a body ends.
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Why reading came to an end.
enum Stop {
    /// There is no more.
    Short,
    Wrong(Broken),
}

impl Reader<'_> {
    /// Reads one response after another.
    fn responses(&mut self) -> Result<(), Stop> {
        loop {
            let status = self.head()?;
            let index = self.read.complete;
            let asked = self.asked.get(index);
            if status == 101 && asked.is_some_and(|asked| asked.offers_websocket) {
                return Ok(());
            }
            if status == 101 {
                // Some would read on as behind any other 1xx.
                let unasked = || Broken::Unreadable(format!("a 101 that request {index} did not ask for"));
                self.read.stopped.get_or_insert_with(unasked);
            }
            if status < 200 {
                continue;
            }
            let is_bodiless = asked.is_some_and(|asked| asked.is_head(self.view)) || status == 204 || status == 304;
            if !is_bodiless {
                match self.framing()? {
                    Framing::Length(length) => self.body(length)?,
                    Framing::Chunked => self.chunks()?,
                    Framing::UntilClose => return self.body(usize::MAX),
                }
            }
            self.read.complete += 1;
        }
    }

    /// Reads a head and gives its status. A part of one is looked at too.
    fn head(&mut self) -> Result<u16, Stop> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Err(Stop::Short);
        }
        let end = section_end(rest, 0);
        let head = &rest[..end.unwrap_or(rest.len())];
        let is_reply = is_reply(head);
        self.take(if is_reply { Kind::Reply } else { Kind::Head }, head.len());
        if end.is_none() {
            // It says nothing yet of whose it is.
            if let Some((_, part)) = self.read.parts.last_mut() {
                part.kind = Kind::Trailers;
            }
            return Err(Stop::Short);
        }
        status(head).ok_or_else(|| unreadable("no status-line", head))
    }

    /// How the body of the final response ends whose head was just read (RFC 9112 §6.3).
    fn framing(&self) -> Result<Framing, Stop> {
        let head = self.read.parts.last().map(|(_, part)| part.bytes.clone()).unwrap_or_default();
        let values = |name: &[u8]| -> Vec<Vec<u8>> {
            let fields = lines(&head).skip(1).filter_map(|line| split(line, b':'));
            let named = fields.filter(|(found, _)| found.trim_ascii().eq_ignore_ascii_case(name));
            let members = named.flat_map(|(_, value)| value.split(|byte| *byte == b','));
            members.map(|member| member.trim_ascii().to_ascii_lowercase()).collect()
        };
        let (codings, lengths) = (values(b"transfer-encoding"), values(b"content-length"));
        let is_old = head.starts_with(b"HTTP/1.0");
        match (&*codings, &*lengths) {
            ([], []) => Ok(Framing::UntilClose),
            ([], [length]) => {
                let digits =
                    std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let length = digits.and_then(|digits| digits.parse().ok());
                length.map(Framing::Length).ok_or_else(|| unreadable("a length that is none", &head))
            }
            ([], _) => Err(unreadable("more than one length", &head)),
            (_, []) if is_old => Err(unreadable("a coding in HTTP/1.0", &head)),
            ([others @ .., last], []) if others.iter().any(|coding| coding == b"chunked") => {
                Err(unreadable(if last == b"chunked" { "chunked twice" } else { "chunked is not last" }, &head))
            }
            ([.., last], []) => Ok(if last == b"chunked" { Framing::Chunked } else { Framing::UntilClose }),
            (_, [..]) => Err(unreadable("a length and a coding", &head)),
        }
    }

    /// Reads that many bytes of a body.
    fn body(&mut self, length: usize) -> Result<(), Stop> {
        let here = length.min(self.bytes.len() - self.at);
        self.take(Kind::Body, here);
        if here == length { Ok(()) } else { Err(Stop::Short) }
    }

    /// Reads a chunked body (RFC 9112 §7.1).
    fn chunks(&mut self) -> Result<(), Stop> {
        loop {
            let line = self.line()?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let size =
                std::str::from_utf8(&line[..digits]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
            let is_sound = matches!(line[digits..].trim_ascii_start(), [] | [b';', ..]);
            let Some(size) = size.filter(|_| is_sound) else {
                return Err(unreadable("no chunk size", &line));
            };
            if size == 0 {
                break;
            }
            self.body(size)?;
            let line = self.line()?;
            if !line.is_empty() {
                return Err(unreadable("no end of a chunk", &line));
            }
        }
        let rest = &self.bytes[self.at..];
        let end = section_end(rest, 1);
        self.take(Kind::Trailers, end.unwrap_or(rest.len()));
        end.map(drop).ok_or(Stop::Short)
    }

    /// A line of the chunked framing.
    fn line(&mut self) -> Result<Vec<u8>, Stop> {
        let rest = &self.bytes[self.at..];
        let (line, _) = split(rest, b'\n').ok_or(Stop::Short)?;
        self.at += line.len() + 1;
        line.strip_suffix(b"\r").map(<[u8]>::to_vec).ok_or_else(|| unreadable("a bare LF in chunks", line))
    }

    fn take(&mut self, kind: Kind, count: usize) {
        let range: Range<usize> = self.at..self.at + count;
        self.at = range.end;
        self.read.parts.push((self.read.complete, Part { kind, bytes: self.bytes[range].to_vec() }));
    }
}

/// Where a section ends: behind its first empty line, but for so many lines of which the first may be empty.
fn section_end(bytes: &[u8], may_be_empty: usize) -> Option<usize> {
    let mut at = 0;
    let mut count = may_be_empty;
    loop {
        let (line, _) = split(&bytes[at..], b'\n')?;
        at += line.len() + 1;
        if line.trim_ascii().is_empty() && count > 0 {
            return Some(at);
        }
        count += 1;
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = lines(head).next()?;
    let (version, rest) = split(line, b' ')?;
    let digits = rest.get(..3).filter(|_| matches!(version, b"HTTP/1.1" | b"HTTP/1.0"))?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..=999).contains(status))
}

/// Tells whether it is a reply of the proxy's own, which has no label.
fn is_reply(head: &[u8]) -> bool {
    let own = "\r\nContent-Length: 0\r\nConnection: close\r\n";
    let line = [format!("{own}\r\n"), format!("{own}{ADDED}\r\n\r\n")];
    let line = line.iter().find_map(|own| head.strip_suffix(own.as_bytes()));
    line.is_some_and(|line| line.starts_with(b"HTTP/1.1 ") && !line.contains(&b'\n'))
}

fn unreadable(what: &str, bytes: &[u8]) -> Stop {
    Stop::Wrong(Broken::Unreadable(format!("{what}: {}", bytes.escape_ascii())))
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(targets: &[&str]) -> Vec<Asked> {
        let asked = |target: &&str| Asked {
            target: target.trim_start_matches("HEAD ").to_owned(),
            method: if target.starts_with("HEAD ") { "HEAD" } else { "Head" }.to_owned(),
            offers_websocket: target.ends_with("ws"),
        };
        targets.iter().map(asked).collect()
    }

    #[test]
    fn messages_are_delimited_by_the_requests_they_answer() {
        let asked = asked(&["HEAD /0", "/1", "/2"]);
        let bytes = b"HTTP/1.1 200 OK\r\nX-Label: /0\r\nContent-Length: 9\r\n\r\n\
            HTTP/1.1 103 Early\r\nX-Label: /1\r\n\r\nHTTP/1.1 200 OK\r\nX-Label: /1\r\nContent-Length: 4\r\n\r\n{/1}\
            HTTP/1.1 200 OK\r\nX-Label: /2\r\nTransfer-Encoding: chunked\r\n\r\n4 ;a\r\n{/2}\r\n0\r\nX-Label: /2\r\n\r\n";
        let read = read(&asked, View::Strict, bytes);
        assert_eq!((read.complete, &read.stopped), (3, &None));
        read.nothing_has_crossed(&asked).and(read.nothing_is_denied()).expect("all is well");
    }

    #[test]
    fn denied_lines_are_found_wherever_a_head_may_be() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for bytes in [
            "HTTP/1.1 200 OK\r\nServer: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\tX-POWERED-BY : a\r\n\r\n",
            "HTTP/1.1 200 OK\nserver: a\n\n",
            "HTTP/1.1 103 Early\r\nServer: a",
            "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nServer: a\r\n",
            &format!("{chunked}0\r\nServer: a\r\n"),
            "nonsense\r\nServer: a\r\n\r\n",
        ] {
            assert!(
                matches!(
                    read(&asked(&["/0"]), View::Strict, bytes.as_bytes()).nothing_is_denied(),
                    Err(Broken::Denied(_))
                ),
                "{bytes:?}"
            );
        }
        for bytes in [
            "HTTP/1.1 200 OK\r\n\r\nServer: SECRET\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n\r\nServer: SECRET\r\n\r\n",
            &format!("{chunked}11\r\nServer: SECRET\r\n\r\n"),
        ] {
            assert_eq!(read(&asked(&["/0"]), View::Strict, bytes.as_bytes()).nothing_is_denied(), Ok(()), "{bytes:?}");
        }
        let secret = "HTTP/1.1 200 OK\r\nX: a\r\n SECRET\r\n\r\n";
        assert!(read(&asked(&["/0"]), View::Strict, secret.as_bytes()).nothing_is_secret().is_err());
        let switched = "HTTP/1.1 101 Switching\r\nX-Label: /ws\r\n\r\nServer: SECRET\r\n\r\n";
        assert_eq!(read(&asked(&["/ws"]), View::Strict, switched.as_bytes()).nothing_is_denied(), Ok(()));
        assert!(read(&asked(&["/0"]), View::Strict, switched.as_bytes()).nothing_is_denied().is_err());
    }

    #[test]
    fn a_label_of_another_is_found_in_head_body_and_trailers() {
        let asked = asked(&["/0", "/1"]);
        let head = "HTTP/1.1 200 OK\r\nX-Label: /0\r\n";
        for (bytes, is_own) in [
            (format!("{head}\r\n{{/0}}"), true),
            (format!("{head}\r\n{{/0-in}}"), true),
            (
                format!(
                    "{head}Content-Length: 0\r\n\r\nHTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ),
                true,
            ),
            (format!("{head}Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-Label"), true),
            ("HTTP/1.1 200 OK\r\nX-Label: /0-in\r\n\r\n".to_owned(), false),
            ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), false),
            (format!("{head}\r\n{{/1}}"), false),
            (format!("{head}\r\nX-Label: /1\r\n"), false),
            (format!("{head}Content-Length: 0\r\n\r\n{head}\r\n"), false),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\nX-Label: /1\r\n\r\n"), false),
        ] {
            assert_eq!(
                read(&asked, View::Strict, bytes.as_bytes()).nothing_has_crossed(&asked).is_ok(),
                is_own,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for bytes in [
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert!(read(&asked(&["/0"]), View::Strict, bytes.as_bytes()).all_is_readable().is_err(), "{bytes:?}");
        }
    }
}

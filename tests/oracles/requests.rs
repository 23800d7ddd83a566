//! What an origin makes of the requests that headsnip sends it.

use headsnip::testing::End;

use crate::accepted::{Bytes, Differences};
use crate::exchanges::Driving;
use crate::message::{Kind, Message, Read, hexadecimal};
use crate::reader::Reader;

/// On each connection the origin finds the requests that headsnip sent there, with the same bodies, and nothing else.
pub(crate) fn check(reader: &mut Reader, differences: &mut Differences, driving: &Driving<'_>) -> Result<(), String> {
    let driven = &driving.driven;
    let connections = &driven.outcome.to_origin;
    let mut heads = driven.heads.iter().copied().peekable();
    let mut passed = 0;
    for (index, bytes) in connections.iter().enumerate() {
        let here = std::iter::from_fn(|| heads.next_if(|head| *head < passed + bytes.len()));
        let again = driven.replayed.contains(&index).then_some(0);
        let mut connection = Connection {
            bytes,
            starts: again.into_iter().chain(here.map(|head| head - passed)).collect(),
            // What is sent once more may be whole only then.
            is_last_whole: (!driven.replayed.contains(&(index + 1))).then_some(true),
            is_switched: false,
        };
        passed += bytes.len();
        if index + 1 == connections.len() {
            connection.is_last_whole = is_last_whole(driving);
            connection.is_switched = driven.outcome.to_client.windows(12).any(|bytes| bytes == b"HTTP/1.1 101");
        }
        connection.check(reader, differences)?;
    }
    Ok(())
}

/// Whether the last request that went inbound is whole, where that can be told.
fn is_last_whole(driving: &Driving<'_>) -> Option<bool> {
    let is_answered = driving.exchanges.last().is_none_or(|exchange| !driving.has_no_final(exchange));
    match driving.driven.outcome.end {
        // It broke within its body.
        End::Reply(400..500) if !is_answered => Some(false),
        End::Reply(400..500) => Some(true),
        _ if driving.is_idle => Some(true),
        End::Open | End::Closed | End::Reply(_) | End::Cut | End::Reset | End::OriginDropped => None,
    }
}

/// What went to the origin by one of its connections.
struct Connection<'a> {
    bytes: &'a [u8],
    /// Where its requests begin.
    starts: Vec<usize>,
    is_last_whole: Option<bool>,
    /// Whether it ends in a tunnel.
    is_switched: bool,
}

impl Connection<'_> {
    fn check(&self, reader: &mut Reader, differences: &mut Differences) -> Result<(), String> {
        if self.starts.first() != Some(&0) {
            return Err(format!("no request begins a connection: {}", self.bytes.escape_ascii()));
        }
        let mut from = 0;
        while let Some(start) = self.starts.get(from) {
            let read = reader.requests(&self.bytes[*start..])?;
            let first = from;
            let mut is_sound = true;
            // Behind one that the oracle does not take, another reader goes on.
            while is_sound && from < self.starts.len() {
                let checked = self.check_request(&read, first, from);
                is_sound = checked.is_ok();
                let request = self.request(from);
                differences
                    .settle(Kind::Request, checked, &Bytes { asked: "", message: request })
                    .map_err(|difference| format!("request {}: {difference}\n  {:?}", request.escape_ascii(), read))?;
                from += 1;
            }
            let is_last_read = read.messages.last().is_none_or(|message| message.end.is_some());
            let has_more = read.messages.len() > from - first || (read.error.is_some() && is_last_read);
            if is_sound && has_more && !self.is_switched {
                return Err(format!("the origin finds more than {}: {read:?}", self.bytes.escape_ascii()));
            }
        }
        Ok(())
    }

    /// One request, and what went behind it.
    fn request(&self, index: usize) -> &[u8] {
        let end = self.starts.get(index + 1).copied().unwrap_or(self.bytes.len());
        &self.bytes[self.starts[index]..end]
    }

    /// Checks what was read of one request; `first` is the one where the reader began.
    fn check_request(&self, read: &Read, first: usize, index: usize) -> Result<(), String> {
        let wanted = Request::of(self.request(index));
        let Some(found) = read.messages.get(index - first) else {
            return Err(read.error.clone().unwrap_or_else(|| "the origin finds no request".to_owned()));
        };
        self.check_end(read, first, index, found, &wanted.body)?;
        if found.start == wanted.start { Ok(()) } else { Err("the start differs".to_owned()) }
    }

    /// Checks where a request ends, and its body.
    fn check_end(&self, read: &Read, first: usize, index: usize, found: &Message, body: &[u8]) -> Result<(), String> {
        let is_last = index + 1 == self.starts.len();
        let is_whole = if is_last { self.is_last_whole } else { Some(true) };
        let Some(end) = found.end else {
            return match &read.error {
                Some(error) if is_whole != Some(false) => Err(error.clone()),
                // Both refuse it.
                Some(_) if body.starts_with(&found.body) => Ok(()),
                None if is_whole == Some(true) => Err("the origin finds no end of the request".to_owned()),
                None if body == found.body => Ok(()),
                Some(_) | None => Err("the body differs".to_owned()),
            };
        };
        if is_whole == Some(false) {
            return Err("a request that was refused looks complete".to_owned());
        }
        if is_last && self.is_switched {
            // What is behind it is another protocol's.
            return if body.starts_with(&found.body) { Ok(()) } else { Err("the body differs".to_owned()) };
        }
        let end = self.starts[first] + end;
        if end != self.starts[index] + self.request(index).len() {
            return Err(format!("the origin ends the request after {end} bytes of the connection"));
        }
        if found.body == body { Ok(()) } else { Err("the body differs".to_owned()) }
    }
}

/// A request, by the plainest of readings. Its grammar is known to be sound.
struct Request {
    /// As a reader says it.
    start: String,
    /// With what follows, if its length is not that of chunks.
    body: Vec<u8>,
}

impl Request {
    fn of(bytes: &[u8]) -> Self {
        let (head, body) = split(bytes, b"\r\n\r\n").unwrap_or((bytes, &[]));
        let mut line = head.split(|byte| *byte == b' ' || *byte == b'\r');
        let mut word = || line.next().unwrap_or_default();
        let (method, target) = (hexadecimal(word()), hexadecimal(word()));
        let version = String::from_utf8_lossy(word().strip_prefix(b"HTTP/").unwrap_or_default()).into_owned();
        let is_chunked = head.to_ascii_lowercase().windows(20).any(|bytes| bytes == b"\r\ntransfer-encoding:");
        Self {
            start: format!("{method} {target} {version}"),
            body: if is_chunked { decoded(body) } else { body.to_vec() },
        }
    }
}

/// The data of a chunked body, as far as it goes.
fn decoded(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some((line, rest)) = split(body, b"\r\n") {
        let digits: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or(0);
        let here = size.min(rest.len());
        data.extend_from_slice(&rest[..here]);
        if size == 0 {
            break;
        }
        body = rest.get(here + 2..).unwrap_or_default();
    }
    data
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

//! Reads HTTP/1.1 responses to their end and keeps every byte, sorted into heads, bodies and trailer sections.
//!
//! Written without a look at the proxy: it is the judge. It is strict where the proxy must be exact (CRLF, lengths) and
//! knows the method of the request, without which a response has no end.

use std::io::{ErrorKind, Read};

/// The longest line of a head; the servers here send lines of less than a hundred bytes.
const LINE_LIMIT: usize = 16 * 1024;

/// How much is asked of the socket at once.
const READ_SIZE: usize = 64 * 1024;

/// A part of what came over the connection, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// From the status line to the empty line.
    Head(Vec<u8>),
    /// Body bytes; of a chunked body also its chunk lines, up to and with the last one (`0`).
    Body(Vec<u8>),
    /// After the last chunk: trailer lines, if any, and the empty line.
    Trailers(Vec<u8>),
    /// After a 101, until close.
    Tunnel(Vec<u8>),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The message is complete and the connection stays open.
    Open,
    /// The message is complete and the connection was closed.
    Closed,
    /// The connection was closed or reset within the body.
    Cut,
    /// A 101: what follows is not HTTP.
    Switched,
}

/// One final response with the informational ones before it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: End,
}

/// Reads one connection from its beginning.
pub(crate) struct Reader<R> {
    source: R,
    /// Read and not yet taken.
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// The next response to a request of that method. Where it says that the connection closes, the close is awaited.
    pub(crate) fn response(&mut self, method: &str) -> Result<Response, String> {
        let mut pieces = Vec::new();
        loop {
            let head = self.head()?;
            let status = status(&head)?;
            pieces.push(Piece::Head(head.clone()));
            if status == 101 {
                return Ok(Response { pieces, end: End::Switched });
            }
            if status >= 200 {
                let end = self.body(method, status, &head, &mut pieces)?;
                return Ok(Response { pieces, end });
            }
        }
    }

    /// The next head, whatever its status.
    pub(crate) fn head(&mut self) -> Result<Vec<u8>, String> {
        let mut head = Vec::new();
        loop {
            let line = self.line()?;
            head.extend_from_slice(&line);
            if line == b"\r\n" {
                return Ok(head);
            }
        }
    }

    /// Waits until `needle` has come in; takes nothing.
    pub(crate) fn until_seen(&mut self, needle: &[u8]) -> Result<(), String> {
        while !self.buffer.windows(needle.len()).any(|window| window == needle) {
            self.fill()?.ok_or_else(|| format!("closed before {:?} came", needle.escape_ascii().to_string()))?;
        }
        Ok(())
    }

    /// Exactly that many bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.buffer.len() < length {
            let came = self.buffer.len();
            self.fill()?.ok_or_else(|| format!("closed after {came} of {length} bytes"))?;
        }
        Ok(self.take(length))
    }

    /// All bytes until the other side closes.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, String> {
        while self.fill()?.is_some() {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads the body by the rules of RFC 9112 section 6.3 and tells how it ended.
    fn body(&mut self, method: &str, status: u16, head: &[u8], pieces: &mut Vec<Piece>) -> Result<End, String> {
        let last = value(head, "connection").is_some_and(|text| text.eq_ignore_ascii_case("close"))
            || head.starts_with(b"HTTP/1.0");
        if method == "HEAD" || status == 204 || status == 304 {
            return self.finish(last);
        }
        if value(head, "transfer-encoding").is_some_and(|text| text.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            let chunks = self.chunks(&mut body);
            pieces.push(Piece::Body(body));
            if chunks.is_err() {
                return Ok(End::Cut);
            }
            pieces.push(Piece::Trailers(self.head()?));
            return self.finish(last);
        }
        if let Some(text) = value(head, "content-length") {
            let length = text.parse().map_err(|error| format!("Content-Length {text:?}: {error}"))?;
            let Ok(body) = self.exactly(length) else {
                pieces.push(Piece::Body(std::mem::take(&mut self.buffer)));
                return Ok(End::Cut);
            };
            pieces.push(Piece::Body(body));
            return self.finish(last);
        }
        pieces.push(Piece::Body(self.rest()?));
        Ok(End::Closed)
    }

    /// Reads chunks up to the line of the last one. On an error `body` holds what came before it.
    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let line = self.line()?;
            body.extend_from_slice(&line);
            let text = String::from_utf8_lossy(&line);
            let size = text.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size, 16).map_err(|error| format!("chunk line {text:?}: {error}"))?;
            if size == 0 {
                return Ok(());
            }
            let chunk = self.exactly(size + 2)?;
            body.extend_from_slice(&chunk);
            if !chunk.ends_with(b"\r\n") {
                return Err(format!("a chunk of {size} bytes does not end in CRLF"));
            }
        }
    }

    /// After a complete message: if it is the last one, the connection must close without another byte.
    fn finish(&mut self, last: bool) -> Result<End, String> {
        if !last {
            return Ok(End::Open);
        }
        // A server that closes with the request unread resets; what it said has arrived before that.
        let after = self.rest().unwrap_or_default();
        if after.is_empty() { Ok(End::Closed) } else { Err(format!("{} bytes after the last message", after.len())) }
    }

    fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.take(searched + at + 2));
            }
            if self.buffer.len() > LINE_LIMIT {
                return Err(format!("no line end within {LINE_LIMIT} bytes"));
            }
            searched = self.buffer.len().saturating_sub(1);
            let came = self.buffer.escape_ascii().to_string();
            self.fill()?.ok_or_else(|| format!("closed within a line, after {came:?}"))?;
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads some more; `None` at the end.
    fn fill(&mut self) -> Result<Option<()>, String> {
        let old = self.buffer.len();
        self.buffer.resize(old + READ_SIZE, 0);
        let result = loop {
            match self.source.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(())),
            Err(error) => Err(format!("cannot read: {error}")),
        }
    }
}

/// The status code of a head.
pub(crate) fn status(head: &[u8]) -> Result<u16, String> {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    code.and_then(|code| code.parse().ok()).ok_or_else(|| format!("not a status line: {line:?}"))
}

/// The lines of a head or trailer section, each with its CRLF.
pub(crate) fn lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.split_inclusive(|&byte| byte == b'\n')
}

/// The name of a field line, as sent.
pub(crate) fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some(&line[..colon])
}

/// The value of the first field line of that name.
pub(crate) fn value(section: &[u8], wanted: &str) -> Option<String> {
    let line =
        lines(section).find(|line| name(line).is_some_and(|name| name.eq_ignore_ascii_case(wanted.as_bytes())))?;
    Some(String::from_utf8_lossy(&line[wanted.len() + 1..]).trim().to_owned())
}

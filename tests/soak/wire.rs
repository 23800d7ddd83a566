//! The bytes of an exchange: what a plan's request and response look like, and which of them must not pass.

use std::ops::Range;

use super::plan::{After, Fault, Framing, Method, Plan, Random, Upload};

/// Lines that must go.
const DENIED: [&str; 10] = [
    "Server: uvicorn",
    "server: a",
    "SERVER:",
    "sErVeR:\t spaced \t",
    "Server: a, b; c=\"d: e\"",
    "Server: \u{e9}\u{2713}",
    "X-Powered-By: Express",
    "x-powered-by:PHP/8",
    "X-POWERED-BY: Server: a",
    "X-Powered-By: Content-Length: 9",
];

/// Lines that must stay.
const KEPT: [&str; 12] = [
    "Server-Timing: a;dur=1",
    "X-Server: a",
    "Serve: r",
    "Servers: many",
    "X-Powered-By-: a",
    "X_Powered_By: a",
    "X-Note: Server: a",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT",
    "Set-Cookie: a=b; Path=/",
    "Set-Cookie: a=c",
    "Empty:",
    "vary:  Accept ,Origin",
];

/// A request as the origin must see it.
pub(crate) struct Request {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// A response as the origin sends it.
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    /// In order; each a whole line.
    denied: Vec<Range<usize>>,
    pub(crate) final_head: Range<usize>,
}

/// Bytes that depend on the number and on their offset.
pub(crate) fn fill(id: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(!id);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Request {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut random = Random::new(plan.id.rotate_left(1));
        let method = match plan.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
        };
        let mut lines = vec!["Host: soak".to_owned()];
        let body = match plan.upload {
            Upload::Nothing => Vec::new(),
            Upload::Length(length) => {
                lines.push(format!("Content-Length: {length}"));
                fill(plan.id, length)
            }
            Upload::Chunked(length) => {
                lines.push("Transfer-Encoding: chunked".to_owned());
                let mut body = chunked(&mut random, &fill(plan.id, length));
                // Denied in responses only.
                let trailers = ["", "A: b\r\n", "Server: of the client\r\n"];
                body.extend_from_slice(format!("{}\r\n", random.pick(&trailers)).as_bytes());
                body
            }
        };
        for _ in 0..random.below(4) {
            let line = if random.one_in(2) { random.pick(&DENIED) } else { random.pick(&KEPT) };
            lines.insert(random.below(lines.len() + 1), line.to_owned());
        }
        let head = format!("{method} /{:016x} HTTP/1.1\r\n{}\r\n\r\n", plan.id, lines.join("\r\n"));
        Self { head: head.into_bytes(), body }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.body].concat()
    }
}

impl Response {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut random = Random::new(plan.id.rotate_left(2));
        let mut response = Self { bytes: Vec::new(), denied: Vec::new(), final_head: 0..0 };
        for _ in 0..plan.interims {
            let status = random.pick(&["100 Continue", "102 Processing", "103 Early Hints"]);
            response.head(&mut random, status, Vec::new());
        }
        let content = fill(plan.id.rotate_left(3), plan.length);
        let mut lines = Vec::new();
        let status = match plan.framing {
            Framing::NoContent => "204 No Content",
            Framing::NotModified => "304 Not Modified",
            Framing::Length | Framing::Chunked | Framing::UntilClose => {
                random.pick(&["200 OK", "201 Created", "404 Not Found", "500 ", "299 a  b"])
            }
        };
        match plan.framing {
            Framing::Length => lines.push(format!("Content-Length: {}", plan.length)),
            Framing::NotModified if random.one_in(2) => lines.push(format!("Content-Length: {}", plan.length)),
            Framing::Chunked => lines.push("Transfer-Encoding: chunked".to_owned()),
            Framing::UntilClose | Framing::NoContent | Framing::NotModified => {}
        }
        match plan.after {
            After::Close if plan.framing == Framing::UntilClose && random.one_in(2) => {}
            After::Close => lines.push("Connection: close".to_owned()),
            After::Keep | After::IdleClose(_) if random.one_in(5) => lines.push("connection: keep-alive".to_owned()),
            After::Keep | After::IdleClose(_) => {}
        }
        response.head(&mut random, status, lines);
        if plan.method == Method::Head {
            return response;
        }
        match plan.framing {
            Framing::Length | Framing::UntilClose => response.bytes.extend_from_slice(&content),
            Framing::Chunked => {
                response.bytes.extend_from_slice(&chunked(&mut random, &content));
                response.lines(&mut random, Vec::new());
            }
            Framing::NoContent | Framing::NotModified => {}
        }
        response
    }

    fn head(&mut self, random: &mut Random, status: &str, lines: Vec<String>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        self.lines(random, lines);
        self.final_head = start..self.bytes.len();
    }

    /// These lines and random ones, then the empty line.
    fn lines(&mut self, random: &mut Random, lines: Vec<String>) {
        let mut lines: Vec<_> = lines.into_iter().map(|line| (line, false)).collect();
        for _ in 0..random.below(6) {
            let line = if random.one_in(2) { (random.pick(&DENIED), true) } else { (random.pick(&KEPT), false) };
            lines.insert(random.below(lines.len() + 1), (line.0.to_owned(), line.1));
        }
        for (line, is_denied) in lines {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(line.as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
            if is_denied {
                self.denied.push(start..self.bytes.len());
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// What may be seen of the first `end` bytes.
    pub(crate) fn kept(&self, end: usize) -> Vec<u8> {
        let mut kept = Vec::with_capacity(end);
        let mut from = 0;
        for line in self.denied.iter().filter(|line| line.start < end) {
            kept.extend_from_slice(&self.bytes[from..line.start]);
            from = line.end;
        }
        kept.extend_from_slice(&self.bytes[from.min(end)..end]);
        kept
    }

    /// Where the fault of the plan happens: often at an edge.
    pub(crate) fn cut(&self, plan: &Plan) -> usize {
        if plan.fault == Fault::Nothing {
            return self.bytes.len();
        }
        let mut random = Random::new(plan.id.rotate_left(4));
        let head = &self.final_head;
        let anywhere = random.below(self.bytes.len());
        let last = self.bytes.len() - 1;
        let edges = [0, 1, head.start, head.start + 9, head.end - 1, head.end, last - 1, last];
        let cut = if random.one_in(2) { random.pick(&edges) } else { anywhere };
        cut.min(last)
    }
}

/// A chunked body up to the line of the last chunk; the trailer section is to follow.
fn chunked(random: &mut Random, content: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(content.len() + content.len() / 16 + 64);
    let mut rest = content;
    while !rest.is_empty() {
        let most = random.pick(&[8, 600, 5_000, 70_000, 300_000]);
        let (chunk, after) = rest.split_at(rest.len().min(1 + random.below(most)));
        let size = match random.below(4) {
            0 => format!("{:X}", chunk.len()),
            1 => format!("{:05x}", chunk.len()),
            _ => format!("{:x}", chunk.len()),
        };
        let extension = random.pick(&["", "", "", ";a", ";a=b", ";a=\"Server: b\""]);
        framed.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = after;
    }
    framed.extend_from_slice(random.pick(&["0\r\n", "0\r\n", "000\r\n", "0;last\r\n"]).as_bytes());
    framed
}

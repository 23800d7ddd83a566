//! The bytes of an exchange: what a plan's request and response look like, and which of them must not pass.

use std::ops::Range;

use super::plan::{After, Fault, Framing, Method, Plan, Random, Timing, Upload};

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

/// The same, in forms that have the origin's connection end with the response.
const ODDLY_DENIED: [&str; 2] = ["Server : uvicorn", "X-Powered-By: a\r\n\tb"];

/// Lines that are mended in a response, and what must go of each.
const MENDED: [(&str, Range<usize>); 3] =
    [("X-Space \t: a", 7..9), ("X-Fold: a\r\n b", 9..11), ("X-Server:\r\n Server: a", 9..11)];

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

/// Gives way where the proxy has the response say that it closes.
const KEEP_ALIVE: &str = "connection: keep-alive";

/// A request as the origin must see it.
pub(crate) struct Request {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// Whether nothing may follow it on its origin connection.
    is_alone: bool,
}

/// A response as the origin sends it.
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    /// What must not pass, in order.
    withheld: Vec<Range<usize>>,
    /// Where the first head ends.
    pub(crate) first_head: usize,
    pub(crate) final_head: Range<usize>,
    /// The line of the final head that says keep-alive.
    keep_alive: Option<Range<usize>>,
    is_mended: bool,
    /// The final one.
    status: &'static str,
}

/// What becomes of a line of a response.
enum Line {
    Stays(String),
    Goes(String),
    /// Goes, and shows that the response is not sound.
    GoesAsMended(String),
    IsMended(&'static str, Range<usize>),
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

/// Whether nothing may follow the exchange on its origin connection, however its bytes come.
pub(crate) fn is_alone(plan: &Plan, request: &Request, response: &Response) -> bool {
    let has_body = !matches!(plan.upload, Upload::Nothing | Upload::Length(0));
    let is_framed_304 = plan.framing == Framing::NotModified && response.names_length();
    request.is_alone || response.is_mended || (has_body && !response.status.starts_with('2')) || is_framed_304
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
        let mut is_alone = plan.method == Method::Head || plan.expects;
        let body = match plan.upload {
            Upload::Nothing => Vec::new(),
            Upload::Length(length) => {
                lines.push(format!("Content-Length: {length}"));
                fill(plan.id, length)
            }
            Upload::Chunked(length) => {
                lines.push("Transfer-Encoding: chunked".to_owned());
                let mut body = chunked(&mut random, &fill(plan.id, length), &mut is_alone);
                // Denied in responses only.
                let trailer = random.pick(&["", "", "A: b\r\n", "Server: of the client\r\n"]);
                is_alone |= !trailer.is_empty();
                body.extend_from_slice(format!("{trailer}\r\n").as_bytes());
                body
            }
        };
        if plan.expects {
            lines.push("Expect: 100-continue".to_owned());
        }
        for _ in 0..random.below(4) {
            let line = if random.one_in(2) { random.pick(&DENIED) } else { random.pick(&KEPT) };
            lines.insert(random.below(lines.len() + 1), line.to_owned());
        }
        let head = format!("{method} /{:016x} HTTP/1.1\r\n{}\r\n\r\n", plan.id, lines.join("\r\n"));
        Self { head: head.into_bytes(), body, is_alone }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.body].concat()
    }
}

impl Response {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut random = Random::new(plan.id.rotate_left(2));
        let mut response = Self {
            bytes: Vec::new(),
            withheld: Vec::new(),
            first_head: 0,
            final_head: 0..0,
            keep_alive: None,
            is_mended: false,
            status: "",
        };
        for index in 0..plan.interims {
            let is_leave = index == 0 && plan.expects;
            let others = ["100 Continue", "102 Processing", "103 Early Hints"];
            let status = if is_leave { "100 Continue" } else { random.pick(&others) };
            let is_odd = random.one_in(20);
            let lines = is_odd.then(|| Line::GoesAsMended("Content-Length: 5".to_owned()));
            response.head(&mut random, status, lines.into_iter().collect());
        }
        let content = fill(plan.id.rotate_left(3), plan.length);
        let status = match plan.framing {
            Framing::NoContent => "204 No Content",
            Framing::NotModified => "304 Not Modified",
            Framing::Length | Framing::Chunked | Framing::UntilClose if plan.timing == Timing::EarlyClose => {
                "413 Content Too Large"
            }
            Framing::Length | Framing::Chunked | Framing::UntilClose => {
                random.pick(&["200 OK", "201 Created", "303 See Other", "404 Not Found", "500 ", "299 a  b"])
            }
        };
        let lines = Response::framing_lines(plan, &mut random);
        response.head(&mut random, status, lines);
        if plan.method == Method::Head {
            return response;
        }
        match plan.framing {
            Framing::Length | Framing::UntilClose => response.bytes.extend_from_slice(&content),
            Framing::Chunked => {
                response.bytes.extend_from_slice(&chunked(&mut random, &content, &mut false));
                response.lines(&mut random, Vec::new());
            }
            Framing::NoContent | Framing::NotModified => {}
        }
        response
    }

    /// The lines that say how long the body is, and what becomes of the connection.
    fn framing_lines(plan: &Plan, random: &mut Random) -> Vec<Line> {
        let mut lines = Vec::new();
        let length = Line::Stays(format!("Content-Length: {}", plan.length));
        let has_body = plan.method != Method::Head;
        match plan.framing {
            Framing::Length => {
                lines.push(length);
                if has_body && random.one_in(30) {
                    lines.push(Line::GoesAsMended(format!("content-length: {}", plan.length)));
                }
            }
            Framing::NotModified if random.one_in(2) => lines.push(length),
            Framing::Chunked => {
                lines.push(Line::Stays("Transfer-Encoding: chunked".to_owned()));
                if has_body && random.one_in(20) {
                    lines.push(Line::GoesAsMended("Content-Length: 77".to_owned()));
                }
            }
            Framing::NoContent if random.one_in(10) => {
                lines.push(Line::GoesAsMended("Transfer-Encoding: chunked".to_owned()));
            }
            Framing::UntilClose | Framing::NoContent | Framing::NotModified => {}
        }
        match plan.after {
            After::Close if plan.framing == Framing::UntilClose && random.one_in(2) => {}
            After::Close => lines.push(Line::Stays("Connection: close".to_owned())),
            After::Keep | After::IdleClose(_) if random.one_in(5) => {
                lines.push(Line::Stays(KEEP_ALIVE.to_owned()));
            }
            After::Keep | After::IdleClose(_) => {}
        }
        lines
    }

    fn head(&mut self, random: &mut Random, status: &'static str, lines: Vec<Line>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        self.lines(random, lines);
        self.final_head = start..self.bytes.len();
        self.status = status;
        if start == 0 {
            self.first_head = self.bytes.len();
        }
    }

    /// These lines and random ones, the first line staying before all others of its kind; then the empty line.
    fn lines(&mut self, random: &mut Random, lines: Vec<Line>) {
        let mut lines: Vec<_> = lines.into_iter().collect();
        for _ in 0..random.below(6) {
            let line = match random.below(60) {
                0 => Line::GoesAsMended(random.pick(&ODDLY_DENIED).to_owned()),
                1 => {
                    let (line, range) = MENDED[random.below(MENDED.len())].clone();
                    Line::IsMended(line, range)
                }
                2..30 => Line::Goes(random.pick(&DENIED).to_owned()),
                _ => Line::Stays(random.pick(&KEPT).to_owned()),
            };
            lines.insert(random.below(lines.len() + 1), line);
        }
        for line in lines {
            self.line(&line);
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, line: &Line) {
        let start = self.bytes.len();
        let text = match line {
            Line::Stays(text) | Line::Goes(text) | Line::GoesAsMended(text) => text,
            Line::IsMended(text, _) => *text,
        };
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        let place = start..self.bytes.len();
        match line {
            Line::Stays(text) if text == KEEP_ALIVE => self.keep_alive = Some(place),
            Line::Stays(_) => {}
            Line::Goes(_) => self.withheld.push(place),
            Line::GoesAsMended(_) => {
                self.withheld.push(place);
                self.is_mended = true;
            }
            Line::IsMended(_, range) => {
                self.withheld.push(start + range.start..start + range.end);
                self.is_mended = true;
            }
        }
    }

    /// The same, once the proxy has had it say that it closes.
    pub(crate) fn closing(mut self) -> Self {
        const LINE: &[u8] = b"Connection: close\r\n";
        let end = self.final_head.end - 2;
        self.bytes.splice(end..end, LINE.iter().copied());
        self.final_head.end += LINE.len();
        for place in self.withheld.iter_mut().filter(|place| place.start >= end) {
            *place = place.start + LINE.len()..place.end + LINE.len();
        }
        self.withheld.extend(self.keep_alive.take());
        self.withheld.sort_by_key(|place| place.start);
        self
    }

    fn names_length(&self) -> bool {
        self.bytes[self.final_head.clone()].windows(16).any(|bytes| bytes == b"\r\nContent-Length")
    }

    /// What may be seen of the first `end` bytes.
    pub(crate) fn kept(&self, end: usize) -> Vec<u8> {
        let mut kept = Vec::with_capacity(end);
        let mut from = 0;
        for place in self.withheld.iter().filter(|place| place.start < end) {
            kept.extend_from_slice(&self.bytes[from..place.start]);
            from = place.end;
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
fn chunked(random: &mut Random, content: &[u8], has_extensions: &mut bool) -> Vec<u8> {
    let is_odd = random.one_in(2);
    let is_flood = content.len() < 200_000 && random.one_in(6);
    let mut framed = Vec::with_capacity(content.len() + content.len() / 16 + 64);
    let mut rest = content;
    while !rest.is_empty() {
        let most = if is_flood { 3 } else { random.pick(&[8, 600, 5_000, 70_000, 300_000]) };
        let (chunk, after) = rest.split_at(rest.len().min(1 + random.below(most)));
        let size = match random.below(4) {
            0 => format!("{:X}", chunk.len()),
            1 => format!("{:05x}", chunk.len()),
            _ => format!("{:x}", chunk.len()),
        };
        let extension = if is_odd { random.pick(&["", "", "", ";a", ";a=b", ";a=\"Server: b\""]) } else { "" };
        *has_extensions |= !extension.is_empty();
        framed.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = after;
    }
    let last = if is_odd { random.pick(&["0\r\n", "000\r\n", "0;last\r\n"]) } else { "0\r\n" };
    *has_extensions |= last.contains(';');
    framed.extend_from_slice(last.as_bytes());
    framed
}

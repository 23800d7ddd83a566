//! A client: a row of requests, each sound or with a twist, and how it sends them.
//!
//! A request's body looks like another request, so that an origin that does not read it as a body shows. `-in` ends that request's label.
//!
//! The letters of a request: `h` HEAD, `p` POST, `u` PUT, `a` PATCH, `d` DELETE, `o` OPTIONS, `x` others, else GET; `c` in another case. `l` a body with
//! a length, `k` in chunks, `j` another body; `n` an odd length, `t` an odd coding, `e` an odd chunk line, `r` trailers. `q` Expect, `w` Upgrade, `v`
//! a method override, `b` other fields, `m` HTTP/1.0, `z` a long head, `s` something behind it. `f` the body comes later, `y` it comes in two pieces.

use super::letters::Line;
use super::reader::Asked;

/// What a client does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It sends bytes.
    Bytes(Vec<u8>),
    /// It waits until so many responses are whole, and says nothing more if they do not come.
    Await(usize),
    /// It waits until nothing moves.
    Turn,
    /// It shuts down writing.
    Fin,
    /// It resets the connection.
    Reset,
}

/// How a client sends its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Each when nothing moves, answered or not.
    Turns,
    /// Each behind the response to the one before it.
    Waits,
    /// All at once.
    Pipelines,
}

/// How a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It waits.
    Nothing,
    Fin,
    Reset,
}

/// The requests of these lines, and the pieces in which a client sends them.
pub(super) fn requests(lines: &[Line], habit: Habit, last: Last) -> (Vec<Asked>, Vec<Piece>) {
    let mut pieces = Vec::new();
    let mut asked = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let request = Request::of(line, index);
        asked.push(request.asked());
        let bytes = request.bytes();
        match habit {
            Habit::Pipelines => {}
            Habit::Turns => pieces.push(Piece::Turn),
            Habit::Waits => pieces.push(Piece::Await(index)),
        }
        let head = head_length(&bytes);
        let cut = match line.count(b'y') {
            0 if line.has(b'f') => head,
            0 => bytes.len(),
            // Within the head, within the body, and a byte before the end.
            1 => head / 2,
            2 => head.midpoint(bytes.len()),
            _ => bytes.len() - 1,
        };
        pieces.push(Piece::Bytes(bytes[..cut].to_vec()));
        if cut < bytes.len() {
            pieces.push(Piece::Turn);
            pieces.push(Piece::Bytes(bytes[cut..].to_vec()));
        }
    }
    match last {
        Last::Nothing => {}
        Last::Fin => pieces.push(Piece::Fin),
        Last::Reset => pieces.push(Piece::Reset),
    }
    (asked, joined(pieces))
}

/// What is sent at once is one piece.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Bytes(bytes)), Piece::Bytes(more)) => bytes.extend(more),
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Length,
    Chunked,
}

struct Request<'a> {
    line: &'a Line,
    index: usize,
    method: &'static str,
    body: Body,
}

/// Offers of another protocol, and whether one is of WebSocket.
const OFFERS: [(&str, bool); 5] = [
    ("Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
    ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n", false),
    ("Connection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n", true),
    ("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", false),
    ("Upgrade: websocket\r\n", true),
];

const OVERRIDES: [&str; 6] = [
    "X-HTTP-Method-Override: HEAD\r\n",
    "X-HTTP-Method: HEAD\r\n",
    "X-Method-Override: HEAD\r\n",
    "x_http_method_override: HEAD\r\n",
    "X-HTTP-Method-Override: GET\r\n",
    "X-Http-Method: DELETE\r\n",
];

/// Lines that are more than they look.
const FIELDS: [&str; 17] = [
    "TE: trailers\r\n",
    "TE: chunked\r\n",
    "TE: gzip, trailers\r\n",
    "Trailer: X-T\r\n",
    "Connection: keep-alive\r\n",
    "Connection: X-Foo\r\n",
    "Connection: Content-Length\r\n",
    "Connection: close\r\n",
    "Connection: Transfer-Encoding, keep-alive\r\n",
    "Content_Length: 0\r\n",
    "Transfer_Encoding: chunked\r\n",
    "X-A: b\r\n c\r\n",
    "X A: b\r\n",
    "X-A : b\r\n",
    "Content-Length : 0\r\n",
    "X-A: b\nContent-Length: 0\r\n",
    "Host: b\r\n",
];

/// Codings, of which those behind the first three are none.
const CODINGS: [&str; 11] = [
    "Chunked",
    "CHUNKED",
    "\tchunked ",
    "chunked, chunked",
    "identity, chunked",
    "gzip",
    "xchunked",
    "chunked;q=1",
    "chunked\r\nTransfer-Encoding: chunked",
    "chunked\r\nContent-Length: 5",
    "",
];

impl<'a> Request<'a> {
    fn of(line: &'a Line, index: usize) -> Self {
        let methods = [
            (b'h', "HEAD", "Head"),
            (b'p', "POST", "post"),
            (b'u', "PUT", "Put"),
            (b'a', "PATCH", "patch"),
            (b'd', "DELETE", "Delete"),
            (b'o', "OPTIONS", "options"),
        ];
        let others = line
            .choice(b'x', &[("PROPFIND", "propfind"), ("TRACE", "trace"), ("CONNECT", "Connect"), ("QUERY", "query")]);
        let found = methods.iter().find(|(letter, ..)| line.has(*letter)).map(|(_, method, odd)| (*method, *odd));
        let (method, odd) = found.or(others).unwrap_or(("GET", "get"));
        let is_upload = matches!(method, "POST" | "PUT" | "PATCH");
        let body = if ["t", "k", "e", "r"].iter().any(|letter| line.has(letter.as_bytes()[0])) {
            Body::Chunked
        } else if is_upload || line.has(b'l') || line.has(b'n') {
            Body::Length
        } else {
            Body::None
        };
        Self { line, index, method: if line.has(b'c') { odd } else { method }, body }
    }

    fn target(&self) -> String {
        format!("/{}", self.index)
    }

    fn asked(&self) -> Asked {
        Asked {
            target: self.target(),
            method: self.method.to_owned(),
            offers_websocket: self.line.choice(b'w', &OFFERS).is_some_and(|(_, is)| is) && !self.line.has(b'm'),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { line, method, .. } = self;
        let content = self.content();
        let version = if line.has(b'm') { "1.0" } else { "1.1" };
        let framing = match self.body {
            Body::None => String::new(),
            Body::Length => format!("Content-Length: {}\r\n", self.length(content.len())),
            Body::Chunked => format!("Transfer-Encoding: {}\r\n", line.choice(b't', &CODINGS).unwrap_or("chunked")),
        };
        let body = match self.body {
            Body::None => Vec::new(),
            Body::Length => content.into_bytes(),
            Body::Chunked => self.chunks(&content).into_bytes(),
        };
        let fill = match line.choice(b'z', &[1, 2]) {
            Some(1) => format!("X-Fill: {}\r\n", "a".repeat(9_000)),
            Some(_) => "X-Fill: a\r\n".repeat(70),
            None => String::new(),
        };
        let fields = [
            line.choice(b'q', &["Expect: 100-continue\r\n", "Expect: 100-Continue\r\n", "Expect: more\r\n"]),
            line.choice(b'w', &OFFERS).map(|(offer, _)| offer),
            line.choice(b'v', &OVERRIDES),
            line.choice(b'b', &FIELDS),
            line.choice(b'm', &["", "Connection: keep-alive\r\n"]),
        ];
        let fields: String = fields.into_iter().flatten().collect();
        let target = self.target();
        let head = format!("{method} {target} HTTP/{version}\r\nHost: a\r\n{fields}{framing}{fill}\r\n");
        let behind = line.choice(b's', &["\r\n", "\r\n\r\n", "\n", " \r\n"]).unwrap_or_default();
        [head.as_bytes(), &body, behind.as_bytes()].concat()
    }

    /// What an origin takes for a request that does not take it for a body.
    fn content(&self) -> String {
        let target = self.target();
        let inner = format!("GET {target}-in HTTP/1.1\r\nHost: a\r\n\r\n");
        match self.line.choice(b'j', &[1, 2, 3, 4]) {
            None => inner,
            // It takes what follows for its body.
            Some(1) => format!("POST {target}-in HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n"),
            Some(2) => format!("0\r\n\r\n{inner}"),
            Some(3) => format!("GET {target}-in HTTP/1.1\r\nX-A: "),
            Some(_) => String::new(),
        }
    }

    /// The value of the one length, or of many.
    fn length(&self, length: usize) -> String {
        match self.line.count(b'n') {
            0 => length.to_string(),
            1 => format!("{length}\r\nContent-Length: {length}"),
            2 => format!("{length}, {length}"),
            3 => format!("0{length}"),
            4 => format!("+{length}"),
            5 => format!("{length}\r\nContent-Length: 0"),
            6 => format!("0\r\nContent-Length: {length}"),
            7 => format!("\t{length} "),
            8 => format!("0x{length:x}"),
            9 => "99999999999999999999".to_owned(),
            10 => "-1".to_owned(),
            _ => String::new(),
        }
    }

    fn chunks(&self, content: &str) -> String {
        let size = content.len();
        let line = match self.line.count(b'e') {
            0 => format!("{size:x}\r\n"),
            1 => format!("{size:x};x=y\r\n"),
            2 => format!("{size:x};x=\"0\"\r\n"),
            3 => format!("000{size:X}\r\n"),
            4 => format!("{size:x} ;x\r\n"),
            5 => format!("{size:x}  \r\n"),
            6 => format!("{size:x}\n"),
            7 => format!("{size:x};x\n0\r\n"),
            8 => format!("0x{size:x}\r\n"),
            _ => format!("+{size:x}\r\n"),
        };
        let trailers = ["X-T: 1\r\n", "X-T: 1\r\nX-T: 2\r\n", "Content-Length: 40\r\n", "Host: b\r\n", "X-T\r\n"];
        let trailers = self.line.choice(b'r', &trailers).unwrap_or_default();
        if size == 0 { format!("0\r\n{trailers}\r\n") } else { format!("{line}{content}\r\n0\r\n{trailers}\r\n") }
    }
}

fn head_length(bytes: &[u8]) -> usize {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map_or(bytes.len(), |end| end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lines: &[&str], habit: Habit) -> Vec<Piece> {
        let lines: Vec<_> = lines.iter().map(|line| Line::of(line.as_bytes())).collect();
        requests(&lines, habit, Last::Fin).1
    }

    fn bytes(text: &str) -> Piece {
        Piece::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn letters_make_requests() {
        let get = |index| format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(pieces(&["g", ""], Habit::Pipelines), [bytes(&(get(0) + &get(1))), Piece::Fin]);
        let waiting = [Piece::Await(0), bytes(&get(0)), Piece::Await(1), bytes(&get(1)), Piece::Fin];
        assert_eq!(pieces(&["g", "g"], Habit::Waits), waiting);
        let head = "POST /0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
        let body = "22\r\nGET /0-in HTTP/1.1\r\nHost: a\r\n\r\n";
        let Some(Piece::Bytes(found)) = pieces(&["pt"], Habit::Turns).get(1).cloned() else {
            panic!("bytes come second")
        };
        let found = String::from_utf8(found).expect("text");
        assert!(found.starts_with(head) && found.ends_with("\r\n0\r\n\r\n"), "{found}");
        assert!(!found.contains(body), "the size is that of the content");
        assert_eq!(pieces(&["pf"], Habit::Turns).len(), 5);
    }
}

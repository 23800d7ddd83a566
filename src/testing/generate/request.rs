//! Requests, sound but for a twist.

use super::super::random::Random;
use super::message::Message;

/// What a request is asked for by, and what its answer must know.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) message: Message,
    pub(super) is_head: bool,
    pub(super) offers: bool,
}

/// Whether something is strange about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sound,
    Twisted,
}

/// Lines that harm nobody.
const HARMLESS: [&str; 9] = [
    "Accept: */*",
    "X-Forwarded-For: 192.0.2.6",
    "X_Forwarded_For: 6",
    "X-Forwarded-Host: b",
    "Proxy: c",
    "Connection: keep-alive",
    "TE: trailers",
    "Cookie: a=b; c",
    "User-Agent: d/1 (e)",
];

pub(super) fn request(random: &mut Random, kind: Kind) -> Request {
    let method = random.of(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]);
    let target = random.of(&["/", "/a?b", "/a/b", "http://a/"]);
    let mut message = Message {
        start: format!("{method} {target} HTTP/1.1"),
        fields: vec!["Host: a".to_owned()],
        ..Message::default()
    };
    for _ in 0..random.below(3) {
        let line = random.of(&HARMLESS);
        message.add(random, line);
    }
    if ["POST", "PUT", "PATCH"].contains(&method) {
        message.fill(random);
    }
    let mut request = Request { message, is_head: method == "HEAD", offers: false };
    if kind == Kind::Twisted {
        twist(&mut request, random);
    }
    request
}

fn twist(request: &mut Request, random: &mut Random) {
    let message = &mut request.message;
    match random.below(16) {
        0 => {
            let method = random
                .of(&["get", "Head", "HEAd", "connect", "CONNECT", "TRACE", "PURGE", "QUERY", "Post", "G\u{7f}T"]);
            message.start = format!("{method} / HTTP/1.1");
        }
        1 => {
            let name = random.of(&["X-HTTP-Method-Override", "x-http-method", "X_Method_Override", "X-HTTP-Method"]);
            let method = random.of(&["HEAD", "PUT", "DELETE"]);
            message.add(random, &format!("{name}: {method}"));
        }
        2 => {
            let version = random.of(&["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "]);
            message.start = message.start.replace("HTTP/1.1", version);
        }
        3 | 4 => message.twist_length(random),
        5 => message.twist_coding(random),
        6 => message.twist_chunks(random),
        7 => message.twist_trailers(random),
        8 => message.before = random.of(&["\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\n", "\r"]).to_owned(),
        9 => {
            let options =
                ["close", "keep-alive, close", "te, close", "content-length", ", ,keep-alive,", "upgrade", "a"];
            let options = random.of(&options);
            message.add(random, &format!("Connection: {options}"));
        }
        10 => {
            let protocol = random.of(&["websocket", "h2c", "WebSocket", "websocket, h2c", "h2c, websocket", ""]);
            message.fields.extend(["Connection: Upgrade".to_owned(), format!("Upgrade: {protocol}")]);
            message.fields.extend(random.one_in(3).then(|| "HTTP2-Settings: a".to_owned()));
            request.offers = true;
        }
        11 => message.add(random, "Expect: 100-continue"),
        12 => message.add(random, "TE: gzip"),
        13 => message.twist_lines(random),
        14 => message.twist_size(random),
        _ => {
            let line =
                random.of(&["Host: a", "Host: b", "Host:", "Host: a b", "X-Forwarded-For: a, b", "X-Forwarded-For:"]);
            message.add(random, line);
        }
    }
}

//! Responses, sound but for a twist.

use super::super::random::Random;
use super::message::Message;
use super::request::{Kind, Request};

const HARMLESS: [&str; 8] = [
    "Server: a",
    "server: a/1 (b)",
    "X-Powered-By: c",
    "Date: d",
    "X-Added: e",
    "Content-Type: text/plain",
    "Connection: keep-alive",
    "Set-Cookie: f=g",
];

/// The response to that request.
pub(super) fn response(random: &mut Random, request: &Request, kind: Kind) -> String {
    if request.offers && random.one_in(2) {
        return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nServer: a\r\n\r\nany"
            .to_owned();
    }
    let status =
        random.of(&["200 OK", "200 OK", "200 OK", "201 Created", "404 Not Found", "204 No", "304 Not", "302 Found"]);
    let mut message = Message { start: format!("HTTP/1.1 {status}"), ..Message::default() };
    for _ in 0..random.below(4) {
        let line = random.of(&HARMLESS);
        message.add(random, line);
    }
    if !["204 No", "304 Not"].contains(&status) {
        message.fill(random);
    }
    if request.is_head {
        message.body.clear();
    }
    if kind == Kind::Twisted {
        twist(&mut message, random);
    }
    message.text()
}

fn twist(message: &mut Message, random: &mut Random) {
    match random.below(14) {
        0 | 1 => {
            let interim = [
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 103 Early Hints\r\nServer: a\r\nLink: b\r\n\r\n",
                "HTTP/1.1 102 Processing\r\nContent-Length: 1\r\n\r\n",
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            ];
            message.before = random.of(&interim).repeat(1 + random.below(3));
        }
        2 => message.twist_length(random),
        3 => message.twist_coding(random),
        4 | 5 => message.twist_chunks(random),
        6 => message.twist_trailers(random),
        7 | 8 => message.twist_lines(random),
        9 => message.twist_size(random),
        10 => {
            let version = random.of(&["HTTP/1.0", "HTTP/1.1 ", "HTTP/0.9", "HTTP/2.0", "http/1.1"]);
            message.start = message.start.replace("HTTP/1.1", version);
        }
        11 => {
            let line = random.of(&[
                "Connection: close",
                "Connection: close, keep-alive",
                "Keep-Alive: timeout=5",
                "Upgrade: h2c",
            ]);
            message.add(random, line);
        }
        12 => {
            let before = random.of(&["\r\n", "\r\n\r\n", "\n", "x"]);
            message.before = before.to_owned();
        }
        _ => message.body += random.of(&["x", "\r\n", "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 0\r\n\r\n"]),
    }
}

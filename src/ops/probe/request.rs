//! The requests that reveal a stack: each takes another way through a server.

use super::Target;

/// How the core is to take the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// As that to the request itself.
    Itself,
    /// As that to a plain GET: the core would refuse the request.
    Get,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// What is sent once the server has said something, or has not for a while.
    pub(super) body: &'static [u8],
    pub(super) answered_as: As,
}

/// A path that no server has.
const MISSING: &str = "/headsnip-probe-not-here";

/// The HTTP/2 connection preface with an empty SETTINGS frame (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) fn requests(target: &Target) -> Vec<Request> {
    let Target { authority, path, .. } = target;
    let head = |line: &str, lines: &str| {
        let agent = concat!("headsnip-probe/", env!("CARGO_PKG_VERSION"));
        format!("{line} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n{lines}\r\n")
            .into_bytes()
    };
    let close = "Connection: close\r\n";
    let plain = |name, bytes| Request { name, bytes, body: b"", answered_as: As::Itself };
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: aGVhZHNuaXAgcHJvYmUuLg==\r\n";
    // An empty SETTINGS payload in base64url is nothing at all (RFC 7540 §3.2.1).
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n";
    let expect = format!("Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n{close}");
    vec![
        plain("GET", head(&format!("GET {path}"), close)),
        plain("a path that is not there", head(&format!("GET {MISSING}"), close)),
        plain("HEAD", head(&format!("HEAD {path}"), close)),
        plain("an unknown method", head(&format!("HEADSNIP {path}"), close)),
        Request {
            answered_as: As::Get,
            ..plain("a malformed request", head(&format!("GET {path}"), "a line without a colon\r\n"))
        },
        plain("Upgrade: websocket", head(&format!("GET {path}"), websocket)),
        Request { body: b"{}", ..plain("Expect: 100-continue", head(&format!("POST {path}"), &expect)) },
        plain("Upgrade: h2c", head(&format!("GET {path}"), h2c)),
        Request { answered_as: As::Get, ..plain("the HTTP/2 preface", PREFACE.to_vec()) },
    ]
}

//! The points of an exchange, and what a client can see of its end.

use std::fmt;

use super::SILENCE;
use super::support::{Ended, Peer};

/// What happens to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Fin,
    Reset,
    Silence,
}

pub(crate) const FAULTS: [Fault; 3] = [Fault::Fin, Fault::Reset, Fault::Silence];

/// What the client makes of what it received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The response is there to its last byte.
    Whole,
    /// A reply of the proxy's own.
    Replied(String),
    /// The message is incomplete, and it shows.
    Cut,
    /// The connection was reset within a message that ends with it.
    Reset,
    /// A clean end where the origin, too, ended cleanly.
    EndedLikeTheOrigin,
    /// A clean end, of a message that was cut.
    LookedWhole,
    /// The end of the connection instead of a response.
    NoWord,
    /// Nothing more, and no end either.
    Hung,
}

/// A point of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: &'static str,
    request: Request,
    /// What the origin says before it happens.
    pub(crate) said: &'static str,
    body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Get,
    /// A GET on a connection that has had a response.
    SecondGet,
    Expecting,
    Upgrading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// No final head was said.
    None,
    /// Of a known length, or chunked.
    Delimited,
    /// Until the connection ends, or a tunnel.
    Undelimited,
}

/// What the origin answers where nothing happens to it.
pub(crate) const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The end of a chunked body.
const END: &[u8] = b"\r\n0\r\n\r\n";

pub(crate) const POINTS: [Point; 13] = [
    Point { name: "before the head", request: Request::Get, said: "", body: Body::None },
    Point {
        name: "before the head, the connection having served",
        request: Request::SecondGet,
        said: "",
        body: Body::None,
    },
    Point {
        name: "after 100 Continue",
        request: Request::Expecting,
        said: "HTTP/1.1 100 Continue\r\n\r\n",
        body: Body::None,
    },
    Point {
        name: "within the head",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Le",
        body: Body::None,
    },
    Point {
        name: "after the head",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        body: Body::Delimited,
    },
    Point {
        name: "within a body of a known length",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        body: Body::Delimited,
    },
    Point {
        name: "within a body until close",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nETag: a\r\n\r\nhello",
        body: Body::Undelimited,
    },
    Point {
        name: "before the first chunk",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        body: Body::Delimited,
    },
    Point {
        name: "within a chunk-size line",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5",
        body: Body::Delimited,
    },
    Point {
        name: "within a chunk",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        body: Body::Delimited,
    },
    Point {
        name: "between chunks",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        body: Body::Delimited,
    },
    Point {
        name: "within the trailer section",
        request: Request::Get,
        said: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nETag: a\r\nSer",
        body: Body::Delimited,
    },
    Point {
        name: "within a tunnel",
        request: Request::Upgrading,
        said: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nframe",
        body: Body::Undelimited,
    },
];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fin => "ends",
            Self::Reset => "is reset",
            Self::Silence => "falls silent",
        }
    }
}

impl Point {
    /// Tells whether it happens to a connection that has served before only.
    pub(crate) fn is_second(&self) -> bool {
        self.request == Request::SecondGet
    }

    /// Makes the exchange of a case as a client.
    pub(crate) fn put(&self, case: usize, fault: Fault, client: &mut Peer) -> Seen {
        let end = match self.request {
            Request::Get | Request::SecondGet => "\r\n",
            Request::Expecting => "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
            Request::Upgrading => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            }
        };
        if self.request == Request::SecondGet {
            client.send("GET /whole HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = client.read_head().expect("a response");
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            client.expect("ok");
        }
        let method = if self.request == Request::Expecting { "PUT" } else { "GET" };
        client.send(format!("{method} /{case} HTTP/1.1\r\nHost: a\r\n{end}"));
        let head = loop {
            match client.read_head() {
                None => return Seen::NoWord,
                Some(head) if head.starts_with("HTTP/1.1 100 ") => {}
                Some(head) => break head,
            }
        };
        let status = head.get(9..12).unwrap_or_default();
        if status.starts_with(['4', '5']) {
            return Seen::Replied(status.to_owned());
        }
        // That a whole one is all there was to say, the vectors show; its connection is kept.
        if self.body == Body::None {
            return Seen::Whole;
        }
        let (body, ended) = client.read_until_silent(SILENCE * 5);
        // A proxy that frames anew may write an end of its own.
        let is_ended = body.ends_with(END);
        match (self.body, ended) {
            (Body::Undelimited, Some(Ended::Reset)) => Seen::Reset,
            (_, None) if !is_ended => Seen::Hung,
            (Body::Undelimited, _) if fault == Fault::Fin => Seen::EndedLikeTheOrigin,
            (Body::Undelimited, _) => Seen::LookedWhole,
            (Body::Delimited | Body::None, _) if is_ended => Seen::LookedWhole,
            (Body::Delimited | Body::None, _) => Seen::Cut,
        }
    }

    /// What the contract says of the case.
    pub(crate) fn wanted(&self, fault: Fault) -> Seen {
        match (self.body, fault) {
            (Body::None, Fault::Fin | Fault::Reset) if self.request == Request::SecondGet => Seen::Whole,
            (Body::None, Fault::Fin | Fault::Reset) => Seen::Replied("502".to_owned()),
            (Body::None, Fault::Silence) => Seen::Replied("504".to_owned()),
            (Body::Delimited, _) => Seen::Cut,
            (Body::Undelimited, Fault::Fin) => Seen::EndedLikeTheOrigin,
            (Body::Undelimited, Fault::Reset | Fault::Silence) => Seen::Reset,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => formatter.write_str("the response"),
            Self::Replied(status) => formatter.write_str(status),
            Self::Cut => formatter.write_str("cut"),
            Self::Reset => formatter.write_str("reset"),
            Self::EndedLikeTheOrigin => formatter.write_str("ended"),
            Self::LookedWhole => formatter.write_str("**looks whole**"),
            Self::Hung => formatter.write_str("**left hanging**"),
            Self::NoWord => formatter.write_str("closed without a word"),
        }
    }
}

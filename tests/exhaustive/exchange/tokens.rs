//! What can happen: at the client's connection, and at the origin's.

use std::fmt;

use headsnip::testing::Step;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Token {
    Step(Step),
    /// The origin stops taking what is written to it.
    Block,
    /// It takes it again.
    Unblock,
    /// It takes nothing more, and may still answer.
    Refuse,
}

/// For who reads why a test failed.
impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(Step::Client(bytes)) => write!(formatter, "client: {}", bytes.escape_ascii()),
            Self::Step(Step::Origin(bytes)) => write!(formatter, "origin: {}", bytes.escape_ascii()),
            Self::Step(_) | Self::Block | Self::Unblock | Self::Refuse => write!(formatter, "{self:?}"),
        }
    }
}

impl Token {
    pub(super) fn is_of_client(&self) -> bool {
        matches!(self, Self::Step(Step::Client(_) | Step::ClientEnd))
    }

    pub(super) fn is_said_by_origin(&self) -> bool {
        matches!(self, Self::Step(Step::Origin(_)))
    }
}

/// A request, and behind it what else there is of it.
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy";
const BEGUN: &str = "PUT / HTTP/1.1\r\nHost: a\r\n";
const OBS_FOLD: &str = "GET / HTTP/1.1\r\n Host: a\r\n\r\n";

/// What may stand behind a request that is not answered: nobody looks at it, so that a few kinds are enough.
pub(super) const WAITING: [&[u8]; 5] =
    [GET.as_bytes(), UPLOAD.as_bytes(), BEGUN.as_bytes(), OBS_FOLD.as_bytes(), b"\r\n"];

/// Requests, and parts of them.
const REQUESTS: [&str; 20] = [
    GET,
    UPLOAD,
    BEGUN,
    OBS_FOLD,
    "\r\n",
    // Two at once.
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: HEAD\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\n",
    "x",
];

/// Requests of which an operator who asks for more wants something.
const ASKED_REQUESTS: [&str; 6] = [
    "GET / HTTP/1.1\r\nX-A: b\r\nHost: a\r\nX_a: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX_HTTP_Method-Override: HEAD\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nX-Keep: b\r\nContent-Length: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nX_Forwarded-For: 6\r\nHost: a\r\nX-Forwarded-For: 6, 7\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nx-a: b\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nx-http-method: GET\r\nTransfer-Encoding: chunked\r\n\r\n",
];

/// What may come of a request that has begun, in its head or behind it.
pub(super) const UPLOADS: [&[u8]; 9] = [
    GET.as_bytes(),
    b"\r\n",
    b"x",
    b"1\r\nx\r\n",
    b"1;a\r\nx\r\n",
    b"1\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"0\r\nA: b\r\n\r\n",
];

/// The same that such an operator looks at.
pub(super) const ASKED_UPLOADS: [&[u8]; 3] =
    [b"0\r\nX-A: b\r\n\r\n", b"0\r\nX-Keep: b\r\nx-a: b\r\n\r\n", b"0\r\nX_A: b\r\n\r\n"];

const DENIED: &str = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 1\r\n\r\n";
const CUT: &str = "HTTP/1.1 200 OK\r\nSer";

/// Responses, and parts of them.
const RESPONSES: [&str; 30] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    DENIED,
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 304 Not\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 304 Not\r\n\r\n",
    "HTTP/1.1 100 Go\r\n\r\n",
    "HTTP/1.1 103 Early\r\nServer: a\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nServer: a\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\n\r\n",
    // What is mended.
    "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nServer : a\r\n\tb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
    // What is refused.
    "HTTP/1.1 200 OK\r\n Server: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 200 OK\nServer: a\n\n",
    // Of a head.
    CUT,
    "\r\n",
    "x",
];

/// Responses to which lines are added that are there already, or are none.
const ASKED_RESPONSES: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nX-New: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nx-new : a\r\n\tb\r\nX-New: a\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 103 Early\r\nX-New: a\r\n\r\n",
    "HTTP/1.1 204 No\r\nServer: a\r\nX_New: a\r\n\r\n",
];

/// What teaches nothing about what an operator asks for.
const REFUSED_OR_ALIKE: [&str; 15] = [
    UPLOAD,
    OBS_FOLD,
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
    "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 304 Not\r\n\r\n",
    "HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n Server: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
    "HTTP/1.1 200 OK\nServer: a\n\n",
];

/// What may come of a response that has begun, in its head or behind it.
pub(super) const DOWNLOADS: [&[u8]; 9] = [
    DENIED.as_bytes(),
    b"\r\n",
    b"x",
    b"1\r\nx\r\n",
    b"1\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"0\r\nServer: a\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
];

/// What may come behind the first part of a head.
pub(super) const REST_OF_HEAD: &[u8] = b"ver: a\r\nContent-Length: 0\r\n\r\n";

/// What may come where nothing is asked for, or where any bytes go on.
pub(super) const UNASKED: [&[u8]; 3] = [DENIED.as_bytes(), b"\r\n", b"x"];

/// Each of some texts once, in order.
fn all<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for text in texts {
        if !all.iter().any(|other| other == text) {
            all.push(text.to_vec());
        }
    }
    all
}

/// What the two peers may do, both of which read; and the operator.
pub(super) fn of_peers() -> Vec<Token> {
    let of_client = REQUESTS.iter().map(|text| text.as_bytes()).chain(UPLOADS);
    let of_origin = RESPONSES.iter().map(|text| text.as_bytes()).chain(DOWNLOADS).chain([REST_OF_HEAD]);
    tokens(of_client, of_origin)
}

/// The same for an operator who asks for more than that lines of responses go: with what matters to that, and without what is refused, or differs by what
/// no edit depends on.
pub(super) fn asked() -> Vec<Token> {
    let differs = |text: &&&str| !REFUSED_OR_ALIKE.contains(text);
    let requests = ASKED_REQUESTS.iter().chain(REQUESTS.iter().filter(differs));
    let responses = ASKED_RESPONSES.iter().chain(RESPONSES.iter().filter(differs));
    let of_client = requests.map(|text| text.as_bytes()).chain(UPLOADS).chain(ASKED_UPLOADS);
    let of_origin = responses.map(|text| text.as_bytes()).chain(DOWNLOADS).chain([REST_OF_HEAD]);
    tokens(of_client, of_origin)
}

fn tokens<'t>(of_client: impl Iterator<Item = &'t [u8]>, of_origin: impl Iterator<Item = &'t [u8]>) -> Vec<Token> {
    let of_client = all(of_client).into_iter().map(Step::Client);
    let of_origin = all(of_origin).into_iter().map(Step::Origin);
    let ends = [Step::ClientEnd, Step::OriginEnd, Step::OriginReset, Step::Drain];
    of_client.chain(of_origin).chain(ends).map(Token::Step).collect()
}

/// An origin that does not read.
pub(super) fn of_writing() -> Vec<Token> {
    vec![Token::Block, Token::Unblock, Token::Refuse]
}

/// Whether that is a request, or the beginning of one.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    REQUESTS.iter().chain(&ASKED_REQUESTS).any(|text| text.as_bytes() == bytes)
}

/// Whether that is a response, or the beginning of one.
pub(super) fn is_response(bytes: &[u8]) -> bool {
    RESPONSES.iter().chain(&ASKED_RESPONSES).any(|text| text.as_bytes() == bytes)
}

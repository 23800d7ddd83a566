//! The jobs: what clients send, what the origin answers, and so, byte for byte, what each side must receive.

/// A load of equal exchanges.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    /// Flags of headsnip, beside its two addresses.
    pub(crate) flags: Vec<&'static str>,
    /// As the client sends it, and as the origin must receive it.
    pub(crate) request: [Vec<u8>; 2],
    /// As the origin sends it, and as the client must receive it.
    pub(crate) response: [Vec<u8>; 2],
    /// If the response is a stream: what follows its head again and again. Then each event counts as an exchange.
    pub(crate) event: Vec<u8>,
}

const BODY: &str = "{\"id\":4711,\"name\":\"a small answer\",\"tags\":[\"a\",\"b\"],\"score\":0.87,\"ok\":true}";

/// Lines that are relayed.
const REQUEST_LINES: &str =
    "Host: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n";
const RESPONSE_LINES: &str = "date: Mon, 23 Nov 2026 10:00:00 GMT\r\ncontent-type: application/json\r\ncache-control: no-store\r\nvary: accept-encoding\r\n";

/// Lines that headsnip removes by default.
const DENIED_LINES: &str = "server: uvicorn\r\nx-powered-by: a framework\r\n";

/// The jobs whose instructions are counted.
pub(crate) fn ordinary() -> Vec<Job> {
    let small = || get("small");
    let kept = "connection: keep-alive\r\n";
    let ten = "x-denied-line: a value of ordinary length\r\n".repeat(10);
    vec![
        small(),
        Job { name: "small, 512 connections", connections: 512, ..small() },
        Job {
            name: "small, the connection named",
            request: same(&request("GET", "1.1", kept, 0)),
            response: answer("200 OK", &format!("{kept}{}", length_line(BODY.len())), BODY.as_bytes()),
            ..small()
        },
        Job {
            name: "ten response lines denied",
            flags: vec!["--deny", "x-denied-*"],
            response: {
                let [sent, _] = answer("200 OK", &format!("{ten}{}", length_line(BODY.len())), BODY.as_bytes());
                let [_, received] = small().response;
                [sent, received]
            },
            ..small()
        },
        Job {
            name: "ten request lines denied",
            flags: vec!["--deny-request", "x-denied-*"],
            request: [request("GET", "1.1", &ten, 0), request("GET", "1.1", "", 0)],
            ..small()
        },
        Job {
            name: "chunked, 16 KiB by 4 KiB",
            response: answer("200 OK", "transfer-encoding: chunked\r\n", &chunked(16 << 10, 4 << 10)),
            ..small()
        },
        Job { name: "upload of 16 KiB", request: same(&request("PUT", "1.1", "", 16 << 10)), ..small() },
        http10("a dial for each exchange"),
        Job {
            name: "event of a stream",
            response: answer("200 OK", "transfer-encoding: chunked\r\n", b""),
            event: [b"40\r\n", content(64).as_slice(), b"\r\n"].concat(),
            ..small()
        },
    ]
}

/// Plain and alone exchanges. Their time is measured, not their instructions: an alone exchange costs a dial, and most of a dial
/// is the kernel's work.
pub(crate) fn plain_and_alone() -> Vec<Job> {
    let short = request("POST", "1.1", "content-type: application/json\r\n", BODY.len());
    let post = |name, status, line: &str| Job {
        request: same(&short),
        response: answer(status, &format!("{line}{}", length_line(BODY.len())), BODY.as_bytes()),
        ..get(name)
    };
    let etag = "etag: \"33a64df5\"\r\n";
    let not_modified = |name, lines: &str| Job {
        request: same(&request("GET", "1.1", "If-None-Match: \"33a64df5\"\r\n", 0)),
        response: answer("304 Not Modified", &format!("{etag}{lines}"), b""),
        ..get(name)
    };
    vec![
        get("GET, 200"),
        post("POST, 201", "201 Created", ""),
        post("POST, 422", "422 Unprocessable Content", ""),
        post("POST, 303", "303 See Other", "location: /items/4711\r\n"),
        Job {
            request: same(&request("HEAD", "1.1", "", 0)),
            response: answer("200 OK", &length_line(BODY.len()), b""),
            ..get("HEAD, 200")
        },
        not_modified("GET, 304", ""),
        not_modified("GET, 304 with a length", &length_line(BODY.len())),
        http10("GET in HTTP/1.0, kept alive"),
    ]
}

/// A request in HTTP/1.0 on a connection that is kept alive: it is alone, so each has an origin connection of its own.
fn http10(name: &'static str) -> Job {
    let kept = "connection: keep-alive\r\n";
    Job {
        request: same(&request("GET", "1.0", kept, 0)),
        response: answer("200 OK", &format!("{kept}{}", length_line(BODY.len())), BODY.as_bytes()),
        ..get(name)
    }
}

/// A request of four field lines, and a response of seven, two of them denied, with a small body.
fn get(name: &'static str) -> Job {
    Job {
        name,
        connections: 64,
        flags: Vec::new(),
        request: same(&request("GET", "1.1", "", 0)),
        response: answer("200 OK", &length_line(BODY.len()), BODY.as_bytes()),
        event: Vec::new(),
    }
}

fn request(method: &str, version: &str, lines: &str, length: usize) -> Vec<u8> {
    let length_line = if length > 0 { length_line(length) } else { String::new() };
    let head = format!("{method} /v1/items/4711 HTTP/{version}\r\n{REQUEST_LINES}{lines}{length_line}\r\n");
    [head.into_bytes(), content(length)].concat()
}

/// A response as the origin sends it, with the denied lines, and as the client must receive it.
fn answer(status: &str, lines: &str, body: &[u8]) -> [Vec<u8>; 2] {
    [DENIED_LINES, ""].map(|denied| {
        let head = format!("HTTP/1.1 {status}\r\n{denied}{RESPONSE_LINES}{lines}\r\n");
        [head.as_bytes(), body].concat()
    })
}

fn same(bytes: &[u8]) -> [Vec<u8>; 2] {
    [bytes.to_vec(), bytes.to_vec()]
}

fn length_line(length: usize) -> String {
    format!("content-length: {length}\r\n")
}

fn chunked(length: usize, chunk: usize) -> Vec<u8> {
    let parts = content(length);
    let parts = parts.chunks(chunk).flat_map(|part| [format!("{chunk:x}\r\n").as_bytes(), part, b"\r\n"].concat());
    parts.chain(*b"0\r\n\r\n").collect()
}

/// Bytes that are a function of their offset.
fn content(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|block| block.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).take(length).collect()
}

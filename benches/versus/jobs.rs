//! The jobs: what clients ask for, and what must come.

/// A load, and the answer that each request of it must have.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) request: Vec<u8>,
    /// Bytes of the body, its framing not counted.
    pub(crate) body: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One request after another on a connection.
    KeepAlive,
    /// Each request on a connection of its own.
    Closing,
    /// One response without end; each event counts as a request.
    Events,
}

/// What the origin answers, by path: a small answer, events, or a body of that length, by chunks of that length.
pub(crate) const PATHS: [&str; 16] = [
    "/small",
    "/events",
    "/64k",
    "/96k",
    "/128k",
    "/192k",
    "/256k",
    "/512k",
    "/1m",
    "/4m",
    "/64k-by-4k",
    "/4m-by-64k",
    "/4m-by-128k",
    "/4m-by-256k",
    "/4m-by-512k",
    "/4m-by-1m",
];

/// The length of the body at a path, and of its chunks if it is chunked.
pub(crate) fn shape(path: &str) -> (usize, Option<usize>) {
    match path.trim_start_matches('/').split_once("-by-") {
        _ if path == "/small" => (SMALL.len(), None),
        _ if path == "/events" => (0, None),
        Some((length, chunk)) => (size(length), Some(size(chunk))),
        None => (size(path.trim_start_matches('/')), None),
    }
}

/// A number with `k` or `m` behind it.
fn size(text: &str) -> usize {
    let (number, unit) = text.split_at(text.len() - 1);
    number.parse::<usize>().expect("a number") << if unit == "m" { 20 } else { 10 }
}

/// What a small API answers.
pub(crate) const SMALL: &str =
    "{\"id\":4711,\"name\":\"a small answer\",\"tags\":[\"a\",\"b\"],\"score\":0.87,\"ok\":true}";

/// How often an event comes on each stream.
pub(crate) const EVENT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Bytes of an event, its time of sending among them.
pub(crate) const EVENT: usize = 64;

/// Bodies and chunks of ever greater length, to see where splice is cheaper than a copy.
pub(crate) fn curve() -> Vec<Job> {
    let lengths = PATHS.into_iter().filter(|path| shape(path).0 >= 64 << 10 && *path != "/64k-by-4k");
    lengths.map(|path| get(path, 8, path)).collect()
}

pub(crate) fn all() -> Vec<Job> {
    vec![
        get("small, 1 connection", 1, "/small"),
        get("small, 64 connections", 64, "/small"),
        get("small, 512 connections", 512, "/small"),
        Job {
            kind: Kind::Closing,
            request: request("GET", "/small", "Connection: close\r\n", 0),
            ..get("a connection per request", 16, "/small")
        },
        get("64 KiB bodies", 16, "/64k"),
        get("1 MiB bodies", 8, "/1m"),
        get("chunked, 64 KiB by 4 KiB", 16, "/64k-by-4k"),
        get("chunked, 4 MiB by 64 KiB", 4, "/4m-by-64k"),
        Job { kind: Kind::Events, ..get("200 event streams", 200, "/events") },
        upload("uploads of 16 KiB", 16, 16 << 10),
        upload("uploads of 1 MiB", 8, 1 << 20),
    ]
}

fn get(name: &'static str, connections: usize, path: &str) -> Job {
    Job { name, connections, request: request("GET", path, "", 0), body: shape(path).0, kind: Kind::KeepAlive }
}

fn upload(name: &'static str, connections: usize, length: usize) -> Job {
    Job { name, connections, request: request("PUT", "/small", "", length), body: SMALL.len(), kind: Kind::KeepAlive }
}

fn request(method: &str, path: &str, line: &str, length: usize) -> Vec<u8> {
    let length_line = if length > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: versus/1.0\r\nAccept: application/json\r\n{line}{length_line}\r\n"
    );
    [head.into_bytes(), content(length)].concat()
}

/// Bytes that are a function of their offset.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(|block| block.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()).take(length).collect()
}

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

/// Bytes of a body by the path that asks for it; the framing is that of its name.
pub(crate) const PATHS: [(&str, usize); 6] = [
    ("/small", SMALL.len()),
    ("/64k", 64 << 10),
    ("/1m", 1 << 20),
    ("/chunked-64k-by-4k", 64 << 10),
    ("/chunked-4m-by-64k", 4 << 20),
    ("/events", 0),
];

/// What a small API answers.
pub(crate) const SMALL: &str =
    "{\"id\":4711,\"name\":\"a small answer\",\"tags\":[\"a\",\"b\"],\"score\":0.87,\"ok\":true}";

/// How often an event comes on each stream.
pub(crate) const EVENT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Bytes of an event, its time of sending among them.
pub(crate) const EVENT: usize = 64;

pub(crate) fn all() -> Vec<Job> {
    vec![
        get("small, 1 connection", 1, "/small"),
        get("small, 64 connections", 64, "/small"),
        get("small, 512 connections", 512, "/small"),
        Job {
            kind: Kind::Closing,
            request: request("GET", "/small", "Connection: close\r\n", 0),
            ..get("a connection a request", 16, "/small")
        },
        get("64 KiB bodies", 16, "/64k"),
        get("1 MiB bodies", 8, "/1m"),
        get("chunked, 64 KiB by 4 KiB", 16, "/chunked-64k-by-4k"),
        get("chunked, 4 MiB by 64 KiB", 4, "/chunked-4m-by-64k"),
        Job { kind: Kind::Events, ..get("200 event streams", 200, "/events") },
        upload("uploads of 16 KiB", 16, 16 << 10),
        upload("uploads of 1 MiB", 8, 1 << 20),
    ]
}

fn get(name: &'static str, connections: usize, path: &str) -> Job {
    let body = PATHS.iter().find(|(known, _)| *known == path).map_or(0, |(_, body)| *body);
    Job { name, connections, request: request("GET", path, "", 0), body, kind: Kind::KeepAlive }
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

//! The origin: one thread that answers by path, with a `Server` line in each head.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use socket2::SockAddr;

use super::jobs::{EVENT, EVENT_PAUSE, PATHS, SMALL, content, shape};
use super::load::now;

const TCP: Token = Token(0);
const UNIX: Token = Token(1);

/// Serves at `host:port` and at a Unix-domain socket of the path behind a comma, until it is killed.
pub(crate) fn run(addresses: &str) -> Result<(), Box<dyn Error>> {
    let (tcp, unix) = addresses.split_once(',').ok_or("two addresses are wanted")?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::from_std(super::listen(&tcp.parse::<SocketAddr>()?.into())?.into());
    let mut unix_listener = UnixListener::from_std(super::listen(&SockAddr::unix(unix)?)?.into());
    poll.registry().register(&mut listener, TCP, Interest::READABLE)?;
    poll.registry().register(&mut unix_listener, UNIX, Interest::READABLE)?;
    let answers = answers();
    let mut connections: HashMap<Token, Connection> = HashMap::new();
    let mut next = UNIX.0;
    let mut events = Events::with_capacity(1024);
    let mut streaming_from = Instant::now();
    let mut room = vec![0; 64 << 10];
    loop {
        let until_event = (streaming_from + EVENT_PAUSE).saturating_duration_since(Instant::now());
        let is_streaming = connections.values().any(|connection| connection.is_streaming);
        let wait = if is_streaming { until_event } else { Duration::from_secs(3600) };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == TCP || event.token() == UNIX {
                while let Some(mut stream) = accept(&listener, &unix_listener, event.token())? {
                    next += 1;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    match &mut stream {
                        Stream::Tcp(stream) => poll.registry().register(stream, Token(next), both)?,
                        Stream::Unix(stream) => poll.registry().register(stream, Token(next), both)?,
                    }
                    connections.insert(Token(next), Connection::new(stream));
                }
            } else if let Some(connection) = connections.get_mut(&event.token())
                && connection.go_on(&answers, &mut room) == Going::Over
            {
                connections.remove(&event.token());
            }
        }
        if is_streaming && streaming_from.elapsed() >= EVENT_PAUSE {
            streaming_from = Instant::now();
            connections.retain(|_, connection| connection.send_event() == Going::On);
        }
    }
}

fn accept(tcp: &TcpListener, unix: &UnixListener, at: Token) -> std::io::Result<Option<Stream>> {
    let accepted = if at == TCP {
        tcp.accept().and_then(|(stream, _)| {
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        })
    } else {
        unix.accept().map(|(stream, _)| Stream::Unix(stream))
    };
    match accepted {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole response to each path.
fn answers() -> HashMap<&'static str, Vec<u8>> {
    PATHS.into_iter().map(|path| (path, answer(path))).collect()
}

fn answer(path: &str) -> Vec<u8> {
    let (length, chunk) = shape(path);
    let head = "HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: application/json\r\n";
    let body = if path == "/small" { SMALL.as_bytes().to_vec() } else { content(length) };
    if path == "/events" {
        return format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    }
    let Some(chunk) = chunk else {
        return [format!("{head}content-length: {length}\r\n\r\n").as_bytes(), &body].concat();
    };
    let mut answer = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for part in body.chunks(chunk) {
        answer.extend(format!("{:x}\r\n", part.len()).bytes());
        answer.extend_from_slice(part);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(room),
            Self::Unix(stream) => stream.read(room),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

struct Connection {
    stream: Stream,
    head: Vec<u8>,
    /// Bytes of a request's body that are still to come.
    body_left: usize,
    path: Option<&'static str>,
    /// How much of the answer is written.
    written: usize,
    is_closing: bool,
    is_streaming: bool,
}

impl Connection {
    fn new(stream: Stream) -> Self {
        Self { stream, head: Vec::new(), body_left: 0, path: None, written: 0, is_closing: false, is_streaming: false }
    }

    /// Reads requests and answers them, as far as the socket goes.
    fn go_on(&mut self, answers: &HashMap<&'static str, Vec<u8>>, room: &mut [u8]) -> Going {
        loop {
            if self.body_left == 0
                && let Some(answer) = self.path.and_then(|path| answers.get(path))
            {
                match self.stream.write(&answer[self.written..]) {
                    Ok(count) => self.written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Going::On,
                    Err(_) => return Going::Over,
                }
                if self.written == answer.len() {
                    self.is_streaming = self.path == Some("/events");
                    (self.path, self.written) = (None, 0);
                    if self.is_closing && !self.is_streaming {
                        return Going::Over;
                    }
                }
                continue;
            }
            let count = match self.stream.read(room) {
                Ok(0) => return Going::Over,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Going::On,
                Err(_) => return Going::Over,
            };
            self.take(&room[..count]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.body_left > 0 {
            self.body_left -= bytes.len();
            return;
        }
        self.head.extend_from_slice(bytes);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
        let head = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.path = PATHS.into_iter().find(|known| *known == path);
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
        self.body_left = length.unwrap_or(0) - (self.head.len() - end - 4);
        self.is_closing = head.contains("connection: close");
        self.head.clear();
    }

    /// A chunk with the time of its sending.
    fn send_event(&mut self) -> Going {
        if !self.is_streaming {
            return Going::On;
        }
        let event = format!("{EVENT:x}\r\n{:<width$}\r\n", now(), width = EVENT);
        match self.stream.write(event.as_bytes()) {
            Ok(count) if count == event.len() => Going::On,
            Ok(_) | Err(_) => Going::Over,
        }
    }
}

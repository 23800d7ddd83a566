//! A raw HTTP client: sends the bytes it is given, and reads what comes by [`Reader`]. Every wait has a limit.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::reader::{End, Piece, Reader, Response, status};

/// How long a read or a write may stand still.
const STILL_LIMIT: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A request as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) send: Send,
}

/// When a request's body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Send {
    AtOnce,
    /// After the first informational response.
    OnceAsked,
}

/// When the requests of a connection are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Each when the response to the one before has ended.
    OneByOne,
    /// All at once.
    Pipelined,
}

/// All that came over a connection.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: End,
}

/// An open connection.
pub(crate) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Request {
    /// A request without a body, given as its request line and field lines.
    pub(crate) fn new(method: &'static str, target: &str, fields: &[&str]) -> Self {
        Self::of_version("HTTP/1.1", method, target, fields)
    }

    /// The same of another version.
    pub(crate) fn of_version(version: &str, method: &'static str, target: &str, fields: &[&str]) -> Self {
        let mut head = format!("{method} {target} {version}\r\nHost: origin.test\r\n");
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Self { method, head: head.into_bytes(), body: Vec::new(), send: Send::AtOnce }
    }

    /// A POST of that body, with its length told, and more field lines.
    pub(crate) fn post(target: &str, body: Vec<u8>, fields: &[&str]) -> Self {
        let length = format!("Content-Length: {}", body.len());
        let fields: Vec<&str> = fields.iter().copied().chain([length.as_str()]).collect();
        Self { body, ..Self::new("POST", target, &fields) }
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }
}

impl Endpoint {
    /// Connects.
    pub(crate) fn dial(&self) -> Result<Wire, String> {
        let wire = match self {
            Self::Tcp(address) => TcpStream::connect_timeout(address, STILL_LIMIT).map(Wire::Tcp),
            Self::Unix(path) => UnixStream::connect(path).map(Wire::Unix),
        };
        wire.and_then(Wire::limited).map_err(|error| format!("cannot connect to {self}: {error}"))
    }

    /// The same from an address of this machine; tells from which port.
    pub(crate) fn dial_from(&self, source: Ipv4Addr) -> Result<(Wire, SocketAddr), String> {
        let Self::Tcp(address) = self else { return Err("a path is dialled from nowhere".to_owned()) };
        let dialled = Socket::new(Domain::IPV4, Type::STREAM, None).and_then(|socket| {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
            socket.connect(&(*address).into())?;
            let stream = TcpStream::from(socket);
            let own = stream.local_addr()?;
            Ok((Wire::Tcp(stream).limited()?, own))
        });
        dialled.map_err(|error| format!("cannot connect to {self} from {source}: {error}"))
    }

    /// Sends requests over one connection and reads all responses.
    pub(crate) fn converse(&self, requests: &[Request], order: Order) -> Result<Transcript, String> {
        let wire = self.dial()?;
        let mut reader = wire.reader()?;
        let mut transcript = Transcript { pieces: Vec::new(), end: End::Open };
        let mut add = |response: Response| {
            transcript.pieces.extend(response.pieces);
            transcript.end = response.end;
        };
        match order {
            Order::OneByOne => {
                for request in requests {
                    add(wire.exchange(&mut reader, request)?);
                }
            }
            Order::Pipelined => {
                wire.write_all(&requests.iter().flat_map(Request::bytes).collect::<Vec<_>>())?;
                for request in requests {
                    add(reader.response(request.method)?);
                }
            }
        }
        Ok(transcript)
    }
}

/// As `--upstream` wants it.
impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl Wire {
    /// What reads this connection. There should be one only.
    pub(crate) fn reader(&self) -> Result<Reader<Self>, String> {
        let copy = match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
        };
        copy.map(Reader::new).map_err(|error| format!("cannot share a socket: {error}"))
    }

    /// Sends a request and reads the response at the same time.
    pub(crate) fn exchange(&self, reader: &mut Reader<Self>, request: &Request) -> Result<Response, String> {
        if request.send == Send::OnceAsked {
            return self.exchange_with_expectation(reader, request);
        }
        thread::scope(|scope| {
            // A server may answer and close with the request unread: then writing fails, and the answer counts.
            let writer = scope.spawn(|| self.write_all(&request.bytes()));
            let response = reader.response(request.method);
            if response.as_ref().is_ok_and(|response| matches!(response.end, End::Open | End::Switched)) {
                let written = writer.join().map_err(|_| "the writer panicked")?;
                written?;
            } else {
                self.close();
            }
            response
        })
    }

    /// Writes all of it.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> Result<(), String> {
        let result = match self {
            Self::Tcp(stream) => (&*stream).write_all(bytes),
            Self::Unix(stream) => (&*stream).write_all(bytes),
        };
        result.map_err(|error| format!("cannot write: {error}"))
    }

    /// Closes the sending direction.
    pub(crate) fn finish_writing(&self) {
        self.shut(Shutdown::Write);
    }

    fn exchange_with_expectation(&self, reader: &mut Reader<Self>, request: &Request) -> Result<Response, String> {
        self.write_all(&request.head)?;
        let head = reader.head()?;
        if status(&head)? != 100 {
            return Err(format!("not a 100 Continue: {:?}", head.escape_ascii().to_string()));
        }
        self.write_all(&request.body)?;
        let mut response = reader.response(request.method)?;
        response.pieces.insert(0, Piece::Head(head));
        Ok(response)
    }

    /// Closes both directions, which also ends a writer that waits.
    fn close(&self) {
        self.shut(Shutdown::Both);
    }

    fn shut(&self, how: Shutdown) {
        // An error says that the other side was faster.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }

    fn limited(self) -> io::Result<Self> {
        match &self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(STILL_LIMIT))?;
                stream.set_write_timeout(Some(STILL_LIMIT))?;
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(STILL_LIMIT))?;
                stream.set_write_timeout(Some(STILL_LIMIT))?;
            }
        }
        Ok(self)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

//! A connection to ask something, within a time limit; for subcommands, which do nothing else meanwhile.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::net::address::Address;

/// A connection whose every call ends by the time limit.
pub(super) struct Connection {
    stream: Stream,
    end: Instant,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    pub(super) fn open(address: &Address, limit: Duration) -> io::Result<Self> {
        let end = Instant::now() + limit;
        let stream = match address {
            Address::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                let mut addresses = (&**host, *port).to_socket_addrs()?;
                loop {
                    let Some(address) = addresses.next() else { return Err(last) };
                    match TcpStream::connect_timeout(&reachable(address), left(end)?) {
                        Ok(stream) => break Stream::Tcp(stream),
                        Err(error) => last = error,
                    }
                }
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        Ok(Self { stream, end })
    }

    /// Ends sooner, if the limit given is shorter than what is left.
    pub(super) fn within(&mut self, limit: Duration) -> Result<Vec<u8>, io::Error> {
        let end = self.end;
        self.end = end.min(Instant::now() + limit);
        let read = self.read();
        self.end = end;
        read
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = Some(left(self.end)?);
        match &mut self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes)),
            Stream::Unix(stream) => stream.set_write_timeout(left).and_then(|()| stream.write_all(bytes)),
        }
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        let left = Some(left(self.end)?);
        let mut room = vec![0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(&mut room)),
            Stream::Unix(stream) => stream.set_read_timeout(left).and_then(|()| stream.read(&mut room)),
        };
        match read {
            Ok(count) => {
                room.truncate(count);
                Ok(room)
            }
            // The kernel's word for a time limit of a socket.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }
}

/// What is left of the time limit.
fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Who listens on all addresses is asked on that of the machine itself.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

//! Listens on an address.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::address::Address;
use super::stream::{Peer, Stream};

/// Connections that the kernel completes before they are accepted. The kernel lowers it to `net.core.somaxconn`.
pub(crate) const MOST_WAITING: i32 = 4096;

/// A bound and listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, Arc<SocketFile>),
}

impl Listener {
    /// Listens by so many sockets, among which the kernel shares out the connections. Of a name with several addresses the first
    /// that can be bound is taken.
    pub(crate) fn bind(address: &Address, count: NonZeroUsize) -> io::Result<Vec<Self>> {
        match address {
            Address::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for address in (&**host, *port).to_socket_addrs()? {
                    match listen_tcp(address, count) {
                        Ok(listeners) => return Ok(listeners.into_iter().map(Self::Tcp).collect()),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let listener = std::os::unix::net::UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                let file = Arc::new(SocketFile(path.clone()));
                // They are one socket: who is idle takes the next connection.
                (0..count.get()).map(|_| Ok(Self::Unix(listener.try_clone()?, Arc::clone(&file)))).collect()
            }
        }
    }

    /// Where it listens, with the port that the kernel chose.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::from),
            Self::Unix(_, file) => Ok(Address::Unix(file.0.clone())),
        }
    }

    /// Begins to accept. Must be called within a runtime.
    pub(crate) fn accepting(self) -> io::Result<Accepting> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Accepting::Tcp),
            Self::Unix(listener, file) => Ok(Accepting::Unix(UnixListener::from_std(listener)?, file)),
        }
    }
}

/// A listener of a runtime.
#[derive(Debug)]
pub(crate) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener, Arc<SocketFile>),
}

impl Accepting {
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                listener.accept().await.map(|(stream, address)| (Stream::Tcp(stream), Peer(Some(address))))
            }
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| (Stream::Unix(stream), Peer(None))),
        }
    }

    /// The connections that wait to be accepted: the last, since with it the listener closes.
    pub(crate) fn into_backlog(self) -> io::Result<Backlog> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(Listener::Tcp),
            Self::Unix(listener, file) => Ok(Listener::Unix(listener.into_std()?, file)),
        }
        .map(Backlog)
    }
}

/// A listener that is about to close. It asks the kernel, not the runtime: readiness may be a turn behind.
#[derive(Debug)]
pub(crate) struct Backlog(Listener);

impl Backlog {
    /// The next connection; `None`: no more wait. Must be called within a runtime.
    pub(crate) fn next(&self) -> io::Result<Option<(Stream, Peer)>> {
        let accepted = match &self.0 {
            Listener::Tcp(listener) => listener.accept().and_then(|(stream, address)| {
                stream.set_nonblocking(true)?;
                TcpStream::from_std(stream).map(|stream| (Stream::Tcp(stream), Peer(Some(address))))
            }),
            Listener::Unix(listener, _) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                UnixStream::from_std(stream).map(|stream| (Stream::Unix(stream), Peer(None)))
            }),
        };
        match accepted {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            accepted => accepted.map(Some),
        }
    }
}

/// A socket file of ours, removed when we stop listening.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone already, all is well.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listen_tcp(address: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = bound_tcp(address, Sharing::No)?;
    // A port of the kernel's choice is known now.
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    if count > NonZeroUsize::MIN {
        // The first was bound to have the port alone, so that one held by another process is an error though that one would share it.
        sockets[0].set_reuse_port(true)?;
        for _ in 1..count.get() {
            sockets.push(bound_tcp(address, Sharing::Yes)?);
        }
    }
    for socket in &sockets {
        socket.listen(MOST_WAITING)?;
    }
    Ok(sockets.into_iter().map(Socket::into).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    Yes,
}

fn bound_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Connections of a former process that are still closing must not keep us from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    // Accepted connections have it from here: what is relayed was already held back by its sender, if at all.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Removes a socket file that no process listens on: it was left behind by one that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_refused = || {
        let dialled = std::os::unix::net::UnixStream::connect(path);
        dialled.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_refused() { std::fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_connections_send_each_write_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let accepted = runtime.block_on(async {
            let address = "127.0.0.1:0".parse().expect("an address");
            let listener = Listener::bind(&address, NonZeroUsize::MIN).expect("a free port").pop().expect("one");
            let address = listener.address().expect("a bound listener has an address").to_string();
            let accepting = listener.accepting().expect("it is new");
            let _client = std::net::TcpStream::connect(address).expect("it listens");
            accepting.accept().await.expect("a client came")
        });
        assert!(matches!(accepted.0, Stream::Tcp(stream) if stream.nodelay().is_ok_and(|nodelay| nodelay)));
    }
}

//! Listens on an address.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::address::Address;
use super::stream::{Peer, Stream, forget_readiness, watch};

/// Connections that the kernel completes before they are accepted. The kernel lowers it to `net.core.somaxconn`.
pub(crate) const MOST_WAITING: i32 = 4096;

/// A socket that listens, and that a runtime watches once it accepts.
#[derive(Debug)]
pub(crate) struct Listener<S = Socket> {
    /// It stands before the socket: the file goes before that closes, so that a successor's is not taken for it.
    file: Option<Arc<SocketFile>>,
    socket: S,
}

/// A listener of a runtime.
pub(crate) type Accepting = Listener<AsyncFd<Socket>>;

impl Listener {
    /// Listens by so many sockets, among which the kernel shares out the connections. Of a name with several addresses the first
    /// that this machine has is taken; that it is held by another process is an error, or else clients would be that one's.
    pub(crate) fn bind(address: &Address, count: NonZeroUsize) -> io::Result<Vec<Self>> {
        match address {
            Address::Tcp { host, port } => {
                let sockets = listen_on_first((&**host, *port).to_socket_addrs()?, count)?;
                Ok(sockets.into_iter().map(|socket| Self { file: None, socket }).collect())
            }
            Address::Unix(path) => {
                remove_stale(path)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = Arc::new(SocketFile::new(path)?);
                socket.listen(MOST_WAITING)?;
                // They are one socket: who is idle takes the next connection.
                let shared = |_| Ok(Self { file: Some(Arc::clone(&file)), socket: socket.try_clone()? });
                (0..count.get()).map(shared).collect()
            }
        }
    }

    /// Where it listens, with the port that the kernel chose.
    pub(crate) fn address(&self) -> io::Result<Address> {
        match &self.file {
            Some(file) => Ok(Address::Unix(file.path.clone())),
            None => self.socket.local_addr()?.as_socket().map(Address::from).ok_or(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Begins to accept. Must be called within a runtime.
    pub(crate) fn accepting(self) -> io::Result<Accepting> {
        Ok(Listener { file: self.file, socket: watch(self.socket, Interest::READABLE)? })
    }
}

impl Accepting {
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        loop {
            self.ready().await?;
            if let Some(accepted) = self.try_accept()? {
                return Ok(accepted);
            }
        }
    }

    /// Waits until somebody waits to be accepted, whom another worker may yet take.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await.map(drop)
    }

    /// Accepts who waits; `None`: nobody does. It asks the kernel, not the reactor, which may be a turn behind.
    pub(crate) fn try_accept(&self) -> io::Result<Option<(Stream, Peer)>> {
        match acceptfrom_with(self.socket.get_ref(), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, address)) => {
                let peer = Peer(address.and_then(|address| address.try_into().ok()));
                Stream::new(socket.into(), peer).map(|stream| Some((stream, peer)))
            }
            Err(Errno::AGAIN) => {
                forget_readiness(&self.socket, Interest::READABLE);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A socket file of ours, removed when we stop listening, unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it is gone already, all is well.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Tells whether no interface has the address, or the kernel does not know its kind.
fn is_not_of_this_machine(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

fn listen_on_first(addresses: impl Iterator<Item = SocketAddr>, count: NonZeroUsize) -> io::Result<Vec<Socket>> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in addresses {
        match listen_tcp(address, count) {
            Err(error) if is_not_of_this_machine(&error) => last = error,
            listeners => return listeners,
        }
    }
    Err(last)
}

fn listen_tcp(address: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<Socket>> {
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
    Ok(sockets)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    No,
    Yes,
}

fn bound_tcp(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    // Connections of a former process that are still closing must not keep us from starting.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    // Accepted connections have it from here: what is relayed was already held back by its sender, if at all.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Removes a socket file that no process listens on: it was left behind by one that was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let dialling = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    // With a full backlog, which it does not wait for, somebody is behind it.
    let dialled = dialling.connect(&SockAddr::unix(path)?);
    let is_refused = dialled.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_refused { std::fs::remove_file(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener as StdUnixListener;

    use socket2::SockRef;

    use super::*;

    /// A path for a socket file, and its address.
    fn place(name: &str) -> (PathBuf, Address) {
        let path = std::env::temp_dir().join(format!("headsnip-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        (path.clone(), Address::Unix(path))
    }

    fn bind(address: &Address) -> io::Result<Vec<Listener>> {
        Listener::bind(address, NonZeroUsize::MIN)
    }

    /// Or else clients that ask the other address of the name would be another process's.
    #[test]
    fn of_a_name_the_first_address_of_this_machine_is_taken_or_refused() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = holder.local_addr().expect("an address").port();
        // One for documentation (RFC 5737), and two of this machine.
        let foreign = SocketAddr::from(([192, 0, 2, 1], port));
        let [first, second] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], port)));
        let bound = |addresses: &[SocketAddr]| {
            let sockets = listen_on_first(addresses.iter().copied(), NonZeroUsize::MIN)?;
            sockets[0].local_addr().map(|address| address.as_socket().expect("an IP address"))
        };
        assert_eq!(bound(&[foreign, first, second]).expect_err("it is held").kind(), io::ErrorKind::AddrInUse);
        assert_eq!(bound(&[foreign, second, first]).expect("it is free"), second);
        assert_eq!(bound(&[foreign]).expect_err("it is not ours").kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn only_a_stale_socket_file_is_removed() {
        let (path, address) = place("stale");
        drop(StdUnixListener::bind(&path).expect("a free path"));
        assert!(path.exists(), "it is left behind");
        let listeners = bind(&address).expect("nobody listens there");
        assert_eq!(bind(&address).expect_err("we do").kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        assert!(!path.exists());
        fs::write(&path, "a text").expect("a file");
        assert_eq!(bind(&address).expect_err("a file is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "a text");
        fs::remove_file(path).expect("it was there");
    }

    #[test]
    fn a_listener_whose_backlog_is_full_is_there() {
        let (path, address) = place("full");
        let owner = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        owner.bind(&SockAddr::unix(&path).expect("a path")).expect("a free path");
        owner.listen(0).expect("it listens");
        let _waiting = std::os::unix::net::UnixStream::connect(&path).expect("there is one place");
        assert_eq!(bind(&address).expect_err("it is held").kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(path).expect("it was there");
    }

    #[test]
    fn a_file_that_took_the_place_of_ours_stays() {
        let (path, address) = place("successor");
        let listeners = bind(&address).expect("a free path");
        fs::remove_file(&path).expect("it is ours");
        let _successor = StdUnixListener::bind(&path).expect("a free path");
        drop(listeners);
        assert!(path.exists());
        fs::remove_file(path).expect("it was there");
    }

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
        assert!(SockRef::from(&accepted.0).tcp_nodelay().is_ok_and(|nodelay| nodelay));
    }
}

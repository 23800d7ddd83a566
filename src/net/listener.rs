//! Listens on an address, or on sockets that systemd has passed.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::address::Address;
use super::socket_file::{SocketFile, SocketMode};
use super::stream::{Peer, Stream, forget_readiness, keep_alive, watch};

/// Connections that the kernel completes before they are accepted. The kernel lowers it to `net.core.somaxconn`.
pub(crate) const MOST_WAITING: i32 = 4096;

/// What clients are accepted by, and what a runtime watches once they are.
#[derive(Debug)]
pub(crate) struct Listener<S = Socket> {
    /// It stands before the socket: the file goes before that closes, so that a successor's is not taken for it.
    file: Option<Arc<SocketFile>>,
    /// One that we have made, or as many as were passed.
    sockets: Vec<S>,
    /// Which of them is asked first.
    next: Cell<usize>,
}

/// A listener of a runtime.
pub(crate) type Accepting = Listener<AsyncFd<Socket>>;

impl Listener {
    /// Listens by so many sockets, among which the kernel shares out the connections. Of a name with several addresses the first
    /// that this machine has is taken; that it is held by another process is an error, or else clients would be that one's.
    pub(crate) fn bind(address: &Address, mode: Option<SocketMode>, count: NonZeroUsize) -> io::Result<Vec<Self>> {
        match address {
            Address::Tcp { host, port } => {
                let sockets = listen_on_first((&**host, *port).to_socket_addrs()?, count)?;
                Ok(sockets.into_iter().map(|socket| Self::new(None, vec![socket])).collect())
            }
            Address::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
                let file = Arc::new(SocketFile::listen(&socket, path, mode, MOST_WAITING)?);
                Self::shared(Some(&file), &[socket], count)
            }
        }
    }

    /// Listens so many times on all of the sockets passed.
    pub(crate) fn on_passed(sockets: &[Socket], count: NonZeroUsize) -> io::Result<Vec<Self>> {
        Self::shared(None, sockets, count)
    }

    /// They are the same sockets: an idle worker takes the next connection.
    fn shared(file: Option<&Arc<SocketFile>>, sockets: &[Socket], count: NonZeroUsize) -> io::Result<Vec<Self>> {
        let all = || sockets.iter().map(Socket::try_clone).collect::<io::Result<_>>();
        (0..count.get()).map(|_| Ok(Self::new(file.map(Arc::clone), all()?))).collect()
    }

    fn new(file: Option<Arc<SocketFile>>, sockets: Vec<Socket>) -> Self {
        Self { file, sockets, next: Cell::new(0) }
    }

    /// Where it listens, with the ports that the kernel chose.
    pub(crate) fn addresses(&self) -> io::Result<Vec<Address>> {
        self.sockets.iter().map(address_of).collect()
    }

    /// Begins to accept. Must be called within a runtime.
    pub(crate) fn accepting(self) -> io::Result<Accepting> {
        let watched = self.sockets.into_iter().map(|socket| watch(socket, Interest::READABLE));
        Ok(Listener { file: self.file, sockets: watched.collect::<io::Result<_>>()?, next: self.next })
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

    /// Waits until somebody waits to be accepted, whom another worker may yet take. For ever, once nobody comes any more: the
    /// worker that has seen to that takes who is left.
    pub(crate) async fn ready(&self) -> io::Result<()> {
        poll_fn(|context| {
            for socket in &self.sockets {
                match socket.poll_read_ready(context) {
                    // The reactor does not forget that.
                    Poll::Ready(Ok(told)) if told.ready().is_read_closed() => {}
                    Poll::Ready(told) => return Poll::Ready(told.map(drop)),
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Has nobody come any more but who waits, as far as that can be: to TCP somebody may come until the listener is closed, and to a socket
    /// that was passed for as long as systemd holds it.
    pub(crate) fn turn_away(&self) {
        if let Some(file) = &self.file {
            file.remove();
            // The kernel refuses even those who had found the file before. It fails for no socket that listens.
            let _ = self.sockets.iter().try_for_each(|socket| socket.get_ref().shutdown(Shutdown::Read));
        }
    }

    /// Accepts who waits; `None`: nobody does. It asks the kernel, not the reactor, which may be a turn behind.
    pub(crate) fn try_accept(&self) -> io::Result<Option<(Stream, Peer)>> {
        let (before, first) = self.sockets.split_at(self.next.get());
        for (place, socket) in first.iter().chain(before).enumerate() {
            match acceptfrom_with(socket.get_ref(), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((accepted, address)) => {
                    // Those of one socket do not keep those of another waiting.
                    self.next.set((self.next.get() + place + 1) % self.sockets.len());
                    let peer = Peer(address.and_then(|address| address.try_into().ok()).map(canonical));
                    let stream = Stream::new(accepted.into(), peer)?;
                    // A client that was not accepted at once has sent its request.
                    stream.expect_bytes();
                    return Ok(Some((stream, peer)));
                }
                // A socket file that was shut down gives EINVAL.
                Err(Errno::AGAIN | Errno::INVAL) => forget_readiness(socket, Interest::READABLE),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// A client's address as it is written elsewhere: to `[::]`, one of IPv4 comes as an address of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = address.ip().to_canonical();
    if ip.is_ipv4() { SocketAddr::new(ip, address.port()) } else { address }
}

/// Where a socket listens. A name that is no path, which Linux calls abstract, is written with an `@` before it.
fn address_of(socket: &Socket) -> io::Result<Address> {
    let address = socket.local_addr()?;
    let name = |name: &[u8]| PathBuf::from(format!("@{}", String::from_utf8_lossy(name)));
    let path = || address.as_pathname().map(PathBuf::from).or_else(|| address.as_abstract_namespace().map(name));
    let known = address.as_socket().map(Address::from).or_else(|| path().map(Address::Unix));
    known.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Returns whether no interface has the address, or the kernel does not know its kind.
pub(crate) fn is_not_of_this_machine(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ADDRNOTAVAIL) || is_family_unknown(error)
}

/// Returns whether the kernel does not know this kind of address.
pub(crate) fn is_family_unknown(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
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

fn listen_tcp(mut address: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..count.get() {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
        // Connections of a former process that are still closing must not keep us from starting.
        socket.set_reuse_address(true)?;
        // The first is bound to have the port alone, so that one held by another process is an error though that one would share it.
        socket.set_reuse_port(!sockets.is_empty())?;
        if address.is_ipv6() {
            // `[::]` is all addresses, whatever the default of this machine (net.ipv6.bindv6only).
            socket.set_only_v6(false)?;
        }
        // Accepted connections have it from here: what is relayed was already held back by its sender, if at all.
        socket.set_tcp_nodelay(true)?;
        keep_alive(&socket)?;
        socket.bind(&address.into())?;
        socket.set_reuse_port(count > NonZeroUsize::MIN)?;
        // A port of the kernel's choice is known now.
        address = socket.local_addr()?.as_socket().unwrap_or(address);
        sockets.push(socket);
    }
    for socket in &sockets {
        socket.listen(MOST_WAITING)?;
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;

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
    fn who_comes_to_a_socket_file_while_its_backlog_is_emptied_is_refused() {
        let path = std::env::temp_dir().join(format!("headsnip-{}-turned-away", std::process::id()));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let two = NonZeroUsize::new(2).expect("two");
            let listeners = Listener::bind(&Address::Unix(path.clone()), None, two).expect("a free path");
            let accepting: Vec<_> = listeners.into_iter().map(|one| one.accepting().expect("it is new")).collect();
            // Who has found the file before it goes may come after.
            let other_path = path.with_extension("other");
            std::fs::hard_link(&path, &other_path).expect("a link");
            let _waiting = UnixStream::connect(&path).expect("it listens");
            accepting[0].turn_away();
            assert!(!path.exists());
            let refused = UnixStream::connect(&other_path).expect_err("nobody comes any more");
            std::fs::remove_file(other_path).expect("it was there");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            assert!(accepting[1].try_accept().expect("no error").is_some(), "who waited is taken");
            for listener in &accepting {
                assert!(listener.try_accept().expect("no error").is_none());
                timeout(Duration::from_millis(50), listener.ready()).await.expect_err("nobody comes");
            }
        });
    }

    #[test]
    fn who_waits_is_told_of_and_not_taken() {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let address = "127.0.0.1:0".parse().expect("an address");
            let listener = Listener::bind(&address, None, NonZeroUsize::MIN).expect("a free port").pop().expect("one");
            let address = listener.addresses().expect("a bound listener has an address")[0].to_string();
            let accepting = listener.accepting().expect("it is new");
            assert!(accepting.try_accept().expect("no error").is_none());
            let client = std::net::TcpStream::connect(&address).expect("it listens");
            for _ in 0..2 {
                let ready = timeout(Duration::from_secs(10), accepting.ready()).await;
                ready.expect("one waits").expect("no error");
            }
            let (_, Peer(peer)) = accepting.try_accept().expect("no error").expect("one waits");
            assert_eq!(peer, client.local_addr().ok());
            assert!(accepting.try_accept().expect("no error").is_none());
            // The reactor has not told of this one yet.
            let _client = std::net::TcpStream::connect(&address).expect("it listens");
            assert!(accepting.try_accept().expect("no error").is_some());
        });
    }

    #[test]
    fn sockets_that_were_passed_have_their_turns() {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let sockets: Vec<Socket> =
                (0..3).flat_map(|_| listen_tcp(any, NonZeroUsize::MIN).expect("a free port")).collect();
            // Two wait at the first and at the last.
            let clients = [0, 2, 0, 2].map(|place: usize| {
                let address = sockets[place].local_addr().expect("an address").as_socket().expect("one of IP");
                (std::net::TcpStream::connect(address).expect("it listens"), place)
            });
            let listener = Listener::on_passed(&sockets, NonZeroUsize::MIN).expect("descriptors").pop().expect("one");
            let accepting = listener.accepting().expect("it is new");
            let order = [(); 4].map(|()| {
                let (_, Peer(peer)) = accepting.try_accept().expect("no error").expect("one waits");
                clients.iter().find(|(client, _)| client.local_addr().ok() == peer).map(|(_, place)| *place)
            });
            assert_eq!(order, [Some(0), Some(2), Some(0), Some(2)]);
        });
    }

    /// Where `[::]` takes it, too.
    #[test]
    fn a_client_of_ipv4_has_an_address_of_ipv4() {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let address = "[::]:0".parse().expect("an address");
            let listener = Listener::bind(&address, None, NonZeroUsize::MIN).expect("a free port").pop().expect("one");
            let bound = listener.sockets[0].local_addr().expect("an address").as_socket().expect("one of IP");
            let accepting = listener.accepting().expect("it is new");
            for host in ["127.0.0.1", "::1"] {
                let client = std::net::TcpStream::connect((host, bound.port())).expect("it listens");
                let (_, Peer(peer)) = accepting.accept().await.expect("a client came");
                assert_eq!(peer, client.local_addr().ok());
            }
        });
    }

    #[test]
    fn accepted_connections_send_each_write_at_once() {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
        let accepted = runtime.block_on(async {
            let address = "127.0.0.1:0".parse().expect("an address");
            let listener = Listener::bind(&address, None, NonZeroUsize::MIN).expect("a free port").pop().expect("one");
            let address = listener.addresses().expect("a bound listener has an address")[0].to_string();
            let accepting = listener.accepting().expect("it is new");
            let _client = std::net::TcpStream::connect(address).expect("it listens");
            accepting.accept().await.expect("a client came")
        });
        assert!(SockRef::from(&accepted.0).tcp_nodelay().is_ok_and(|nodelay| nodelay));
    }
}

//! Connects to the origin.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockAddr, Socket, Type};
use tokio::time::{Instant, sleep, timeout};

use super::address::Address;
use super::departure;
use super::resolve::{Name, Unresolved};
use super::stream::{Peer, Stream, Transport};

/// The pause before another try where no descriptor is left, or no place in the backlog of a socket file: some client is about
/// to leave, as likely as not.
const PAUSE: Duration = Duration::from_millis(50);

/// Whence a session has its connections to the origin.
pub(crate) trait Dial: 'static {
    type Stream: Transport;

    /// Connects. That it ends in time is the caller's to see to.
    async fn dial(&self, limit: Duration) -> io::Result<Self::Stream>;

    /// Ends a connection so that all that was written to it arrives.
    fn depart(&self, stream: Self::Stream);
}

/// Where the origin is.
#[derive(Debug)]
pub(crate) enum Upstream {
    Number(SocketAddr),
    Name(Name),
    Unix(PathBuf),
}

impl Upstream {
    pub(crate) fn new(address: &Address) -> Self {
        match address {
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(number) => Self::Number(SocketAddr::new(number, *port)),
                Err(_) => Self::Name(Name::new(host, *port)),
            },
            Address::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl Dial for Upstream {
    type Stream = Stream;

    /// Of a name's addresses each has its share of the time limit. Must be called within a `LocalSet`.
    async fn dial(&self, limit: Duration) -> io::Result<Stream> {
        loop {
            let dialled = match self {
                Self::Number(address) => connect(*address).await,
                Self::Name(name) => match name.addresses().await {
                    Ok(addresses) => dial_in_turn(&addresses, limit).await,
                    Err(unresolved) => return Err(io::Error::other(unresolved)),
                },
                Self::Unix(path) => connect_to(&SockAddr::unix(path)?, Peer(None)).await,
            };
            match dialled {
                Err(error) if is_passing(&error) => sleep(PAUSE).await,
                dialled => return dialled,
            }
        }
    }

    fn depart(&self, stream: Stream) {
        departure::depart(stream);
    }
}

/// Connects to the first address that takes the connection.
async fn dial_in_turn(addresses: &[SocketAddr], limit: Duration) -> io::Result<Stream> {
    let end = Instant::now() + limit;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / left;
        last = match timeout(share, connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if is_passing(&error) => return Err(error),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(last)
}

async fn connect(address: SocketAddr) -> io::Result<Stream> {
    connect_to(&address.into(), Peer(Some(address))).await
}

async fn connect_to(address: &SockAddr, peer: Peer) -> io::Result<Stream> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
    if peer.0.is_some() {
        // What is relayed was already held back by its sender, if at all.
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(address) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let stream = Stream::new(socket, peer)?;
    stream.connected().await?;
    Ok(stream)
}

/// Tells whether nothing listens there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Tells whether the upstream's name has no address.
pub(crate) fn is_dns_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Unresolved>)
}

/// Tells whether another try, a moment later, may do: TCP waits by itself for a place in a backlog, a socket file does not.
fn is_passing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;
    use tokio::runtime::Builder;
    use tokio::task::LocalSet;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async { timeout(LIMIT, test).await.expect("it ends in time") })
    }

    /// An address where nothing listens.
    fn vacant() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
    }

    #[test]
    fn addresses_are_tried_in_order_until_one_takes_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let dialled = run(dial_in_turn(&[vacant(), vacant(), address, vacant()], LIMIT)).expect("one listens");
        assert_eq!(SockRef::from(&dialled).peer_addr().expect("a peer").as_socket(), Some(address));
    }

    #[test]
    fn with_none_left_the_last_error_is_told() {
        assert!(is_absent(&run(dial_in_turn(&[vacant(), vacant()], LIMIT)).expect_err("none listens")));
        let none = run(dial_in_turn(&[], LIMIT)).expect_err("there is none");
        assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
    }

    /// A listener that accepts nobody, and whose backlog is full, answers no more.
    #[test]
    fn an_address_that_does_not_answer_has_its_share_of_the_time_alone() {
        let (full, _waiting) = full_listener();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addresses = [full.local_addr().expect("an address"), listener.local_addr().expect("an address")];
        let begun = Instant::now();
        run(dial_in_turn(&addresses, Duration::from_millis(200))).expect("the second listens");
        let taken = begun.elapsed();
        assert!(taken >= Duration::from_millis(100) && taken < Duration::from_millis(200), "{taken:?}");
        let silent = run(dial_in_turn(&addresses[..1], Duration::from_millis(50))).expect_err("it does not answer");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
    }

    fn full_listener() -> (TcpListener, Vec<std::net::TcpStream>) {
        let socket = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        socket.listen(0).expect("it listens");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
        let dial = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok();
        let waiting: Vec<_> = std::iter::from_fn(dial).take(64).collect();
        assert!(waiting.len() < 64, "the backlog of {address} never fills");
        (listener, waiting)
    }

    #[test]
    fn a_name_is_resolved_and_one_without_an_address_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let upstream = |host: &str| Upstream::new(&Address::Tcp { host: host.into(), port });
        run(upstream("localhost").dial(LIMIT)).expect("the name of this machine");
        let error = run(upstream("nowhere.invalid").dial(LIMIT)).expect_err("no such name (RFC 6761 §6.4)");
        assert!(is_dns_error(&error), "{error}");
        assert!(error.to_string().starts_with("cannot resolve nowhere.invalid: "), "{error}");
    }
}

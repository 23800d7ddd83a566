//! Connects to the origin.
//!
//! Of a name's addresses the one that answered last is tried first. Another is begun beside those under way when none has answered
//! for a moment, or at once when one has failed; the first connection is taken (RFC 8305, with the families in the resolver's order).

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use rustix::io::Errno;
use socket2::{SockAddr, Socket, Type};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::departure::{self, Until};
use super::descriptors::are_exhausted;
use super::resolve::{Name, Unresolved};
use super::socket_file::identity;
use super::stream::{Peer, Stream, Transport, keep_alive};

/// The pause before another try where no descriptor is left, or no place in the backlog of a socket file: some client is about
/// to leave, as likely as not.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an address is tried before the next is begun beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Where a session gets its origin connections.
pub(crate) trait Dial: 'static {
    type Stream: Transport;

    /// Connects. The caller enforces the time limit.
    async fn dial(&self, limit: Duration) -> io::Result<Self::Stream>;

    /// Ends a connection so that all that was written to it arrives.
    fn depart(&self, stream: Self::Stream, until: Until);
}

/// Where the origin is, and where we are.
#[derive(Debug)]
pub(crate) struct Upstream {
    place: Place,
    own: Vec<SocketAddr>,
    own_files: Vec<PathBuf>,
}

#[derive(Debug)]
enum Place {
    Number(SocketAddr),
    Name {
        name: Name,
        /// The address that answered last.
        best: Cell<Option<SocketAddr>>,
    },
    Unix(PathBuf),
}

/// What was dialled is one of our own listeners: each request would come back to us, and be dialled for again.
#[derive(Debug, Error)]
#[error("the upstream {0} is headsnip itself")]
struct Itself(Address);

impl Upstream {
    /// `own`: where this process listens.
    pub(crate) fn new(address: &Address, own: &[Address]) -> Self {
        let place = match address {
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(number) => Place::Number(SocketAddr::new(number, *port)),
                Err(_) => Place::Name { name: Name::new(host, *port), best: Cell::new(None) },
            },
            Address::Unix(path) => Place::Unix(path.clone()),
        };
        let mut upstream = Self { place, own: Vec::new(), own_files: Vec::new() };
        for address in own {
            match address {
                Address::Tcp { host, port } => {
                    upstream.own.extend(host.parse().map(|host: IpAddr| SocketAddr::new(host.to_canonical(), *port)));
                }
                Address::Unix(path) => upstream.own_files.push(path.clone()),
            }
        }
        upstream
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        self.checked(connect_to(&address.into(), Peer(Some(address))).await?, address)
    }

    /// A connection, unless it is with nobody, or with ourselves.
    fn checked(&self, stream: Stream, address: SocketAddr) -> io::Result<Stream> {
        let local = stream.socket().local_addr()?.as_socket().unwrap_or(address);
        // 0.0.0.0 is dialled to reach this machine.
        let reached = if address.ip().is_unspecified() { local.ip() } else { address.ip().to_canonical() };
        let address = SocketAddr::new(reached, address.port());
        // To a port of the kernel's choice where nobody listens, a connection can be made with itself.
        if SocketAddr::new(local.ip().to_canonical(), local.port()) == address {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.own.iter().any(|own| is_reached(*own, address, local.ip().to_canonical())) {
            return Err(io::Error::other(Itself(address.into())));
        }
        Ok(stream)
    }

    async fn connect_file(&self, path: &Path) -> io::Result<Stream> {
        if self.own_files.iter().any(|own| identity(own).is_some_and(|own| identity(path) == Some(own))) {
            return Err(io::Error::other(Itself(Address::Unix(path.to_owned()))));
        }
        connect_to(&SockAddr::unix(path)?, Peer(None)).await
    }

    fn connect_name<'a>(&'a self, name: &'a Name, best: &'a Cell<Option<SocketAddr>>, limit: Duration) -> Dialling<'a> {
        Box::pin(async move {
            let found = |error| io::Error::other::<Unresolved>(error);
            let addresses = name.addresses(limit).await.map_err(found)?;
            let mut race = self.race(addresses.clone(), best);
            if !name.is_old() {
                return race.await;
            }
            // The application may have moved, and what is at its old address may say nothing at all.
            let raced = timeout(limit / 2, &mut race).await;
            let renewed = async {
                match name.renewed(&addresses).await {
                    Some(addresses) => Some(self.race(addresses, best).await),
                    None => None,
                }
            };
            match raced {
                Ok(Err(error)) if !is_final(&error) => renewed.await.unwrap_or(Err(error)),
                Ok(raced) => raced,
                Err(_) => tokio::select! {
                    biased;
                    Some(raced) = renewed => raced,
                    raced = race => raced,
                },
            }
        })
    }

    /// Connects to the first address that accepts the connection, or returns the last error.
    fn race<'a>(&'a self, addresses: Rc<[SocketAddr]>, best: &'a Cell<Option<SocketAddr>>) -> Dialling<'a> {
        Box::pin(async move {
            let first = best.get().filter(|best| addresses.contains(best));
            let others = addresses.iter().copied().filter(|address| Some(*address) != first);
            let mut left = first.into_iter().chain(others).peekable();
            let mut attempts = FuturesUnordered::new();
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            loop {
                attempts.extend(left.next().map(|address| async move { Ok((self.connect(address).await?, address)) }));
                let ended = attempts.next();
                let ended = if left.peek().is_none() {
                    ended.await
                } else {
                    match timeout(HEAD_START, ended).await {
                        Ok(ended) => ended,
                        Err(_) => continue,
                    }
                };
                match ended {
                    None => return Err(last),
                    Some(Ok((stream, address))) => {
                        best.set(Some(address));
                        return Ok(stream);
                    }
                    // Those under way may still be taken.
                    Some(Err(error)) if is_passing(&error) && !attempts.is_empty() => last = error,
                    Some(Err(error)) if is_final(&error) => return Err(error),
                    Some(Err(error)) => last = error,
                }
            }
        })
    }
}

impl Dial for Upstream {
    type Stream = Stream;

    /// Must be called within a `LocalSet` or `LocalRuntime`.
    async fn dial(&self, limit: Duration) -> io::Result<Stream> {
        loop {
            let dialled = match &self.place {
                Place::Number(address) => self.connect(*address).await,
                Place::Name { name, best } => self.connect_name(name, best, limit).await,
                Place::Unix(path) => self.connect_file(path).await,
            };
            match dialled {
                Err(error) if is_passing(&error) => sleep(PAUSE).await,
                dialled => return dialled,
            }
        }
    }

    fn depart(&self, stream: Stream, until: Until) {
        departure::depart(stream, until);
    }
}

type Dialling<'a> = LocalBoxFuture<'a, io::Result<Stream>>;

async fn connect_to(address: &SockAddr, peer: Peer) -> io::Result<Stream> {
    let socket = Socket::new(address.domain(), Type::STREAM.nonblocking(), None)?;
    if peer.0.is_some() {
        // What is relayed was already held back by its sender, if at all.
        socket.set_tcp_nodelay(true)?;
    }
    // On this machine the kernel knows by itself.
    if peer.is_remote() {
        keep_alive(&socket)?;
    }
    // Asked again, the kernel tells what became of it: on this machine it is over before the first call returns.
    if is_connected(&socket, address)? || is_connected(&socket, address)? {
        return Stream::new(socket, peer);
    }
    Stream::connected(socket, peer).await
}

/// Connects, or asks what became of that. `false`: it is under way.
fn is_connected(socket: &Socket, address: &SockAddr) -> io::Result<bool> {
    match socket.connect(address) {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::INPROGRESS | Errno::ALREADY) => Ok(false),
            Some(Errno::ISCONN) => Ok(true),
            _ => Err(error),
        },
    }
}

/// Returns whether a connection from that address to this one ends at a listener of ours.
fn is_reached(own: SocketAddr, peer: SocketAddr, local: IpAddr) -> bool {
    let (listening, ip) = (own.ip(), peer.ip());
    let listens_on_all = listening.is_unspecified() && (listening.is_ipv6() || ip.is_ipv4());
    peer.port() == own.port() && (ip == listening || (listens_on_all && ip == local))
}

/// Returns whether nothing listens there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Returns whether the upstream's name has no address.
pub(crate) fn is_dns_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Unresolved>)
}

/// Returns whether trying other addresses is useless.
fn is_final(error: &io::Error) -> bool {
    is_passing(error) || error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Itself>)
}

/// Returns whether another try, a moment later, may do: TCP waits by itself for a place in a backlog, a socket file does not.
fn is_passing(error: &io::Error) -> bool {
    are_exhausted(error) || Errno::from_io_error(error) == Some(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::TcpListener;
    use std::task::{Context, Poll};

    use tokio::runtime::Builder;
    use tokio::task::LocalSet;
    use tokio::time::{Instant, advance, pause, resume};

    use super::super::resolve::KEPT;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async { timeout(LIMIT, test).await.expect("it ends in time") })
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// An address where nothing listens.
    fn vacant() -> SocketAddr {
        listener().1
    }

    /// Dials these addresses of a name, and tells the one that answered.
    fn race(addresses: &[SocketAddr], best: &Cell<Option<SocketAddr>>, own: &[Address]) -> io::Result<SocketAddr> {
        let upstream = Upstream::new(&Address::Unix("nowhere".into()), own);
        let stream = run(upstream.race(addresses.into(), best))?;
        Ok(stream.socket().peer_addr().expect("a peer").as_socket().expect("an address"))
    }

    #[test]
    fn addresses_are_tried_in_order_until_one_takes_the_connection() {
        let (_listener, address) = listener();
        let addresses = [vacant(), vacant(), address, vacant()];
        assert_eq!(race(&addresses, &Cell::default(), &[]).expect("one listens"), address);
    }

    #[test]
    fn the_address_that_answered_last_is_tried_first() {
        let ((_one, first), (_other, second)) = (listener(), listener());
        let best = Cell::new(Some(second));
        assert_eq!(race(&[first, second], &best, &[]).expect("both listen"), second);
        // One that the name has no longer is not.
        assert_eq!(race(&[first], &best, &[]).expect("it listens"), first);
        assert_eq!(best.get(), Some(first));
    }

    #[test]
    fn with_none_left_the_last_error_is_told() {
        assert!(is_absent(&race(&[vacant(), vacant()], &Cell::default(), &[]).expect_err("none listens")));
        let none = race(&[], &Cell::default(), &[]).expect_err("there is none");
        assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
    }

    /// A listener that accepts nobody, and whose backlog is full, answers no more.
    #[test]
    fn an_address_that_does_not_answer_has_a_head_start_and_no_more() {
        let (full, _waiting) = full_listener();
        let (_listener, address) = listener();
        let begun = Instant::now();
        let addresses = [full.local_addr().expect("an address"), address];
        assert_eq!(race(&addresses, &Cell::default(), &[]).expect("the second listens"), address);
        let taken = begun.elapsed();
        assert!(taken >= HEAD_START && taken < HEAD_START * 3, "{taken:?}");
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
    fn what_reaches_ourselves_is_told() {
        let ((_own, address), (_other, other)) = (listener(), listener());
        let all: Address = format!("0.0.0.0:{}", address.port()).parse().expect("an address");
        let mapped = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().expect("an address");
        for (dialled, own) in [(address, Address::from(address)), (address, all.clone()), (mapped, all)] {
            let error = race(&[dialled, other], &Cell::default(), &[own]).expect_err("it is us");
            assert_eq!(error.to_string(), format!("the upstream {address} is headsnip itself"));
        }
        assert_eq!(race(&[other], &Cell::default(), &[address.into()]).expect("it is another"), other);
        let path = std::env::temp_dir().join(format!("headsnip-{}-itself", std::process::id()));
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a free path");
        let place = Address::Unix(path.clone());
        let dialled = |own| run(Upstream::new(&place, own).dial(LIMIT));
        let (with, without) = (dialled(std::slice::from_ref(&place)), dialled(&[]));
        std::fs::remove_file(path).expect("it was there");
        assert_eq!(with.expect_err("it is us").to_string(), format!("the upstream {place} is headsnip itself"));
        without.expect("it listens");
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_those_of_this_machine() {
        for (own, peer, local, reached) in [
            ("10.0.0.5:80", "10.0.0.5:80", "10.0.0.6", true),
            ("10.0.0.5:80", "10.0.0.5:81", "10.0.0.5", false),
            ("0.0.0.0:80", "10.0.0.5:80", "10.0.0.5", true),
            ("0.0.0.0:80", "10.0.0.7:80", "10.0.0.5", false),
            ("0.0.0.0:80", "[::1]:80", "::1", false),
            ("[::]:80", "127.0.0.1:80", "127.0.0.1", true),
            ("[::]:80", "[::1]:80", "::1", true),
            ("127.0.0.1:80", "127.0.0.2:80", "127.0.0.1", false),
        ] {
            let [own, peer] = [own, peer].map(|address| address.parse().expect("an address"));
            assert_eq!(is_reached(own, peer, local.parse().expect("an address")), reached, "{own} {peer} {local}");
        }
    }

    /// On this machine, without a turn of the reactor.
    #[test]
    fn who_listens_here_is_written_to_at_once() {
        let (_listener, address) = listener();
        let path = std::env::temp_dir().join(format!("headsnip-{}-at-once", std::process::id()));
        let _file = std::os::unix::net::UnixListener::bind(&path).expect("a free path");
        for place in [Address::from(address), Address::Unix(path.clone())] {
            let upstream = Upstream::new(&place, &[]);
            run(async {
                let mut context = Context::from_waker(std::task::Waker::noop());
                let mut dialling = std::pin::pin!(upstream.dial(LIMIT));
                let Poll::Ready(Ok(mut stream)) = dialling.as_mut().poll(&mut context) else {
                    panic!("{place}: it is not connected at once");
                };
                assert!(stream.poll_write(&mut context, b"request").is_ready(), "{place}");
            });
        }
        std::fs::remove_file(path).expect("it was there");
    }

    /// A socket file does not wait for a place in a backlog, so we do.
    #[test]
    fn a_full_backlog_of_a_socket_file_is_waited_for() {
        let path = std::env::temp_dir().join(format!("headsnip-{}-full", std::process::id()));
        let socket = Socket::new(socket2::Domain::UNIX, Type::STREAM, None).expect("a socket");
        socket.bind(&SockAddr::unix(&path).expect("a path")).expect("a free path");
        socket.listen(0).expect("it listens");
        let upstream = Upstream::new(&Address::Unix(path.clone()), &[]);
        run(async {
            let _first = upstream.dial(LIMIT).await.expect("there is one place");
            let mut second = std::pin::pin!(upstream.dial(LIMIT));
            assert!(poll_fn(|context| Poll::Ready(second.as_mut().poll(context).is_pending())).await);
            let _taken = socket.accept().expect("the first");
            second.await.expect("its place is free");
        });
        std::fs::remove_file(path).expect("it was there");
    }

    /// The kernel does that once the port of its choice is the one that is dialled; here it is chosen beforehand.
    #[test]
    fn a_connection_with_itself_is_refused() {
        let socket = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        let address = socket.local_addr().expect("an address");
        socket.connect(&address).expect("a simultaneous open");
        let peer = Peer(address.as_socket());
        socket.set_nonblocking(true).expect("a socket option");
        let checked = run(async {
            let stream = Stream::new(socket, peer).expect("a reactor");
            Upstream::new(&Address::Unix("nowhere".into()), &[]).checked(stream, address.as_socket().expect("TCP"))
        });
        assert!(is_absent(&checked.expect_err("it is nobody")));
    }

    #[test]
    fn an_application_that_has_moved_is_found_at_once() {
        let ((before, old), (_after, new)) = (listener(), listener());
        let asked = Rc::new(Cell::new(0));
        let asking = Rc::clone(&asked);
        let name = Name::with_lookup("app", move || {
            asking.set(asking.get() + 1);
            let answer = if asking.get() == 1 { old } else { new };
            Box::pin(async move { Ok(vec![answer]) })
        });
        let place = Place::Name { name, best: Cell::default() };
        let upstream = Upstream { place, own: Vec::new(), own_files: Vec::new() };
        run(async {
            let reached = async || {
                let stream = upstream.dial(LIMIT).await?;
                Ok::<_, io::Error>(stream.socket().peer_addr()?.as_socket())
            };
            assert_eq!(reached().await.expect("it listens"), Some(old));
            drop(before);
            assert!(is_absent(&reached().await.expect_err("the answer is new")));
            pause();
            advance(KEPT).await;
            resume();
            assert_eq!(reached().await.expect("it has moved"), Some(new));
            assert_eq!(asked.get(), 2);
        });
    }

    /// Its backlog is full for over half of the time that there is.
    #[test]
    fn an_application_that_has_not_moved_is_waited_for_to_the_end() {
        let (full, waiting) = full_listener();
        let address = full.local_addr().expect("an address");
        let name = Name::with_lookup("app", move || Box::pin(async move { Ok(vec![address]) }));
        let upstream =
            Upstream { place: Place::Name { name, best: Cell::default() }, own: Vec::new(), own_files: Vec::new() };
        let limit = Duration::from_secs(2);
        run(async {
            let asked = timeout(Duration::from_millis(50), upstream.dial(limit)).await;
            assert!(asked.is_err(), "it is full");
            pause();
            advance(KEPT).await;
            let mut dialling = std::pin::pin!(upstream.dial(limit));
            for passed in [Duration::ZERO, limit / 2, Duration::ZERO, Duration::ZERO, Duration::ZERO] {
                advance(passed).await;
                let is_pending = poll_fn(|context| Poll::Ready(dialling.as_mut().poll(context).is_pending())).await;
                assert!(is_pending, "it may have room again");
            }
            resume();
            let _taken: Vec<_> = waiting.iter().map(|_| full.accept()).collect();
            // The kernel asks again after a second.
            dialling.await.expect("it has room again");
        });
    }

    #[test]
    fn a_name_is_resolved_and_one_without_an_address_is_told() {
        let (_listener, address) = listener();
        let upstream = |host: &str| Upstream::new(&Address::Tcp { host: host.into(), port: address.port() }, &[]);
        run(upstream("localhost").dial(LIMIT)).expect("the name of this machine");
        let error = run(upstream("nowhere.invalid").dial(LIMIT)).expect_err("no such name (RFC 6761 §6.4)");
        assert!(is_dns_error(&error), "{error}");
        assert!(error.to_string().starts_with("cannot resolve nowhere.invalid: "), "{error}");
    }
}

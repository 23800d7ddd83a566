//! What the socket tests share: a proxy on a thread of this process, and sockets with a time limit.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::panic, reason = "a helper fails the test that called it")]

pub mod answering;
pub mod headsnip;
pub mod watched;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ::headsnip::config::{Config, Timeouts};
use ::headsnip::net::address::Address;
use ::headsnip::proxy::{Counts, Drained, Handle, Proxy};
use ::headsnip::testing::Rules;
use ::headsnip::testing::drive::policy;
use socket2::{Domain, SockRef, Socket, Type};

/// No read, write or accept of a test waits longer.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The default time limits but for what a test changes.
pub fn timeouts(change: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts);
    timeouts
}

/// A proxy on a thread of its own; stopped when dropped.
pub struct Running {
    pub address: Address,
    handle: Handle,
    counts: &'static Counts,
    thread: Option<JoinHandle<Drained>>,
}

impl Running {
    /// In front of a TCP origin, with the limits that a test wants.
    pub fn before(origin: &Origin) -> Self {
        Self::with(&Rules::default(), origin.address(), Timeouts::default())
    }

    pub fn with(rules: &Rules, upstream: Address, timeouts: Timeouts) -> Self {
        Self::on("127.0.0.1:0", rules, upstream, timeouts)
    }

    pub fn on(listen: &str, rules: &Rules, upstream: Address, timeouts: Timeouts) -> Self {
        let mut config = Config::new(listen.parse().expect("an address"), upstream);
        config.timeouts = timeouts;
        Self::of(config, rules)
    }

    /// The same, moving bytes by splice wherever so many are to come; never if `None`.
    pub fn splicing(rules: &Rules, upstream: Address, splice_from: Option<u64>) -> Self {
        let mut config = Config::new("127.0.0.1:0".parse().expect("an address"), upstream);
        config.splice_from = splice_from;
        Self::of(config, rules)
    }

    fn of(mut config: Config, rules: &Rules) -> Self {
        config.policy = policy(rules).expect("the rules are sound");
        // A vector's drain is to be seen at once.
        config.drain.delay = Duration::ZERO;
        config.drain.timeout = LIMIT;
        let proxy = Proxy::bind(config, Arc::new(())).expect("a free port");
        let address = proxy.address().clone();
        let (handle, counts) = (proxy.handle(), proxy.counts());
        let thread = std::thread::spawn(move || proxy.run(std::future::pending()).expect("threads"));
        Self { address, handle, counts, thread: Some(thread) }
    }

    pub fn dial(&self) -> Peer {
        self.try_dial().expect("the proxy listens")
    }

    /// Where it drains, there is nobody to dial.
    pub fn try_dial(&self) -> Option<Peer> {
        TcpStream::connect(self.address.to_string()).ok().map(Peer::new)
    }

    /// Has it drain, and returns when it takes no more clients.
    pub fn drain(&self) {
        self.handle.drain();
        let address = self.address.to_string();
        headsnip::until(LIMIT, "the listener to close", || TcpStream::connect(&address).err());
    }

    /// How many requests were sent once more.
    pub fn replays(&self) -> u64 {
        self.counts.replays()
    }

    /// How many bytes were moved by splice.
    pub fn spliced(&self) -> u64 {
        self.counts.spliced()
    }

    /// Stops the proxy and waits for its thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.handle.cut();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the proxy panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The server behind the proxy: accepts one connection after another, when told to.
pub struct Origin {
    listener: TcpListener,
}

impl Origin {
    pub fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    pub fn address(&self) -> Address {
        self.listener.local_addr().expect("a bound listener has an address").into()
    }

    /// The next connection of the proxy.
    pub fn accept(&self) -> Peer {
        SockRef::from(&self.listener).set_read_timeout(Some(LIMIT)).expect("a time limit");
        Peer::new(self.listener.accept().expect("the proxy dials within the limit").0)
    }

    /// The next connection of the proxy that says something. One that does not is a look at whether the origin is there.
    pub fn accept_speaking(&self) -> Peer {
        loop {
            let peer = self.accept();
            if peer.stream.peek(&mut [0]).is_ok_and(|count| count > 0) {
                return peer;
            }
        }
    }

    /// Accepts the connections that wait.
    pub fn each_waiting(&self, mut accepted: impl FnMut(TcpStream)) {
        self.listener.set_nonblocking(true).expect("a listener takes it");
        std::iter::from_fn(|| self.listener.accept().ok()).for_each(|(stream, _)| accepted(stream));
        self.listener.set_nonblocking(false).expect("a listener takes it");
    }
}

/// One end of a connection.
pub struct Peer {
    stream: TcpStream,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Fin,
    Reset,
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_write_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_nodelay(true).expect("a TCP option");
        Self { stream }
    }

    /// The connection itself.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the other side reads");
    }

    /// The same connection, for another thread.
    pub fn twin(&self) -> Self {
        Self { stream: self.stream.try_clone().expect("a descriptor") }
    }

    /// Sends until nothing was taken for a while, at most that many bytes; tells how many were.
    pub fn send_until_blocked(&mut self, most: usize) -> usize {
        self.send_until_blocked_by(&body(most))
    }

    /// Sends of these bytes until nothing was taken for a while; tells how many were.
    pub fn send_until_blocked_by(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a time limit");
        let mut taken = 0;
        while let Ok(count @ 1..) = self.stream.write(&bytes[taken..]) {
            taken += count;
        }
        self.stream.set_write_timeout(Some(LIMIT)).expect("a time limit");
        taken
    }

    /// Sends as far as the other side takes it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a byte out of band, which a reader that asks for none does not see.
    pub fn send_urgent(&self, byte: u8) {
        SockRef::from(&self.stream).send_out_of_band(&[byte]).expect("room");
    }

    /// Reads that many bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            let read = self.stream.read(&mut bytes[filled..]);
            let read = read.unwrap_or_else(|error| panic!("{error} after {:?}", text(&bytes[..filled])));
            assert!(read > 0, "ended after {:?} of {count} bytes", text(&bytes[..filled]));
            filled += read;
        }
        bytes
    }

    /// Reads just these bytes.
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let found = self.read(bytes.as_ref().len());
        assert!(found == bytes.as_ref(), "found {:?}\nwanted {:?}", text(&found), text(bytes.as_ref()));
    }

    /// Reads to the end.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Ended) {
        let (bytes, ended) = self.read_until_silent(LIMIT);
        let ended = ended.unwrap_or_else(|| panic!("no end after {:?}", text(&bytes)));
        (bytes, ended)
    }

    /// Reads to the end, or until nothing has come for so long.
    pub fn read_until_silent(&mut self, limit: Duration) -> (Vec<u8>, Option<Ended>) {
        self.stream.set_read_timeout(Some(limit)).expect("a time limit");
        let mut bytes = Vec::new();
        let mut room = [0; 16 * 1024];
        let ended = loop {
            match self.stream.read(&mut room) {
                Ok(0) => break Some(Ended::Fin),
                Ok(count) => bytes.extend_from_slice(&room[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break Some(Ended::Reset),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) => panic!("{error} after {:?}", text(&bytes)),
            }
        };
        self.stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        (bytes, ended)
    }

    /// Reads a head; none if the connection ends before it.
    pub fn read_head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !self.stream.read(&mut byte).is_ok_and(|count| count == 1) {
                return None;
            }
            head.push(byte[0]);
        }
        String::from_utf8(head).ok()
    }

    /// Reads just these bytes and then the end.
    pub fn expect_end(&mut self, bytes: impl AsRef<[u8]>, how: Ended) {
        let (found, ended) = self.read_to_end();
        assert!(found == bytes.as_ref(), "found {:?}\nwanted {:?}", text(&found), text(bytes.as_ref()));
        assert_eq!(ended, how, "after {:?}", text(&found));
    }

    /// Tells whether bytes or the end have come by now. That they have not proves nothing: they may be under way.
    pub fn is_readable(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket option");
        let read = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket option");
        read.is_ok() || read.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    }

    /// Sends FIN.
    pub fn finish(&mut self) {
        // A connection that was reset has no FIN to send.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }
}

/// A listener that completes no connection: its backlog is full.
pub struct FullBacklog {
    listener: Socket,
    _waiting: Vec<Socket>,
}

pub fn full_backlog() -> FullBacklog {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let listener = socket();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("a listener");
    let address = listener.local_addr().expect("a bound listener has an address");
    let waiting = (0..4).map(|_| {
        let waiting = socket();
        waiting.set_nonblocking(true).expect("a socket option");
        // In progress, and it stays so.
        let _ = waiting.connect(&address);
        waiting
    });
    let waiting = waiting.collect();
    FullBacklog { listener, _waiting: waiting }
}

impl FullBacklog {
    pub fn address(&self) -> Address {
        let address = self.listener.local_addr().expect("a bound listener has an address");
        address.as_socket().expect("an IP address").into()
    }
}

/// One exchange of this client, on an origin connection of its own; both connections stay.
pub fn first_exchange(mut client: Peer, listener: &Origin, request: &str, response: &str) -> (Peer, Peer) {
    client.send(request);
    let mut origin = listener.accept();
    origin.expect(request);
    origin.send(response);
    client.expect(response);
    (client, origin)
}

/// One exchange, the only one of this client; gives what it was sent.
pub fn exchange_once(mut client: Peer, origin: &Origin, request: &str, response: &str) -> Vec<u8> {
    client.send(request);
    let mut server = origin.accept_speaking();
    server.expect(request);
    server.send(response);
    server.finish();
    client.finish();
    client.read_to_end().0
}

/// One exchange over Unix-domain sockets; gives the connection to the origin.
pub fn exchange_on_unix(client: &mut UnixStream, origin: &UnixListener, request: &str, response: &str) -> UnixStream {
    client.set_read_timeout(Some(LIMIT)).expect("a time limit");
    client.write_all(request.as_bytes()).expect("the proxy reads");
    let mut accepted = origin.accept().expect("the proxy dials").0;
    accepted.set_read_timeout(Some(LIMIT)).expect("a time limit");
    let mut read = vec![0; request.len()];
    accepted.read_exact(&mut read).expect("the request");
    assert_eq!(text(&read), text(request.as_bytes()));
    accepted.write_all(response.as_bytes()).expect("the proxy reads");
    let mut read = vec![0; response.len()];
    client.read_exact(&mut read).expect("the response");
    assert_eq!(text(&read), text(response.as_bytes()));
    accepted
}

/// Bytes as a person reads them, cut short.
pub fn text(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(600)].escape_ascii();
    format!("{shown}{}", if bytes.len() > 600 { " ..." } else { "" })
}

/// Bytes that are a function of their offset, so that loss, swap and repetition show.
pub fn body(length: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(length + 8);
    for block in (0_u64..).take(length.div_ceil(8)) {
        body.extend_from_slice(&block.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    }
    body.truncate(length);
    body
}

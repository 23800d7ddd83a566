//! A connection, whatever carries it.
//!
//! Sessions know a connection by the trait [`Transport`] alone, so that a test can hand them one that is only memory.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockAddr, Socket, TcpKeepalive};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::task::coop::has_budget_remaining;

use super::descriptors::{are_exhausted, wait};
use super::unsent::unsent;

/// How long the other side may be silent before the kernel asks whether it is still there, if the system's default is not shorter. Load balancers and
/// address translators forget an idle connection after minutes. Who does not answer four times in 15 s each is gone.
const KEPT_ALIVE: Duration = Duration::from_secs(60);

/// How the other side of a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By FIN.
    Finished,
    /// By a reset: nothing reaches it any more.
    Reset,
}

/// What a session does with a connection.
pub(crate) trait Transport {
    /// Reads what is there into the room given, and tells how much; 0 is the end.
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Has the next write try though nobody has told of room: the kernel does so once a third of its queue is free.
    fn try_to_write(&mut self);

    /// Waits until the other side has ended, though bytes before that be unread, or more of them have come.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Ended>;

    /// Waits for a reset behind the other side's end, once that was read. It may be that nobody wakes the task: it should look now and then.
    fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Returns whether a read would be pending, and the task is woken once it is not. "No" costs a read and nothing else.
    fn is_quiet(&self) -> bool;

    /// Returns whether bytes have come that were not read; the next read brings them. Asks the kernel: readiness may be a turn behind.
    fn has_unread(&self) -> bool;

    /// Sends FIN. What was written before it arrives before it.
    fn shut_down_write(&self) -> io::Result<()>;

    /// Makes the coming close a reset, which no one takes for the end of a message.
    fn reset_on_close(&self);

    /// Bytes written that the other side has not acknowledged. `None`: that cannot be known, of a connection that is dead above all.
    fn unsent(&self) -> Option<usize>;

    /// Returns whether both sides have ended in order, and all has arrived; of one that was reset it says nothing.
    fn is_over(&self) -> bool;

    /// Returns whether the other side is on another machine, as far as its address tells.
    fn is_remote(&self) -> bool;

    /// Our own address. `None`: it has none, on a socket file above all.
    fn own_address(&self) -> Option<SocketAddr>;

    /// The connection itself, if the kernel can splice it.
    fn in_kernel(&mut self) -> Option<&mut Stream>;
}

/// A connected TCP or Unix-domain stream.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: AsyncFd<Socket>,
    /// Whether the reactor tells of room to write. Else the kernel is asked, as by most streams for as long as they last: to be told costs
    /// a turn of the reactor when it begins, and on a Unix-domain socket one each time that the other side reads.
    is_room_told: bool,
    /// Whether the next write asks the kernel all the same.
    is_trying: bool,
    /// Whether bytes may be unread of which the reactor does not know: it tells once of what has come.
    is_behind: Cell<bool>,
    /// Whether the reactor wakes the task that has read last, and need not be asked to again.
    is_watched: Cell<bool>,
    /// Whether bytes come in bulk: then a short read may be one that stops at an urgent mark, with much after it, and proves nothing.
    is_flowing: Cell<bool>,
    is_remote: bool,
    is_shut: Cell<bool>,
}

impl Stream {
    /// A stream of a socket that does not block, and is connected. Must be called within a runtime.
    pub(super) fn new(socket: Socket, peer: Peer) -> io::Result<Self> {
        Ok(Self {
            socket: watch(socket, Interest::READABLE)?,
            is_room_told: false,
            is_trying: false,
            is_behind: Cell::new(false),
            is_watched: Cell::new(false),
            is_flowing: Cell::new(false),
            is_remote: peer.is_remote(),
            is_shut: Cell::new(false),
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    /// Another task reads from here on: the reactor must be asked anew to wake it.
    pub(super) fn change_task(&self) {
        self.is_watched.set(false);
    }

    /// A stream of a socket whose connect is under way, once that has succeeded.
    pub(super) async fn connected(socket: Socket, peer: Peer) -> io::Result<Self> {
        let mut stream = Self::new(socket, peer)?;
        stream.have_room_told()?;
        drop(stream.socket.writable().await?);
        stream.socket().take_error()?.map_or(Ok(stream), Err)
    }

    /// Has the next read ask the kernel: bytes may have come before the reactor was asked to tell of them.
    pub(super) fn expect_bytes(&self) {
        self.is_behind.set(true);
    }

    /// Has the reactor tell of room to write, too. It cannot be asked for more than at first, so another descriptor of the socket takes the
    /// place of this one.
    fn have_room_told(&mut self) -> io::Result<()> {
        self.socket = watch(self.socket().try_clone()?, Interest::READABLE | Interest::WRITABLE)?;
        self.is_room_told = true;
        Ok(())
    }

    /// Writes by a system call that would not wait, when there may be room, and again when there was none.
    pub(crate) fn poll_send<T>(
        &mut self,
        context: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if std::mem::take(&mut self.is_trying) || !self.is_room_told {
            match call(self.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                called => return Poll::Ready(called),
            }
        }
        if !self.is_room_told {
            match self.have_room_told() {
                // Until there is one again, the kernel is asked now and then.
                Err(error) if are_exhausted(&error) => {
                    wait(context);
                    return Poll::Pending;
                }
                told => told?,
            }
            // Who is to be woken for bytes must be told to the reactor anew.
            self.is_watched.set(false);
            context.waker().wake_by_ref();
        }
        self.poll_call(context, Interest::WRITABLE, || call(self.as_fd()))
    }

    /// Makes a system call that would not wait, when the stream is said to be ready for it, and again when it was not.
    pub(crate) fn poll_call<T>(
        &self,
        context: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        if interest.is_readable() {
            // Whoever reads next asks the reactor for himself.
            self.is_watched.set(false);
            if let Some(called) = self.call_behind(&mut call) {
                return Poll::Ready(called);
            }
        }
        loop {
            let called = self.socket.try_io(interest, |_| call());
            if !called.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                self.is_flowing.set(self.is_flowing.get() || interest.is_readable());
                return Poll::Ready(called);
            }
            ready!(self.poll_ready(context, interest))?;
        }
    }

    /// Waits until the stream is said to be ready.
    fn poll_ready(&self, context: &mut Context<'_>, interest: Interest) -> Poll<io::Result<()>> {
        let ready = if interest.is_readable() {
            self.socket.poll_read_ready(context)
        } else {
            self.socket.poll_write_ready(context)
        };
        ready.map_ok(drop)
    }

    /// Returns whether bytes are there that were not read; 0 is the end.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        self.socket().peek(&mut [MaybeUninit::uninit()])
    }

    /// Makes a call for reading without asking the reactor, while it may be behind. `None`: it is not.
    fn call_behind<T>(&self, mut call: impl FnMut() -> io::Result<T>) -> Option<io::Result<T>> {
        if !self.is_behind.get() {
            return None;
        }
        let called = call();
        let is_behind = !called.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.is_behind.set(is_behind);
        is_behind.then_some(called)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Transport::poll_read(&mut *self, context, room.initialize_unfilled()))?;
        room.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Transport::poll_write(&mut *self, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_down_write())
    }
}

#[cfg(test)]
impl Stream {
    /// A stream, and its other end.
    pub(crate) fn pair() -> (Self, std::os::unix::net::UnixStream) {
        let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a socket option");
        (Self::new(std::os::fd::OwnedFd::from(near).into(), Peer(None)).expect("a reactor"), far)
    }
}

impl Transport for Stream {
    /// A short read is taken for "no more", but in a flow: the reactor is asked at once to tell of more, and the next call asks it, not the
    /// kernel. A read that stops at an urgent mark is short too; what stands after it is read when more comes, or the end.
    #[inline]
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(read) = self.call_behind(|| receive(self, room)) {
            if let Ok(count) = read {
                let was_flowing = self.is_flowing.replace(count == room.len());
                self.is_behind.set(was_flowing || !(1..room.len()).contains(&count));
            }
            return Poll::Ready(read);
        }
        loop {
            let mut read = None;
            let asked = self.socket.try_io(Interest::READABLE, |_| {
                // The task was woken.
                self.is_watched.set(false);
                let count = receive(self, room)?;
                read = Some(count);
                let is_whole = count == room.len() || count == 0;
                let was_flowing = self.is_flowing.replace(count == room.len());
                // By that, the reactor forgets that there was something.
                if is_whole || was_flowing { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            let count = match (read, asked) {
                (count, Ok(())) => return Poll::Ready(Ok(count.unwrap_or_default())),
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                (None, Err(_)) if self.is_watched.get() => return Poll::Pending,
                (count, Err(_)) => count,
            };
            let polled = self.poll_ready(context, Interest::READABLE);
            // Out of budget, the runtime has not asked the reactor.
            self.is_watched.set(polled.is_pending() && has_budget_remaining());
            match count {
                Some(count) => return Poll::Ready(Ok(count)),
                None => ready!(polled)?,
            }
        }
    }

    #[inline]
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written =
            ready!(self.poll_send(context, |socket| Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)));
        if written.as_ref().is_ok_and(|count| (1..bytes.len()).contains(count)) {
            forget_readiness(&self.socket, Interest::WRITABLE);
        }
        Poll::Ready(written)
    }

    fn try_to_write(&mut self) {
        self.is_trying = true;
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        // Polling must not make the reactor forget unread bytes.
        self.is_behind.set(false);
        let watched = self.poll_call(context, Interest::READABLE, || {
            let mut ends = [PollFd::new(self, PollFlags::RDHUP)];
            // What is there is left where it is; the reactor tells when more has come.
            match rustix::event::poll(&mut ends, Some(&Timespec::default()))? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(ends[0].revents()),
            }
        });
        self.is_behind.set(true);
        watched.map(|told| match told {
            // A hangup is no reset: a Unix-domain socket has one behind each close.
            Ok(told) if !told.contains(PollFlags::ERR) => Ended::Finished,
            Ok(_) | Err(_) => Ended::Reset,
        })
    }

    /// The reactor tells of a reset as of an end to writing; not, where it tells of room to write and there is some.
    fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        drop(self.socket.poll_write_ready(context));
        let mut ends = [PollFd::new(self, PollFlags::empty())];
        // Nothing is waited for.
        let is_told = rustix::event::poll(&mut ends, Some(&Timespec::default())).is_ok_and(|count| count > 0);
        if is_told && ends[0].revents().contains(PollFlags::ERR) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_quiet(&self) -> bool {
        self.is_watched.get() && !self.is_behind.get() && self.socket.try_io(Interest::READABLE, |_| Ok(())).is_err()
    }

    fn has_unread(&self) -> bool {
        let has_unread = self.peek().is_ok_and(|count| count > 0);
        // Of bytes behind an urgent mark the reactor has told already: they would never be read, and there for ever.
        self.is_behind.set(has_unread || self.is_behind.get());
        has_unread
    }

    fn shut_down_write(&self) -> io::Result<()> {
        self.is_shut.set(true);
        self.socket().shutdown(std::net::Shutdown::Write)
    }

    /// On a Unix-domain socket, which has no resets, a plain close is all there is.
    fn reset_on_close(&self) {
        // A socket that is already dead cannot be told; it needs no reset either.
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }

    fn unsent(&self) -> Option<usize> {
        let address = |address: io::Result<SockAddr>| address.ok()?.as_socket();
        match self.socket().local_addr().ok()?.as_socket() {
            // The kernel counts a FIN as one byte.
            Some(local) => unsent(local, address(self.socket().peer_addr())?)
                .map(|count| count.saturating_sub(usize::from(self.is_shut.get()))),
            // What a Unix-domain socket has taken is the other side's at once.
            None => Some(0),
        }
    }

    /// The kernel forgets then whose connection it was.
    fn is_over(&self) -> bool {
        self.socket().peer_addr().is_err()
    }

    fn is_remote(&self) -> bool {
        self.is_remote
    }

    fn own_address(&self) -> Option<SocketAddr> {
        self.socket().local_addr().ok()?.as_socket()
    }

    fn in_kernel(&mut self) -> Option<&mut Stream> {
        Some(self)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

/// Has the kernel find out that the other side is gone though it has never said so, and show middleboxes that an idle connection is not. Connections
/// have it from their listener.
// Inlined, it would be there three times.
#[inline(never)]
pub(super) fn keep_alive(socket: &Socket) -> io::Result<()> {
    socket.set_keepalive(true)?;
    if socket.tcp_keepalive_time()? > KEPT_ALIVE {
        let often = TcpKeepalive::new().with_time(KEPT_ALIVE).with_interval(KEPT_ALIVE / 4).with_retries(4);
        socket.set_tcp_keepalive(&often)?;
    }
    Ok(())
}

/// Has the reactor watch a socket.
#[expect(deprecated, reason = "what is deprecated is to hand over what does not own its descriptor; a socket does")]
pub(super) fn watch(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::with_interest(socket, interest)
}

/// Has the reactor tell of a socket again only when something has changed.
pub(super) fn forget_readiness(socket: &AsyncFd<Socket>, interest: Interest) {
    let _ = socket.try_io(interest, |_| io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
}

/// Reads what is there.
fn receive(stream: &Stream, room: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(stream.as_fd(), room, RecvFlags::empty())?;
    Ok(count)
}

/// Who is at the far end of a connection, as it was when that was made: a dead one does not tell. `None` for a socket file.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<SocketAddr>);

impl Peer {
    /// Returns whether it is on another machine, as far as its address tells: one at 0.0.0.0 is on this.
    pub(super) fn is_remote(self) -> bool {
        let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        self.0.is_some_and(|address| !is_local(address.ip().to_canonical()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::task::Waker;
    use std::time::Instant;

    use super::*;

    /// A stream to which nothing more can be written, and its other end.
    fn full() -> (Stream, std::os::unix::net::UnixStream, usize) {
        let (mut stream, far) = Stream::pair();
        let mut context = Context::from_waker(Waker::noop());
        let mut written = 0;
        while let Poll::Ready(count) = stream.poll_write(&mut context, &[b'a'; 4096]) {
            written += count.expect("it is open");
        }
        (stream, far, written)
    }

    /// What a future gives whose task is woken for it: by the time limit it would be polled, too.
    async fn soon<T>(future: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let limit = Duration::from_secs(10);
        let output = tokio::time::timeout(limit, future).await.expect("it ends in time");
        assert!(begun.elapsed() < limit, "it is not woken");
        output
    }

    #[tokio::test]
    async fn room_to_write_is_told_of_once_there_was_none() {
        let (mut stream, mut far, written) = full();
        assert!(stream.is_room_told);
        far.read_exact(&mut vec![0; written]).expect("it was written");
        let write = poll_fn(|context| stream.poll_write(context, b"more"));
        let count = soon(write).await;
        assert_eq!(count.expect("there is room"), 4);
    }

    /// The reactor is asked anew then, by another descriptor.
    #[tokio::test]
    async fn who_waits_for_bytes_is_woken_though_there_was_no_room_to_write() {
        let (mut stream, mut far) = Stream::pair();
        let mut room = [0; 9];
        let mut turns = 0;
        let read = poll_fn(|context| {
            let read = stream.poll_read(context, &mut room);
            if turns == 0 {
                assert!(read.is_pending());
                while stream.poll_write(context, &[b'a'; 4096]).is_ready() {}
                far.write_all(b"bytes").expect("there is room");
            }
            turns += 1;
            read
        });
        let count = soon(read).await;
        assert_eq!(count.expect("bytes"), 5);
    }

    /// Of what comes after a short read the reactor tells; what came before it was asked to may be read at once.
    #[tokio::test]
    async fn expected_bytes_are_read_at_once_and_not_asked_for_again() {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a socket option");
        far.write_all(b"request").expect("there is room");
        let mut stream = Stream::new(std::os::fd::OwnedFd::from(near).into(), Peer(None)).expect("a reactor");
        stream.expect_bytes();
        let mut context = Context::from_waker(Waker::noop());
        let read = stream.poll_read(&mut context, &mut [0; 9]);
        assert!(matches!(read, Poll::Ready(Ok(7))), "{read:?}");
        assert!(!stream.is_behind.get());
        far.write_all(b"more").expect("there is room");
        let read = poll_fn(|context| stream.poll_read(context, &mut [0; 9]));
        let count = soon(read).await;
        assert_eq!(count.expect("bytes"), 4);
    }

    #[tokio::test]
    async fn who_is_on_another_machine_is_told_from_the_address() {
        for (peer, is_remote) in [
            (Some("127.8.9.1:80"), false),
            (Some("[::1]:80"), false),
            (Some("[::ffff:127.0.0.1]:80"), false),
            (Some("10.0.0.1:80"), true),
            (Some("[2001:db8::1]:80"), true),
            (Some("[::ffff:10.0.0.1]:80"), true),
            (None, false),
        ] {
            let (near, _far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
            let socket = Socket::from(std::os::fd::OwnedFd::from(near));
            let address = peer.map(|address| address.parse().expect("an address"));
            let stream = Stream::new(socket, Peer(address)).expect("a reactor");
            assert_eq!(stream.is_remote(), is_remote, "{peer:?}");
        }
    }
}

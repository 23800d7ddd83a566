//! A connection, whatever carries it.
//!
//! Sessions know a connection by the trait [`Transport`] alone, so that a test can hand them one that is only memory.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What a session does with a connection.
pub(crate) trait Transport {
    /// Reads what is there into the room given, and tells how much; 0 is the end.
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Tells whether bytes have come that were not read. Asks the kernel: readiness may be a turn behind.
    fn has_unread(&self) -> bool;

    /// Sends FIN. What was written before it arrives before it.
    fn shut_down_write(&self) -> io::Result<()>;

    /// Makes the coming close a reset, which no one takes for the end of a message.
    fn reset_on_close(&self);

    /// The connection itself, if the kernel can splice it.
    fn in_kernel(&self) -> Option<&Stream>;
}

/// A connected TCP or Unix-domain stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// A TCP connection of ours that sends each write at once.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        // It fails for a connection that is dead already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Makes a system call that would not wait, when the stream is said to be ready for it, and again when it was not.
    pub(crate) fn poll_call<T>(
        &self,
        context: &mut Context<'_>,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(match self {
                Self::Tcp(stream) if interest.is_readable() => stream.poll_read_ready(context),
                Self::Tcp(stream) => stream.poll_write_ready(context),
                Self::Unix(stream) if interest.is_readable() => stream.poll_read_ready(context),
                Self::Unix(stream) => stream.poll_write_ready(context),
            })?;
            let called = match self {
                Self::Tcp(stream) => stream.try_io(interest, &mut call),
                Self::Unix(stream) => stream.try_io(interest, &mut call),
            };
            if !called.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Poll::Ready(called);
            }
        }
    }
}

#[cfg(test)]
impl Stream {
    /// A stream, and its other end.
    pub(crate) fn pair() -> (Self, std::os::unix::net::UnixStream) {
        let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a socket option");
        (Self::Unix(UnixStream::from_std(near).expect("a reactor")), far)
    }
}

impl Transport for Stream {
    /// By `poll_read`, which takes a short read for "no more": the next call then asks the reactor, not the kernel. A read that stops at
    /// an urgent mark is short too; what stands behind it is read when more comes, or the end.
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(room);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn has_unread(&self) -> bool {
        let mut room = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut room),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut room),
        };
        peeked.is_ok_and(|count| count > 0)
    }

    fn shut_down_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
        .shutdown(std::net::Shutdown::Write)
    }

    /// On a Unix-domain socket, which has no resets, a plain close is all there is.
    fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // A socket that is already dead cannot be told; it needs no reset either.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn in_kernel(&self) -> Option<&Stream> {
        Some(self)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Who is at the far end of a connection, as it was when that was made: a dead one does not tell. `None` for a socket file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("unix"),
        }
    }
}

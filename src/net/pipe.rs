//! Bytes moved from socket to socket by splice(2), without a copy.
//!
//! Only an empty pipe is filled, and then drained dry: into a pipe that holds bytes, "would block" can mean that the socket
//! is empty or that the pipe is full. And splice goes past no urgent mark (TCP's out-of-band data): there it tells the end, or
//! "would block" for ever, although bytes are waiting. So neither is believed before the socket was read.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use super::stream::Stream;

/// Bytes of a pipe, a slot for each 4 KiB. Measured on bodies of 1 MiB: four times the usual 64 KiB save two fifths of the
/// CPU time, 16 times no more.
pub(crate) const SIZE: usize = 256 * 1024;

/// The most that is moved into a pipe at once. A slot can hold more than 4 KiB, but its slots are full before that.
const MOST: u32 = 1024 * 1024;

/// How long no pipe is asked for when one was refused.
const PAUSE: Duration = Duration::from_secs(1);

thread_local! {
    /// When this worker was last refused a pipe, unless it was given one since.
    static REFUSED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A pipe, and how many bytes it holds.
#[derive(Debug)]
pub(crate) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    held: u32,
}

impl Pipe {
    /// An empty pipe. One that the kernel would not make large is of no use: a user who has many pipes already gets some of two
    /// pages, which cost more than to copy. After that the kernel is not asked for a while.
    pub(crate) fn open() -> io::Result<Self> {
        Self::of_size(SIZE)
    }

    fn of_size(size: usize) -> io::Result<Self> {
        if REFUSED.get().is_some_and(|refused| refused.elapsed() < PAUSE) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let opened = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).and_then(|(reader, writer)| {
            fcntl_setpipe_size(&writer, size)?;
            Ok(Self { reader, writer, held: 0 })
        });
        REFUSED.set(opened.is_err().then(Instant::now));
        Ok(opened?)
    }

    /// Bytes moved in and not yet out.
    pub(crate) fn held(&self) -> usize {
        usize::try_from(self.held).unwrap_or(usize::MAX)
    }

    /// Moves bytes in, at most so many; tells how many. 0: it may be the end, or bytes that only a read gets. The pipe must be
    /// empty.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>, source: &Stream, most: u64) -> Poll<io::Result<u32>> {
        debug_assert_eq!(self.held, 0, "only an empty pipe is filled");
        let most = u32::try_from(most).unwrap_or(MOST).min(MOST);
        let fill = || match move_bytes(source, &self.writer, most) {
            // A reset that came in the meantime is told to one look alone: this one.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.peek().map(|_| 0),
            moved => moved,
        };
        self.held = ready!(source.poll_call(context, Interest::READABLE, fill))?;
        Poll::Ready(Ok(self.held))
    }

    /// Moves all bytes out.
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>, sink: &mut Stream) -> Poll<io::Result<()>> {
        while self.held > 0 {
            match ready!(sink.poll_send(context, |sink| move_bytes(&self.reader, sink, self.held)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                moved => self.held -= moved,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes all bytes back, to be written by other means.
    pub(crate) fn take_back(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.held()];
        let mut taken = 0;
        while taken < bytes.len() {
            match read(&self.reader, &mut bytes[taken..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => taken += count,
            }
        }
        self.held = 0;
        Ok(bytes)
    }
}

/// Returns whether the kernel, or who guards it, will not splice these sockets at all.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

fn move_bytes(from: impl AsFd, to: impl AsFd, most: u32) -> io::Result<u32> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let moved = splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?;
    Ok(u32::try_from(moved).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};

    use super::*;

    #[tokio::test]
    async fn bytes_go_through_in_order_and_the_end_is_told() {
        let ((source, mut sender), (mut sink, mut reader)) = (Stream::pair(), Stream::pair());
        let mut pipe = Pipe::open().expect("a pipe");
        for text in [&b"hello, "[..], b"world"] {
            sender.write_all(text).expect("room");
            let filled = poll_fn(|context| pipe.poll_fill(context, &source, 100)).await.expect("bytes");
            assert_eq!((filled, pipe.held()), (u32::try_from(text.len()).expect("few"), text.len()));
            poll_fn(|context| pipe.poll_drain(context, &mut sink)).await.expect("a sink");
            assert_eq!(pipe.held(), 0);
        }
        let mut read = [0; 12];
        reader.read_exact(&mut read).expect("bytes");
        assert_eq!(&read, b"hello, world");
        drop(sender);
        let filled = poll_fn(|context| pipe.poll_fill(context, &source, 100)).await;
        assert_eq!(filled.expect("an end"), 0);
    }

    #[tokio::test]
    async fn no_more_is_moved_than_may_be() {
        let (source, mut sender) = Stream::pair();
        sender.write_all(b"hello, world").expect("room");
        let mut pipe = Pipe::open().expect("a pipe");
        assert_eq!(poll_fn(|context| pipe.poll_fill(context, &source, 5)).await.expect("bytes"), 5);
        assert_eq!(pipe.take_back().expect("bytes"), b"hello");
        assert_eq!(poll_fn(|context| pipe.poll_fill(context, &source, u64::MAX)).await.expect("bytes"), 7);
        assert_eq!((pipe.take_back().expect("bytes"), pipe.held()), (b", world".to_vec(), 0));
    }

    #[tokio::test]
    async fn a_sink_that_reads_nothing_is_waited_for() {
        let ((source, mut sender), (mut sink, mut reader)) = (Stream::pair(), Stream::pair());
        let mut pipe = Pipe::open().expect("a pipe");
        let (mut sent, mut blocked) = (0, false);
        while !blocked {
            sender.write_all(&[b'a'; 4096]).expect("room");
            sent += 4096;
            poll_fn(|context| pipe.poll_fill(context, &source, u64::MAX)).await.expect("bytes");
            blocked = poll_fn(|context| Poll::Ready(pipe.poll_drain(context, &mut sink).is_pending())).await;
        }
        assert!(pipe.held() > 0);
        let reading = std::thread::spawn(move || reader.read_exact(&mut vec![0; sent]));
        poll_fn(|context| pipe.poll_drain(context, &mut sink)).await.expect("a sink");
        assert!(reading.join().is_ok_and(|read| read.is_ok()));
    }

    #[test]
    fn a_pipe_that_cannot_be_large_is_not_used_and_not_asked_for_again_at_once() {
        drop(Pipe::open().expect("a pipe"));
        // Larger than any.
        drop(Pipe::of_size(usize::MAX).expect_err("too large"));
        assert_eq!(Pipe::open().expect_err("it is not asked for").kind(), io::ErrorKind::QuotaExceeded);
        REFUSED.set(Instant::now().checked_sub(PAUSE));
        drop(Pipe::open().expect("a pipe"));
        drop(Pipe::open().expect("a pipe"));
    }

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        assert!(is_refusal(&Errno::INVAL.into()) && is_refusal(&Errno::NOSYS.into()));
        assert!(!is_refusal(&Errno::CONNRESET.into()) && !is_refusal(&Errno::PIPE.into()));
    }
}

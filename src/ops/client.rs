//! A connection to ask something, within a time limit; for subcommands, which do nothing else meanwhile.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout_at};

use crate::net::address::Address;
use crate::net::dial::{Dial, Upstream};
use crate::net::stream::{Stream, Transport};

/// A connection whose every call ends by the time limit.
pub(super) struct Connection {
    runtime: Runtime,
    stream: Stream,
    end: Instant,
}

impl Connection {
    pub(super) fn open(address: &Address, limit: Duration) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let end = Instant::now() + limit;
        let upstream = Upstream::new(address, &[]);
        let dialled = LocalSet::new().block_on(&runtime, by(end, upstream.dial(limit)));
        Ok(Self { runtime, stream: dialled?, end })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { runtime, stream, end } = self;
        let mut left = bytes;
        let writing = poll_fn(|context| {
            while !left.is_empty() {
                match stream.poll_write(context, left) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => left = left.get(count..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        });
        runtime.block_on(by(*end, writing))
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        self.read_by(self.end)
    }

    /// The same, within a shorter time.
    pub(super) fn read_within(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        self.read_by(self.end.min(Instant::now() + limit))
    }

    fn read_by(&mut self, end: Instant) -> io::Result<Vec<u8>> {
        let Self { runtime, stream, .. } = self;
        let mut room = vec![0; 16 * 1024];
        let count = runtime.block_on(by(end, poll_fn(|context| stream.poll_read(context, &mut room))))?;
        room.truncate(count);
        Ok(room)
    }
}

async fn by<T>(end: Instant, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(end, pin!(done)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

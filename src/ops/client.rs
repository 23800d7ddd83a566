//! A connection to ask something, within a time limit; for subcommands, which do nothing else meanwhile.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::pin;
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

    pub(super) fn end(&self) -> Instant {
        self.end
    }

    pub(super) fn set_end(&mut self, end: Instant) {
        self.end = end;
    }
}

impl Read for Connection {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Self { runtime, stream, end } = self;
        runtime.block_on(by(*end, poll_fn(|context| stream.poll_read(context, room))))
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { runtime, stream, end } = self;
        runtime.block_on(by(*end, poll_fn(|context| stream.poll_write(context, bytes))))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn by<T>(end: Instant, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(end, pin!(done)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

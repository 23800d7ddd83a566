//! The end of a connection over which something may still be under way: FIN, then what the other side says is read and thrown away until
//! its end. Closed at once, it would be reset by the first byte that comes, and the reset destroys what is still to be sent.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::timeout;

use super::stream::{Stream, Transport};

/// How long to wait for the other side's end.
const LIMIT: Duration = Duration::from_secs(30);

/// Connections of a worker that depart at once; more are closed at once. Each holds a descriptor.
const MOST: usize = 3;

/// Bytes that are thrown away at once.
const ROOM: usize = 4096;

thread_local! {
    /// Shared by the connections that depart.
    static DEPARTING: Rc<()> = Rc::default();
}

/// Until when a connection that departs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    End,
    /// Until the other side says more although all has arrived: it learns that nobody listens.
    Arrival,
}

/// Ends a connection. Must be called within a `LocalSet` or `LocalRuntime`.
pub(super) fn depart(mut stream: Stream, until: Until) {
    let departing = DEPARTING.with(Rc::clone);
    // The first share is the thread's.
    if Rc::strong_count(&departing) > 1 + MOST || stream.shut_down_write().is_err() {
        return;
    }
    stream.change_task();
    drop(spawn_local(async move {
        // It ends anyway.
        let _ = timeout(LIMIT, poll_fn(|context| poll_end(&mut stream, until, context))).await;
        drop(departing);
    }));
}

/// Throws away what comes, until the end.
fn poll_end(stream: &mut Stream, until: Until, context: &mut Context<'_>) -> Poll<()> {
    let mut room = [0; ROOM];
    // Others have their turn.
    for _ in 0..16 {
        match stream.poll_read(context, &mut room) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(1..)) if until == Until::Arrival && stream.unsent() == Some(0) => return Poll::Ready(()),
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::task::Waker;

    use tokio::task::LocalSet;

    use super::super::stream::Peer;
    use super::*;

    fn departing() -> usize {
        DEPARTING.with(Rc::strong_count) - 1
    }

    /// The task that read before is no longer: the other side's bytes and its end must wake the one that throws them away.
    #[test]
    fn a_connection_departs_when_the_other_side_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let (mut stream, mut far) = Stream::pair();
            poll_fn(|context| Poll::Ready(stream.poll_read(context, &mut [0; 9]).is_pending())).await;
            depart(stream, Until::End);
            assert_eq!(departing(), 1);
            assert_eq!(far.read(&mut [0; 9]).expect("an end"), 0, "FIN was sent");
            far.write_all(b"late").expect("it is read on");
            tokio::task::yield_now().await;
            drop(far);
            let gone = async {
                while departing() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), gone).await.expect("it ends with the other side");
        });
    }

    /// A client was reset while its request was under way: who streams to it must learn that nobody listens, once it has all.
    #[test]
    fn who_says_more_though_nobody_listens_is_told_once_all_has_arrived() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            for until in [Until::Arrival, Until::End] {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                let near = TcpStream::connect(address).expect("it listens");
                near.set_nonblocking(true).expect("a socket option");
                let mut stream = Stream::new(near.into(), Peer(Some(address))).expect("a reactor");
                let (mut far, _) = listener.accept().expect("a connection");
                let mut written = 0;
                let mut context = Context::from_waker(Waker::noop());
                while let Poll::Ready(count) = stream.poll_write(&mut context, &[b'a'; 8192]) {
                    written += count.expect("it is open");
                }
                depart(stream, until);
                let turns = async || {
                    for _ in 0..64 {
                        tokio::task::yield_now().await;
                    }
                    departing()
                };
                far.write_all(b"early").expect("it is read on");
                assert_eq!(turns().await, 1, "not all has arrived");
                let mut arrived = Vec::new();
                let mut buffer = [0; 8192];
                while arrived.len() < written {
                    let count = far.read(&mut buffer).expect("bytes");
                    arrived.extend_from_slice(&buffer[..count]);
                    tokio::task::yield_now().await;
                }
                assert_eq!(far.read(&mut buffer).expect("an end"), 0);
                far.write_all(b"late").expect("it is read on");
                if until == Until::End {
                    assert_eq!(turns().await, 1, "its end is waited for");
                    far.shutdown(Shutdown::Write).expect("it is open");
                }
                timeout(Duration::from_secs(10), async { while turns().await > 0 {} }).await.expect("it ends");
            }
        });
    }
}

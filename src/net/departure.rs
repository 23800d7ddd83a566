//! The end of a connection over which something may still be under way: FIN, then what the other side says is read and thrown away until
//! its end. Closed at once, it would be reset by the first byte that comes, and the reset destroys what is still to be sent.

use std::cell::Cell;
use std::future::poll_fn;
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
    static DEPARTING: Cell<usize> = const { Cell::new(0) };
}

/// One of the connections that depart.
struct Departing;

impl Departing {
    /// `None`: there are too many.
    fn begin() -> Option<Self> {
        let count = DEPARTING.get();
        (count < MOST).then(|| {
            DEPARTING.set(count + 1);
            Self
        })
    }
}

impl Drop for Departing {
    fn drop(&mut self) {
        DEPARTING.set(DEPARTING.get() - 1);
    }
}

/// Ends a connection. Must be called within a `LocalSet` or `LocalRuntime`.
pub(super) fn depart(mut stream: Stream) {
    let Some(departing) = Departing::begin() else { return };
    if stream.shut_down_write().is_err() {
        return;
    }
    stream.change_task();
    drop(spawn_local(async move {
        let _departing = departing;
        // It ends anyway.
        let _ = timeout(LIMIT, poll_fn(|context| poll_end(&mut stream, context))).await;
    }));
}

/// Throws away what comes, until the end.
fn poll_end(stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
    let mut room = [0; ROOM];
    // Others have their turn.
    for _ in 0..16 {
        match stream.poll_read(context, &mut room) {
            Poll::Pending => return Poll::Pending,
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

    use tokio::task::LocalSet;

    use super::*;

    /// The task that read before is no longer: the other side's bytes and its end must wake the one that throws them away.
    #[test]
    fn a_connection_departs_when_the_other_side_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let (mut stream, mut far) = Stream::pair();
            poll_fn(|context| Poll::Ready(stream.poll_read(context, &mut [0; 9]).is_pending())).await;
            depart(stream);
            assert_eq!(DEPARTING.get(), 1);
            assert_eq!(far.read(&mut [0; 9]).expect("an end"), 0, "FIN was sent");
            far.write_all(b"late").expect("it is read on");
            tokio::task::yield_now().await;
            drop(far);
            let gone = async {
                while DEPARTING.get() > 0 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), gone).await.expect("it ends with the other side");
        });
    }
}

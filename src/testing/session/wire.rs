//! A connection that is only memory: the test holds the far end of the wire, and chooses how little it gives and takes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::net::dial::Dial;
use crate::net::stream::{Ended, Stream, Transport};

/// What a side has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Open,
    /// FIN was sent.
    Finished,
    Reset,
}

/// The far end: what it has sent, what it has received.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that happens or does not")]
pub(crate) struct Far {
    sent: VecDeque<u8>,
    pub(crate) sending: Side,
    /// FIN was sent, and perhaps a reset after it.
    has_finished: bool,
    pub(crate) received: Vec<u8>,
    /// What it has seen of the proxy's side.
    pub(crate) seen: Side,
    /// The proxy has let go of its end.
    pub(crate) is_closed: bool,
    /// The most bytes that go at once; 0: as many as there are.
    pub(crate) most: usize,
    /// Every other time it takes nothing, and a moment later something.
    pub(crate) stutters: bool,
    has_stuttered: bool,
    /// It takes nothing until it does again.
    pub(crate) is_full: bool,
    /// It is full once it has taken so many bytes.
    pub(crate) room: Option<usize>,
    /// It is gone for who writes to it.
    pub(crate) refuses: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Far {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.sent.extend(bytes);
        self.wake();
    }

    pub(crate) fn end(&mut self, how: Side) {
        if self.sending == Side::Open || how == Side::Reset {
            self.sending = how;
            self.has_finished |= how == Side::Finished;
        }
        self.wake();
    }

    /// Has the proxy look again.
    pub(crate) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Tells whether it has ended by FIN and the proxy has read all before that.
    pub(crate) fn has_finished_and_was_read(&self) -> bool {
        self.has_finished && self.was_read()
    }

    /// Tells whether the proxy has read all.
    pub(crate) fn was_read(&self) -> bool {
        self.sent.is_empty()
    }

    /// How many of so many bytes go at once.
    fn share(&self, count: usize) -> usize {
        if self.most == 0 { count } else { count.min(self.most) }
    }
}

/// The proxy's end.
#[derive(Debug)]
pub(crate) struct Near(Rc<RefCell<Far>>);

impl Near {
    pub(crate) fn pair() -> (Self, Rc<RefCell<Far>>) {
        let far = Rc::default();
        (Self(Rc::clone(&far)), far)
    }
}

impl Transport for Near {
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut far = self.0.borrow_mut();
        let count = far.share(far.sent.len().min(room.len()));
        if count > 0 {
            for (place, byte) in room.iter_mut().zip(far.sent.drain(..count)) {
                *place = byte;
            }
            return Poll::Ready(Ok(count));
        }
        match far.sending {
            Side::Open => {
                far.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Side::Finished => Poll::Ready(Ok(0)),
            Side::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut far = self.0.borrow_mut();
        assert_eq!(far.seen, Side::Open, "nothing is written behind the end");
        if far.refuses || far.sending == Side::Reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        far.has_stuttered = far.stutters && !far.has_stuttered;
        if far.is_full {
            far.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if far.has_stuttered {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = far.share(bytes.len()).min(far.room.unwrap_or(usize::MAX));
        far.received.extend_from_slice(&bytes[..count]);
        far.room = far.room.map(|room| room - count);
        far.is_full = far.room == Some(0);
        Poll::Ready(Ok(count))
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let mut far = self.0.borrow_mut();
        match far.sending {
            Side::Open => {
                far.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Side::Finished => Poll::Ready(Ended::Finished),
            Side::Reset => Poll::Ready(Ended::Reset),
        }
    }

    fn is_quiet(&self) -> bool {
        false
    }

    fn has_unread(&self) -> bool {
        !self.0.borrow().sent.is_empty()
    }

    fn shut_down_write(&self) -> io::Result<()> {
        let mut far = self.0.borrow_mut();
        if far.sending == Side::Reset {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if far.seen == Side::Open {
            far.seen = Side::Finished;
        }
        Ok(())
    }

    fn reset_on_close(&self) {
        self.0.borrow_mut().seen = Side::Reset;
    }

    fn unsent(&self) -> Option<usize> {
        Some(0)
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn in_kernel(&self) -> Option<&Stream> {
        None
    }
}

/// As the kernel does: closed over bytes that nobody read, a connection is reset.
impl Drop for Near {
    fn drop(&mut self) {
        let has_unread = self.has_unread();
        let mut far = self.0.borrow_mut();
        far.is_closed = true;
        if far.seen == Side::Open {
            far.seen = Side::Finished;
        }
        if has_unread {
            far.seen = Side::Reset;
        }
    }
}

/// What becomes of a dial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    Connection,
    Refusal,
    Silence,
}

/// Whence the origin connections come.
#[derive(Debug, Default)]
pub(crate) struct Dialler {
    /// The far ends of all there were.
    pub(crate) origins: RefCell<Vec<Rc<RefCell<Far>>>>,
    /// What a new one is like.
    pub(crate) pattern: RefCell<Far>,
    answer: Cell<Answer>,
    waiting: RefCell<Option<Waker>>,
}

impl Dialler {
    /// The newest far end, unless the proxy has let go of it.
    pub(crate) fn origin(&self) -> Option<Rc<RefCell<Far>>> {
        self.origins.borrow().last().filter(|far| !far.borrow().is_closed).cloned()
    }

    /// Answers dials so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer.set(answer);
        self.waiting.borrow_mut().take().into_iter().for_each(Waker::wake);
    }
}

impl Dial for Dialler {
    type Stream = Near;

    async fn dial(&self, _: Duration) -> io::Result<Near> {
        poll_fn(|context| match self.answer.get() {
            Answer::Connection => {
                let (near, far) = Near::pair();
                {
                    let (mut far, pattern) = (far.borrow_mut(), self.pattern.borrow());
                    (far.most, far.stutters, far.is_full) = (pattern.most, pattern.stutters, pattern.is_full);
                }
                self.origins.borrow_mut().push(far);
                Poll::Ready(Ok(near))
            }
            Answer::Refusal => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Answer::Silence => {
                self.waiting.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// What is said from now on is read, and thrown away.
    fn depart(&self, near: Near) {
        near.0.borrow_mut().sent.clear();
    }
}

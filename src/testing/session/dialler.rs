//! Whence the origin connections of the sessions come, and where they go.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::wire::{Far, Hold, Introduction, Near, OWN};
use crate::net::departure::Until;
use crate::net::dial::Dial;
use crate::net::preamble::{self, Ends, PreambleVersion};
use crate::net::stream::Transport;
use crate::testing::CLIENT;

/// How long one that departs is kept, in ticks of a quarter of a second.
pub(super) const DEPARTURE: usize = 120;

/// Where the client with this number is: each has a port of its own.
pub(super) fn address(index: usize) -> SocketAddr {
    (CLIENT, u16::try_from(index + 1).expect("there are few")).into()
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
    /// The version of the preamble with which the proxy must begin on each.
    pub(super) introduces: Cell<Option<PreambleVersion>>,
    /// For whose session is dialled.
    pub(super) owner: Cell<usize>,
    answer: Cell<Answer>,
    waiting: RefCell<Vec<Waker>>,
    /// Those that depart, until when they are read, and for how many ticks.
    departing: RefCell<Vec<(Near, Until, usize)>>,
}

impl Dialler {
    /// The newest far end of a session's, unless that has let go of it.
    pub(crate) fn origin(&self, owner: usize) -> Option<Rc<RefCell<Far>>> {
        self.newest(owner).filter(|far| far.borrow().hold == Hold::Whole)
    }

    /// The newest far end of a session's.
    pub(super) fn newest(&self, owner: usize) -> Option<Rc<RefCell<Far>>> {
        self.of(owner).pop()
    }

    /// The far ends of a session's connections.
    pub(super) fn of(&self, owner: usize) -> Vec<Rc<RefCell<Far>>> {
        self.origins.borrow().iter().filter(|far| far.borrow().owner == owner).cloned().collect()
    }

    /// Answers dials so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer.set(answer);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// The preamble of whoever it is dialled for.
    fn introduction(&self) -> Introduction {
        let ends = Ends { source: address(self.owner.get()), destination: OWN.into() };
        let written = |version| preamble::written(version, Some(ends)).expect("both are of one family");
        Introduction::of(self.introduces.get().map(written).unwrap_or_default())
    }

    /// Reads and throws away what those say that depart, until they end.
    pub(super) fn discard(&self) {
        let mut context = Context::from_waker(Waker::noop());
        self.departing.borrow_mut().retain_mut(|(near, until, _)| {
            loop {
                match near.poll_read(&mut context, &mut [0; 64]) {
                    Poll::Pending => return true,
                    Poll::Ready(Ok(1..)) if *until == Until::Arrival && near.unsent() == Some(0) => return false,
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => return false,
                }
            }
        });
    }

    /// A tick is over.
    pub(super) fn tick(&self) {
        self.departing.borrow_mut().retain_mut(|(near, _, ticks)| {
            *ticks += 1;
            near.far().borrow_mut().tick(usize::MAX, DEPARTURE - 2);
            *ticks < DEPARTURE
        });
    }
}

impl Dial for Dialler {
    type Stream = Near;

    async fn dial(&self, _: Duration) -> io::Result<Near> {
        poll_fn(|context| match self.answer.get() {
            Answer::Connection => {
                let (near, far) = Near::pair();
                far.borrow_mut().like(&self.pattern.borrow());
                far.borrow_mut().owner = self.owner.get();
                far.borrow_mut().introduction = self.introduction();
                self.origins.borrow_mut().push(far);
                Poll::Ready(Ok(near))
            }
            Answer::Refusal => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Answer::Silence => {
                self.waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    fn depart(&self, near: Near, until: Until) {
        if near.shut_down_write().is_ok() {
            near.far().borrow_mut().hold = Hold::Departing;
            self.departing.borrow_mut().push((near, until, 0));
        }
    }
}

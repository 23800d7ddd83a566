//! The sessions of a worker.
//!
//! As tasks of the runtime they would cost several times as much to wake and to poll. Here the worker's own task polls those that
//! were woken, each once, and then the reactor is asked.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};

/// Sessions, each of which is polled when it is woken, until it ends.
pub(super) struct Sessions<S>(RefCell<FuturesUnordered<S>>);

impl<S: Future<Output = ()>> Sessions<S> {
    pub(super) fn new() -> Self {
        Self(RefCell::default())
    }

    /// Takes one more, which the next poll polls. Nobody is woken for that.
    pub(super) fn add(&self, session: S) {
        self.0.borrow().push(session);
    }

    /// Polls those that were woken. The task is woken when others are.
    pub(super) fn poll(&self, context: &mut Context<'_>) {
        let mut sessions = self.0.borrow_mut();
        while let Poll::Ready(Some(())) = Pin::new(&mut *sessions).poll_next(context) {}
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    /// How often it was polled, whether it is to end, and whether it wakes itself.
    type Seen = (Cell<usize>, Cell<bool>, Cell<bool>);

    struct Counting(Rc<Seen>);

    impl Future for Counting {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let (polls, is_over, goes_on) = &*self.0;
            polls.set(polls.get() + 1);
            if goes_on.get() {
                context.waker().wake_by_ref();
            }
            if is_over.get() { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// "A bounded number of moves a direction and turn, then the reactor is asked again": who always has more to do is polled a few times,
    /// and the others once.
    #[test]
    fn who_goes_on_and_on_leaves_the_others_and_the_reactor_their_turn() {
        let (sessions, task) = (Sessions::new(), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let mut context = Context::from_waker(&waker);
        sessions.poll(&mut context);
        let all: Vec<Rc<Seen>> = std::iter::repeat_with(Rc::default).take(100).collect();
        for one in &all {
            sessions.add(Counting(Rc::clone(one)));
        }
        all[0].2.set(true);
        all[1].1.set(true);
        for _ in 0..10 {
            sessions.poll(&mut context);
            assert!(task.0.swap(false, Ordering::Relaxed), "it is not woken for who goes on");
        }
        assert!((10..=30).contains(&all[0].0.get()), "{}", all[0].0.get());
        assert!(all[1..].iter().all(|one| one.0.get() == 1), "who is not woken is not polled again");
        assert_eq!(Rc::strong_count(&all[1]), 1, "who has ended is dropped");
    }
}

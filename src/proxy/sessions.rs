//! The sessions of a worker, and the queue of those that were woken.
//!
//! As tasks of the runtime they would cost several times as much to wake and to poll. Here a wake is a number in a queue, and the
//! worker's own task polls who stands in it: so many, then the reactor is asked.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use slab::Slab;

/// How many sessions are polled before the reactor is asked again.
const MOST_POLLED: usize = 64;

/// Sessions, each of which is polled when it is woken, until it ends.
pub(super) struct Sessions<S> {
    table: RefCell<Slab<Slot<S>>>,
    /// Those that were woken before the others.
    turn: RefCell<Vec<usize>>,
    woken: Arc<Mutex<Woken>>,
}

struct Slot<S> {
    session: Box<S>,
    called: Arc<Called>,
    /// That, as a waker.
    waker: Waker,
}

/// What wakes a session, from any thread.
struct Called {
    index: usize,
    is_queued: AtomicBool,
    woken: Arc<Mutex<Woken>>,
}

#[derive(Default)]
struct Woken {
    queue: Vec<usize>,
    /// The task that polls them; it is woken for the first of the queue.
    task: Option<Waker>,
}

impl<S: Future<Output = ()> + Unpin> Sessions<S> {
    pub(super) fn new() -> Self {
        Self { table: RefCell::default(), turn: RefCell::default(), woken: Arc::default() }
    }

    /// Takes one more, and has it polled.
    pub(super) fn add(&self, session: S) {
        let mut table = self.table.borrow_mut();
        let entry = table.vacant_entry();
        let called =
            Arc::new(Called { index: entry.key(), is_queued: AtomicBool::new(false), woken: Arc::clone(&self.woken) });
        let waker = Waker::from(Arc::clone(&called));
        waker.wake_by_ref();
        entry.insert(Slot { session: Box::new(session), called, waker });
    }

    /// Polls those that were woken. The task is woken when others are.
    pub(super) fn poll(&self, context: &Context<'_>) {
        let (mut table, mut turn) = (self.table.borrow_mut(), self.turn.borrow_mut());
        let mut woken = lock(&self.woken);
        turn.append(&mut woken.queue);
        if !woken.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            woken.task = Some(context.waker().clone());
        }
        drop(woken);
        let count = turn.len().min(MOST_POLLED);
        for index in turn.drain(..count) {
            // It may have ended since.
            let Some(slot) = table.get_mut(index) else { continue };
            slot.called.is_queued.swap(false, Ordering::AcqRel);
            if Pin::new(&mut slot.session).poll(&mut Context::from_waker(&slot.waker)).is_ready() {
                table.remove(index);
            }
        }
        if !turn.is_empty() {
            context.waker().wake_by_ref();
        }
    }
}

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = lock(&self.woken);
        if woken.queue.is_empty()
            && let Some(task) = &woken.task
        {
            task.wake_by_ref();
        }
        woken.queue.push(self.index);
    }
}

/// A panic elsewhere leaves nothing half done here.
fn lock(woken: &Mutex<Woken>) -> MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Poll;

    use super::*;

    /// How often it was polled, whether it is to end, and what wakes it.
    type Seen = (Cell<usize>, Cell<bool>, RefCell<Option<Waker>>);

    struct Counting(Rc<Seen>);

    impl Future for Counting {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let (polls, is_over, waker) = &*self.0;
            polls.set(polls.get() + 1);
            waker.replace(Some(context.waker().clone()));
            if is_over.get() { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    /// Tells whether it was woken.
    #[derive(Default)]
    struct Task(AtomicBool);

    impl Task {
        fn was_woken(&self) -> bool {
            self.0.swap(false, Ordering::Relaxed)
        }
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_is_polled_once_and_who_ends_is_dropped() {
        let (sessions, task) = (Sessions::new(), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let poll = || sessions.poll(&Context::from_waker(&waker));
        poll();
        let [one, other] = [(); 2].map(|()| Rc::default());
        sessions.add(Counting(Rc::clone(&one)));
        sessions.add(Counting(Rc::clone(&other)));
        assert!(task.was_woken());
        poll();
        poll();
        assert_eq!((one.0.get(), other.0.get(), task.was_woken()), (1, 1, false));
        let waker = one.2.borrow().clone().expect("a waker");
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(task.was_woken());
        one.1.set(true);
        poll();
        poll();
        assert_eq!((one.0.get(), other.0.get(), Rc::strong_count(&one)), (2, 1, 1));
        // From another thread, and when there is nobody any more.
        std::thread::spawn(move || waker.wake()).join().expect("no panic");
        poll();
        assert_eq!((one.0.get(), other.0.get()), (2, 1));
    }

    #[test]
    fn of_many_some_are_polled_before_the_reactor_is_asked() {
        let (sessions, task) = (Sessions::new(), Arc::new(Task::default()));
        let waker = Waker::from(Arc::clone(&task));
        let poll = || sessions.poll(&Context::from_waker(&waker));
        let all: Vec<_> = std::iter::repeat_with(Rc::default).take(2 * MOST_POLLED + 1).collect();
        for one in &all {
            sessions.add(Counting(Rc::clone(one)));
        }
        let polled = || all.iter().filter(|one| one.0.get() > 0).count();
        poll();
        assert_eq!((polled(), task.was_woken()), (MOST_POLLED, true));
        // Who is woken meanwhile is polled behind those who were before.
        all[0].2.borrow().as_ref().expect("a waker").wake_by_ref();
        poll();
        assert_eq!((polled(), all[0].0.get(), task.was_woken()), (2 * MOST_POLLED, 1, true));
        poll();
        assert_eq!((polled(), all[0].0.get(), task.was_woken()), (2 * MOST_POLLED + 1, 2, false));
    }
}

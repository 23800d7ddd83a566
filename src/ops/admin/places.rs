//! The places of the admin listener, and which connection gives way to one more: the oldest that has sent no complete head, or else the
//! oldest that does not read its answer. One that waits for an answer does not: making one takes at most a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, sleep};

use crate::net::descriptors::MOST_ADMIN;

/// Connections that are served; one more is accepted and waits for a place.
const MOST_SERVED: usize = MOST_ADMIN - 1;

/// A new connection does not give way: its head may have arrived, but is not read yet.
const GRACE: Duration = Duration::from_millis(2);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its head is not complete.
    Asking,
    /// Its answer is being made.
    Awaiting,
    /// It is to read its answer.
    Answered,
}

/// A connection that is served.
#[derive(Debug)]
pub(super) struct Seat {
    since: Instant,
    stage: Cell<Standing>,
    places: Rc<Seats>,
}

impl Seat {
    pub(super) fn reach(&self, stage: Standing) {
        self.stage.set(stage);
        self.places.changed.notify_one();
    }
}

/// The connections that are served, oldest first.
#[derive(Debug, Default)]
pub(super) struct Seats {
    taken: RefCell<Vec<(Rc<Seat>, AbortHandle)>>,
    changed: Notify,
}

impl Seats {
    /// Serves one more. Must be called within a `LocalSet`.
    pub(super) fn serve<F: Future<Output = ()> + 'static>(self: &Rc<Self>, serve: impl FnOnce(Rc<Seat>) -> F) {
        let (since, stage) = (Instant::now(), Cell::new(Standing::Asking));
        let place = Rc::new(Seat { since, stage, places: Rc::clone(self) });
        let (served, leaving) = (serve(Rc::clone(&place)), Leaving(Rc::clone(&place)));
        let task = spawn_local(async move {
            served.await;
            drop(leaving);
        });
        self.taken.borrow_mut().push((place, task.abort_handle()));
    }

    /// Returns when there is a place, having another give way for it.
    pub(super) async fn free(&self) {
        while self.taken.borrow().len() >= MOST_SERVED {
            let is_due = self.last_served().map(|(since, task)| match GRACE.checked_sub(since.elapsed()) {
                Some(wait) if !wait.is_zero() => wait,
                Some(_) | None => {
                    task.abort();
                    // It is gone as soon as its task has been dropped, which is told.
                    Duration::MAX
                }
            });
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep(is_due.unwrap_or(Duration::MAX)) => {}
            }
        }
    }

    /// Who is to give way.
    fn last_served(&self) -> Option<(Instant, AbortHandle)> {
        let taken = self.taken.borrow();
        let oldest = |stage| taken.iter().find(|(place, _)| place.stage.get() == stage);
        let found = oldest(Standing::Asking).or_else(|| oldest(Standing::Answered));
        found.map(|(place, task)| (place.since, task.clone()))
    }
}

/// Gives the place back, however its task ends.
struct Leaving(Rc<Seat>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.places.taken.borrow_mut().retain(|(place, _)| !Rc::ptr_eq(place, &self.0));
        self.0.places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;
    use tokio::time::timeout;

    use super::*;

    /// Those who are served for ever, at these stages.
    fn served(stages: impl Iterator<Item = Standing>) -> Rc<Seats> {
        let places = Rc::<Seats>::default();
        for stage in stages {
            places.serve(|place| {
                place.reach(stage);
                std::future::pending()
            });
        }
        places
    }

    /// Those who could give way.
    fn stages(places: &Seats) -> Vec<Standing> {
        let stages = places.taken.borrow().iter().map(|(place, _)| place.stage.get()).collect::<Vec<_>>();
        stages.into_iter().filter(|stage| *stage != Standing::Awaiting).collect()
    }

    async fn is_freed(places: &Seats) -> bool {
        timeout(Duration::from_secs(3600), places.free()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_asked_nothing_gives_way_then_who_does_not_read_and_nobody_else() {
        let test = async {
            let others = std::iter::repeat_n(Standing::Awaiting, MOST_SERVED - 3);
            let places = served(others.chain([Standing::Answered, Standing::Asking, Standing::Asking]));
            let begun = Instant::now();
            for left in [vec![Standing::Answered, Standing::Asking], vec![Standing::Answered], vec![]] {
                assert!(is_freed(&places).await);
                assert_eq!(stages(&places), left);
                assert!(is_freed(&places).await, "there is one already");
                places.serve(|place| {
                    place.reach(Standing::Awaiting);
                    std::future::pending()
                });
            }
            assert!(begun.elapsed() <= GRACE * 2, "the first alone was as new");
            assert!(!is_freed(&places).await);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_has_a_moment() {
        let test = async {
            let places = served(std::iter::repeat_n(Standing::Asking, MOST_SERVED));
            assert!(timeout(GRACE / 2, places.free()).await.is_err());
            assert!(timeout(GRACE, places.free()).await.is_ok());
            assert_eq!(stages(&places).len(), MOST_SERVED - 1);
        };
        LocalSet::new().run_until(test).await;
    }
}

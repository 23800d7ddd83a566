//! Finds the addresses of the upstream's name.
//!
//! The system's resolver blocks, so it runs on its own thread, for which nobody waits at the end of the process. At most
//! one question of a worker is under way, however many connections wait for its answer. The first answer is waited for.
//! Later ones are asked for in the background, while the last one serves, so a resolver that fails or dawdles, or a thread that cannot
//! be had, takes nobody's time. There are two exceptions, of a moment each: an answer so old that the address may be another's by now, and one
//! whose addresses cannot be connected to.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

/// How long an answer serves before another is asked for. Short, since a name is how a container's new address is found out.
pub(super) const KEPT: Duration = Duration::from_secs(5);

/// From what age on an answer serves only if no newer one comes within a moment. As long as cluster DNS lets its answers live.
const STALE: Duration = Duration::from_secs(30);

/// How long to wait for a new answer when the old one is useless or stale.
const PATIENCE: Duration = Duration::from_secs(1);

type Question = LocalBoxFuture<'static, io::Result<Vec<SocketAddr>>>;
type Answer = Result<Rc<[SocketAddr]>, Unresolved>;
type Asking = Shared<LocalBoxFuture<'static, Answer>>;

/// A name that could not be resolved, and why.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub(crate) struct Unresolved(Arc<str>);

/// A name, and what is known of it.
pub(crate) struct Name {
    host: Rc<str>,
    lookup: Box<dyn Fn() -> Question>,
    known: Rc<RefCell<Known>>,
}

#[derive(Default)]
struct Known {
    /// The last addresses, at least one, and when they came.
    addresses: Option<(Rc<[SocketAddr]>, Instant)>,
    /// The question under way.
    asking: Option<Asking>,
    /// When an answer was last waited for in vain.
    silent: Option<Instant>,
}

impl Name {
    /// A name that the system resolves.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let name: Arc<str> = host.into();
        Self::with_lookup(host, move || {
            let name = Arc::clone(&name);
            Box::pin(async move {
                let (teller, answer) = oneshot::channel();
                let ask = move || {
                    let found = (&*name, port).to_socket_addrs().map(Iterator::collect);
                    // The worker may have ended.
                    let _ = teller.send(found);
                };
                thread::Builder::new().name("resolver".into()).spawn(ask)?;
                answer.await.map_err(io::Error::other)?
            })
        })
    }

    pub(super) fn with_lookup(host: &str, lookup: impl Fn() -> Question + 'static) -> Self {
        Self { host: host.into(), lookup: Box::new(lookup), known: Rc::default() }
    }

    /// Its addresses, in the resolver's order, as far as is known; in place of those there are, newer ones are waited for for half of the limit
    /// at most. Must be called within a `LocalSet` or `LocalRuntime`.
    pub(super) async fn addresses(&self, limit: Duration) -> Answer {
        let known = self.known.borrow().addresses.clone();
        let Some((addresses, since)) = known else {
            return self.ask().await;
        };
        let silent = self.known.borrow().silent;
        if [Some(since), silent].into_iter().flatten().all(|then| then.elapsed() >= STALE) {
            if let Ok(Ok(addresses)) = timeout(PATIENCE.min(limit / 2), self.ask()).await {
                return Ok(addresses);
            }
            self.known.borrow_mut().silent = Some(Instant::now());
        } else if self.is_old() && self.known.borrow().asking.is_none() {
            drop(self.begin());
        }
        Ok(addresses)
    }

    /// Returns whether the known addresses may be outdated.
    pub(super) fn is_old(&self) -> bool {
        self.known.borrow().addresses.as_ref().is_some_and(|(_, since)| since.elapsed() >= KEPT)
    }

    /// Other addresses than those that did not serve, if the resolver has them within a moment.
    pub(super) async fn renewed(&self, failed: &[SocketAddr]) -> Option<Rc<[SocketAddr]>> {
        let answer =
            if self.is_old() { timeout(PATIENCE, self.ask()).await.ok()? } else { self.addresses(PATIENCE).await };
        answer.ok().filter(|addresses| **addresses != *failed)
    }

    /// Waits for the answer to the question under way, or to a new one. To stop waiting does not stop the question.
    async fn ask(&self) -> Answer {
        let asking = self.known.borrow().asking.clone();
        asking.unwrap_or_else(|| self.begin()).await
    }

    /// Begins a question, whose answer is taken when it comes.
    fn begin(&self) -> Asking {
        // What is known holds the question.
        let (host, known, question) = (Rc::clone(&self.host), Rc::downgrade(&self.known), (self.lookup)());
        let asking = async move {
            let answer = match question.await {
                Ok(addresses) if addresses.is_empty() => Err(unresolved(&host, &"no address found")),
                Ok(addresses) => Ok(Rc::from(addresses)),
                Err(error) => Err(unresolved(&host, &error)),
            };
            if let Some(known) = known.upgrade() {
                let mut known = known.borrow_mut();
                known.asking = None;
                if let Ok(addresses) = &answer {
                    known.addresses = Some((Rc::clone(addresses), Instant::now()));
                }
            }
            answer
        };
        let asking = asking.boxed_local().shared();
        self.known.borrow_mut().asking = Some(asking.clone());
        drop(spawn_local(asking.clone()));
        asking
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Name").field(&self.host).finish()
    }
}

fn unresolved(host: &str, why: &dyn fmt::Display) -> Unresolved {
    Unresolved(format!("cannot resolve {host}: {why}").into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::LocalSet;
    use tokio::time::{advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    /// Runs with a clock that only `advance` and idleness move.
    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        LocalSet::new().block_on(&runtime.expect("a runtime"), test);
    }

    /// A name whose lookups take and give what is set.
    fn name(asked: &Rc<Cell<u8>>, answers: impl Fn(u8) -> (Duration, io::Result<Vec<SocketAddr>>) + 'static) -> Name {
        let asked = Rc::clone(asked);
        Name::with_lookup("app", move || {
            asked.set(asked.get() + 1);
            let (wait, answer) = answers(asked.get());
            Box::pin(async move {
                sleep(wait).await;
                answer
            })
        })
    }

    #[test]
    fn one_question_serves_all_who_wait_and_for_a_while() {
        run(async {
            let asked = Rc::default();
            let name = Rc::new(name(&asked, |turn| (Duration::from_millis(10), Ok(vec![address(turn)]))));
            let waiting: Vec<_> = (0..20)
                .map(|_| {
                    let name = Rc::clone(&name);
                    spawn_local(async move { name.addresses(LIMIT).await.expect("it resolves") })
                })
                .collect();
            for answer in waiting {
                assert_eq!(*answer.await.expect("a task"), [address(1)]);
            }
            advance(KEPT.mul_f32(0.99)).await;
            assert_eq!(*name.addresses(LIMIT).await.expect("known"), [address(1)]);
            assert_eq!(asked.get(), 1);
            advance(KEPT / 50).await;
            assert_eq!(*name.addresses(LIMIT).await.expect("known"), [address(1)]);
            sleep(Duration::from_millis(11)).await;
            assert_eq!((*name.addresses(LIMIT).await.expect("asked behind")).first(), Some(&address(2)));
            assert_eq!(asked.get(), 2);
        });
    }

    #[test]
    fn a_resolver_that_fails_later_or_dawdles_keeps_nobody_waiting() {
        run(async {
            let asked = Rc::default();
            let name = name(&asked, |turn| match turn {
                1 => (Duration::ZERO, Ok(vec![address(1), address(2)])),
                2 => (Duration::ZERO, Err(io::Error::other("SERVFAIL"))),
                3 => (Duration::ZERO, Ok(vec![])),
                _ => (Duration::from_secs(60), Ok(vec![address(9)])),
            });
            for turn in 1..=4 {
                let before = Instant::now();
                assert_eq!(*name.addresses(LIMIT).await.expect("an answer, old or new"), [address(1), address(2)]);
                assert_eq!(before.elapsed(), Duration::ZERO);
                // What was asked in the background is answered.
                sleep(KEPT).await;
                assert_eq!(asked.get(), turn);
            }
            sleep(Duration::from_secs(60)).await;
            assert_eq!(*name.addresses(LIMIT).await.expect("the late answer"), [address(9)]);
        });
    }

    #[test]
    fn a_new_answer_is_waited_for_when_the_old_one_is_stale_but_once_in_a_while() {
        run(async {
            let asked = Rc::default();
            let name = name(&asked, |turn| match turn {
                1 | 4 => (Duration::ZERO, Ok(vec![address(turn)])),
                2 => (PATIENCE / 2, Ok(vec![address(turn)])),
                _ => (PATIENCE * 2, Err(io::Error::other("SERVFAIL"))),
            });
            let reached = async |last, waited| {
                let before = Instant::now();
                assert_eq!(*name.addresses(LIMIT).await.expect("an answer"), [address(last)]);
                assert_eq!(before.elapsed(), waited);
            };
            reached(1, Duration::ZERO).await;
            advance(STALE).await;
            reached(2, PATIENCE / 2).await;
            advance(STALE).await;
            reached(2, PATIENCE).await;
            // The third question is under way, and fails; the fourth is asked behind.
            reached(2, Duration::ZERO).await;
            sleep(STALE / 2).await;
            reached(2, Duration::ZERO).await;
            sleep(Duration::from_millis(1)).await;
            reached(4, Duration::ZERO).await;
            assert_eq!(asked.get(), 4);
            // With less time to connect, less of it.
            advance(STALE).await;
            let before = Instant::now();
            assert_eq!(*name.addresses(PATIENCE).await.expect("the one there is"), [address(4)]);
            assert_eq!(before.elapsed(), PATIENCE / 2);
        });
    }

    #[test]
    fn a_new_answer_is_waited_for_when_an_old_one_does_not_serve() {
        run(async {
            let asked = Rc::default();
            let name = name(&asked, |turn| match turn {
                1 | 3 => (Duration::ZERO, Ok(vec![address(1)])),
                2 => (PATIENCE / 2, Ok(vec![address(1)])),
                4 => (PATIENCE / 2, Ok(vec![address(4)])),
                _ => (PATIENCE * 2, Ok(vec![address(5)])),
            });
            let failed = name.addresses(LIMIT).await.expect("an answer");
            assert_eq!(name.renewed(&failed).await, None, "it is new");
            assert_eq!(asked.get(), 1);
            for turn in 2..=3 {
                advance(KEPT).await;
                assert_eq!(name.renewed(&failed).await, None, "it is the same");
                assert_eq!(asked.get(), turn);
            }
            advance(KEPT).await;
            assert_eq!(name.renewed(&failed).await.as_deref(), Some(&[address(4)][..]));
            advance(KEPT).await;
            let before = Instant::now();
            assert_eq!(name.renewed(&[address(4)]).await, None, "it dawdles");
            assert_eq!(before.elapsed(), PATIENCE);
        });
    }

    #[test]
    fn who_gives_up_waiting_does_not_stop_the_question() {
        run(async {
            let asked = Rc::default();
            let name = name(&asked, |turn| (Duration::from_secs(2), Ok(vec![address(turn)])));
            timeout(Duration::from_secs(1), name.addresses(LIMIT)).await.expect_err("it is slow");
            assert_eq!(*name.addresses(LIMIT).await.expect("it resolves"), [address(1)]);
            assert_eq!(asked.get(), 1);
        });
    }

    #[test]
    fn a_name_without_an_address_is_told_with_the_reason() {
        run(async {
            let asked = Rc::default();
            let name = name(&asked, |turn| match turn {
                1 => (Duration::ZERO, Err(io::Error::other("no such host"))),
                _ => (Duration::ZERO, Ok(vec![])),
            });
            let told = |answer: Answer| answer.expect_err("no address").to_string();
            assert_eq!(told(name.addresses(LIMIT).await), "cannot resolve app: no such host");
            assert_eq!(told(name.addresses(LIMIT).await), "cannot resolve app: no address found");
        });
    }
}

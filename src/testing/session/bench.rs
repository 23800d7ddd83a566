//! A session between far ends that a test holds, and a clock that a test moves.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::wire::{Answer, Dialler, Far, Near, Side};
use super::{Event, reply};
use crate::config::{Config, Timeouts};
use crate::net::address::Address;
use crate::net::stream::Peer;
use crate::ops::counters::Counters;
use crate::proxy::handle::Closing;
use crate::proxy::places::Places;
use crate::proxy::session::Session;
use crate::proxy::worker::{Share, Worker};
use crate::testing::drive::{self, Driven};
use crate::testing::property::equal;
use crate::testing::{End, Rules, Step};

/// Each time limit.
const LIMIT: Duration = Duration::from_secs(2);

/// Bytes that the session may hold: enough.
const MEMORY: usize = 8 * 1024 * 1024;

/// Ticks that are longer than any limit: a tick is an eighth of the shortest.
const LONG: usize = 12;

/// A session that was left alone passes fewer limits than this before it has ended: an exchange's, that of writing the
/// last bytes, the idle one, and 30 s of lingering.
const LIMITS: usize = 16;

/// Whether a waker was called.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

thread_local! {
    /// For all sessions of a thread, so that none is lost.
    pub(super) static COUNTERS: &'static Counters = Box::leak(Box::new(Counters::new(&CONFIG.policy.denylist)));
}

/// The rules of all sessions: heads of a fuzzer's size reach the limit.
pub(super) fn rules() -> Rules {
    Rules { max_head: 512, ..Rules::default() }
}

pub(super) static CONFIG: LazyLock<Config> = LazyLock::new(|| config(&rules()));

/// What a session is told of the rules.
pub(in crate::testing) fn config(rules: &Rules) -> Config {
    let nowhere = || Address::Unix("nowhere".into());
    let mut config = Config::new(nowhere(), nowhere());
    config.policy = drive::policy(rules).expect("the core takes the rules");
    config.timeouts = Timeouts { connect: LIMIT, head: LIMIT, idle: LIMIT, exchange: LIMIT, tunnel: None };
    config
}

/// A session and the far ends of its connections.
pub(in crate::testing) struct Bench {
    pub(in crate::testing) worker: Rc<Worker<Dialler>>,
    /// `None`: it is over.
    session: Option<Session<Dialler>>,
    pub(in crate::testing) client: Rc<RefCell<Far>>,
    woken: Arc<Woken>,
    holds: bool,
    /// All that the client has sent.
    pub(super) from_client: Vec<u8>,
    /// How often the session was polled, and how often it may be.
    polls: usize,
    most_polls: usize,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(&CONFIG)
    }

    /// With other rules.
    pub(in crate::testing) fn with(config: &'static Config) -> Self {
        let (near, client) = Near::pair();
        let (places, share) = (Arc::new(Places::new(0)), Share { pipes: 0, memory: MEMORY });
        let counters = COUNTERS.with(|counters| *counters);
        let worker = Rc::new(Worker::new(config, counters, places, share, Dialler::default()));
        let mut bench = Self {
            session: Some(Session::new(Rc::clone(&worker), near, Peer(None))),
            worker,
            client,
            woken: Arc::default(),
            holds: false,
            from_client: Vec::new(),
            polls: 0,
            most_polls: 100,
        };
        bench.poll();
        bench
    }

    /// Has an event happen. Tells whether it could.
    fn apply(&mut self, event: &Event) -> bool {
        let dialler = &self.worker.upstream;
        let may_say_more = |far: &Rc<RefCell<Far>>| match far.borrow().sending {
            Side::Open => true,
            Side::Finished => *event == Event::Step(Step::OriginReset),
            Side::Reset => false,
        };
        self.most_polls += 100;
        match event {
            Event::Step(Step::Client(bytes)) => {
                self.most_polls += 20 * bytes.len();
                self.from_client.extend_from_slice(bytes);
                self.client.borrow_mut().send(bytes);
            }
            Event::Step(Step::ClientEnd) => self.client.borrow_mut().end(Side::Finished),
            Event::ClientReset => self.client.borrow_mut().end(Side::Reset),
            Event::Step(step @ (Step::Origin(_) | Step::OriginEnd | Step::OriginReset)) => {
                let Some(origin) = dialler.origin().filter(may_say_more) else {
                    return false;
                };
                self.most_polls += 20 * step.bytes().len();
                let mut origin = origin.borrow_mut();
                origin.send(step.bytes());
                if *step == Step::OriginEnd {
                    origin.end(Side::Finished);
                } else if *step == Step::OriginReset {
                    origin.end(Side::Reset);
                }
            }
            Event::Step(Step::Drain) => self.worker.close(Closing::Drain),
            Event::Close(closing) => self.worker.close(*closing),
            Event::Hold => self.holds = true,
            Event::AtMost(most) => self.change(|far| far.most = *most),
            Event::Stutter => self.change(|far| far.stutters = true),
            Event::ClientFull(is_full) => {
                self.client.borrow_mut().is_full = *is_full;
                self.client.borrow_mut().wake();
            }
            Event::OriginFull(is_full) => {
                dialler.origins.borrow().iter().for_each(|far| {
                    far.borrow_mut().is_full = *is_full;
                    far.borrow_mut().wake();
                });
            }
            Event::OriginRefuses => {
                if let Some(origin) = dialler.origin() {
                    origin.borrow_mut().refuses = true;
                    origin.borrow_mut().wake();
                }
            }
            Event::DialsFail => dialler.answer(Answer::Refusal),
            Event::DialsHang => dialler.answer(Answer::Silence),
            Event::DialsWork => dialler.answer(Answer::Connection),
            Event::TimePasses => self.pass(LONG),
        }
        true
    }

    /// Has so many ticks pass.
    pub(super) fn pass(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.worker.deadlines.tick();
            self.settle();
        }
    }

    /// Has the client take so many bytes and no more.
    #[cfg(test)]
    pub(super) fn take(&mut self, count: usize) {
        self.client.borrow_mut().room = Some(count);
        self.run(&Event::ClientFull(false));
    }

    /// Changes the client's far end, the origin's, and those of later origin connections.
    pub(in crate::testing) fn change(&self, change: impl Fn(&mut Far)) {
        let dialler = &self.worker.upstream;
        change(&mut self.client.borrow_mut());
        change(&mut dialler.pattern.borrow_mut());
        dialler.origins.borrow().iter().for_each(|far| change(&mut far.borrow_mut()));
    }

    /// Has an event happen, and the session do what it can.
    pub(super) fn run(&mut self, event: &Event) -> bool {
        let was_full = self.client.borrow().is_full;
        if self.holds {
            self.change(|far| far.is_full = true);
        }
        let happened = self.apply(event);
        self.settle();
        if self.holds {
            self.change(|far| {
                far.is_full = was_full;
                far.wake();
            });
            self.settle();
        }
        happened
    }

    /// Has something happen that takes so many bytes, and the session do what it can.
    pub(in crate::testing) fn happen(&mut self, bytes: usize, what: impl FnOnce(&Self)) {
        self.most_polls += 100 + 20 * bytes;
        what(self);
        self.settle();
    }

    /// Polls for as long as the session is woken.
    fn settle(&mut self) {
        while self.woken.0.swap(false, Ordering::Relaxed) {
            self.poll();
        }
    }

    fn poll(&mut self) {
        self.polls += 1;
        assert!(self.polls < self.most_polls, "the session wakes itself for ever");
        let waker = Waker::from(Arc::clone(&self.woken));
        let polled = self.session.as_mut().map(|session| Pin::new(session).poll(&mut Context::from_waker(&waker)));
        if polled.is_some_and(|polled| polled.is_ready()) {
            self.session = None;
        }
    }

    /// Leaves it alone until it must have ended.
    pub(in crate::testing) fn finish(&mut self) {
        for event in [Event::DialsWork, Event::ClientFull(false), Event::OriginFull(false)] {
            self.run(&event);
        }
        for _ in 0..LIMITS {
            self.run(&Event::TimePasses);
        }
        assert!(self.session.is_none(), "the session is stuck");
    }

    /// Tells whether the origin has ended its side of the connection there is.
    pub(super) fn has_origin_finished(&self) -> bool {
        self.worker.upstream.origin().is_some_and(|far| far.borrow().sending == Side::Finished)
    }

    /// What the origin has received, over all its connections.
    #[cfg(test)]
    pub(super) fn to_origin(&self) -> Vec<u8> {
        self.worker.upstream.origins.borrow().iter().flat_map(|far| far.borrow().received.clone()).collect()
    }

    /// Compares how things stand with what the core alone made of the same steps.
    pub(super) fn compare(&self, driven: &Driven, step: usize) -> Result<(), String> {
        let end = &driven.ends[step];
        let mut to_client = driven.sent[..=step].concat();
        if let End::Reply(status) = end {
            to_client.extend(reply(*status));
        }
        let client = self.client.borrow();
        equal("the client's bytes", &client.received, &to_client)?;
        let received: Vec<usize> =
            self.worker.upstream.origins.borrow().iter().map(|far| far.borrow().received.len()).collect();
        equal("how many bytes the origin's connections have", &received, &driven.received[step])?;
        let has_origin = self.worker.upstream.origin().is_some();
        match end {
            End::Open => equal("whether it goes on", &(client.is_closed, client.seen == Side::Reset), &(false, false)),
            End::OriginDropped => equal("what is left", &(has_origin, client.seen), &(false, Side::Open)),
            End::Closed | End::Reply(_) | End::Cut => equal("how it ended", &client.seen, &Side::Finished),
            End::Reset => equal("how it ended", &client.seen, &Side::Reset),
        }
    }
}

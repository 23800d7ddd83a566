//! Sessions of a worker between far ends that a test holds, and a clock that a test moves.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use super::dialler::{Answer, Dialler, address};
use super::event::Event;
use super::reply;
use super::wire::{Far, Hold, Near, Side};
use crate::config::{Config, Timeouts};
use crate::net::address::Address;
use crate::net::preamble::PreambleVersion;
use crate::net::stream::Peer;
use crate::ops::counters::Counters;
use crate::ops::reason::GaveWay;
use crate::proxy::handle::Closing;
use crate::proxy::places::Places;
use crate::proxy::session::Session;
use crate::proxy::worker::{Allowance, Worker};
use crate::testing::drive::{self, Driven};
use crate::testing::property::equal;
use crate::testing::{End, Rules, Step};

/// Each time limit.
const LIMIT: Duration = Duration::from_secs(2);

/// Bytes that the sessions may hold: enough.
pub(in crate::testing) const MEMORY: usize = 8 * 1024 * 1024;

/// Ticks that are longer than any limit: a tick is an eighth of the shortest.
const LONG: usize = 12;

/// A session that was left alone passes fewer limits than this before it has ended: an exchange's, that of writing the
/// last bytes, the idle one, and 30 s of lingering.
const LIMITS: usize = 16;

/// Reads of a direction in one poll: two turns of eight, as one may follow a dial.
const MOST_READS: usize = 16;

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
    pub(in crate::testing) static COUNTERS: &'static Counters = Box::leak(Box::new(Counters::new(&CONFIG.policy)));
}

/// How much operators may ask for: any of six things.
const ASKS: usize = 64;

/// The longest heads: those of a fuzzer's size reach the limit; or, for sessions that share little memory, they are long enough to give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    Short,
    Long,
}

/// The rules of sessions whose operator asks for that: a bit each for lines that go from requests and their trailers, lines that are added, the
/// client's address, and a dry run. Two more are no rule, but a preamble to origins.
fn rules(heads: Heads, asks: usize) -> Rules {
    let has = |bit: usize| asks & bit != 0;
    let some = |bit, texts: &[&str]| texts.iter().filter(|_| has(bit)).map(ToString::to_string).collect();
    Rules {
        max_head: if heads == Heads::Short { 512 } else { 16 * 1024 },
        deny_request: some(1, &["x-forwarded-*", "proxy", "x-http-method", "x-t"]),
        allow_request_trailers: some(1, &["x-t", "x-u"]),
        keep_request: some(1, &["x-forwarded-for"]),
        add: some(2, &["Server: mine", "X-Added: a", "X-Added: b"]),
        forwarded_for: has(4),
        dry_run: has(8),
        ..Rules::default()
    }
}

static SETTINGS: LazyLock<Vec<(Rules, Config)>> = LazyLock::new(|| {
    let all = [Heads::Short, Heads::Long].into_iter().flat_map(|heads| (0..ASKS).map(move |asks| (heads, asks)));
    let setting = |(heads, asks)| {
        let rules = rules(heads, asks);
        (rules.clone(), Config { send_proxy: introduction(asks), ..config(&rules) })
    };
    all.map(setting).collect()
});

/// The preamble that they ask for before all of an origin connection.
fn introduction(asks: usize) -> Option<PreambleVersion> {
    match asks / 16 % 4 {
        0 => None,
        1 => Some(PreambleVersion::V1),
        _ => Some(PreambleVersion::V2),
    }
}

/// The rules of sessions, and what they are told of them.
pub(super) fn setting(heads: Heads, asks: usize) -> &'static (Rules, Config) {
    &SETTINGS[asks % ASKS + if heads == Heads::Short { 0 } else { ASKS }]
}

/// Where an operator asks for nothing.
pub(in crate::testing) static CONFIG: LazyLock<&Config> = LazyLock::new(|| &setting(Heads::Short, 0).1);

#[cfg(test)]
pub(super) static ROOMY: LazyLock<&Config> = LazyLock::new(|| &setting(Heads::Long, 0).1);

/// What a session is told of the rules.
pub(in crate::testing) fn config(rules: &Rules) -> Config {
    let nowhere = || Address::Unix("nowhere".into());
    let mut config = Config::new(nowhere(), nowhere());
    config.policy = drive::policy(rules).expect("the core takes the rules");
    config.timeouts = Timeouts { connect: LIMIT, head: LIMIT, idle: LIMIT, exchange: LIMIT, tunnel: None };
    config
}

/// What was said on each origin connection, and how often a request was sent once more.
pub(in crate::testing) type Connections = (Vec<Vec<Step>>, u64);

/// The same of what runs.
pub(in crate::testing) fn replayed(run: impl FnOnce() -> Bench) -> Connections {
    let count = || COUNTERS.with(|counters| counters.replays.value());
    let before = count();
    let bench = run();
    let origins = bench.worker.upstream.origins.borrow();
    (origins.iter().map(|far| far.borrow().history.clone()).collect(), count() - before)
}

/// A client and its session.
struct Seat {
    /// `None`: it is over.
    session: Option<Session<Dialler>>,
    client: Rc<RefCell<Far>>,
    woken: Arc<Woken>,
    /// All that the client has sent.
    from_client: Vec<u8>,
}

impl Seat {
    /// The client with this number.
    fn new(worker: &Rc<Worker<Dialler>>, index: usize, pattern: &Far) -> Self {
        let (near, client) = Near::pair();
        client.borrow_mut().like(pattern);
        let woken = Arc::<Woken>::default();
        woken.0.store(true, Ordering::Relaxed);
        let peer = Peer(Some(address(index)));
        let session = Some(Session::new(Rc::clone(worker), near, peer));
        Self { session, client, woken, from_client: Vec::new() }
    }
}

/// Sessions and the far ends of their connections.
pub(in crate::testing) struct Bench {
    pub(in crate::testing) worker: Rc<Worker<Dialler>>,
    seats: Vec<Seat>,
    /// Whose turn it is.
    at: usize,
    /// Its far end.
    pub(in crate::testing) client: Rc<RefCell<Far>>,
    holds: bool,
    /// Whether somebody was to give way, and whether all was to end at once.
    pub(super) has_wanted: bool,
    pub(super) is_cut: bool,
    /// How often the sessions were polled, and how often they may be.
    polls: usize,
    most_polls: usize,
}

impl Bench {
    #[cfg(test)]
    pub(super) fn new() -> Self {
        Self::with(&CONFIG, MEMORY)
    }

    /// With other rules, and so much memory.
    pub(in crate::testing) fn with(config: &'static Config, memory: usize) -> Self {
        let (places, share) = (Arc::new(Places::new(0)), Allowance { pipes: 0, memory });
        let counters = COUNTERS.with(|counters| *counters);
        let dialler = Dialler::default();
        // Where clients say themselves who they are, a test knows.
        dialler.introduces.set(config.send_proxy.filter(|_| config.accept_proxy.is_none()));
        let worker = Rc::new(Worker::new(config, counters, Arc::new(()), places, share, dialler));
        let seat = Seat::new(&worker, 0, &Far::default());
        let client = Rc::clone(&seat.client);
        let seats = vec![seat];
        let mut bench = Self {
            worker,
            seats,
            at: 0,
            client,
            holds: false,
            has_wanted: false,
            is_cut: false,
            polls: 0,
            most_polls: 100,
        };
        bench.settle();
        bench
    }

    /// The clients there were: the far end of each, and what it has sent.
    pub(super) fn clients(&self) -> impl Iterator<Item = (&Rc<RefCell<Far>>, &[u8])> {
        self.seats.iter().map(|seat| (&seat.client, &*seat.from_client))
    }

    /// The newest origin connection, unless the session has let go of it.
    pub(super) fn origin(&self) -> Option<Rc<RefCell<Far>>> {
        self.worker.upstream.origin(self.at)
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
            Event::Step(Step::Client(bytes)) => self.say(bytes),
            Event::Step(Step::ClientEnd) => self.client.borrow_mut().end(Side::Finished),
            Event::ClientReset => self.client.borrow_mut().end(Side::Reset),
            Event::Step(step @ (Step::Origin(_) | Step::OriginEnd | Step::OriginReset)) => {
                let Some(origin) = dialler.origin(self.at).filter(may_say_more) else {
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
            Event::Close(closing) => {
                self.is_cut |= *closing == Closing::Cut;
                self.worker.close(*closing);
            }
            Event::Hold => self.holds = true,
            Event::AtMost(most) => self.change(|far| far.most = *most),
            Event::Stutter => self.change(|far| far.stutters = true),
            Event::ClientFull(is_full) => {
                self.client.borrow_mut().is_full = *is_full;
                self.client.borrow_mut().wake();
            }
            Event::OriginFull(is_full) => {
                dialler.pattern.borrow_mut().is_full = *is_full;
                dialler.of(self.at).iter().for_each(|far| {
                    far.borrow_mut().is_full = *is_full;
                    far.borrow_mut().wake();
                });
            }
            Event::OriginRefuses => {
                if let Some(origin) = dialler.origin(self.at) {
                    origin.borrow_mut().refuse();
                }
            }
            Event::DialsFail => dialler.answer(Answer::Refusal),
            Event::DialsHang => dialler.answer(Answer::Silence),
            Event::DialsWork => dialler.answer(Answer::Connection),
            Event::TimePasses => self.pass(LONG),
            Event::Ticks(ticks) => self.pass(*ticks),
            Event::Queues(most) => self.change(|far| far.most_queued = *most),
            Event::ClientTakes(count) => self.client.borrow_mut().take(*count),
            Event::OriginTakes(count) => {
                dialler.pattern.borrow_mut().take(*count);
                dialler.of(self.at).iter().for_each(|far| far.borrow_mut().take(*count));
            }
            Event::Acknowledges(true) => self.change(|far| far.acknowledged = None),
            Event::Acknowledges(false) => self.change(|far| far.acknowledged = Some(far.received.len())),
            Event::Tells(tells) => self.change(|far| far.is_untold = !tells),
            Event::Remote => self.change(|far| far.is_remote = true),
            Event::OriginSaysMore(bytes) => {
                let newest = dialler.newest(self.at).filter(|far| far.borrow().hold != Hold::Whole);
                // Nothing comes behind a FIN.
                if let Some(far) = newest.filter(|far| far.borrow().sending == Side::Open) {
                    far.borrow_mut().send(bytes);
                }
            }
            Event::Client(index) => {
                while self.seats.len() <= *index {
                    self.seats.push(Seat::new(&self.worker, self.seats.len(), &dialler.pattern.borrow()));
                }
                self.at = *index;
                self.client = Rc::clone(&self.seats[self.at].client);
            }
            Event::PlaceWanted(bytes) => {
                self.say(bytes);
                self.ask_for_a_place();
            }
            Event::MemoryWanted => drop(self.worker.deadlines.ask_for_memory(usize::MAX)),
        }
        true
    }

    /// Has the client say something.
    fn say(&mut self, bytes: &[u8]) {
        self.most_polls += 20 * bytes.len();
        self.seats[self.at].from_client.extend_from_slice(bytes);
        self.client.borrow_mut().send(bytes);
    }

    /// Has somebody give way. Of those who are between requests, it is none whose bytes are unread.
    fn ask_for_a_place(&mut self) {
        let counters = COUNTERS.with(|counters| *counters);
        let gone = || [GaveWay::NoRequest, GaveWay::Idle].map(|why| counters.gave_way(why).value());
        let is_unread = |seat: &Seat| seat.session.is_some() && !seat.client.borrow().was_read();
        let unread: Vec<usize> = (0..self.seats.len()).filter(|at| is_unread(&self.seats[*at])).collect();
        let before = gone();
        self.has_wanted |= self.worker.deadlines.ask_for_a_place();
        self.settle();
        let is_lost = unread.iter().any(|at| self.seats[*at].session.is_none());
        assert!(gone() == before || !is_lost, "a client gave way that had bytes unread");
    }

    /// Has so many ticks pass.
    pub(super) fn pass(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.most_polls += 2 * self.seats.len();
            self.worker.deadlines.tick();
            self.worker.tick();
            self.worker.upstream.tick();
            for seat in &self.seats {
                let mut far = seat.client.borrow_mut();
                // The limits are of 2 s, and of 5 s behind our FIN; 30 s in all.
                let most_still = if far.has_fin { 20 } else { 8 };
                far.tick(most_still, 118);
            }
            self.settle();
        }
    }

    /// Has the client take so many bytes and no more.
    #[cfg(test)]
    pub(super) fn take(&mut self, count: usize) {
        self.client.borrow_mut().room = Some(count);
        self.run(&Event::ClientFull(false));
    }

    /// Changes the clients' far ends, the origin's, and those of later connections.
    pub(in crate::testing) fn change(&self, change: impl Fn(&mut Far)) {
        let dialler = &self.worker.upstream;
        self.seats.iter().for_each(|seat| change(&mut seat.client.borrow_mut()));
        change(&mut dialler.pattern.borrow_mut());
        dialler.origins.borrow().iter().for_each(|far| change(&mut far.borrow_mut()));
    }

    /// Has an event happen, and the sessions do what they can.
    pub(in crate::testing) fn run(&mut self, event: &Event) -> bool {
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

    /// Has something happen that takes so many bytes, and the sessions do what they can.
    pub(in crate::testing) fn happen(&mut self, bytes: usize, what: impl FnOnce(&Self)) {
        self.most_polls += 100 + 20 * bytes;
        what(self);
        self.settle();
    }

    /// Polls for as long as a session is woken.
    fn settle(&mut self) {
        while let Some(at) = self.seats.iter().position(|seat| seat.woken.0.swap(false, Ordering::Relaxed)) {
            self.poll(at);
        }
        self.worker.upstream.discard();
    }

    fn poll(&mut self, at: usize) {
        self.polls += 1;
        assert!(self.polls < self.most_polls, "a session wakes itself for ever");
        self.worker.upstream.owner.set(at);
        let ends = || std::iter::once(Rc::clone(&self.seats[at].client)).chain(self.worker.upstream.of(at));
        ends().for_each(|far| far.borrow_mut().reads = 0);
        let all: Vec<_> = ends().collect();
        let seat = &mut self.seats[at];
        let waker = Waker::from(Arc::clone(&seat.woken));
        let polled = seat.session.as_mut().map(|session| Pin::new(session).poll(&mut Context::from_waker(&waker)));
        if polled.is_some_and(|polled| polled.is_ready()) {
            seat.session = None;
        }
        for far in all {
            let reads = far.borrow().reads;
            assert!(reads <= MOST_READS, "invariant 13: {reads} reads in a turn");
        }
    }

    /// Leaves them alone until they must have ended.
    pub(in crate::testing) fn finish(&mut self) {
        for event in [Event::DialsWork, Event::Tells(true), Event::Acknowledges(true)] {
            self.run(&event);
        }
        self.change(|far| {
            (far.is_full, far.room) = (false, None);
            far.wake();
        });
        self.settle();
        for _ in 0..LIMITS {
            self.run(&Event::TimePasses);
        }
        assert!(self.seats.iter().all(|seat| seat.session.is_none()), "a session is stuck");
        assert_eq!(self.worker.account(), 0, "all memory is given back");
    }

    /// Tells whether the origin has ended its side of the connection there is.
    pub(super) fn has_origin_finished(&self) -> bool {
        self.origin().is_some_and(|far| far.borrow().sending == Side::Finished)
    }

    /// What the origin has received, over all its connections.
    pub(in crate::testing) fn to_origin(&self) -> Vec<u8> {
        self.worker.upstream.origins.borrow().iter().flat_map(|far| far.borrow().received.clone()).collect()
    }

    /// Compares how things stand with what the core alone made of the same steps.
    pub(super) fn compare(&self, driven: &Driven, step: usize) -> Result<(), String> {
        let end = &driven.ends[step];
        let mut to_client = driven.sent[..=step].concat();
        if let End::Reply(status) = end {
            to_client.extend(reply(*status, &self.worker.config.policy.added));
        }
        let client = self.client.borrow();
        equal("the client's bytes", &client.received, &to_client)?;
        let received: Vec<usize> =
            self.worker.upstream.origins.borrow().iter().map(|far| far.borrow().received.len()).collect();
        equal("how many bytes the origin's connections have", &received, &driven.received[step])?;
        let has_origin = self.origin().is_some();
        let is_closed = client.hold == Hold::Closed;
        match end {
            End::Open => equal("whether it goes on", &(is_closed, client.seen == Side::Reset), &(false, false)),
            End::OriginDropped => equal("what is left", &(has_origin, client.seen), &(false, Side::Open)),
            End::Closed | End::Reply(_) | End::Cut => equal("how it ended", &client.seen, &Side::Finished),
            End::Reset => equal("how it ended", &client.seen, &Side::Reset),
        }
    }
}

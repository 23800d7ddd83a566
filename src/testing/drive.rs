//! Drives the protocol core through steps as a session would, without sockets.

use std::num::NonZeroU64;
use std::ops::Range;

use super::{CLIENT, End, Outcome, Rules, Step};

use crate::http1::edits::Section;
use crate::http1::{
    AddedLines, Denylist, Direction, Edits, Ending, Exchange, Fault, MAX_REPLAY, OriginEnd, Policy, RequestDenylist,
    RequestTrailers, Run, Upgrades, Verdict, Violation,
};

/// What the core made of the steps, the rule that was broken, and what each step let out to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driven {
    /// As the model tells it.
    pub outcome: Outcome,
    /// The rule whose breach ended the exchange, or the origin's connection alone.
    pub violation: Option<Violation>,
    /// The bytes that went to the client in each step.
    pub sent: Vec<Vec<u8>>,
    /// How many bytes had gone to each of the origin's connections after each step.
    pub received: Vec<Vec<usize>>,
    /// How the exchange stood after each step.
    pub ends: Vec<End>,
    /// Whether the origin had been told of the client's end after each step.
    pub told: Vec<bool>,
    /// The connections that began with a request sent once more.
    pub replayed: Vec<usize>,
    /// Where request heads begin in the bytes that went to the origin, over all its connections.
    pub heads: Vec<usize>,
    /// Which of the bytes that went to the client are lines of our own.
    pub added: Vec<Range<usize>>,
    /// The same of those that went to the origin, over all its connections.
    pub added_inbound: Vec<Range<usize>>,
    /// The longest run of which bytes passed unseen.
    pub unseen: u64,
    /// Up to and with each step: whether a response was mended.
    pub mended: Vec<bool>,
    /// Up to and with each step: whether the origin has spoken out of turn while a request waited, or might have. What comes of that depends
    /// on which side is looked at first.
    pub early: Vec<bool>,
}

/// The core's policy for the rules; `None` where the core would refuse them.
#[must_use]
pub fn policy(rules: &Rules) -> Option<Policy> {
    let denylist = Denylist::new(names(&rules.deny), names(&rules.keep)).ok()?;
    Some(Policy {
        added: AddedLines::new(names(&rules.add), &denylist).ok()?,
        denylist,
        request_denylist: RequestDenylist::new(names(&rules.deny_request), names(&rules.keep_request)).ok()?,
        forwarded_for: rules.forwarded_for,
        dry_run: rules.dry_run,
        upgrades: Upgrades::new(names(&rules.allow_upgrade)).ok()?,
        max_head: rules.max_head,
        max_fields: rules.max_fields,
        allow_bare_lf: rules.allow_bare_lf,
        request_trailers: RequestTrailers::new(names(&rules.allow_request_trailers)).ok()?,
        reuse: rules.reuse_origin,
        ..Policy::default()
    })
}

fn names(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str)
}

/// Runs the steps through the core.
#[must_use]
pub fn drive(policy: &Policy, steps: &[Step]) -> Driven {
    let mut exchange = Exchange::new(policy);
    exchange.set_client(Some(CLIENT));
    let mut drive = Drive {
        exchange,
        policy,
        edits: Edits::default(),
        inbound: Vec::new(),
        outbound: Vec::new(),
        outcome: Outcome { to_origin: Vec::new(), to_client: Vec::new(), end: End::Open },
        violation: None,
        client_ended: false,
        is_connected: false,
        kept: None,
        replayed: Vec::new(),
        heads: Vec::new(),
        added: Vec::new(),
        added_inbound: Vec::new(),
        unseen: 0,
        is_mended: false,
        is_early: false,
    };
    let (mut sent, mut received, mut ends, mut told) = (vec![], vec![], vec![], vec![]);
    let (mut mended, mut early) = (vec![], vec![]);
    for step in steps {
        let before = drive.outcome.to_client.len();
        if matches!(drive.outcome.end, End::Open | End::OriginDropped) {
            drive.step(step);
        }
        sent.push(drive.outcome.to_client[before..].to_vec());
        received.push(drive.outcome.to_origin.iter().map(Vec::len).collect());
        ends.push(drive.outcome.end.clone());
        mended.push(drive.is_mended);
        early.push(drive.is_early);
        told.push(drive.is_connected && drive.exchange.passes_client_end());
    }
    let Drive { outcome, violation, replayed, heads, added, added_inbound, unseen, .. } = drive;
    Driven {
        outcome,
        violation,
        sent,
        received,
        ends,
        told,
        replayed,
        heads,
        added,
        added_inbound,
        unseen,
        mended,
        early,
    }
}

/// The steps with their bytes cut after each of the positions given (in the bytes of all steps), in rising order.
#[must_use]
pub fn cut(steps: &[Step], positions: &[usize]) -> Vec<Step> {
    let mut cut = Vec::new();
    let mut passed = 0;
    for step in steps {
        let (Step::Client(bytes) | Step::Origin(bytes)) = step else {
            cut.push(step.clone());
            continue;
        };
        let within =
            positions.iter().filter_map(|at| at.checked_sub(passed)).filter(|at| (1..bytes.len()).contains(at));
        let mut start = 0;
        for end in within.chain([bytes.len()]) {
            let part = bytes[start..end].to_vec();
            cut.push(if matches!(step, Step::Client(_)) { Step::Client(part) } else { Step::Origin(part) });
            start = end;
        }
        passed += bytes.len();
    }
    cut
}

#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that has happened or not")]
struct Drive<'p> {
    exchange: Exchange<'p>,
    policy: &'p Policy,
    edits: Edits,
    /// The client's bytes not yet disposed of.
    inbound: Vec<u8>,
    /// The origin's bytes not yet disposed of.
    outbound: Vec<u8>,
    outcome: Outcome,
    violation: Option<Violation>,
    client_ended: bool,
    /// Whether there is an origin connection.
    is_connected: bool,
    /// Where, of the bytes of the connection there is, the request began that may have to be sent once more.
    kept: Option<usize>,
    replayed: Vec<usize>,
    heads: Vec<usize>,
    added: Vec<Range<usize>>,
    added_inbound: Vec<Range<usize>>,
    unseen: u64,
    is_mended: bool,
    is_early: bool,
}

impl Drive<'_> {
    fn step(&mut self, step: &Step) {
        let result = match step {
            Step::Client(bytes) => {
                if !self.client_ended {
                    self.inbound.extend_from_slice(bytes);
                }
                Ok(())
            }
            // Where there is no connection, nothing is said.
            Step::Origin(_) | Step::OriginEnd | Step::OriginReset if !self.is_connected => Ok(()),
            Step::Origin(bytes) => {
                self.outbound.extend_from_slice(bytes);
                self.judge(Direction::Outbound)
            }
            Step::ClientEnd => {
                self.client_ended = true;
                Ok(())
            }
            Step::OriginEnd => self.end_origin(OriginEnd::Fin),
            Step::OriginReset => self.end_origin(OriginEnd::Reset),
            Step::Drain => {
                self.exchange.drain();
                Ok(())
            }
        };
        let result = result.or_else(|fault| self.settle(fault)).and_then(|()| self.follow());
        if let Err(fault) = result {
            // Nothing goes on after this, so that there is no origin to drop makes no difference.
            let _ = self.settle(fault);
            return;
        }
        if self.exchange.is_finished() {
            self.outcome.end = End::Closed;
            self.violation = None;
        }
    }

    /// Judges what the client sent, request by request, and takes note of its end behind all of it.
    fn follow(&mut self) -> Result<(), Fault> {
        loop {
            self.let_go_of_spent();
            self.judge(Direction::Inbound)?;
            if self.client_ended {
                self.exchange.request_end(&self.inbound);
            }
            if self.exchange.spent().is_none() {
                return Ok(());
            }
        }
    }

    /// An exchange is over that was not plain: its connection ends.
    fn let_go_of_spent(&mut self) {
        if self.exchange.spent().is_some() {
            // What comes with the end of its response is nobody's; a moment later, it may answer the next request.
            self.is_early |= !self.outbound.is_empty();
            self.exchange.let_go();
            self.drop_origin();
        }
    }

    /// Judges all that is at hand of one direction.
    fn judge(&mut self, direction: Direction) -> Result<(), Fault> {
        while self.judge_once(direction)? {}
        Ok(())
    }

    /// Does what one verdict says; false if that is nothing.
    fn judge_once(&mut self, direction: Direction) -> Result<bool, Fault> {
        let held = match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        };
        let may_keep = self.is_connected && self.exchange.is_unoccupied();
        let length = self.exchange.length_left(direction).and_then(NonZeroU64::new);
        let judged = self.exchange.judge(direction, held, &mut self.edits);
        if let Some(left) = length {
            assert_eq!(judged, Ok(Verdict::Pass(Run::Exactly(left))), "a body with a length needs no look");
        }
        if let Err(fault) = judged
            && fault.ending != Ending::DropOrigin
        {
            assert_eq!(self.exchange.judge(direction, held, &mut self.edits), judged, "a fault is told again");
        }
        if judged.is_err_and(|fault| fault.violation == Violation::UnsolicitedBytes) {
            // A request may wait, or come: which side is looked at first decides whether these bytes answer it.
            self.is_early = true;
        }
        let mut out = Vec::new();
        match judged? {
            Verdict::Keep(count) => out.extend(held.drain(..count.get())),
            Verdict::Head(count) => {
                let section: Vec<u8> = held.drain(..count.get()).collect();
                self.edits.write(&section, &mut out);
                assert_eq!(out.len(), self.edits.going_on(section.len()), "what goes on is counted");
                let growth = out.len().saturating_sub(section.len());
                assert!(growth <= self.policy.most_added(direction), "there is room for what is added");
                self.look_at_denied(direction, &section);
                self.is_mended |= direction == Direction::Outbound && self.edits.mended().next().is_some();
                let added = self.edits.added().len();
                let gone =
                    if direction == Direction::Outbound { self.outcome.to_client.len() } else { self.received() };
                let end = (gone + out.len()).saturating_sub(if out.ends_with(b"\r\n") { 2 } else { 1 });
                let all = if direction == Direction::Outbound { &mut self.added } else { &mut self.added_inbound };
                all.extend((added > 0).then(|| end - added..end));
            }
            Verdict::Withhold(count) => {
                let lines: Vec<u8> = held.drain(..count.get()).collect();
                self.is_mended |= direction == Direction::Outbound;
                assert!(lines.chunks(2).all(|line| line == b"\r\n"), "only empty lines are withheld by themselves");
            }
            Verdict::NeedMore | Verdict::Wait => return Ok(false),
            Verdict::Pass(_) if held.is_empty() => return Ok(false),
            Verdict::Pass(run) => {
                self.unseen = self.unseen.max(if let Run::Exactly(left) = run { left.get() } else { u64::MAX });
                let count = match run {
                    Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(held.len()),
                    Run::UntilEof => held.len(),
                };
                out.extend(held.drain(..count));
                self.exchange.passed(direction, u64::try_from(count).unwrap_or(u64::MAX));
            }
        }
        match direction {
            Direction::Inbound if !out.is_empty() => {
                let is_head = matches!(judged, Ok(Verdict::Head(_))) && self.edits.section() == Section::Request;
                self.send_on(&out, is_head, may_keep);
            }
            Direction::Inbound => {}
            Direction::Outbound => self.outcome.to_client.extend(out),
        }
        self.kept = self.kept.filter(|_| self.exchange.may_replay());
        Ok(true)
    }

    /// Sends bytes to the origin, on a fresh connection if there is none.
    fn send_on(&mut self, bytes: &[u8], is_head: bool, may_keep: bool) {
        if is_head {
            self.heads.push(self.received());
        }
        if !self.is_connected {
            self.outcome.to_origin.push(Vec::new());
            self.is_connected = true;
        }
        self.outcome.end = End::Open;
        self.violation = None;
        let connection = self.outcome.to_origin.last_mut().expect("there is one");
        if is_head && may_keep && self.exchange.may_replay() {
            self.kept = Some(connection.len());
        }
        connection.extend_from_slice(bytes);
    }

    /// What is withheld as denied is a denied line, whole with its continuations.
    fn look_at_denied(&self, direction: Direction, section: &[u8]) {
        for (entry, range) in self.edits.denied() {
            let line = &section[range.clone()];
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii_end();
            let by = match direction {
                Direction::Inbound => self.policy.request_denylist.entry(name),
                Direction::Outbound => self.policy.denylist.entry(name),
            };
            assert_eq!(by, Some(entry), "only denied lines are dropped");
            let is_whole = range.start > 0 && section[range.start - 1] == b'\n' && line.ends_with(b"\n");
            assert!(is_whole && !matches!(section.get(range.end), Some(b' ' | b'\t') | None), "each whole");
        }
    }

    /// How many bytes went to the origin.
    fn received(&self) -> usize {
        self.outcome.to_origin.iter().map(Vec::len).sum()
    }

    fn end_origin(&mut self, how: OriginEnd) -> Result<(), Fault> {
        let sent = self.outcome.to_origin.last().map_or(0, Vec::len);
        let kept = self.kept.take().filter(|kept| sent - kept <= MAX_REPLAY && self.exchange.may_replay());
        if let (Some(kept), Some(connection)) = (kept, self.outcome.to_origin.last()) {
            let once_more = connection[kept..].to_vec();
            self.replayed.push(self.outcome.to_origin.len());
            self.outcome.to_origin.push(once_more);
            return Ok(());
        }
        self.exchange.response_end(how)?;
        if !self.exchange.is_finished() && !self.exchange.passes_origin_end() {
            self.drop_origin();
        }
        Ok(())
    }

    fn drop_origin(&mut self) {
        self.outbound.clear();
        self.is_connected = false;
        self.outcome.end = End::OriginDropped;
    }

    /// Ends the exchange as the core says; `Ok` where only the origin's connection goes.
    fn settle(&mut self, fault: Fault) -> Result<(), Fault> {
        self.outcome.end = match fault.ending {
            Ending::Close => End::Closed,
            Ending::Reply(status) => End::Reply(status.code()),
            Ending::Cut => End::Cut,
            Ending::Reset => End::Reset,
            Ending::DropOrigin => {
                self.drop_origin();
                self.violation = Some(fault.violation);
                return Ok(());
            }
        };
        self.violation = Some(fault.violation);
        Err(fault)
    }
}

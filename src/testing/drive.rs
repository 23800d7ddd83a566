//! Drives the protocol core through steps as a session would, without sockets.

use super::{End, Outcome, Rules, Step};
use std::ops::Range;

use crate::http1::exchange::Phase;
use crate::http1::{
    Denylist, Direction, Ending, Exchange, Fault, MAX_REPLAY, OriginEnd, Policy, Run, Upgrades, Verdict, Violation,
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
    /// How many bytes had gone to the origin after each step.
    pub received: Vec<usize>,
    /// How many origin connections had been opened after each step.
    pub dials: Vec<usize>,
    /// How the exchange stood after each step.
    pub ends: Vec<End>,
    /// Whether the origin had been told of the client's end after each step.
    pub told: Vec<bool>,
    /// Which of the origin's bytes are a request sent once more.
    pub replayed: Vec<Range<usize>>,
    /// Where request heads begin in the bytes that went to the origin.
    pub heads: Vec<usize>,
    /// Which of the client's bytes are a line of our own.
    pub added: Vec<Range<usize>>,
    /// Up to and with each step: whether the origin has spoken before it was asked. What comes of that depends on which side is
    /// looked at first.
    pub early: Vec<bool>,
}

/// The core's policy for the rules; `None` where the core would refuse them.
#[must_use]
pub fn policy(rules: &Rules) -> Option<Policy> {
    let (deny, keep) = (rules.deny.iter().map(String::as_str), rules.keep.iter().map(String::as_str));
    Some(Policy {
        denylist: Denylist::new(deny, keep).ok()?,
        upgrades: Upgrades::new(rules.allow_upgrade.iter().map(String::as_str))?,
        max_head: rules.max_head,
    })
}

/// Runs the steps through the core.
#[must_use]
pub fn drive(policy: &Policy, steps: &[Step]) -> Driven {
    let mut drive = Drive {
        exchange: Exchange::new(policy),
        denylist: &policy.denylist,
        inbound: Vec::new(),
        outbound: Vec::new(),
        outcome: Outcome { to_origin: Vec::new(), to_client: Vec::new(), end: End::Open },
        violation: None,
        client_ended: false,
        is_connected: false,
        dials: 0,
        kept: None,
        replayed: Vec::new(),
        heads: Vec::new(),
        added: Vec::new(),
        is_early: false,
    };
    let (mut sent, mut received, mut dials, mut ends, mut told) = (vec![], vec![], vec![], vec![], vec![]);
    let mut early = vec![];
    for step in steps {
        let before = drive.outcome.to_client.len();
        if matches!(drive.outcome.end, End::Open | End::OriginDropped) {
            drive.step(step);
        }
        sent.push(drive.outcome.to_client[before..].to_vec());
        received.push(drive.outcome.to_origin.len());
        dials.push(drive.dials);
        ends.push(drive.outcome.end.clone());
        early.push(drive.is_early);
        told.push(drive.is_connected && drive.exchange.passes_client_end());
    }
    let Drive { outcome, violation, replayed, heads, added, .. } = drive;
    Driven { outcome, violation, sent, received, dials, ends, told, replayed, heads, added, early }
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

struct Drive<'p> {
    exchange: Exchange<'p>,
    denylist: &'p Denylist,
    /// The client's bytes not yet disposed of.
    inbound: Vec<u8>,
    /// The origin's bytes not yet disposed of.
    outbound: Vec<u8>,
    outcome: Outcome,
    violation: Option<Violation>,
    client_ended: bool,
    /// Whether there is an origin connection.
    is_connected: bool,
    dials: usize,
    /// Where, of the origin's bytes, the request began that may have to be sent once more.
    kept: Option<usize>,
    replayed: Vec<Range<usize>>,
    heads: Vec<usize>,
    added: Vec<Range<usize>>,
    is_early: bool,
}

impl Drive<'_> {
    fn step(&mut self, step: &Step) {
        let result = match step {
            Step::Client(bytes) => {
                self.inbound.extend_from_slice(bytes);
                Ok(())
            }
            // A connection that was dropped says nothing more.
            Step::Origin(_) if self.outcome.end == End::OriginDropped => Ok(()),
            Step::Origin(bytes) => {
                self.outbound.extend_from_slice(bytes);
                self.judge_outbound()
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
        let result = result.or_else(|fault| self.settle(fault)).and_then(|()| self.judge(Direction::Inbound));
        if let Err(fault) = result {
            // Nothing goes on after this, so that there is no origin to drop makes no difference.
            let _ = self.settle(fault);
            return;
        }
        // A FIN is read after the bytes before it: those that wait are judged first.
        if self.client_ended && (self.inbound.is_empty() || self.exchange.phase(&self.inbound) != Phase::Response) {
            self.exchange.request_end();
        }
        if self.exchange.is_finished() {
            self.outcome.end = End::Closed;
            self.violation = None;
        }
    }

    /// Judges what the origin sent. Requests that waited for a part of it go on before the next part is judged.
    fn judge_outbound(&mut self) -> Result<(), Fault> {
        while self.judge_once(Direction::Outbound)? {
            let before = self.outcome.to_origin.len();
            let judged = self.judge(Direction::Inbound);
            let has_moved = judged.is_err() || self.outcome.to_origin.len() > before;
            self.is_early |= has_moved && !self.outbound.is_empty();
            judged?;
        }
        Ok(())
    }

    /// Judges all that is at hand of one direction.
    fn judge(&mut self, direction: Direction) -> Result<(), Fault> {
        while self.judge_once(direction)? {}
        Ok(())
    }

    /// Does what one verdict says; false if that is nothing.
    fn judge_once(&mut self, direction: Direction) -> Result<bool, Fault> {
        let (held, out) = match direction {
            Direction::Inbound => (&mut self.inbound, &mut self.outcome.to_origin),
            Direction::Outbound => (&mut self.outbound, &mut self.outcome.to_client),
        };
        let before = out.len();
        let may_keep = direction == Direction::Inbound && self.is_connected && self.exchange.is_unoccupied();
        let unanswered = self.exchange.unanswered();
        let judged = self.exchange.judge(direction, held);
        if let Err(fault) = judged
            && fault.ending != Ending::DropOrigin
        {
            assert_eq!(self.exchange.judge(direction, held), judged, "a fault is told again");
        }
        match judged? {
            Verdict::Keep(count) => {
                if may_keep && self.exchange.may_replay() {
                    self.kept = Some(before);
                }
                if direction == Direction::Inbound && self.exchange.unanswered() > unanswered {
                    self.heads.push(before);
                }
                out.extend(held.drain(..count.get()));
            }
            Verdict::Add(bytes) => {
                self.added.push(before..before + bytes.len());
                out.extend(bytes);
            }
            Verdict::Drop(count) => {
                let lines: Vec<u8> = held.drain(..count.get()).collect();
                let are_denied = self.denylist.entries_of(&lines).all(|entry| entry.is_some());
                assert!(are_denied && lines.ends_with(b"\n"), "only denied lines are dropped, whole");
            }
            Verdict::Withhold(count) => drop(held.drain(..count.get())),
            Verdict::NeedMore | Verdict::Wait => return Ok(false),
            Verdict::Pass(_) if held.is_empty() => return Ok(false),
            Verdict::Pass(run) => {
                let count = match run {
                    Run::Exactly(count) => usize::try_from(count.get()).unwrap_or(usize::MAX).min(held.len()),
                    Run::UntilEof => held.len(),
                };
                out.extend(held.drain(..count));
                self.exchange.passed(direction, u64::try_from(count).unwrap_or(u64::MAX));
            }
        }
        if direction == Direction::Inbound && out.len() > before {
            // It went to a fresh connection, if the former one was dropped.
            self.outcome.end = End::Open;
            self.violation = None;
            self.dials += usize::from(!self.is_connected);
            self.is_connected = true;
        }
        self.kept = self.kept.filter(|_| self.exchange.may_replay());
        Ok(true)
    }

    fn end_origin(&mut self, how: OriginEnd) -> Result<(), Fault> {
        let length = self.outcome.to_origin.len();
        let kept = self.kept.take().filter(|kept| length - kept <= MAX_REPLAY && self.exchange.may_replay());
        if let Some(kept) = kept {
            self.outcome.to_origin.extend_from_within(kept..);
            self.replayed.push(length..self.outcome.to_origin.len());
            self.dials += 1;
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

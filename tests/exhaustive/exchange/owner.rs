//! Who owns the connections of one client, in memory: does as the core says, as a session does, and has [`Wire`] read along.

use headsnip::http1::edits::Section;
use headsnip::http1::{Direction, Edits, Ending, Exchange, Fault, OriginEnd, Policy, Run, Status, Verdict, Violation};
use headsnip::testing::{CLIENT, End, Outcome, Step};

use super::message::{Broken, ensure};
use super::operator::Operator;
use super::tokens::Token;
use super::wire::{Cut, Next, Wire};

/// Whether the origin takes what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Writing {
    Open,
    /// What was written last has not all gone.
    Blocked,
    Refused,
}

/// A connection to the origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    /// What it was sent of a request that may have to be sent once more.
    kept: Option<Vec<u8>>,
    pub(super) writing: Writing,
}

#[derive(Clone)]
pub(super) struct Owner<'p> {
    pub(super) exchange: Exchange<'p>,
    /// Bytes of the client that wait, and in how many pieces they came.
    pub(super) inbound: (Vec<u8>, usize),
    /// The same of the origin.
    pub(super) outbound: (Vec<u8>, usize),
    pub(super) client_ended: bool,
    pub(super) connection: Option<Connection>,
    /// What went out, and how it stands.
    pub(super) outcome: Outcome,
    pub(super) wire: Wire,
    /// Whether the origin has spoken out of turn, so that it depends on which side is looked at first what its bytes answer.
    pub(super) is_early: bool,
}

/// What stops a step: something broken, or the end of the exchange.
enum Stop {
    Broken(String),
    Fault(Fault),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Broken(what)
    }
}

impl<'p> Owner<'p> {
    pub(super) fn new(policy: &'p Policy, operator: Operator) -> Self {
        let mut exchange = Exchange::new(policy);
        exchange.set_client(Some(CLIENT));
        Self {
            exchange,
            inbound: (Vec::new(), 0),
            outbound: (Vec::new(), 0),
            client_ended: false,
            connection: None,
            outcome: Outcome { to_origin: Vec::new(), to_client: Vec::new(), end: End::Open },
            wire: Wire::new(operator),
            is_early: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        !matches!(self.outcome.end, End::Open | End::OriginDropped)
    }

    /// The same after a token; nothing comes of it where all is over. `None`: it cannot happen here.
    pub(super) fn then(&self, token: &Token) -> Option<Self> {
        let mut next = self.clone();
        if self.is_over() {
            return Some(next);
        }
        // What is broken by it is told where it is looked at alone.
        (self.may(token) && next.happen(token).is_ok()).then_some(next)
    }

    /// Something happens.
    pub(super) fn happen(&mut self, token: &Token) -> Broken {
        let result = self.take(token).or_else(|stop| self.settle(stop)).and_then(|()| self.follow());
        if let Err(stop) = result {
            match self.settle(stop) {
                Err(Stop::Broken(what)) => return Err(what),
                Ok(()) | Err(Stop::Fault(_)) => return Ok(()),
            }
        }
        if self.exchange.is_finished() {
            self.outcome.end = End::Closed;
            ensure(self.wire.is_cut_by().is_none(), "invariant 10: what is not whole ends cleanly")?;
        }
        self.nothing_waits_for_nothing()?;
        self.giving_up_is_seen()
    }

    fn take(&mut self, token: &Token) -> Result<(), Stop> {
        match token {
            Token::Step(Step::Client(bytes)) => {
                if !self.is_refused() {
                    self.inbound.0.extend_from_slice(bytes);
                    self.inbound.1 += 1;
                }
            }
            Token::Step(Step::Origin(bytes)) => {
                self.outbound.0.extend_from_slice(bytes);
                self.outbound.1 += 1;
                self.judge(Direction::Outbound)?;
            }
            Token::Step(Step::ClientEnd) => self.client_ended = true,
            Token::Step(Step::OriginEnd) => self.end_origin(OriginEnd::Fin)?,
            Token::Step(Step::OriginReset) => self.end_origin(OriginEnd::Reset)?,
            Token::Step(Step::Drain) => self.exchange.drain(),
            Token::Block => self.write(Writing::Blocked),
            Token::Unblock => self.write(Writing::Open),
            Token::Refuse => {
                self.write(Writing::Refused);
                self.give_up_request();
            }
        }
        Ok(())
    }

    fn write(&mut self, writing: Writing) {
        self.connection.iter_mut().for_each(|connection| connection.writing = writing);
        self.exchange.request_written(writing == Writing::Open);
    }

    fn is_refused(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.writing == Writing::Refused)
    }

    /// The rest of a request has nowhere to go, unless it may be sent once more.
    fn give_up_request(&mut self) {
        if self.is_refused() && self.connection.as_ref().is_some_and(|connection| connection.kept.is_none()) {
            self.inbound = (Vec::new(), 0);
            self.exchange.request_refused();
        }
    }

    /// Judges what the client sent, request by request, and takes note of its end behind all of it.
    fn follow(&mut self) -> Result<(), Stop> {
        loop {
            if self.exchange.spent().is_some() {
                self.is_early |= !self.outbound.0.is_empty();
                self.exchange.let_go();
                self.drop_origin();
            }
            if !self.is_refused() {
                self.judge(Direction::Inbound)?;
            }
            if self.client_ended {
                self.exchange.request_end(&self.inbound.0);
            }
            if self.exchange.spent().is_none() {
                return Ok(());
            }
        }
    }

    fn judge(&mut self, direction: Direction) -> Result<(), Stop> {
        while self.judge_once(direction)? {}
        Ok(())
    }

    /// Does what one verdict says; false if that is nothing.
    fn judge_once(&mut self, direction: Direction) -> Result<bool, Stop> {
        let may_keep = self.connection.is_some() && self.exchange.is_unoccupied();
        let mut edits = Edits::default();
        let shown = match direction {
            Direction::Inbound => self.inbound.0.clone(),
            Direction::Outbound => self.outbound.0.clone(),
        };
        let verdict = self.exchange.judge(direction, &shown, &mut edits);
        if let Err(fault) = verdict {
            self.refuses(direction, &shown, fault)?;
        }
        let verdict = verdict.map_err(Stop::Fault)?;
        let (count, goes_on) = match verdict {
            Verdict::NeedMore | Verdict::Wait => return Ok(false),
            Verdict::Pass(_) if shown.is_empty() => return Ok(false),
            Verdict::Keep(count) => (count.get(), shown[..count.get()].to_vec()),
            Verdict::Withhold(count) => {
                let lines = &shown[..count.get()];
                ensure(lines.chunks(2).all(|line| line == b"\r\n"), "invariant 2: more than empty lines is withheld")?;
                (count.get(), Vec::new())
            }
            Verdict::Head(count) => (count.get(), edited(&edits, &shown[..count.get()])?),
            Verdict::Pass(run) => {
                let count = match run {
                    Run::Exactly(left) => usize::try_from(left.get()).expect("64 bits").min(shown.len()),
                    Run::UntilEof => shown.len(),
                };
                self.exchange.passed(direction, u64::try_from(count).expect("64 bits"));
                (count, shown[..count].to_vec())
            }
        };
        let held = if direction == Direction::Inbound { &mut self.inbound } else { &mut self.outbound };
        *held = (shown[count..].to_vec(), usize::from(count < shown.len()));
        match direction {
            Direction::Inbound if goes_on.is_empty() => {}
            Direction::Inbound => {
                let is_head = matches!(verdict, Verdict::Head(_)) && edits.section() == Section::Request;
                ensure(
                    !is_head || self.exchange.is_under_way(),
                    "invariant 6: a head goes inbound of a request that is not known",
                )?;
                self.send_on(&goes_on, is_head && may_keep)?;
            }
            Direction::Outbound => {
                match verdict {
                    Verdict::Head(_) => self.wire.said_section(&shown[..count], &goes_on, self.is_written())?,
                    Verdict::Withhold(_) => self.wire.skipped(),
                    Verdict::Keep(_) | Verdict::Pass(_) | Verdict::NeedMore | Verdict::Wait => {
                        self.wire.said(&goes_on)?;
                    }
                }
                self.outcome.to_client.extend(goes_on);
            }
        }
        if !self.exchange.may_replay() {
            self.connection.iter_mut().for_each(|connection| connection.kept = None);
            self.give_up_request();
        }
        Ok(true)
    }

    /// Invariant 10: what is refused stays refused, and a refused request is not whole for the origin.
    fn refuses(&mut self, direction: Direction, shown: &[u8], fault: Fault) -> Broken {
        let again = self.exchange.clone().judge(direction, shown, &mut Edits::default());
        ensure(fault.ending == Ending::DropOrigin || again == Err(fault), "invariant 10: a fault is not told again")?;
        let is_whole = !matches!(self.wire.next_of_client(), Next::Head | Next::Body);
        ensure(
            direction == Direction::Outbound || !is_whole,
            "invariant 10: a refused request was whole for the origin",
        )
    }

    fn is_written(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.writing == Writing::Open)
    }

    fn send_on(&mut self, bytes: &[u8], may_keep: bool) -> Result<(), Stop> {
        if self.connection.is_none() {
            self.dial();
            self.wire.dialled();
        }
        self.outcome.end = End::Open;
        self.wire.sent(bytes)?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if may_keep && self.exchange.may_replay() {
            connection.kept = Some(Vec::new());
        }
        connection.kept.iter_mut().for_each(|kept| kept.extend_from_slice(bytes));
        self.outcome.to_origin.iter_mut().last().expect("there is one").extend_from_slice(bytes);
        Ok(())
    }

    fn dial(&mut self) {
        self.outcome.to_origin.push(Vec::new());
        self.connection = Some(Connection { kept: None, writing: Writing::Open });
        self.exchange.request_written(true);
    }

    fn end_origin(&mut self, how: OriginEnd) -> Result<(), Stop> {
        let kept = self.connection.as_mut().and_then(|connection| connection.kept.take());
        if let Some(once_more) = kept.filter(|_| self.exchange.may_replay()) {
            let has_client_left = self.client_ended && self.inbound.0.is_empty();
            self.wire.sent_once_more(has_client_left)?;
            self.dial();
            self.wire.dialled();
            *self.outcome.to_origin.iter_mut().last().expect("there is one") = once_more;
            return Ok(());
        }
        self.exchange.response_end(how).map_err(Stop::Fault)?;
        if how == OriginEnd::Fin {
            self.wire.origin_ended();
        }
        if !self.exchange.is_finished() && !self.exchange.passes_origin_end() {
            self.drop_origin();
        }
        Ok(())
    }

    fn drop_origin(&mut self) {
        self.outbound = (Vec::new(), 0);
        self.connection = None;
        self.exchange.request_written(true);
        self.outcome.end = End::OriginDropped;
    }

    /// Ends the exchange as the core says; `Ok` where only the origin's connection goes.
    fn settle(&mut self, stop: Stop) -> Result<(), Stop> {
        let Stop::Fault(fault) = stop else { return Err(stop) };
        self.is_early |= fault.violation == Violation::UnsolicitedBytes;
        if fault.ending == Ending::DropOrigin {
            self.drop_origin();
            return Ok(());
        }
        self.outcome.end = self.seen(fault.ending)?;
        Err(Stop::Fault(fault))
    }

    /// How the client sees an ending, which must not be a lie (invariant 10).
    fn seen(&self, ending: Ending) -> Result<End, String> {
        let cut = self.wire.is_cut_by();
        let (end, is_true) = match ending {
            Ending::Close => (End::Closed, cut.is_none()),
            Ending::Reply(status) => (End::Reply(status.code()), self.wire.may_be_replied()),
            Ending::Cut => (End::Cut, cut == Some(Cut::End)),
            Ending::Reset => (End::Reset, cut == Some(Cut::Reset) || self.wire.is_half_tunnel()),
            Ending::DropOrigin => (End::OriginDropped, cut.is_none()),
        };
        ensure(is_true, format_args!("invariant 10: {end:?} is how it ends, though it is cut by {cut:?}"))?;
        Ok(end)
    }

    /// What is out of time, or out of reach, ends so that the client sees it.
    fn giving_up_is_seen(&self) -> Broken {
        if self.is_over() { Ok(()) } else { self.seen(self.exchange.give_up(Status::GatewayTimeout)).map(|_| ()) }
    }

    /// Bytes wait only for what is under way.
    fn nothing_waits_for_nothing(&self) -> Broken {
        let verdict = self.exchange.clone().judge(Direction::Inbound, &self.inbound.0, &mut Edits::default());
        let is_waiting = verdict == Ok(Verdict::Wait) && !self.inbound.0.is_empty() && !self.is_over();
        ensure(!is_waiting || self.exchange.is_under_way() || self.client_ended, "a request waits for nothing")
    }
}

/// What goes on of a section, in both ways in which that is told (invariant 1).
fn edited(edits: &Edits, section: &[u8]) -> Result<Vec<u8>, String> {
    let mut written = Vec::new();
    edits.write(section, &mut written);
    ensure(written.len() == edits.going_on(section.len()), "invariant 1: what goes on is not what is counted")?;
    let room = edits.added().len();
    let mut in_place = [&vec![0; room], section].concat();
    let start = edits.apply(&mut in_place, room, room);
    ensure(in_place[start..] == written[..], "invariant 1: what is done in place is not what is written")?;
    let mut end = 0;
    for part in edits.withheld() {
        let range = part.range();
        ensure(
            end <= range.start && range.start < range.end && range.end <= section.len(),
            "invariant 1: edits overlap",
        )?;
        end = range.end;
    }
    Ok(written)
}

//! A slow, plain model of the whole rewriting, to hold beside the real protocol core.
//!
//! It keeps all bytes of a message until the message is over and reads them again from the first at every step. So it
//! has no state within a head, a chunk line or a trailer section, and nothing in it can depend on how the bytes were
//! cut. What it decides is what the two sides have been sent, and how the exchange stands; time and failed dials are not
//! modelled.
//!
//! After each step, until nothing moves:
//! 1. the client's bytes go on as far as they may: a waiting request goes as soon as what it waits for has come;
//! 2. what the client's side has come to (a broken request, its FIN) takes effect if no earlier answer is due;
//! 3. one piece of the origin's bytes goes on: a head, or what has come of a body.

use std::collections::VecDeque;

use self::body::Body;
use self::head::{Fault, Framing, RequestHead, ResponseHead, Version};
use super::{End, Outcome, Rules, Step};

mod body;
mod chunked;
mod head;

/// The most requests sent on and not yet answered.
const MAX_UNANSWERED: usize = 16;
/// The most 1xx responses to one request.
const MAX_INTERIM: usize = 64;
/// The most bytes of a request that are held so that it can be sent once more.
const MAX_REPLAY: usize = 65_536;

/// What must have gone out on both sides once these steps have happened.
#[must_use]
pub fn outcome(rules: &Rules, steps: &[Step]) -> Outcome {
    outcome_and_fault(rules, steps).0
}

/// The same, with the name of the rule whose breach brought that, if one did.
#[must_use]
pub fn outcome_and_fault(rules: &Rules, steps: &[Step]) -> (Outcome, Option<&'static str>) {
    let mut model = Model::new(rules);
    for step in steps {
        if model.end.is_some() {
            break;
        }
        model.take(step);
        model.settle();
    }
    let (end, fault) = model.end.unwrap_or(model.standing);
    (Outcome { to_origin: model.to_origin, to_client: model.to_client, end }, fault)
}

/// Where requests begin in the bytes of a client that waits for nothing; there only may an origin connection begin.
#[must_use]
pub fn request_starts(rules: &Rules, client: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut rest = client.to_vec();
    while let Ok(Some(head)) = head::request(&rest, rules.max_head) {
        rest.drain(..head.section.end);
        let complete =
            head.framing == Framing::Empty || Body::new(head.framing).take(&mut rest, rules).complete == Ok(true);
        if !complete {
            break;
        }
        starts.push(client.len() - rest.len());
    }
    starts
}

/// A request whose head has gone on and whose answer is not complete.
struct Request {
    /// Its place among the requests of this client.
    number: usize,
    method: Vec<u8>,
    version: Version,
    /// The members of its Upgrade list, if it has the field.
    upgrade: Option<Vec<Vec<u8>>>,
    /// How many 1xx responses it has had.
    interim: usize,
    answer: Answer,
}

enum Answer {
    /// Its final head has not gone out.
    Awaited,
    /// Its final head has; this follows.
    Body(Body),
    /// A 101 has: the connection is a tunnel.
    Switched,
}

#[derive(Clone, Copy)]
enum OriginEnds {
    Finished,
    Reset,
}

/// The request whose body is still coming, answered or not.
struct Upload {
    number: usize,
    body: Body,
    broken: Option<Fault>,
}

struct Model<'a> {
    rules: &'a Rules,
    /// The same limits, and nothing denied: requests go on as they are.
    request_rules: Rules,
    to_origin: Vec<u8>,
    to_client: Vec<u8>,
    /// Bytes of the client that are not yet part of a relayed head or of a body.
    client: Vec<u8>,
    client_ended: bool,
    /// The same of the origin.
    origin: Vec<u8>,
    /// Asked in a tunnel only; elsewhere the origin's end takes effect at once.
    origin_ended: bool,
    unanswered: VecDeque<Request>,
    upload: Option<Upload>,
    requests: usize,
    /// The number of the request after whose answer the client's connection closes.
    last: Option<usize>,
    /// Where in `to_origin` the newest request begins, if its origin connection was there before it and has never said a word
    /// to it: it may have been closed already.
    stale: Option<usize>,
    draining: bool,
    /// The fault of a request head that was not relayed.
    refused: Option<Fault>,
    /// `Open` or `OriginDropped`.
    standing: (End, Option<Fault>),
    end: Option<(End, Option<Fault>)>,
}

impl<'a> Model<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            request_rules: Rules { deny: Vec::new(), ..rules.clone() },
            to_origin: Vec::new(),
            to_client: Vec::new(),
            client: Vec::new(),
            client_ended: false,
            origin: Vec::new(),
            origin_ended: false,
            unanswered: VecDeque::new(),
            upload: None,
            requests: 0,
            last: None,
            stale: None,
            draining: false,
            refused: None,
            standing: (End::Open, None),
            end: None,
        }
    }

    fn take(&mut self, step: &Step) {
        // A dropped origin connection says nothing more; the next one is dialled for the next request.
        let origin_speaks = !self.origin_ended && self.standing.0 == End::Open;
        match step {
            Step::Client(bytes) if !self.client_ended => self.client.extend_from_slice(bytes),
            Step::ClientEnd => self.client_ended = true,
            Step::Origin(bytes) if origin_speaks => self.origin.extend_from_slice(bytes),
            Step::OriginEnd => self.origin_ends(OriginEnds::Finished),
            Step::OriginReset => self.origin_ends(OriginEnds::Reset),
            Step::Drain => self.draining = true,
            Step::Client(_) | Step::Origin(_) => {}
        }
    }

    fn settle(&mut self) {
        while self.end.is_none() {
            if self.relay_inbound() {
                continue;
            }
            self.conclude();
            if self.end.is_some() || !self.relay_outbound() {
                break;
            }
        }
    }

    /// Sends on what may go of the client's bytes; says whether anything moved.
    fn relay_inbound(&mut self) -> bool {
        if self.client.is_empty() {
            return false;
        }
        if let Some(upload) = &mut self.upload {
            // What follows the last request that will be answered has no business at the origin (RFC 9112 §9.6).
            if upload.broken.is_some() || self.last.is_some_and(|last| last < upload.number) {
                return false;
            }
            let taken = upload.body.take(&mut self.client, &self.request_rules);
            self.to_origin.extend_from_slice(&taken.bytes);
            match taken.complete {
                Ok(false) => {}
                Ok(true) => self.upload = None,
                Err(fault) => upload.broken = Some(fault),
            }
            return true;
        }
        if self.is_tunnel() {
            self.to_origin.append(&mut self.client);
            return true;
        }
        if self.next_request_waits() {
            return false;
        }
        match head::request(&self.client, self.rules.max_head) {
            Ok(None) => return false,
            Ok(Some(head)) => self.relay_request(head),
            Err(fault) => self.refused = Some(fault),
        }
        true
    }

    fn next_request_waits(&self) -> bool {
        // RFC 9110 §7.8: until it is known whether the protocol is switched, nobody can say what these bytes are.
        let undecided = |request: &Request| request.upgrade.is_some() && matches!(request.answer, Answer::Awaited);
        self.refused.is_some()
            || self.last.is_some()
            || self.unanswered.len() >= if self.draining { 1 } else { MAX_UNANSWERED }
            || self.unanswered.iter().any(undecided)
    }

    fn relay_request(&mut self, head: RequestHead) {
        let number = self.requests;
        self.requests += 1;
        let is_alone_on_a_used_connection = number > 0 && self.standing.0 == End::Open && self.unanswered.is_empty();
        self.stale = is_alone_on_a_used_connection.then_some(self.to_origin.len());
        self.to_origin.extend(self.client.drain(..head.section.end));
        // A request is carried on a fresh connection if the last one was dropped.
        self.standing = (End::Open, None);
        if !head::persists(&head.section, head.version) {
            self.last = Some(number);
        }
        if head.framing != Framing::Empty {
            self.upload = Some(Upload { number, body: Body::new(head.framing), broken: None });
        }
        let upgrade = head::has(&head.section, b"upgrade").then(|| head::list(&head.section, b"upgrade"));
        let RequestHead { method, version, .. } = head;
        self.unanswered.push_back(Request { number, method, version, upgrade, interim: 0, answer: Answer::Awaited });
    }

    /// What the client's side has come to takes effect once every earlier request is answered.
    fn conclude(&mut self) {
        let broken = self.upload.as_ref().and_then(|upload| upload.broken.map(|fault| (upload.number, fault)));
        let Some(first) = self.unanswered.front() else {
            // Every answer so far is complete.
            self.end = match (&self.upload, self.refused) {
                (Some(_), _) if broken.is_some() => Some((End::Closed, broken.map(|(_, fault)| fault))),
                (None, _) if self.last.is_some() => Some((End::Closed, None)),
                (None, Some(fault)) => Some((End::Reply(head::reply_status(fault)), Some(fault))),
                _ if self.client_ended => Some((End::Closed, None)),
                _ => None,
            };
            return;
        };
        if let Some((number, fault)) = broken
            && number == first.number
        {
            let end = match &first.answer {
                Answer::Awaited => End::Reply(400),
                // Where a clean FIN would look like the end of the message, only a reset shows that it is not.
                Answer::Body(Body { framing: Framing::UntilClose, .. }) | Answer::Switched => End::Reset,
                Answer::Body(_) => End::Cut,
            };
            self.end = Some((end, Some(fault)));
        } else if self.is_tunnel() && self.client_ended && self.origin_ended {
            self.end = Some((End::Closed, None));
        }
    }

    /// Sends on one piece of the origin's bytes; says whether anything moved.
    fn relay_outbound(&mut self) -> bool {
        if self.origin.is_empty() {
            return false;
        }
        self.stale = None;
        let Some(first) = self.unanswered.front_mut() else {
            // Nobody asked: these bytes could only be taken for the answer to the next request.
            self.origin.clear();
            self.without_request(Some("unsolicited_bytes"));
            return true;
        };
        match &mut first.answer {
            Answer::Awaited => match head::response(&self.origin, self.rules.max_head) {
                Ok(None) => return false,
                Ok(Some(head)) => {
                    if let Err(fault) = self.relay_response(&head) {
                        self.end = Some((End::Reply(502), Some(fault)));
                    }
                }
                Err(fault) => self.end = Some((End::Reply(502), Some(fault))),
            },
            Answer::Body(body) => {
                let taken = body.take(&mut self.origin, self.rules);
                self.to_client.extend_from_slice(&taken.bytes);
                match taken.complete {
                    Ok(false) => {}
                    Ok(true) => self.answered(),
                    Err(fault) => self.end = Some((End::Cut, Some(fault))),
                }
            }
            Answer::Switched => self.to_client.append(&mut self.origin),
        }
        true
    }

    /// Judges a well-formed response head at the start of the origin's bytes, and sends it on.
    fn relay_response(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        let Some(first) = self.unanswered.front_mut() else {
            return Ok(());
        };
        let framing = head::response_framing(head, &first.method)?;
        let mut visible = true;
        match head.status {
            100..200 if first.interim == MAX_INTERIM => return Err("too_many_interim_responses"),
            101 => {
                switch(first, head, self.rules)?;
                first.answer = Answer::Switched;
            }
            100..200 => {
                first.interim += 1;
                // RFC 9110 §15.2: a 1xx must not be sent to an HTTP/1.0 client.
                visible = first.version == Version::Http11;
            }
            _ => {
                first.answer = Answer::Body(Body::new(framing));
                // A client of HTTP/1.0 takes the end of the connection for that of a chunked body.
                let knows_chunks = first.version == Version::Http11 || framing != Framing::Chunked;
                if !head.persists() || framing == Framing::UntilClose || !knows_chunks {
                    self.last = Some(first.number);
                }
            }
        }
        let is_last = self.draining && head.status >= 200 && self.unanswered.len() == 1;
        let bytes = if is_last {
            self.last = self.unanswered.front().map(|only| only.number);
            head::closing(&self.origin, &head.section, self.rules)
        } else {
            head::without_denied(&self.origin, 0, &head.section, self.rules)
        };
        self.origin.drain(..head.section.end);
        if visible {
            self.to_client.extend_from_slice(&bytes);
        }
        if framing == Framing::Empty && head.status >= 200 {
            self.answered();
        }
        Ok(())
    }

    /// The first unanswered request has been answered.
    fn answered(&mut self) {
        let answered = self.unanswered.pop_front().map(|request| request.number);
        if answered.is_some() && answered == self.last {
            // The requests behind it get no answer.
            self.unanswered.clear();
            self.upload.take_if(|upload| Some(upload.number) != answered);
        }
    }

    fn origin_ends(&mut self, how: OriginEnds) {
        if self.standing.0 != End::Open {
            return;
        }
        if let Some(start) = self.stale.take().filter(|start| self.may_go_once_more(*start)) {
            self.to_origin.extend_from_within(start..);
            return;
        }
        let Some(first) = self.unanswered.front() else { return self.without_request(None) };
        self.end = match (&first.answer, how) {
            (Answer::Awaited, _) => Some((End::Reply(502), Some("response_missing"))),
            // RFC 9112 §6.3, 8: here the end of the connection is the end of the message, if it is an orderly one.
            (Answer::Body(Body { framing: Framing::UntilClose, .. }), OriginEnds::Finished) => {
                Some((End::Closed, None))
            }
            (Answer::Body(Body { framing: Framing::UntilClose, .. }), OriginEnds::Reset) => {
                Some((End::Reset, Some("response_incomplete")))
            }
            (Answer::Body(_), _) => Some((End::Cut, Some("response_incomplete"))),
            (Answer::Switched, OriginEnds::Finished) => {
                self.origin_ended = true;
                None
            }
            (Answer::Switched, OriginEnds::Reset) => Some((End::Reset, Some("response_incomplete"))),
        };
    }

    /// Whether the request that begins there may be sent once more: it is the only one, what has come of it is still held,
    /// what has not will still come, and doing it twice is doing it once.
    fn may_go_once_more(&self, start: usize) -> bool {
        let is_held = self.to_origin.len() - start <= MAX_REPLAY;
        let is_cut_short = self.client_ended && self.upload.is_some();
        // RFC 9110 §9.2.2, and the safe methods of RFC 9110 §9.2.1 among them.
        let idempotent: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        let is_idempotent = |only: &Request| idempotent.contains(&&only.method[..]);
        self.unanswered.len() == 1 && is_held && !is_cut_short && self.unanswered.iter().all(is_idempotent)
    }

    /// The origin's connection is of no more use while no request waits: the client keeps its own, unless the rest of
    /// a request would then have nowhere to go.
    fn without_request(&mut self, fault: Option<Fault>) {
        if self.upload.is_some() {
            self.end = Some((End::Closed, fault));
        } else {
            self.standing = (End::OriginDropped, fault);
        }
    }

    fn is_tunnel(&self) -> bool {
        matches!(self.unanswered.front(), Some(Request { answer: Answer::Switched, .. }))
    }
}

/// RFC 9110 §7.8: a server switches only to what the client has offered, and never for an HTTP/1.0 request. We let it
/// switch only to what the operator allows, for a tunnel carries what we cannot judge.
fn switch(request: &Request, head: &ResponseHead, rules: &Rules) -> Result<(), Fault> {
    let mut chosen = head::list(&head.section, b"upgrade");
    chosen.retain(|protocol| !protocol.is_empty());
    let offered = request.upgrade.iter().flatten().filter(|protocol| !protocol.is_empty()).collect::<Vec<_>>();
    let is_allowed =
        |protocol: &Vec<u8>| rules.allow_upgrade.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(protocol));
    // Those that are not allowed are not told apart.
    let asked = |protocol: &Vec<u8>| {
        offered.contains(&protocol) || (!is_allowed(protocol) && !offered.iter().all(|protocol| is_allowed(protocol)))
    };
    if chosen.is_empty() || request.version != Version::Http11 || !chosen.iter().all(asked) {
        return Err("upgrade_unasked");
    }
    if chosen.iter().all(is_allowed) { Ok(()) } else { Err("upgrade_not_allowed") }
}

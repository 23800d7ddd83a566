//! A slow, plain model of the whole rewriting, to hold beside the real protocol core.
//!
//! It keeps all bytes of a message until the message is over and reads them again from the first at every step. So it
//! has no state within a head, a chunk line or a trailer section, and nothing in it can depend on how the bytes were
//! cut. What it decides is what the two sides have been sent, and how the exchange stands; time and failed dials are not
//! modelled.
//!
//! After each step, until nothing moves:
//! 1. the client's bytes go on as far as they may: a request, once nothing is under way, and then its body;
//! 2. what the two sides have come to (a complete exchange, a broken request, the client's FIN) takes effect;
//! 3. one piece of the origin's bytes goes on: a head, or what has come of a body.

use self::body::Body;
use self::exchange::{Answer, Exchange};
use self::head::Fault;
use self::request::Request;
use super::{End, Outcome, Rules, Step};

mod asked;
mod body;
mod chunked;
mod edits;
mod exchange;
mod head;
mod request;
mod response;

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

/// Where requests begin in the bytes of a client that waits for nothing: each right behind the one before it, so the empty
/// lines that may stand before its request-line, and do not go inbound, are counted with it.
#[must_use]
pub fn request_starts(rules: &Rules, client: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut rest = client.to_vec();
    loop {
        rest.drain(..head::empty_lines(&rest));
        let Ok(Some(request)) = request::read(&rest, rules) else { return starts };
        rest.drain(..request.end);
        if Body::of_request(request.framing).take(&mut rest, rules).complete != Ok(true) {
            return starts;
        }
        starts.push(client.len() - rest.len());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OriginEnds {
    Finished,
    Reset,
}

/// The last of the origin connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// It has ended, or none was dialled yet.
    Gone,
    /// It has not carried an exchange.
    Fresh,
    /// It has: so it may have been closed already by the time that a request comes to it.
    Used,
}

struct Model<'a> {
    rules: &'a Rules,
    /// By connection, in the order in which they were dialled.
    to_origin: Vec<Vec<u8>>,
    to_client: Vec<u8>,
    /// Bytes of the client that are not yet part of a relayed head or of a body.
    client: Vec<u8>,
    /// How many empty lines came before those.
    empty_lines: usize,
    client_ended: bool,
    /// The same of the origin.
    origin: Vec<u8>,
    /// Asked in a tunnel only; elsewhere the origin's end takes effect at once.
    origin_ended: bool,
    connection: Connection,
    /// What is under way.
    exchange: Option<Exchange>,
    draining: bool,
    /// `Open` or `OriginDropped`.
    standing: (End, Option<Fault>),
    end: Option<(End, Option<Fault>)>,
}

impl<'a> Model<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            to_origin: Vec::new(),
            to_client: Vec::new(),
            client: Vec::new(),
            empty_lines: 0,
            client_ended: false,
            origin: Vec::new(),
            origin_ended: false,
            connection: Connection::Gone,
            exchange: None,
            draining: false,
            standing: (End::Open, None),
            end: None,
        }
    }

    fn take(&mut self, step: &Step) {
        // A connection that is not there says nothing.
        let is_connected = self.connection != Connection::Gone;
        match step {
            Step::Client(bytes) if !self.client_ended => self.client.extend_from_slice(bytes),
            Step::ClientEnd => self.client_ended = true,
            Step::Origin(bytes) if is_connected && !self.origin_ended => self.origin.extend_from_slice(bytes),
            Step::OriginEnd if is_connected => self.origin_ends(OriginEnds::Finished),
            Step::OriginReset if is_connected => self.origin_ends(OriginEnds::Reset),
            Step::Drain => self.draining = true,
            Step::Client(_) | Step::Origin(_) | Step::OriginEnd | Step::OriginReset => {}
        }
    }

    fn settle(&mut self) {
        while self.end.is_none() && (self.relay_inbound() || self.conclude() || self.relay_outbound()) {}
    }

    /// Sends on what may go of the client's bytes; says whether anything moved.
    fn relay_inbound(&mut self) -> bool {
        if self.client.is_empty() {
            return false;
        }
        let Some(exchange) = &mut self.exchange else { return self.relay_request() };
        let bytes = match (&mut exchange.upload, &exchange.answer) {
            (Some(_), _) if exchange.broken.is_some() => return false,
            (Some(upload), _) => {
                let taken = upload.take(&mut self.client, self.rules);
                match taken.complete {
                    Ok(false) => {}
                    Ok(true) => {
                        exchange.is_plain &= !upload.is_marked;
                        exchange.upload = None;
                    }
                    Err(fault) => exchange.broken = Some(fault),
                }
                taken.bytes
            }
            (None, Answer::Switched) => std::mem::take(&mut self.client),
            // One at a time; and until it is known whether the protocol is switched, nobody can say what these bytes are.
            (None, Answer::Awaited | Answer::Body(_) | Answer::Complete) => return false,
        };
        self.send_inbound(&bytes);
        true
    }

    /// Begins the next exchange, nothing being under way, once its head is whole.
    fn relay_request(&mut self) -> bool {
        let empty_lines = head::empty_lines(&self.client);
        self.client.drain(..empty_lines);
        self.empty_lines += empty_lines / 2;
        match request::read(&self.client, self.rules) {
            Ok(Some(request)) => {
                self.client.drain(..request.end);
                self.empty_lines = 0;
                self.begin(request);
                true
            }
            Ok(None) => empty_lines > 0,
            Err(fault) => {
                let fault = request::named(fault, self.empty_lines, &self.client);
                self.end = Some((End::Reply(request::reply_status(fault)), Some(fault)));
                true
            }
        }
    }

    fn begin(&mut self, request: Request) {
        if self.connection == Connection::Gone {
            self.dial();
        }
        let start = self.to_origin.last().map_or(0, Vec::len);
        self.send_inbound(&request.bytes);
        self.exchange = Some(Exchange::new(request, start));
        self.standing = (End::Open, None);
    }

    fn dial(&mut self) {
        self.to_origin.push(Vec::new());
        self.connection = Connection::Fresh;
    }

    fn send_inbound(&mut self, bytes: &[u8]) {
        if let Some(connection) = self.to_origin.last_mut() {
            connection.extend_from_slice(bytes);
        }
    }

    /// What the two sides have come to takes effect; says whether anything did.
    fn conclude(&mut self) -> bool {
        let Some(exchange) = &self.exchange else {
            if self.client_ended {
                // What is incomplete of a request is discarded.
                self.end = Some((End::Closed, None));
            }
            return self.client_ended;
        };
        let is_complete = matches!(exchange.answer, Answer::Complete);
        let is_switched = matches!(exchange.answer, Answer::Switched);
        if let Some(fault) = exchange.broken {
            self.end = Some((exchange.end_if_request_is_broken(), Some(fault)));
        } else if is_complete && exchange.upload.is_none() {
            self.finish();
        } else if is_complete && self.client_ended || is_switched && self.client_ended && self.origin_ended {
            self.end = Some((End::Closed, None));
        } else {
            return false;
        }
        true
    }

    /// Both messages are whole, or the rest of the request was given up.
    fn finish(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        if exchange.closes {
            self.end = Some((End::Closed, None));
        } else if !exchange.is_plain {
            self.drop_origin(None);
        } else if !self.origin.is_empty() {
            // Nobody asked: these bytes could only be taken for the answer to the next request, which waits still.
            self.drop_origin(Some("unsolicited_bytes"));
        } else {
            self.connection = Connection::Used;
        }
    }

    /// The client keeps its own connection; the next request dials anew.
    fn drop_origin(&mut self, fault: Option<Fault>) {
        self.origin.clear();
        self.connection = Connection::Gone;
        self.standing = (End::OriginDropped, fault);
    }

    /// Sends on one piece of the origin's bytes; says whether anything moved.
    fn relay_outbound(&mut self) -> bool {
        if self.origin.is_empty() {
            return false;
        }
        let Some(exchange) = &mut self.exchange else {
            self.drop_origin(Some("unsolicited_bytes"));
            return true;
        };
        match &mut exchange.answer {
            Answer::Awaited => match exchange.take_head(&mut self.origin, self.draining, self.rules) {
                Ok(None) => return false,
                Ok(Some(bytes)) => self.to_client.extend_from_slice(&bytes),
                Err(fault) => self.end = Some((End::Reply(502), Some(fault))),
            },
            Answer::Body(body) => {
                let taken = body.take(&mut self.origin, self.rules);
                self.to_client.extend_from_slice(&taken.bytes);
                match taken.complete {
                    Ok(false) => {}
                    Ok(true) => {
                        exchange.is_plain &= !body.is_marked;
                        exchange.answer = Answer::Complete;
                    }
                    Err(fault) => self.end = Some((exchange.end_if_cut(), Some(fault))),
                }
            }
            // The rest of the request has nowhere to go.
            Answer::Complete => self.end = Some((End::Closed, Some("unsolicited_bytes"))),
            Answer::Switched => self.to_client.append(&mut self.origin),
        }
        true
    }

    fn origin_ends(&mut self, how: OriginEnds) {
        let Some(exchange) = &self.exchange else { return self.drop_origin(None) };
        self.end = match (&exchange.answer, how) {
            (Answer::Awaited, _) if self.may_go_once_more(exchange) => {
                self.send_once_more();
                return;
            }
            (Answer::Awaited, _) if self.end_has_gone_on(exchange) => Some((End::Closed, Some("response_missing"))),
            (Answer::Awaited, _) => Some((End::Reply(502), Some("response_missing"))),
            // The rest of the request has nowhere to go.
            (Answer::Complete, _) => Some((End::Closed, None)),
            (Answer::Switched, OriginEnds::Finished) => {
                self.origin_ended = true;
                return;
            }
            // RFC 9112 §6.3, 8: here the end of the connection is the end of the message, if it is an orderly one.
            (Answer::Body(body), OriginEnds::Finished) if body.framing == body::Framing::UntilClose => {
                Some((End::Closed, None))
            }
            (Answer::Body(_) | Answer::Switched, _) => Some((exchange.end_if_cut(), Some("response_incomplete"))),
        };
    }

    /// Whether the request under way may be sent once more: its connection may have been closed before it came, what has
    /// gone of it is still held, what has not will still come, and doing it twice is doing it once.
    fn may_go_once_more(&self, exchange: &Exchange) -> bool {
        let gone = self.to_origin.last().map_or(0, Vec::len) - exchange.start;
        self.connection == Connection::Used
            && !self.end_has_gone_on(exchange)
            && !exchange.is_heard
            && gone <= exchange::MAX_REPLAY
            && exchange.is_idempotent()
    }

    fn send_once_more(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        let gone = self.to_origin.last().and_then(|bytes| bytes.get(exchange.start..)).unwrap_or_default().to_vec();
        exchange.start = 0;
        self.dial();
        self.send_inbound(&gone);
    }

    /// Whether the client has ended, and the origin was told: nothing more will be asked. What is incomplete behind the
    /// request counts for nothing, unless it may be a tunnel's.
    fn end_has_gone_on(&self, exchange: &Exchange) -> bool {
        let is_last = exchange.upload.is_some() || exchange.closes || self.draining;
        let behind = self.client.get(head::empty_lines(&self.client)..).unwrap_or_default();
        let nothing_waits = if exchange.request.offers.is_empty() {
            matches!(head::request(behind, self.rules), Ok(None))
        } else {
            self.client.is_empty()
        };
        self.client_ended && (is_last || nothing_waits)
    }
}

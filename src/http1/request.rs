//! Follows the requests of one client, one at a time: where each ends, and what its response must know.
//!
//! ```text
//! Head ──whole──▶ Body ──▶ Trailer (chunked) ──▶ Whole   ──the exchange is over──▶ Head
//!                                            └──101──▶ Tunnel
//! Last: nothing more of the client is forwarded.
//! Broken: a rule was broken.
//! Ended: the client sent FIN.
//! ```

use core::net::IpAddr;

use super::alone;
use super::chunked::{Chunked, Piece};
use super::edits::{EMPTY_LINE, Edits};
use super::error::Violation;
use super::forwarded;
use super::framing::{Fields, Framing, request_framing};
use super::head::{Head, Reader};
use super::message::{Asked, Mark, Method, Sent};
use super::scan::{Form, HeadScan};
use super::{Direction, Policy, Run, Verdict, count_empty_lines, empty_lines, keep, pass};

/// Empty lines that a preamble of the PROXY protocol begins with, in its second version.
const PREAMBLE_LINES: u8 = 2;

#[derive(Clone, Debug)]
pub(super) struct Requests {
    state: State,
    /// Empty lines before the head that is awaited; of more than a preamble begins with, one more.
    empty: u8,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(HeadScan),
    /// How much of the request was judged, its head at least, and what follows it.
    Body(Body, Sent, Then),
    /// In the trailer section, after that many bytes of the last chunk's line.
    Trailer(HeadScan, u16, Then),
    /// The request is complete, and its exchange under way.
    Whole(Behind),
    Tunnel,
    Last,
    Broken(Violation, Place),
    Ended(Place),
}

#[derive(Clone, Copy, Debug)]
enum Body {
    /// 0 < left
    Length(u64),
    Chunked(Chunked),
}

/// What follows a body.
#[derive(Clone, Copy, Debug)]
enum Then {
    Whole,
    Tunnel,
}

/// What stands after a request that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Unknown,
    /// Another request, or what may be one or a tunnel's bytes, and then the client's FIN.
    More,
}

/// Where a client's bytes came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between requests, or in a head of which nothing went on.
    Between,
    /// After the head of a request, of whose body no byte has come.
    Unbegun,
    /// In a request whose head went on.
    Within,
    /// After a request whose response was not complete.
    Behind,
    Tunnel,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { state: State::Head(HeadScan::default()), empty: 0 }
    }

    /// Judges bytes of the client, which its requests name if there is an address. `asked` is there while an exchange is under way, and set where
    /// one begins. After an error, they are [refused](Self::refuse).
    pub(super) fn judge(
        &mut self,
        (policy, client): (&Policy, Option<&IpAddr>),
        asked: &mut Option<Asked>,
        shown: &[u8],
        edits: &mut Edits,
    ) -> Result<Verdict, (Violation, Place)> {
        let within = |violation| (violation, Place::Within);
        loop {
            match &mut self.state {
                State::Head(_) if shown.is_empty() => return Ok(Verdict::NeedMore),
                State::Head(scan) => {
                    if !scan.has_begun()
                        && let Some(verdict) = empty_lines(shown)
                    {
                        if let Verdict::Withhold(count) = verdict {
                            let lines = u8::try_from(count.get() / EMPTY_LINE.len()).unwrap_or(u8::MAX);
                            self.empty = self.empty.saturating_add(lines).min(PREAMBLE_LINES + 1);
                        }
                        return Ok(verdict);
                    }
                    let empty = self.empty;
                    let between = |violation| (named(violation, shown, empty), Place::Between);
                    let mut reader = Reader::new(policy, edits);
                    let Some(mut head) = reader.request(scan, shown).map_err(between)? else {
                        return Ok(Verdict::NeedMore);
                    };
                    if let Some(client) = client {
                        head.lines += 1;
                        head.lines -= forwarded::forward(&shown[..head.length], *client, reader.edits);
                    }
                    let (begun, framing) = admit(policy, &head, &reader.fields, reader.edits).map_err(between)?;
                    *asked = Some(begun);
                    self.empty = 0;
                    self.begin(framing);
                    return Ok(Verdict::head(head.length));
                }
                State::Body(Body::Length(left), ..) => return Ok(pass(*left)),
                State::Body(Body::Chunked(chunked), sent, then) => {
                    if !shown.is_empty() {
                        *sent = Sent::Part;
                    }
                    let piece = chunked.scan(shown).map_err(within)?;
                    if let (true, Some(asked)) = (chunked.has_extensions(), &mut *asked) {
                        asked.mark(Some(Mark::ChunkExtension));
                    }
                    match piece {
                        Piece::Framing(n) => return Ok(keep(n)),
                        Piece::Data(left) => return Ok(pass(left)),
                        Piece::Trailer(line) => self.state = State::Trailer(HeadScan::default(), line, *then),
                    }
                }
                State::Trailer(scan, line, then) => {
                    let (line, then) = (usize::from(*line), *then);
                    let mut reader = Reader::new(policy, edits);
                    let Some(end) = reader.trailer(scan, Form::RequestTrailer, line, shown).map_err(within)? else {
                        return Ok(Verdict::NeedMore);
                    };
                    if let (true, Some(asked)) = (edits.going_on(end) > line + EMPTY_LINE.len(), &mut *asked) {
                        asked.mark(Some(Mark::TrailerSection));
                    }
                    self.follow(then);
                    return Ok(Verdict::head(end));
                }
                State::Tunnel => return Ok(Verdict::Pass(Run::UntilEof)),
                State::Broken(violation, place) => return Err((*violation, *place)),
                State::Whole(_) | State::Last | State::Ended(_) => return Ok(Verdict::Wait),
            }
        }
    }

    /// A rule was broken there, which is told again.
    pub(super) fn refuse(&mut self, violation: Violation, place: Place) {
        self.state = State::Broken(violation, place);
    }

    fn begin(&mut self, framing: Framing) {
        let body = match framing {
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked::new(Direction::Inbound)),
            Framing::Empty | Framing::UntilClose | Framing::Tunnel => return self.follow(Then::Whole),
        };
        self.state = State::Body(body, Sent::Head, Then::Whole);
    }

    fn follow(&mut self, then: Then) {
        self.state = match then {
            Then::Whole => State::Whole(Behind::Unknown),
            Then::Tunnel => State::Tunnel,
        };
    }

    /// What is left of a body that has a length.
    pub(super) fn length_left(&self) -> Option<u64> {
        if let State::Body(Body::Length(left), ..) = self.state { Some(left) } else { None }
    }

    /// Records that bytes were moved unseen.
    pub(super) fn passed(&mut self, count: u64) {
        let State::Body(body, sent, then) = &mut self.state else { return };
        *sent = Sent::Part;
        match body {
            Body::Chunked(chunked) => chunked.pass(count),
            Body::Length(left) if count < *left => *left -= count,
            Body::Length(_) => {
                let then = *then;
                self.follow(then);
            }
        }
    }

    /// The request under way was answered by a 101.
    pub(super) fn switch(&mut self) {
        match &mut self.state {
            State::Body(_, _, then) | State::Trailer(_, _, then) => *then = Then::Tunnel,
            State::Whole(_) => self.state = State::Tunnel,
            State::Ended(place) => *place = Place::Tunnel,
            State::Head(_) | State::Tunnel | State::Last | State::Broken(..) => {}
        }
    }

    /// Nothing more of the client is forwarded, since there is nowhere for it to go.
    pub(super) fn abandon(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Last;
        }
    }

    /// Returns whether nothing more of the client is forwarded.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.state, State::Last)
    }

    /// Records the client's FIN; shown what has come of it and is not judged.
    pub(super) fn end(&mut self, policy: &Policy, asked: Option<&Asked>, shown: &[u8]) {
        match self.state {
            State::Head(_) => self.state = State::Ended(Place::Between),
            State::Body(_, Sent::Head, _) => self.state = State::Ended(Place::Unbegun),
            State::Body(..) | State::Trailer(..) => self.state = State::Ended(Place::Within),
            State::Whole(Behind::Unknown) => {
                // Until it is known whether the protocol is switched, nobody can say what these bytes are.
                let is_offer = !shown.is_empty() && asked.is_some_and(|asked| asked.upgrade.is_some());
                self.state = if is_offer || is_request(policy, shown) {
                    State::Whole(Behind::More)
                } else {
                    State::Ended(Place::Behind)
                }
            }
            State::Tunnel => self.state = State::Ended(Place::Tunnel),
            State::Last => self.state = State::Ended(Place::Between),
            State::Whole(Behind::More) | State::Broken(..) | State::Ended(_) => {}
        }
    }

    /// How much of the request under way has been judged.
    pub(super) fn sent(&self) -> Sent {
        match self.state {
            State::Body(_, sent, _) => sent,
            State::Ended(Place::Unbegun) => Sent::Head,
            // The last chunk's line is held back with it; others may have gone.
            State::Trailer(..) | State::Ended(Place::Within) | State::Broken(_, Place::Within) => Sent::Part,
            State::Head(_) | State::Whole(_) | State::Tunnel | State::Last | State::Broken(..) | State::Ended(_) => {
                Sent::Whole
            }
        }
    }

    /// Where the client ended, if it has.
    pub(super) fn ended(&self) -> Option<Place> {
        if let State::Ended(place) = self.state { Some(place) } else { None }
    }

    /// Returns whether the client has ended after what waits for its turn.
    pub(super) fn has_ended_behind_more(&self) -> bool {
        matches!(self.state, State::Whole(Behind::More))
    }

    /// Returns whether the request under way is complete, and another may follow.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole(_))
    }

    /// Returns whether a request has gone on in part and the rest is still to come.
    pub(super) fn is_within(&self) -> bool {
        matches!(self.state, State::Body(..) | State::Trailer(..))
    }

    /// Returns whether a tunnel is open, or will be once the request is complete.
    pub(super) fn is_tunnel(&self) -> bool {
        matches!(
            self.state,
            State::Tunnel
                | State::Body(_, _, Then::Tunnel)
                | State::Trailer(_, _, Then::Tunnel)
                | State::Ended(Place::Tunnel)
        )
    }

    /// Returns whether a head has begun: empty lines before a request-line are not yet a request.
    pub(super) fn has_begun_a_head(&self) -> bool {
        matches!(self.state, State::Head(scan) if scan.has_begun())
    }
}

/// The rule that a request breaks which begins so, after so many empty lines: what is another protocol is called by its name. Told by the bytes that
/// broke the rule, and those before them: more would tell otherwise of a request that is cut.
#[cold]
fn named(violation: Violation, shown: &[u8], empty: u8) -> Violation {
    match (violation, shown.first()) {
        (Violation::ControlByte, Some(0x16)) => Violation::TlsHandshake,
        (Violation::ControlByte, Some(0)) if empty == PREAMBLE_LINES => Violation::ProxyPreamble,
        (Violation::RequestLineMalformed, _) if shown.starts_with(b"PROXY ") => Violation::ProxyPreamble,
        _ => violation,
    }
}

/// What a well-formed head means, or the rule that its meaning breaks.
fn admit(policy: &Policy, head: &Head<Method>, fields: &Fields, edits: &Edits) -> Result<(Asked, Framing), Violation> {
    let &Head { start: method, version, .. } = head;
    if method == Method::Connect {
        return Err(Violation::ConnectUnsupported);
    }
    if method == Method::Miscased {
        return Err(Violation::MethodCase);
    }
    let framing = request_framing(version, fields)?;
    let mark = alone::request(policy.reuse, head, fields, framing, edits.going_on(head.length));
    let asked = Asked {
        method,
        version,
        has_body: framing != Framing::Empty,
        upgrade: fields.upgrade,
        wants_continue: fields.wants_continue && framing != Framing::Empty,
        closes: !fields.persists(version),
        mark,
    };
    Ok((asked, framing))
}

/// Returns whether what stands there, after empty lines, is a complete head, or no head at all.
fn is_request(policy: &Policy, shown: &[u8]) -> bool {
    let rest = &shown[count_empty_lines(shown)..];
    let is_begun = !matches!(rest, [] | [b'\r']);
    is_begun && !matches!(HeadScan::default().walk(Form::Request, policy, rest), Ok(None))
}

//! Who reads along on both wires: a plain reader of what goes to the origin and to the client. It shares no view with the core or the model, and
//! says which invariant is broken.

use super::message::{Body, Broken, Extras, Head, ensure, is_mended};
use super::operator::{Operator, nothing_is_added, said_new};

/// A request that went inbound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    method: String,
    is_old: bool,
    has_body: bool,
    body: Body,
    extras: Extras,
    offers: Vec<String>,
    /// By its head.
    is_plain: bool,
}

impl Request {
    fn of(section: &[u8], operator: Operator) -> Result<Self, String> {
        let head = Head::of(section)?;
        operator.of_request(&head.fields)?;
        let body = head.body()?.unwrap_or(Body::Whole);
        let (method, version) = (head.word(0).to_owned(), head.word(2));
        let has_body = body != Body::Whole;
        let may_have_one = ["POST", "PUT", "PATCH"].contains(&&*method);
        let marks = ["expect", "upgrade", "trailer", "te", "x-http-method-override"];
        let is_exact = head.fields.iter().all(|(name, value)| name != "transfer-encoding" || value == "chunked");
        let is_plain = version == "HTTP/1.1"
            && (may_have_one || (["GET", "DELETE", "OPTIONS"].contains(&&*method) && !has_body))
            && is_exact
            && !marks.iter().any(|name| head.has(name))
            && head.members("connection").iter().all(|option| option == "keep-alive");
        let offers = head.members("upgrade");
        Ok(Self { method, is_old: version == "HTTP/1.0", has_body, body, extras: Extras::default(), offers, is_plain })
    }
}

/// How far a response has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Awaited,
    /// A 1xx went on, or was withheld from a client that cannot take it.
    Interim,
    Final(Body),
    Tunnel,
    /// A tunnel that the origin has ended.
    HalfTunnel,
}

/// Both wires of one client, as far as they matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    operator: Operator,
    /// What is under way, and how far it is answered.
    exchange: Option<(Request, Answer)>,
    /// Whether something is known for which nothing may follow on the origin connection.
    is_spent: bool,
}

impl Wire {
    pub(super) fn new(operator: Operator) -> Self {
        Self { operator, exchange: None, is_spent: false }
    }

    /// A connection is there on which nothing was said.
    pub(super) fn dialled(&mut self) {
        self.is_spent = false;
    }

    /// Bytes go to the origin.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> Broken {
        let operator = self.operator;
        match &mut self.exchange {
            None => {
                ensure(!self.is_spent, "invariant 11: a request follows one that was not plain")?;
                self.exchange = Some((Request::of(bytes, operator)?, Answer::Awaited));
                Ok(())
            }
            Some((Request { body: Body::Whole, .. }, Answer::Tunnel | Answer::HalfTunnel)) => Ok(()),
            Some((Request { body: Body::Whole, .. }, _)) => Err("invariant 11: two requests at a time".to_owned()),
            Some((request, _)) => {
                request.body.take(bytes, &mut request.extras, |fields| operator.of_request_trailers(fields))?;
                self.conclude();
                Ok(())
            }
        }
    }

    /// The origin said a section, of which that goes on; whether the whole request was written by then.
    pub(super) fn said_section(&mut self, section: &[u8], goes_on: &[u8], is_written: bool) -> Broken {
        let operator = self.operator;
        let Some((request, answer)) = &mut self.exchange else {
            return Err("invariant 7: what nobody asked for goes on".to_owned());
        };
        if let Answer::Final(body) = answer {
            self.is_spent |= is_mended(section);
            body.take(goes_on, &mut Extras::default(), |fields| nothing_is_added(fields, 0))?;
            self.conclude();
            return Ok(());
        }
        ensure(*answer != Answer::Tunnel, "a head is judged within a tunnel")?;
        self.is_spent |= is_mended(section);
        if goes_on.is_empty() {
            *answer = Answer::Interim;
            return ensure(request.is_old && section.starts_with(b"HTTP/1.1 1"), "a head is withheld");
        }
        let head = Head::of(goes_on)?;
        let status: u16 = head.word(1).parse().map_err(|_| "no status goes on")?;
        let has_length = head.has("content-length") || head.has("transfer-encoding");
        if (100..200).contains(&status) {
            nothing_is_added(&head.fields, said_new(section))?;
            ensure(!request.is_old, "a 1xx goes to a client of HTTP/1.0")?;
            ensure(!has_length, "invariant 2: a 1xx with a length goes on")?;
            *answer = Answer::Interim;
            if status == 101 {
                let chosen = head.members("upgrade");
                let is_asked = !chosen.is_empty() && chosen.iter().all(|name| request.offers.contains(name));
                ensure(is_asked && chosen == ["websocket"], "a tunnel begins that was not asked for")?;
                *answer = Answer::Tunnel;
            }
            return Ok(());
        }
        operator.of_final_head(&head.fields, said_new(section))?;
        ensure(status != 204 || !has_length, "invariant 2: a 204 with a length goes on")?;
        let is_early = request.body != Body::Whole || !is_written;
        let is_unread = request.has_body && !(200..300).contains(&status);
        self.is_spent |= is_early || is_unread || head.word(0) != "HTTP/1.1" || (status == 304 && has_length);
        let body = if request.method == "HEAD" || status == 204 || status == 304 {
            Body::Whole
        } else {
            head.body()?.unwrap_or(Body::UntilClose)
        };
        *answer = Answer::Final(body);
        self.conclude();
        Ok(())
    }

    /// The origin said bytes that go on as they are.
    pub(super) fn said(&mut self, bytes: &[u8]) -> Broken {
        match &mut self.exchange {
            Some((_, Answer::Final(body))) => {
                body.take(bytes, &mut Extras::default(), |fields| nothing_is_added(fields, 0))?;
                self.conclude();
                Ok(())
            }
            Some((_, Answer::Tunnel)) => Ok(()),
            Some((_, Answer::Awaited | Answer::Interim | Answer::HalfTunnel)) | None => {
                Err("bytes go on that are of no message".to_owned())
            }
        }
    }

    /// Empty lines before a head were withheld.
    pub(super) fn skipped(&mut self) {
        self.is_spent = true;
        if let Some((_, answer @ Answer::Awaited)) = &mut self.exchange {
            *answer = Answer::Interim;
        }
    }

    /// The origin ended by FIN.
    pub(super) fn origin_ended(&mut self) {
        if let Some((_, answer @ (Answer::Final(Body::UntilClose) | Answer::Tunnel))) = &mut self.exchange {
            *answer = if *answer == Answer::Tunnel { Answer::HalfTunnel } else { Answer::Final(Body::Whole) };
        }
    }

    /// Once both are whole, the exchange is over.
    fn conclude(&mut self) {
        if let Some((request, Answer::Final(Body::Whole))) = &self.exchange
            && request.body == Body::Whole
        {
            self.is_spent |= !request.is_plain || request.extras != Extras::default();
            self.exchange = None;
        }
    }

    /// A request may be sent once more: that does no harm, nothing of an answer came, and the client waits.
    pub(super) fn sent_once_more(&self, has_client_left: bool) -> Broken {
        let Some((request, answer)) = &self.exchange else { return Err("nothing is sent once more".to_owned()) };
        let idempotent = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"];
        ensure(idempotent.contains(&&*request.method), "what must not be done twice is sent once more")?;
        ensure(*answer == Answer::Awaited, "what is answered in part is sent once more")?;
        ensure(!has_client_left, "invariant 10: what nobody waits for is sent once more")
    }

    /// What the client's next bytes are.
    pub(super) fn next_of_client(&self) -> Next {
        match &self.exchange {
            None => Next::Head,
            Some((Request { body: Body::Whole, .. }, Answer::Tunnel | Answer::HalfTunnel)) => Next::Any,
            Some((Request { body: Body::Whole, .. }, _)) => Next::Unasked,
            Some(_) => Next::Body,
        }
    }

    /// What the origin's next bytes are.
    pub(super) fn next_of_origin(&self) -> Next {
        match &self.exchange {
            None | Some((_, Answer::Final(Body::Whole) | Answer::HalfTunnel)) => Next::Unasked,
            Some((_, Answer::Awaited | Answer::Interim)) => Next::Head,
            Some((_, Answer::Tunnel | Answer::Final(Body::UntilClose))) => Next::Any,
            Some((_, Answer::Final(Body::Length(_) | Body::Chunked(_)))) => Next::Body,
        }
    }

    /// A reply of ours may go to the client: nothing of a final response went.
    pub(super) fn may_be_replied(&self) -> bool {
        matches!(self.exchange, None | Some((_, Answer::Awaited | Answer::Interim)))
    }

    /// How the client would see that what it was sent is not whole. `None`: it is, or nothing of it went.
    pub(super) fn is_cut_by(&self) -> Option<Cut> {
        match &self.exchange {
            None | Some((_, Answer::Awaited | Answer::Interim | Answer::Final(Body::Whole) | Answer::HalfTunnel)) => {
                None
            }
            Some((_, Answer::Final(Body::Length(_)))) => Some(Cut::End),
            Some((request, Answer::Final(Body::Chunked(_)))) if !request.is_old => Some(Cut::End),
            Some((_, Answer::Final(Body::Chunked(_) | Body::UntilClose) | Answer::Tunnel)) => Some(Cut::Reset),
        }
    }

    pub(super) fn is_half_tunnel(&self) -> bool {
        matches!(self.exchange, Some((_, Answer::HalfTunnel)))
    }
}

/// What the next bytes of a side are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Head,
    Body,
    /// They go on as they are.
    Any,
    /// They wait, or go nowhere.
    Unasked,
}

/// By what a client sees that a message is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// By any end.
    End,
    /// By a reset alone.
    Reset,
}

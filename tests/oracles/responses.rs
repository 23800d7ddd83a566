//! What a client makes of headsnip's output, beside what it would make of the origin's own.

use headsnip::testing::End;

use crate::accepted::{Bytes, Differences};
use crate::exchanges::{Driving, Exchange};
use crate::message::{Field, Kind, Message, Read};
use crate::reader::Reader;

/// Each response is what the client would have of the origin, less the denied fields; an oracle ends it where headsnip does.
pub(crate) fn check(reader: &mut Reader, differences: &mut Differences, driving: &Driving<'_>) -> Result<(), String> {
    for (index, exchange) in driving.exchanges.iter().enumerate() {
        let mut view = View::of(reader, driving, exchange)?;
        let checked = view.check();
        let bytes = Bytes { asked: &exchange.asked(), message: &exchange.origin };
        differences.settle(Kind::Response, checked, &bytes).map_err(|difference| {
            format!(
                "response {index} to {}, {}: {difference}\n  through headsnip {:?}\n  by itself {:?}",
                exchange.request.escape_ascii(),
                if exchange.is_mended { "mended" } else { "not mended" },
                view.ours,
                view.theirs
            )
        })?;
    }
    Ok(())
}

/// A response from both sides of headsnip.
struct View<'a> {
    driving: &'a Driving<'a>,
    exchange: &'a Exchange,
    /// As it is read behind headsnip.
    ours: Read,
    /// As it is read before headsnip.
    theirs: Read,
    /// Whether headsnip has ended the client's connection with it and not because it is over.
    is_broken: bool,
    /// Whether the request was whole.
    is_asked: bool,
}

impl<'a> View<'a> {
    fn of(reader: &mut Reader, driving: &'a Driving<'a>, exchange: &'a Exchange) -> Result<Self, String> {
        let outcome = &driving.driven.outcome;
        let asked = exchange.asked();
        let mut bytes = outcome.to_client[exchange.client.start..].to_vec();
        let is_replied = exchange.is_last && driving.has_no_final(exchange) && matches!(outcome.end, End::Reply(_));
        if let End::Reply(status) = outcome.end {
            bytes.extend(reply(status));
        }
        let is_ended = matches!(outcome.end, End::Closed | End::Reply(_) | End::Cut);
        let mut ours = reader.response(&asked, &bytes, is_ended)?;
        let theirs = reader.response(&asked, &exchange.origin, exchange.has_origin_ended)?;
        if is_replied {
            let reply =
                ours.messages.pop().filter(|reply| reply.end.is_some() && !reply.keeps && reply.body.is_empty());
            reply.ok_or("our own reply is not read")?;
        }
        let is_missing = outcome.end == End::Closed && driving.has_no_final(exchange);
        let is_cut = is_replied || is_missing || matches!(outcome.end, End::Cut | End::Reset);
        let is_broken = exchange.is_last && is_cut;
        let asked = reader.requests(&exchange.request)?;
        let is_asked = asked.messages.first().is_none_or(|request| request.end.is_some());
        Ok(Self { driving, exchange, ours, theirs, is_broken, is_asked })
    }

    fn check(&mut self) -> Result<(), String> {
        let policy = self.driving.policy;
        let denies = |name: &[u8]| policy.denylist.denies(name) && !policy.dry_run;
        // What an operator adds is held by the vectors: a client reads the rest as it was.
        let added = String::from_utf8_lossy(policy.added.bytes()).to_lowercase();
        let adds =
            |name: &[u8]| added.lines().any(|line| line.split(':').next().is_some_and(|is| is.as_bytes() == name));
        for message in self.ours.messages.iter_mut().chain(&mut self.theirs.messages) {
            message.headers.retain(|(name, _)| !adds(name));
        }
        let without_denied = |message: &Message| {
            // How else would a client know what to upgrade to?
            let names_protocol = matches!(message.status(), "101" | "426");
            let mut message = message.clone();
            message.headers.retain(|(name, _)| !denies(name) || (names_protocol && name == b"upgrade"));
            message.trailers.retain(|(name, _)| !denies(name));
            message
        };
        if let Some(message) = self.ours.messages.iter().find(|message| **message != without_denied(message)) {
            return Err(format!("a denied field goes on: {message:?}"));
        }
        self.theirs.messages.iter_mut().for_each(|message| *message = without_denied(message));
        if self.exchange.is_old() {
            self.theirs.messages.retain(|message| !message.is_interim());
        }
        for message in self.ours.messages.iter_mut().chain(&mut self.theirs.messages) {
            if self.exchange.has_addition {
                message.retain(|field| !is_of_closing(field));
            }
            if self.exchange.is_mended {
                message.retain(|(name, _)| name != b"content-length" && name != b"transfer-encoding");
                message.headers.iter_mut().chain(&mut message.trailers).for_each(|(_, value)| *value = squeezed(value));
            }
        }
        if self.is_broken { self.check_broken() } else { self.check_whole() }
    }

    /// Of what headsnip broke off, nothing is other than it was, and nothing looks complete.
    fn check_broken(&self) -> Result<(), String> {
        for (index, ours) in self.ours.messages.iter().enumerate() {
            let is_final = !ours.is_interim() && ours.status() != "101";
            if is_final && ours.end.is_some() {
                return Err("what was cut looks complete".to_owned());
            }
            match self.theirs.messages.get(index) {
                Some(theirs) if theirs.says(ours) || theirs.is_cut_to(ours) => {}
                Some(_) => return Err(format!("message {index} differs")),
                None => return self.check_unread(),
            }
        }
        match (&self.ours.tunnel, &self.theirs.tunnel) {
            (None, _) => Ok(()),
            (Some(ours), Some(theirs)) if theirs.starts_with(ours) => Ok(()),
            (Some(_), _) => Err("the tunnel differs".to_owned()),
        }
    }

    fn check_whole(&self) -> Result<(), String> {
        if let Some(error) = &self.ours.error {
            return Err(error.clone());
        }
        let (taken, gone) = (self.exchange.taken, self.exchange.client.len());
        let last = self.ours.messages.last();
        let end = last.and_then(|message| message.end);
        if self.ours.tunnel.is_none() && end.is_some_and(|end| end != gone) {
            return Err(format!("the client ends the response after {end:?} of {gone} bytes"));
        }
        let is_over = !self.exchange.is_last || self.driving.is_idle;
        if is_over && end.is_none() {
            return Err("the client finds no end of the response".to_owned());
        }
        self.check_kept(last, is_over)?;
        if self.theirs.error.is_some() {
            return self.check_unread();
        }
        if self.ours.messages.len() != self.theirs.messages.len() {
            return Err(format!("{} messages, not {}", self.ours.messages.len(), self.theirs.messages.len()));
        }
        let differs =
            self.ours.messages.iter().zip(&self.theirs.messages).position(|(ours, theirs)| !theirs.says(ours));
        if let Some(index) = differs {
            return Err(format!("message {index} differs"));
        }
        if self.ours.tunnel != self.theirs.tunnel {
            return Err("the tunnel differs".to_owned());
        }
        let end = self.theirs.messages.last().and_then(|message| message.end);
        if self.theirs.tunnel.is_none() && end.is_some_and(|end| end != taken) {
            return Err(format!("the origin ends the response after {end:?} of {taken} bytes"));
        }
        let keeps = |read: &Read| read.messages.last().is_some_and(|message| message.keeps);
        if keeps(&self.ours) != keeps(&self.theirs) && !self.exchange.has_addition {
            return Err("only one of both closes".to_owned());
        }
        Ok(())
    }

    /// The oracle cannot read what the origin said. What headsnip mended can now be read.
    fn check_unread(&self) -> Result<(), String> {
        if self.exchange.is_mended || self.exchange.has_odd_line() {
            return Ok(());
        }
        Err(self.theirs.error.as_ref().map_or("a message more".to_owned(), |error| format!("by itself, {error}")))
    }

    /// Who closes says so, and who says so closes.
    fn check_kept(&self, ours: Option<&Message>, is_over: bool) -> Result<(), String> {
        let Some(ours) = ours.filter(|message| message.end.is_some()) else { return Ok(()) };
        if is_over && !ours.keeps {
            return Err(format!(
                "the client does not go on behind HTTP/{}",
                ours.start.split(' ').nth(1).unwrap_or_default()
            ));
        }
        let driven = &self.driving.driven;
        let closes =
            self.exchange.is_last && self.is_asked && driven.outcome.end == End::Closed && driven.violation.is_none();
        if closes && ours.keeps && !self.driving.has_client_ended && self.ours.tunnel.is_none() {
            return Err("the client is not told that its connection closes".to_owned());
        }
        Ok(())
    }
}

fn reply(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Tells whether the field says whether the connection closes, and nothing else.
fn is_of_closing((name, value): &Field) -> bool {
    let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_alone = |option: &[u8]| {
        option.is_empty() || option.eq_ignore_ascii_case(b"close") || option.eq_ignore_ascii_case(b"keep-alive")
    };
    name == b"connection" && options.all(is_alone)
}

/// A value with one space for each run of white space.
fn squeezed(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

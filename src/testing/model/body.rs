//! A message body in the plain model: what of it may go on, and where it ends (RFC 9112 §6.3).

use super::super::Rules;
use super::head::{Fault, Manner, Section};
use super::{asked, chunked, edits};

/// How a message body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A message body, with all that has come of it.
pub(super) struct Body {
    pub(super) framing: Framing,
    /// Strict: a request's.
    manner: Manner,
    come: Vec<u8>,
    /// So much of `come` has been looked at and sent on.
    sent: usize,
    /// Whether there is something in it for which its exchange is not plain.
    pub(super) is_marked: bool,
}

/// What may go on of a body, and whether it is complete then.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) complete: Result<bool, Fault>,
}

impl Body {
    pub(super) fn of_request(framing: Framing) -> Self {
        Self { framing, manner: Manner::Strict, come: Vec::new(), sent: 0, is_marked: false }
    }

    pub(super) fn of_response(framing: Framing) -> Self {
        Self { manner: Manner::Gentle, ..Self::of_request(framing) }
    }

    /// Whether a byte of it has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.come.is_empty()
    }

    /// Takes what belongs to the body off the front of `pending`.
    pub(super) fn take(&mut self, pending: &mut Vec<u8>, rules: &Rules) -> Taken {
        self.come.append(pending);
        let known = match self.framing {
            Framing::Empty => 0,
            Framing::UntilClose => self.come.len(),
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX).min(self.come.len()),
            Framing::Chunked => return self.take_chunked(pending, rules),
        };
        let complete = match self.framing {
            Framing::Empty => true,
            Framing::Length(length) => u64::try_from(known).is_ok_and(|known| known == length),
            Framing::Chunked | Framing::UntilClose => false,
        };
        *pending = self.come.split_off(known);
        Taken { bytes: self.send_up_to(known), complete: Ok(complete) }
    }

    fn take_chunked(&mut self, pending: &mut Vec<u8>, rules: &Rules) -> Taken {
        let read = chunked::read(&self.come, self.manner, rules);
        let mut bytes = self.send_up_to(read.passed);
        let is_extended = self.manner == Manner::Strict && read.is_extended;
        let complete = read.trailer.and_then(|section| {
            let Some(section) = section else { return Ok(false) };
            let withheld = match self.manner {
                Manner::Strict => {
                    allowed(&section, rules)?;
                    let (denied, left): (Vec<_>, Vec<_>) =
                        section.fields.iter().partition(|field| asked::is_denied_in_requests(field, rules));
                    self.is_marked = is_extended || !left.is_empty();
                    denied.iter().map(|field| field.lines.clone()).collect()
                }
                Manner::Gentle | Manner::GentleWithBareLf => {
                    let mends = edits::mends(&section);
                    self.is_marked = !mends.is_empty();
                    [mends, edits::denied(&section, None, rules)].concat()
                }
            };
            bytes.extend(edits::without(&self.come, read.passed..section.end, &withheld));
            *pending = self.come.split_off(section.end);
            Ok(true)
        });
        Taken { bytes, complete }
    }

    fn send_up_to(&mut self, end: usize) -> Vec<u8> {
        let bytes = self.come.get(self.sent..end).unwrap_or_default().to_vec();
        self.sent = end;
        bytes
    }
}

/// Some servers take the lines of a request's trailer section for the next request, or its fields for those of the next.
fn allowed(section: &Section, rules: &Rules) -> Result<(), Fault> {
    let is_allowed = |name: &[u8]| rules.allow_request_trailers.iter().any(|allowed| allowed.as_bytes() == name);
    if section.fields.iter().all(|field| is_allowed(&field.name)) { Ok(()) } else { Err("trailer_not_allowed") }
}

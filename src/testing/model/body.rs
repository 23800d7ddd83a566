//! A message body in the plain model: what of it may go on, and where it ends (RFC 9112 §6.3).

use super::super::Rules;
use super::chunked;
use super::head::{self, Fault, Framing};

/// A message body, with all that has come of it.
pub(super) struct Body {
    pub(super) framing: Framing,
    come: Vec<u8>,
    /// So much of `come` has been looked at and sent on.
    sent: usize,
}

/// What may go on of a body, and whether it is complete then.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) complete: Result<bool, Fault>,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, come: Vec::new(), sent: 0 }
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
        let chunked::Chunked { passed, trailer } = chunked::read(&self.come, rules.max_head);
        let mut bytes = self.send_up_to(passed);
        let complete = trailer.map(|section| {
            section.is_some_and(|section| {
                bytes.extend(head::without_denied(&self.come, passed, &section, rules));
                *pending = self.come.split_off(section.end);
                true
            })
        });
        Taken { bytes, complete }
    }

    fn send_up_to(&mut self, end: usize) -> Vec<u8> {
        let bytes = self.come.get(self.sent..end).unwrap_or_default().to_vec();
        self.sent = end;
        bytes
    }
}

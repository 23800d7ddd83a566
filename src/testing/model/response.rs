//! What the fields of a response mean, for the plain model: whether it is refused, what of it is withheld and mended, and
//! where it ends.

use std::ops::Range;

use super::super::Rules;
use super::asked;
use super::body::Framing;
use super::edits;
use super::head::{self, Fault, Field, ResponseHead, Section, Version};

/// A response head without a fault.
pub(super) struct Response {
    /// What goes outbound of it.
    pub(super) bytes: Vec<u8>,
    /// How many bytes of the origin's that were.
    pub(super) end: usize,
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Whether its connection stays, as far as the origin is concerned.
    pub(super) persists: bool,
    /// What its `Connection` lines name, in lower case.
    pub(super) options: Vec<Vec<u8>>,
    pub(super) is_mended: bool,
    /// What a 101 switches to, in lower case.
    pub(super) switches_to: Vec<Vec<u8>>,
    /// Whether it has a field that would frame a body.
    pub(super) has_framing_field: bool,
}

/// How a body is framed, and what is withheld for that.
type Framed = Result<(Framing, Vec<Range<usize>>), Fault>;

/// Reads and judges the response head at the start of `bytes`, which answers a request of this method.
pub(super) fn read(bytes: &[u8], method: &[u8], rules: &Rules) -> Result<Option<Response>, Fault> {
    let Some(head) = head::response(bytes, rules)? else {
        return Ok(None);
    };
    let (framing, withheld) = framing(bytes, &head, method)?;
    let mends = [edits::mends(&head.section), withheld].concat();
    let withheld = [mends.clone(), edits::denied(&head.section, Some(head.status), rules)].concat();
    let mut switches_to = head.section.list(b"upgrade");
    switches_to.retain(|protocol| !protocol.is_empty());
    Ok(Some(Response {
        bytes: edits::without(bytes, 0..head.section.end, &withheld),
        end: head.section.end,
        status: head.status,
        version: head.version,
        framing,
        persists: head.section.persists(head.version),
        options: head.section.list(b"connection"),
        is_mended: !mends.is_empty(),
        switches_to,
        has_framing_field: head.section.has(b"content-length") || head.section.has(b"transfer-encoding"),
    }))
}

impl Response {
    /// Has the head say that the connection closes behind its message (RFC 9112 §9.6), unless it does. A line that says
    /// nothing but `keep-alive` would contradict it.
    pub(super) fn say_close(&mut self, rules: &Rules) {
        let Ok(Some(head)) = head::response(&self.bytes, rules) else { return };
        if head.section.list(b"connection").iter().any(|option| option == b"close") {
            return;
        }
        let contradicts = |field: &&Field| {
            let mut said = head::members(&field.value);
            said.retain(|option| !option.is_empty());
            !said.is_empty() && said.iter().all(|option| option == b"keep-alive")
        };
        let withheld: Vec<_> =
            head.section.named(b"connection").filter(contradicts).map(|field| field.lines.clone()).collect();
        let empty_line = head.section.empty_line;
        self.bytes = [
            edits::without(&self.bytes, 0..empty_line, &withheld),
            b"Connection: close\r\n".to_vec(),
            self.bytes.split_off(empty_line),
        ]
        .concat();
    }

    /// Adds what the operator wants to be there.
    pub(super) fn add_missing(&mut self, rules: &Rules) {
        let Ok(Some(head)) = head::response(&self.bytes, &asked::without_limits(rules)) else { return };
        let empty_line = self.bytes.split_off(head.section.empty_line);
        self.bytes.extend(asked::missing(&head.section, rules));
        self.bytes.extend(empty_line);
    }
}

/// RFC 9112 §6.3, in its order.
fn framing(bytes: &[u8], head: &ResponseHead, method: &[u8]) -> Framed {
    let section = &head.section;
    // 1, and RFC 9112 §6.1 and RFC 9110 §8.6: neither field may stand in a 1xx or a 204.
    if head.status < 200 || head.status == 204 {
        return Ok((
            Framing::Empty,
            [lines(section, b"content-length"), lines(section, b"transfer-encoding")].concat(),
        ));
    }
    if head.status == 304 || method == b"HEAD" {
        return Ok((Framing::Empty, Vec::new()));
    }
    match (section.has(b"transfer-encoding"), section.has(b"content-length")) {
        // RFC 9112 §6.1: HTTP/1.0 does not know the field; such a message has faulty framing.
        (true, _) if head.version == Version::Http10 => Err("transfer_encoding_in_http_1_0"),
        // 3, 4
        (true, _) => {
            let (framing, repeats) = transfer_encoding(section)?;
            Ok((framing, [repeats, lines(section, b"content-length")].concat()))
        }
        // 5, 6
        (false, true) => content_length(bytes, section),
        // 8
        (false, false) => Ok((Framing::UntilClose, Vec::new())),
    }
}

fn lines(section: &Section, name: &[u8]) -> Vec<Range<usize>> {
    section.named(name).map(|field| field.lines.clone()).collect()
}

/// RFC 9112 §6.1: chunked is applied once, last; §7: codings are compared without regard to case.
fn transfer_encoding(section: &Section) -> Framed {
    let mut codings: Vec<Vec<u8>> = Vec::new();
    let mut repeats = Vec::new();
    let is_chunked = |coding: &Vec<u8>| coding == b"chunked";
    for field in section.named(b"transfer-encoding") {
        if codings.last().is_some_and(is_chunked) && field.value.eq_ignore_ascii_case(b"chunked") {
            repeats.push(field.lines.clone());
        } else {
            codings.extend(head::members(&field.value));
        }
    }
    let is_well_formed = codings.iter().all(|coding| head::is_token(coding));
    let chunked = codings.iter().filter(|coding| is_chunked(coding)).count();
    match (chunked, codings.last().is_some_and(is_chunked)) {
        (0, _) if is_well_formed => Ok((Framing::UntilClose, repeats)),
        (1, true) if is_well_formed => Ok((Framing::Chunked, repeats)),
        _ => Err("transfer_encoding_malformed"),
    }
}

/// RFC 9110 §8.6: of a number that is said again, one goes on.
fn content_length(bytes: &[u8], section: &Section) -> Framed {
    let mut first = None;
    let mut repeats = Vec::new();
    let members = section.list(b"content-length");
    let lengths = members.iter().map(|member| head::number(member)).collect::<Option<Vec<u64>>>();
    for length in lengths.ok_or("content_length_malformed")? {
        if *first.get_or_insert(length) != length {
            return Err("content_lengths_differ");
        }
    }
    for (index, field) in section.named(b"content-length").enumerate() {
        if index == 0 {
            let later = edits::pieces(bytes, field).into_iter().skip(1);
            repeats.extend(later.map(|(piece, _)| piece.start - 1..piece.end));
        } else {
            repeats.push(field.lines.clone());
        }
    }
    let framing = match first {
        None | Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
    };
    Ok((framing, repeats))
}

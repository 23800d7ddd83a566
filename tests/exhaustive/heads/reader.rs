//! A reader of heads and trailer sections that goes by the table.

use super::table::Line::{Breaks, Folded, Last, Sound};
use super::table::Place::{
    BadGap, BadName, BadValue, Code, CodeSecond, CodeThird, FieldStart, Fold, MinorOne, Name, NameGap, Protocol,
    SpacedValue, Value,
};
use super::table::{By, ENDS, Form, On, Place, TABLE, Who};

/// The most field lines here: enough for each count to be told from the next.
pub(super) const MOST_LINES: u8 = 2;

/// What a byte brought.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Read {
    More,
    /// An empty line before the start-line, which is no part of the head.
    EmptyLine,
    /// The section is whole.
    Whole,
    Breaks(&'static str),
}

/// All that a reader must remember of what it has read, but for how much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    form: Form,
    place: Place,
    /// Whether the byte before was a CR.
    is_behind_cr: bool,
    /// Field lines.
    lines: u8,
    /// Whether the line before ended with a bare LF.
    is_behind_bare_lf: bool,
    /// Of a request: whether it is HTTP/1.1, which wants a Host.
    wants_host: bool,
    /// Of a response: how many digits of its code are those of a 101, which nobody asked for.
    is_101: u8,
}

/// A reader that goes by the table.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) state: State,
    /// Bytes of the section.
    length: usize,
    /// What of them goes on.
    pub(super) goes_on: Vec<u8>,
}

impl Reader {
    pub(super) fn new(form: Form) -> Self {
        let state = State {
            form,
            place: form.start(),
            is_behind_cr: false,
            lines: 0,
            is_behind_bare_lf: false,
            wants_host: false,
            is_101: 0,
        };
        Self { state, length: 0, goes_on: Vec::new() }
    }

    /// Reads one byte of a section that may have so many.
    pub(super) fn read(&mut self, byte: u8, most: usize) -> Read {
        let read = self.read_within(byte);
        self.length += 1;
        match read {
            Read::More if self.length == most => Read::Breaks("head_too_long"),
            Read::EmptyLine => {
                *self = Self::new(self.state.form);
                read
            }
            Read::More | Read::Whole | Read::Breaks(_) => read,
        }
    }

    fn read_within(&mut self, byte: u8) -> Read {
        let form = self.state.form;
        let is_at_start = self.length == 0 && form.start() != FieldStart;
        let is_behind_first_cr = self.length == 1 && self.state.is_behind_cr && form.start() != FieldStart;
        let is_status_line = self.length >= 5 || (b"HTTP/"[self.length] == byte && !is_behind_first_cr);
        self.goes_on.push(byte);
        match byte {
            // RFC 9112 §2.2: empty lines before a request-line are no part of it. Gentler: nor are those before a status-line.
            b'\r' if is_at_start => {}
            b'\n' if is_behind_first_cr => return Read::EmptyLine,
            // What does not begin as a status-line is refused at once: it may be HTTP/0.9, and never send an LF.
            _ if form.start() == Protocol(0) && !is_status_line => return Read::Breaks("status_line_malformed"),
            b'\n' if self.state.is_behind_cr => return self.end_line(),
            // Stricter: RFC 9112 §2.2 lets a recipient take a bare LF for a line end.
            b'\n' if form == Form::LooseResponse => {
                let read = self.end_line();
                self.state.is_behind_bare_lf = true;
                return read;
            }
            b'\n' => return Read::Breaks("bare_lf"),
            // RFC 9112 §2.2: a CR that no LF follows is invalid.
            _ if self.state.is_behind_cr => return Read::Breaks("bare_cr"),
            b'\r' => {}
            // RFC 8446 §5.1: so begins a TLS handshake.
            0x16 if is_at_start && form == Form::Request => return Read::Breaks("tls_handshake"),
            // RFC 9110 §5.5: CTL characters are invalid.
            0..=8 | 11..=31 | 127 => return Read::Breaks("control_byte"),
            _ => self.step(byte),
        }
        self.state.is_behind_cr = byte == b'\r';
        Read::More
    }

    fn step(&mut self, byte: u8) {
        let State { form, place, is_101, .. } = self.state;
        let fits = |(at, on, _, who, _): &&(Place, On, Place, Who, By)| *at == place && on.holds(byte) && form.is(*who);
        let (_, _, to, _, _) = TABLE.iter().find(fits).expect("there is a row for each byte at each place");
        if place == MinorOne {
            self.state.wants_host = form == Form::Request && byte == b'1';
        } else if place == Code {
            self.state.is_101 = u8::from(byte == b'1');
        } else if place == CodeSecond {
            self.state.is_101 = if is_101 == 1 && byte == b'0' { 2 } else { 0 };
        } else if place == CodeThird {
            self.state.is_101 = if is_101 == 2 && byte == b'1' { 3 } else { 0 };
        } else if place == NameGap && *to == SpacedValue {
            // RFC 9112 §5.1: a proxy removes the white space.
            self.goes_on.pop();
            let name = self.goes_on.trim_ascii_end().len();
            self.goes_on.truncate(name);
            self.goes_on.push(byte);
        }
        self.state.place = *to;
    }

    fn end_line(&mut self) -> Read {
        let State { form, place, lines, is_behind_bare_lf, wants_host, is_101, .. } = self.state;
        let is_start_line =
            !matches!(place, FieldStart | Name | NameGap | BadName | BadGap | Value | SpacedValue | BadValue | Fold);
        let malformed = if form.is_request() { "request_line_malformed" } else { "status_line_malformed" };
        let row = ENDS.iter().find(|(at, _, who, _)| *at == place && form.is(*who));
        (self.state.place, self.state.is_behind_cr, self.state.is_behind_bare_lf) = (FieldStart, false, false);
        match row.map_or(Breaks(malformed), |(_, line, _, _)| *line) {
            Breaks(rule) => return Read::Breaks(rule),
            // There must be a field line to fold to, and a CRLF to take away.
            Folded if lines == 0 || is_behind_bare_lf => return Read::Breaks("obs_fold"),
            Folded => self.unfold(),
            Sound if is_start_line => return Read::More,
            Sound => {}
            // RFC 9112 §3.2: an HTTP/1.1 request has a Host. RFC 9110 §7.8: a 101 answers an offer.
            Last if wants_host => return Read::Breaks("no_host"),
            Last if is_101 == 3 => return Read::Breaks("upgrade_unasked"),
            // Stricter: no line of a request's trailer section is allowed here.
            Last if form == Form::RequestTrailer && lines > 0 => return Read::Breaks("trailer_not_allowed"),
            Last => return Read::Whole,
        }
        if lines == MOST_LINES {
            return Read::Breaks("too_many_field_lines");
        }
        self.state.lines += 1;
        Read::More
    }

    /// RFC 9112 §5.2: the line end before a continuation gives way to white space, of which there is some behind it.
    fn unfold(&mut self) {
        let before = &self.goes_on[..self.goes_on.len() - 1];
        let line = before.iter().rposition(|byte| *byte == b'\n').expect("there is a line before");
        self.goes_on.drain(line - 1..=line);
    }
}

//! Messages as an oracle sees them.

use std::fmt;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Response,
    Request,
}

/// A field as an oracle sees it: its name in lower case, and its value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A message as an oracle sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The status, the version and the reason; or the method, the target and the version.
    pub(crate) start: String,
    /// Of the header section, then of the trailer section.
    pub(crate) headers: Vec<Field>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) body: Vec<u8>,
    /// Where it ends, if all of it is there.
    pub(crate) end: Option<usize>,
    /// Whether another may follow it on its connection.
    pub(crate) keeps: bool,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn is_interim(&self) -> bool {
        self.status().starts_with('1') && self.status() != "101"
    }

    /// Leaves only the fields that a caller wants.
    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&Field) -> bool) {
        self.headers.retain(&mut is_wanted);
        self.trailers.retain(&mut is_wanted);
    }

    /// Tells whether it says the same as another.
    pub(crate) fn says(&self, other: &Self) -> bool {
        self.end.is_some() == other.end.is_some() && self.body == other.body && self.begins_as(other)
    }

    /// Tells whether the other is this one, cut short.
    pub(crate) fn is_cut_to(&self, cut: &Self) -> bool {
        cut.end.is_none() && self.begins_as(cut)
    }

    fn begins_as(&self, other: &Self) -> bool {
        let is_whole = other.end.is_some();
        self.start == other.start
            && self.headers == other.headers
            && (self.trailers == other.trailers || !is_whole)
            && self.body.starts_with(&other.body)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |fields: &[Field]| {
            let field = |(name, value): &Field| format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            fields.iter().map(field).collect::<Vec<_>>()
        };
        let (headers, trailers) = (fields(&self.headers), fields(&self.trailers));
        let Self { start, body, end, keeps, .. } = self;
        write!(formatter, "{start} {headers:?} \"{}\" {trailers:?} end: {end:?}, keeps: {keeps}", body.escape_ascii())
    }
}

/// What an oracle made of an input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    pub(crate) messages: Vec<Message>,
    pub(crate) error: Option<String>,
    /// What is not read as HTTP any more.
    pub(crate) tunnel: Option<Vec<u8>>,
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

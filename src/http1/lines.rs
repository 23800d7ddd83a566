//! The field lines of a head or trailer section that is known to be valid, with their continuations.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// A field line, with its continuations.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldLine<'a> {
    /// The whole line, its end included.
    pub(super) bytes: &'a [u8],
    /// Where it begins in the section.
    pub(super) start: usize,
    /// Bytes of its name.
    pub(super) name: usize,
    /// Where in it the colon is.
    pub(super) colon: usize,
}

impl<'a> FieldLine<'a> {
    pub(super) fn name(&self) -> &'a [u8] {
        &self.bytes[..self.name]
    }

    /// What is between the colon and the line's end, folds included.
    pub(super) fn value(&self) -> &'a [u8] {
        let value = &self.bytes[self.colon + 1..self.bytes.len() - 1];
        value.strip_suffix(b"\r").unwrap_or(value)
    }

    pub(super) fn place(&self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }

    /// Where its value begins in the section.
    pub(super) fn value_start(&self) -> usize {
        self.start + self.colon + 1
    }
}

/// The field lines of a valid section, from where the first begins.
pub(super) struct FieldLines<'a> {
    section: &'a [u8],
    at: usize,
}

impl<'a> FieldLines<'a> {
    /// Those of a trailer section, which begins there.
    pub(super) fn of_trailer(section: &'a [u8], at: usize) -> Self {
        Self { section, at }
    }

    /// Those of a head, after its start-line.
    pub(super) fn of_head(head: &'a [u8]) -> Self {
        Self { section: head, at: memchr(b'\n', head).map_or(head.len(), |end| end + 1) }
    }
}

impl<'a> Iterator for FieldLines<'a> {
    type Item = FieldLine<'a>;

    fn next(&mut self) -> Option<FieldLine<'a>> {
        let rest = self.section.get(self.at..)?;
        let is_continued = |end: &usize| !matches!(rest.get(end + 1), Some(b' ' | b'\t'));
        let end = memchr_iter(b'\n', rest).find(is_continued)? + 1;
        let bytes = &rest[..end];
        let colon = memchr(b':', bytes).filter(|_| !matches!(bytes[0], b'\r' | b'\n'))?;
        let name = bytes[..colon].trim_ascii_end().len();
        let line = FieldLine { bytes, start: self.at, name, colon };
        self.at += end;
        Some(line)
    }
}

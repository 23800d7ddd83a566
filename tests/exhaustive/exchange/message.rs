//! Messages, as a plain reader of the wire takes them.

use std::fmt::Display;

/// What is broken, in words.
pub(super) type Broken = Result<(), String>;

pub(super) fn ensure(holds: bool, what: impl Display) -> Broken {
    if holds { Ok(()) } else { Err(what.to_string()) }
}

/// A message body of which some has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Body {
    Whole,
    Length(usize),
    /// Chunks of which this has come, but for those that are whole.
    Chunked(Vec<u8>),
    UntilClose,
}

/// A field line: its name in lower case, and its value.
pub(super) type Field = (String, String);

/// The start-line and the fields of a head, names in lower case.
pub(super) struct Head {
    words: Vec<String>,
    pub(super) fields: Vec<Field>,
}

impl Head {
    pub(super) fn of(section: &[u8]) -> Result<Self, String> {
        ensure(section.ends_with(b"\r\n\r\n"), "a head does not go on whole")?;
        let text = String::from_utf8_lossy(section).into_owned();
        let (start, lines) = text.split_once("\r\n").ok_or("a head has no line")?;
        Ok(Self { words: start.split(' ').map(str::to_owned).collect(), fields: fields(lines)? })
    }

    fn values(&self, name: &str) -> Vec<String> {
        self.fields.iter().filter(|(of, _)| of == name).map(|(_, value)| value.to_ascii_lowercase()).collect()
    }

    pub(super) fn members(&self, name: &str) -> Vec<String> {
        let values = self.values(name);
        let members = values.iter().flat_map(|value| value.split(',')).map(|member| member.trim().to_owned());
        members.filter(|member| !member.is_empty()).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(of, _)| of == name)
    }

    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// By its fields alone. `None`: they say nothing.
    pub(super) fn body(&self) -> Result<Option<Body>, String> {
        let codings = self.members("transfer-encoding");
        match (codings.last().map(String::as_str), &self.values("content-length")[..]) {
            (None, []) => Ok(None),
            (Some("chunked"), []) => Ok(Some(Body::Chunked(Vec::new()))),
            (Some(_), []) => Ok(Some(Body::UntilClose)),
            (None, [length]) => match length.parse().map_err(|_| "a length that is no number")? {
                0 => Ok(Some(Body::Whole)),
                length => Ok(Some(Body::Length(length))),
            },
            _ => Err("two lengths go on".to_owned()),
        }
    }
}

/// Field lines, of which each is one.
fn fields(lines: &str) -> Result<Vec<Field>, String> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no field line: {line:?}"))?;
        let is_name = !name.is_empty() && !name.contains([' ', '\t', '\r', '\n']);
        ensure(is_name, format_args!("no field name goes on: {name:?}"))?;
        Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.split("\r\n").filter(|line| !line.is_empty()).map(field).collect()
}

/// What chunks brought beside their data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Extras {
    has_extension: bool,
    has_trailer: bool,
}

impl Body {
    /// Takes bytes; those behind the body are too many. What a trailer section says is looked at.
    pub(super) fn take(&mut self, bytes: &[u8], extras: &mut Extras, trailers: impl Fn(&[Field]) -> Broken) -> Broken {
        match self {
            Self::Whole => ensure(bytes.is_empty(), "bytes go on behind a message"),
            Self::UntilClose => Ok(()),
            Self::Length(left) => {
                *left = left.checked_sub(bytes.len()).ok_or("bytes go on behind a message")?;
                if *left == 0 {
                    *self = Self::Whole;
                }
                Ok(())
            }
            Self::Chunked(come) => {
                come.extend_from_slice(bytes);
                if take_chunks(come, extras, trailers)? {
                    ensure(come.is_empty(), "bytes go on behind a message")?;
                    *self = Self::Whole;
                }
                Ok(())
            }
        }
    }
}

/// Takes the chunks that are whole; true at the end of all. The last chunk comes whole with its trailer section, or not at all.
fn take_chunks(come: &mut Vec<u8>, extras: &mut Extras, trailers: impl Fn(&[Field]) -> Broken) -> Result<bool, String> {
    loop {
        let Some(line) = come.windows(2).position(|end| end == b"\r\n") else { return Ok(false) };
        let text = String::from_utf8_lossy(&come[..line]).into_owned();
        let digits = text.split([';', ' ']).next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).map_err(|_| "no chunk size goes on")?;
        extras.has_extension |= text.contains(';');
        let behind = &come[line + 2..];
        if size == 0 {
            let trailer = if behind.starts_with(b"\r\n") {
                Some(2)
            } else {
                behind.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4)
            };
            let trailer = trailer.ok_or("invariant 10: the last chunk goes on before its trailer section")?;
            let section = String::from_utf8_lossy(&behind[..trailer]).into_owned();
            trailers(&fields(&section)?)?;
            extras.has_trailer |= trailer > 2;
            come.drain(..line + 2 + trailer);
            return Ok(true);
        }
        if behind.len() < size + 2 {
            return Ok(false);
        }
        ensure(&behind[size..size + 2] == b"\r\n", "no chunk goes on")?;
        come.drain(..line + 2 + size + 2);
    }
}

/// Whether a section of the origin's, as it came, needed mending: folds, white space before a colon, lengths that are too many.
pub(super) fn is_mended(section: &[u8]) -> bool {
    let text = String::from_utf8_lossy(section).to_ascii_lowercase();
    let lines: Vec<&str> = text.split("\r\n").collect();
    let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
    let status = text.get(9..12).unwrap_or_default();
    let has_none = text.starts_with("http/") && (status == "204" || status.starts_with('1'));
    let (lengths, codings) = (of("content-length:"), of("transfer-encoding:"));
    lines.iter().any(|line| {
        line.starts_with([' ', '\t'])
            || line.split(':').next().is_some_and(|name| line.contains(':') && name.ends_with(' '))
    }) || lengths + codings > 1
        || (has_none && lengths + codings > 0)
}

//! What a body says once its chunks are joined and its content coding is undone; of the rest no more is read than is looked at.

use miniz_oxide::inflate::{DecompressError, decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit};

/// Bytes of a body that are looked at: error pages are shorter.
pub(super) const LONGEST: usize = 256 * 1024;

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    #[default]
    None,
    Gzip,
    Deflate,
    /// One that is not read here.
    Other,
}

impl Coding {
    /// By the value of Content-Encoding (RFC 9110 §8.4.1).
    pub(super) fn named(value: &str) -> Self {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::None,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            _ => Self::Other,
        }
    }

    /// That, and another one behind it.
    pub(super) fn then(self, other: Self) -> Self {
        match (self, other) {
            (coding, Self::None) | (Self::None, coding) => coding,
            (Self::Gzip | Self::Deflate | Self::Other, Self::Gzip | Self::Deflate | Self::Other) => Self::Other,
        }
    }

    /// What stands in the body, as far as it can be read. `None`: it cannot.
    pub(super) fn undone(self, body: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::None => Some(body.to_vec()),
            Self::Gzip => read(decompress_to_vec_with_limit(deflated(body)?, LONGEST)),
            // Some send it without the wrapper that RFC 9110 §8.4.1.2 wants.
            Self::Deflate => read(decompress_to_vec_zlib_with_limit(body, LONGEST))
                .or_else(|| read(decompress_to_vec_with_limit(body, LONGEST))),
            Self::Other => None,
        }
    }
}

/// What comes before the first fault counts; behind it there is room that was not filled.
fn read(decoded: Result<Vec<u8>, DecompressError>) -> Option<Vec<u8>> {
    match decoded {
        Ok(text) => Some(text),
        Err(fault) => {
            let mut output = fault.output;
            output.truncate(output.iter().rposition(|byte| *byte != 0)? + 1);
            Some(output)
        }
    }
}

/// What stands behind the header of a gzip member (RFC 1952 §2.3).
fn deflated(member: &[u8]) -> Option<&[u8]> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, rest @ ..] = member else { return None };
    let mut rest = rest;
    if flags & 4 != 0 {
        let (length, extra) = rest.split_first_chunk::<2>()?;
        rest = extra.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    // A name, and a comment.
    for flag in [8, 16] {
        if flags & flag != 0 {
            rest = &rest[rest.iter().position(|byte| *byte == 0)? + 1..];
        }
    }
    if flags & 2 == 0 { Some(rest) } else { rest.get(2..) }
}

/// The data of chunks that were judged sound, the last of which may not be whole.
pub(super) fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    while let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") {
        let digits = body.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&body[..digits]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(size @ 1..) = size else { break };
        let data = &body[end + 2..];
        joined.extend_from_slice(&data[..size.min(data.len())]);
        body = data.get(size.saturating_add(2)..).unwrap_or_default();
    }
    joined
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    use super::*;

    #[test]
    fn codings_are_undone_and_bounded() {
        let page = b"<center>nginx</center>";
        let bare = compress_to_vec(page, 6);
        // With no header, with a name, and with all that there can be.
        for header in ["\0\0\0\0\0\0\0", "\x08\0\0\0\0\0\0a.html\0", "\x1e\0\0\0\0\0\0\x02\0xxname\0comment\0hh"] {
            let gzip = [b"\x1f\x8b\x08", header.as_bytes(), &bare, &[0; 8]].concat();
            assert_eq!(Coding::named("x-GZIP ").undone(&gzip).as_deref(), Some(&page[..]), "{header:?}");
            // What is cut is read as far as it goes.
            (0..gzip.len())
                .filter_map(|end| Coding::Gzip.undone(&gzip[..end]))
                .for_each(|text| assert!(page.starts_with(&text)));
        }
        for deflated in [compress_to_vec_zlib(page, 6), bare] {
            assert_eq!(Coding::named("deflate").undone(&deflated).as_deref(), Some(&page[..]));
        }
        assert_eq!(Coding::Deflate.undone(&compress_to_vec_zlib(b"", 6)).as_deref(), Some(&b""[..]));
        // What never ends is read no further than it is looked at.
        let bomb = compress_to_vec_zlib(&vec![b'a'; 16 * LONGEST], 6);
        assert_eq!(Coding::Deflate.undone(&bomb).map(|text| text.len()), Some(LONGEST));
        for none in ["", " Identity"] {
            assert_eq!(Coding::named(none).undone(page).as_deref(), Some(&page[..]), "{none:?}");
        }
        for coding in [Coding::Gzip, Coding::Deflate, Coding::named("br")] {
            assert_eq!(coding.undone(b"<center>"), None, "{coding:?}");
        }
    }

    #[test]
    fn chunks_are_joined_as_far_as_they_go() {
        for (body, data) in [
            ("3\r\nabc\r\n2;a=b\r\nde\r\n0\r\n\r\n", "abcde"),
            ("5\r\nab", "ab"),
            ("", ""),
            ("x\r\nabc", ""),
            ("ffffffffffffffff\r\nab", "ab"),
        ] {
            assert_eq!(joined(body.as_bytes()), data.as_bytes(), "{body:?}");
        }
    }
}

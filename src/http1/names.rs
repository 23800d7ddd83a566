//! The names and values of field lines, as far as anything depends on them: tokens, lists, hosts.

use super::edits::widen;

/// A field name that means something here; names compare in any ASCII case (RFC 9110 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Connection,
    ContentLength,
    Expect,
    Host,
    Http2Settings,
    /// It has some frameworks take another method; they count `_` as `-`.
    MethodOverride,
    Te,
    Trailer,
    TransferEncoding,
    /// Content-Length or Transfer-Encoding with `_` for `-`, which some servers take for the same.
    Underscored,
    Upgrade,
    Other,
}

/// One bit by a name's length and first letter, in any case: what turns most names away. Twice the letter, so that its case is the bit
/// that falls out.
pub(super) const fn bit(name: &[u8]) -> u64 {
    let letter = match name {
        [first, ..] => *first,
        [] => 0,
    };
    // The low bits of the length are enough.
    #[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "a constant function has no other way")]
    let length = name.len() as u8;
    1 << (letter.wrapping_mul(2).wrapping_add(length) % 64)
}

/// From a name in lower case, with its length, and how it is compared, to what it means.
macro_rules! names {
    ($($length:literal $name:literal $is:ident $meaning:ident)*) => {
        /// The bits of all names that mean something.
        pub(super) const KNOWN: u64 = $(bit($name))|*;

        impl Name {
            pub(super) fn of(name: &[u8]) -> Self {
                match name.len() {
                    $($length if $is(name, $name) => Self::$meaning,)*
                    _ => Self::Other,
                }
            }
        }

        $(const _: () = assert!($name.len() == $length);)*

        #[cfg(test)]
        const ALL: &[(&[u8], Name)] = &[$(($name, Name::$meaning)),*];
    };
}

names! {
    2 b"te" is_name Te
    4 b"host" is_name Host
    6 b"expect" is_name Expect
    7 b"upgrade" is_name Upgrade
    7 b"trailer" is_name Trailer
    10 b"connection" is_name Connection
    13 b"x-http-method" is_spelt MethodOverride
    14 b"content-length" is_name ContentLength
    14 b"content_length" is_name Underscored
    14 b"http2-settings" is_name Http2Settings
    17 b"transfer-encoding" is_name TransferEncoding
    17 b"transfer_encoding" is_name Underscored
    17 b"x-method-override" is_spelt MethodOverride
    22 b"x-http-method-override" is_spelt MethodOverride
}

/// A one in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Returns whether a name is the known one, which is in lower case, in any case (RFC 9110 §5.1). Eight bytes at a time: it is asked of
/// each line.
pub(super) fn is_name(name: &[u8], known: &[u8]) -> bool {
    if name.len() != known.len() {
        return false;
    }
    let (Some((_, last)), Some((_, known_last))) = (name.split_last_chunk::<8>(), known.split_last_chunk::<8>()) else {
        let (Some(ends), Some(known)) = (ends(name), ends(known)) else {
            return name.iter().zip(known).all(|(byte, known)| byte.to_ascii_lowercase() == *known);
        };
        return is_same(ends, known);
    };
    let (eights, known_eights) = (name.as_chunks::<8>().0, known.as_chunks::<8>().0);
    is_same(*last, *known_last) && eights.iter().zip(known_eights).all(|(eight, known)| is_same(*eight, *known))
}

/// The first four bytes and the last four of at least four.
fn ends(bytes: &[u8]) -> Option<[u8; 8]> {
    let mut ends = [0; 8];
    ends[..4].copy_from_slice(bytes.first_chunk::<4>()?);
    ends[4..].copy_from_slice(bytes.last_chunk::<4>()?);
    Some(ends)
}

/// Returns whether eight bytes are the known ones, which are ASCII.
fn is_same(bytes: [u8; 8], known: [u8; 8]) -> bool {
    let (bytes, known) = (u64::from_ne_bytes(bytes), u64::from_ne_bytes(known));
    // The highest bit of each byte: whether it is at least an a, and whether it is over a z. The case of others counts.
    let from_a = known + (0x80 - u64::from(b'a')) * ONES;
    let over_z = known + (0x7f - u64::from(b'z')) * ONES;
    let is_letter = (from_a ^ over_z) & (0x80 * ONES);
    bytes | (is_letter >> 2) == known
}

/// Where the first byte is up to that one, or DEL. Eight bytes at a time: it is asked of each line.
pub(super) fn find_end<const LAST: u8>(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        // The highest bit of each byte: up to the last, or a delete. What the first borrows is from bytes after the first found.
        let up_to_last = eight.wrapping_sub((u64::from(LAST) + 1) * ONES);
        let is_delete = (eight & (0x7f * ONES)) + ONES;
        let found = (up_to_last | is_delete) & !eight & (0x80 * ONES);
        if found != 0 {
            return Some(bytes.len() - rest.len() + widen(found.trailing_zeros()) / 8);
        }
        rest = behind;
    }
    let is_end = |byte: &u8| *byte <= LAST || *byte == 0x7f;
    rest.iter().position(is_end).map(|at| bytes.len() - rest.len() + at)
}

/// Returns whether a server may take a name for the known one: in any case, and with any other mark for `-`.
pub(super) fn is_spelt(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len() && name.iter().map(|byte| dashed(byte.to_ascii_lowercase())).eq(known.iter().copied())
}

/// A byte of a name as servers may read it that make a variable of the name: in CGI each mark is an underscore (lighttpd), or a dot is (PHP).
pub(super) fn dashed(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte } else { b'-' }
}

/// A name or `prefix*` in lower case, with each mark as [`dashed`].
pub(super) fn with_dashes(entry: &str) -> String {
    let name = entry.strip_suffix('*').unwrap_or(entry);
    let dashes: String = name.to_ascii_lowercase().bytes().map(dashed).map(char::from).collect();
    dashes + &entry[name.len()..]
}

/// Returns whether a name could be both of these, each a name in lower case, or with a star all that begin so.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_suffix('*'), other.strip_suffix('*')) {
        (None, None) => one == other,
        (Some(prefix), None) => other.starts_with(prefix),
        (None, Some(prefix)) => one.starts_with(prefix),
        (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
    }
}

/// The members of a list (RFC 9110 §5.6.1), empty ones included, without the white space around them.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trimmed)
}

/// Without the white space around it (RFC 9110 §5.6.3), of which the line end within a fold is a part.
pub(super) fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Returns whether an operator can mean this as a field name. One in quotes is a token, too, and what an environment file makes of a name; and one
/// that begins as a pattern does.
pub(super) fn is_meant(name: &str) -> bool {
    let odd_ends = ['\'', '`', '^'];
    is_token(name.as_bytes()) && !name.contains('*') && !name.starts_with(odd_ends) && !name.ends_with(odd_ends)
}

/// A token (RFC 9110 §5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Bytes of the token that these begin with.
pub(super) fn token_length(bytes: &[u8]) -> usize {
    length_of(&TOKEN_BYTES, bytes)
}

/// How many of these are of the table, up to the first that is not. Eight at a time: it is asked of each line.
fn length_of(table: &[bool; 256], bytes: &[u8]) -> usize {
    let is_other = |byte: &u8| !table[usize::from(*byte)];
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        if let Some(at) = eight.iter().position(is_other) {
            return bytes.len() - rest.len() + at;
        }
        rest = behind;
    }
    bytes.len() - rest.len() + rest.iter().position(is_other).unwrap_or(rest.len())
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// RFC 9110 §5.6.2.
static TOKEN_BYTES: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// The unreserved and sub-delims of RFC 3986 §2.
static HOST_BYTES: [bool; 256] = table(b"-._~!$&'()*+,;=");

/// Letters, digits, and these.
const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        let mut is_other = false;
        let mut at = 0;
        while at < others.len() {
            is_other |= others[at] == byte;
            at += 1;
        }
        #[expect(clippy::as_conversions, reason = "a constant function has no other way")]
        let place = byte as usize;
        table[place] = byte.is_ascii_alphanumeric() || is_other;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2); the host may be empty.
pub(super) fn is_host(value: &[u8]) -> bool {
    let behind = if let [b'[', within @ ..] = value {
        let length = host_length(within, Some(b':'));
        match within[length..] {
            [b']', ref behind @ ..] if length > 0 => behind,
            _ => return false,
        }
    } else {
        &value[host_length(value, None)..]
    };
    match behind {
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => behind.is_empty(),
    }
}

/// Bytes of the `*( unreserved / pct-encoded / sub-delims )`, and what else may stand there, that these begin with.
fn host_length(bytes: &[u8], other: Option<u8>) -> usize {
    let mut length = 0;
    loop {
        length += length_of(&HOST_BYTES, &bytes[length..]);
        length += match bytes[length..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
            [byte, ..] if Some(byte) == other => 1,
            _ => return length,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["", "a", "a.b-c_d", "a:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:443", "a%20b", "[fe80::1%25e]"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b", "a/b", "a@b", "a:b", "a:80:80", "[]", "[::1", "::1]", "a%2", "a%g0", "a%0g", "[::1]x", "a\"",
            "\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_name_is_told_from_all_that_differ_in_a_byte() {
        for known in ["te", "server", "trailers", "x-powered-by", "x-http-method-override", "a-_~9.b^"] {
            for place in 0..known.len() {
                for byte in 0..=u8::MAX {
                    let mut name = known.as_bytes().to_vec();
                    name[place] = byte;
                    let is_same = byte.to_ascii_lowercase() == known.as_bytes()[place];
                    assert_eq!(is_name(&name, known.as_bytes()), is_same, "{}", name.escape_ascii());
                }
            }
            assert!(is_name(known.to_ascii_uppercase().as_bytes(), known.as_bytes()));
            assert!(!is_name(format!("{known}a").as_bytes(), known.as_bytes()));
        }
    }

    #[test]
    fn the_first_control_byte_is_found_wherever_it_is() {
        for place in 0..20 {
            for byte in 0..=u8::MAX {
                for other in [b' ', b'~', 0x80, 0xff] {
                    let mut bytes = [other; 20];
                    bytes[place] = byte;
                    let expected = byte.is_ascii_control().then_some(place);
                    assert_eq!(find_end::<0x1f>(&bytes), expected, "{}", bytes.escape_ascii());
                }
            }
        }
        assert_eq!(find_end::<0x1f>(b"a\x7fb\0cdefg\r"), Some(1));
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Name::of(b"Transfer-ENCODING"), Name::TransferEncoding);
        assert_eq!(Name::of(b"Transfer_Encoding"), Name::Underscored);
        assert_eq!(Name::of(b"X_HTTP-Method_Override"), Name::MethodOverride);
        assert_eq!(Name::of(b"X-HTTP-Method-Overrid"), Name::Other);
        let names: Vec<_> = ALL.iter().map(|(name, _)| str::from_utf8(name).expect("ASCII")).collect();
        let known = "te host expect upgrade trailer connection x-http-method content-length content_length http2-settings \
            transfer-encoding transfer_encoding x-method-override x-http-method-override";
        assert_eq!(names.join(" "), known);
        for (name, meaning) in ALL {
            assert_eq!(Name::of(name), *meaning, "{}", name.escape_ascii());
            let other = [&name[..name.len() - 1], b"!"].concat();
            assert_eq!(Name::of(&other), Name::Other, "{}", name.escape_ascii());
        }
    }
}

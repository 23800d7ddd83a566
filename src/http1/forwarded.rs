//! The request's `X-Forwarded-For`: its lines become one, with the client's address after their values. Some servers read the first line only, others
//! the last, and others take `X_Forwarded_For` for it; so there is one, and the client cannot forge its last value.

use core::net::IpAddr;

use super::edits::{Edits, Why};
use super::lines::FieldLines;
use super::names::{is_spelt, trimmed};

/// The name, in lower case.
const NAME: &[u8] = b"x-forwarded-for";

/// What the line begins with.
const START: &[u8] = b"X-Forwarded-For: ";

/// Bytes by which a head grows at most: the line with the longest address alone. A value that was there before takes no more within it than in a line
/// of its own.
pub(super) const MOST_ADDED: usize = START.len() + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\r\n".len();

/// Makes one line of those of a request head, less those that are withheld, which are in order. Returns how many lines go.
pub(super) fn forward(head: &[u8], client: IpAddr, edits: &mut Edits) -> usize {
    let denied = edits.withheld().len();
    edits.add(START);
    for line in FieldLines::of_head(head).filter(|line| is_spelt(line.name(), NAME)) {
        if edits.withheld()[..denied].binary_search_by_key(&line.start, |part| part.range().start).is_ok() {
            continue;
        }
        edits.withhold(line.place(), Why::Forwarded);
        let value = trimmed(line.value());
        if !value.is_empty() {
            edits.add(value);
            edits.add(b", ");
        }
    }
    let gone = edits.withheld().len() - denied;
    edits.add(client.to_canonical().to_string().as_bytes());
    edits.add(b"\r\n");
    edits.sort();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes on of a head, of which so many bytes from a place on are denied.
    fn forwarded(head: &str, denied: &str, client: &str) -> String {
        let mut edits = Edits::default();
        if let Some(at) = head.find(denied).filter(|_| !denied.is_empty()) {
            edits.withhold(at..at + denied.len(), Why::Denied(0));
        }
        forward(head.as_bytes(), client.parse().expect("an address"), &mut edits);
        let mut out = Vec::new();
        edits.write(head.as_bytes(), &mut out);
        assert!(out.len() <= head.len() + MOST_ADDED, "{head:?}");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_lines_become_one_that_ends_with_the_clients_address() {
        for (lines, denied, client, rest, line) in [
            ("", "", "127.0.0.1", "", "127.0.0.1"),
            ("A: b\r\n", "", "2001:db8::1", "A: b\r\n", "2001:db8::1"),
            ("x-forwarded-for:1.1.1.1\r\nA: b\r\n", "", "::ffff:10.0.0.1", "A: b\r\n", "1.1.1.1, 10.0.0.1"),
            ("X-Forwarded-For: a, b \r\nX_forwarded-FOR: c\r\n", "", "1.2.3.4", "", "a, b, c, 1.2.3.4"),
            ("X-Forwarded-For:\r\nX-Forwarded-For: \r\n", "", "1.2.3.4", "", "1.2.3.4"),
            ("X-Forwarded-For: a\r\nX_Forwarded_For: b\r\n", "X_Forwarded_For: b\r\n", "1.2.3.4", "", "a, 1.2.3.4"),
            ("X-Forwarded: a\r\n", "", "1.2.3.4", "X-Forwarded: a\r\n", "1.2.3.4"),
        ] {
            let start = "GET / HTTP/1.1\r\nHost: a\r\n";
            let expected = format!("{start}{rest}X-Forwarded-For: {line}\r\n\r\n");
            assert_eq!(forwarded(&format!("{start}{lines}\r\n"), denied, client), expected);
        }
    }

    #[test]
    fn a_head_of_such_lines_alone_grows_by_no_more() {
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        for count in 0..20 {
            for value in ["", "a", "1.1.1.1, 2.2.2.2"] {
                forwarded(
                    &format!("GET / HTTP/1.1\r\n{}\r\n", format!("X-Forwarded-For:{value}\r\n").repeat(count)),
                    "",
                    longest,
                );
            }
        }
    }
}

//! The differences between an oracle and headsnip that are accepted, each with the reason.
//!
//! All are refusals: the oracle takes a message for wrong, or stops, where headsnip sends it on. None is a message that both take
//! and read otherwise, which is never accepted.

use crate::reader::{Oracle, Read};

/// Whose error, how it begins, and why headsnip need not have refused.
const REFUSALS: [(Oracle, &str, &str); 7] = [
    (Oracle::Llhttp, "HPE_INVALID_METHOD", "it knows a list of methods; RFC 9110 §9.1 leaves the list open"),
    (
        Oracle::Llhttp,
        "HPE_INVALID_URL",
        "it wants targets of certain forms; the origin is to judge them, and no byte over 0x7f is a delimiter",
    ),
    (Oracle::Llhttp, "HPE_UNEXPECTED_CONTENT_LENGTH", "RFC 9112 §6.3, 5 lets a recipient take the same length twice"),
    (Oracle::Llhttp, "HPE_INVALID_CONTENT_LENGTH", "the same, as a list in one line"),
    (Oracle::H11, "illegal request line", "it wants targets in ASCII"),
    (
        Oracle::H11,
        "no request line received",
        "it takes no empty line before a request-line, which RFC 9112 §2.2 asks servers to do",
    ),
    (Oracle::H11, "Only Transfer-Encoding: chunked is supported", "gzip before chunked is delimited all the same"),
];

/// Tells whether it is known why an oracle went no further than to that message.
pub(crate) fn is_accepted(oracle: Oracle, read: &Read, message: usize) -> bool {
    if read.messages.get(message).is_some_and(|message| message.is_complete) {
        return false;
    }
    match &read.error {
        Some(error) => REFUSALS.iter().any(|(whose, beginning, _)| *whose == oracle && error.starts_with(beginning)),
        // A request to upgrade was declined before: that is not told to llhttp, which reads on as the new protocol would.
        None if oracle == Oracle::Llhttp => read.tunnel.is_some(),
        // h11 keeps no HTTP/1.0 connection alive, and reads nothing behind such a request.
        None => message > 0 && read.messages.len() == message,
    }
}

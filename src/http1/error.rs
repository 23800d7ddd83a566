//! The rules that a peer can break, and what becomes of the exchange when one is broken.
//!
//! A [`Violation`] names one rule and nothing else: it is small, `Copy`, and the same word in a log, an access log and a
//! metric label. Whose fault it is follows from the direction it was found in; what the client is told follows from
//! how far the exchange had come and is an [`Ending`].

use std::fmt;

use strum::{Display, IntoStaticStr, VariantNames};
use thiserror::Error;

/// A broken rule. The name of each variant in snake case is the detail in the log.
#[derive(Clone, Copy, Debug, Display, Error, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Violation {
    /// A control byte, NUL and DEL among them, within a line (RFC 9110 §5.5, RFC 9112 §3).
    ControlByte,
    /// A request that begins with 0x16: a TLS handshake (RFC 8446 §5.1), which wants a server that ends TLS.
    TlsHandshake,
    /// A request that begins with `PROXY `, or NUL after two empty lines: a preamble of the PROXY protocol, version 1 or 2.
    ProxyPreamble,
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr,
    /// An LF that no CR precedes (RFC 9112 §2.2 lets a recipient take it for a line end; others do not).
    BareLf,
    /// A line that starts with white space: in a request, or with no field line to belong to (RFC 9112 §5.2).
    ObsFold,
    /// White space between a field name and its colon in a request (RFC 9112 §5.1).
    WhiteSpaceBeforeColon,
    /// A field line with no colon (RFC 9112 §5).
    NoColon,
    /// A field name that is empty or not a token (RFC 9110 §5.1).
    InvalidFieldName,
    /// Not `method SP request-target SP HTTP-version` (RFC 9112 §3).
    RequestLineMalformed,
    /// Not `HTTP-version SP status-code [SP reason]` (RFC 9112 §4).
    StatusLineMalformed,
    /// An HTTP version other than 1.0 and 1.1, the HTTP/2 preface among them (RFC 9110 §2.5, §15.6.6).
    VersionUnsupported,
    /// CONNECT, which this proxy does not support (RFC 9110 §9.3.6).
    ConnectUnsupported,
    /// A head or a trailer section longer than the limit (RFC 6585 §5).
    HeadTooLong,
    /// More field lines than the limit (RFC 6585 §5).
    TooManyFieldLines,
    /// A method that is CONNECT or HEAD in another case, which some servers fold (RFC 9110 §9.1).
    MethodCase,
    /// An HTTP/1.1 request without Host (RFC 9112 §3.2).
    NoHost,
    /// A request with more than one Host (RFC 9112 §3.2).
    ManyHosts,
    /// A Host that is not `uri-host [ ":" port ]` (RFC 9112 §3.2).
    InvalidHost,
    /// Content-Length or Transfer-Encoding of a request spelt with `_` for `-`, which some servers take for the same.
    UnderscoreInName,
    /// `Connection` of a request that names Content-Length, Transfer-Encoding or Host, and so has some servers drop them (RFC 9110 §7.6.1).
    ConnectionNamesFraming,
    /// Both lengths at once in a request: the classic of request smuggling (RFC 9112 §6.1, §6.3).
    ContentLengthAndTransferEncoding,
    /// A Content-Length, or a member of one, that is not 1*DIGIT up to 2^63 − 1, or of a request one with a leading zero (RFC 9110 §8.6).
    ContentLengthMalformed,
    /// A repeated Content-Length in a request, or a list (RFC 9110 §8.6).
    ContentLengthRepeated,
    /// Two different values of Content-Length in a response (RFC 9112 §6.3).
    ContentLengthsDiffer,
    /// Transfer codings that are malformed, or in which `chunked` is twice or not last (RFC 9112 §6.1, §7).
    TransferEncodingMalformed,
    /// A transfer coding of a request other than `chunked` (RFC 9112 §6.1).
    TransferEncodingUnsupported,
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 §6.1).
    #[strum(serialize = "transfer_encoding_in_http_1_0")]
    TransferEncodingInHttp10,
    /// A line in a request's trailer section that the operator has not allowed (RFC 9110 §6.5.1).
    TrailerNotAllowed,
    /// A chunk size with anything but hexadecimal digits (RFC 9112 §7.1).
    ChunkSizeMalformed,
    /// A chunk size over 2^63 − 1, or of more than 16 digits (RFC 9112 §7.1).
    ChunkSizeTooLarge,
    /// A chunk extension that does not follow the grammar (RFC 9112 §7.1.1).
    ChunkLineMalformed,
    /// Chunk extensions of one chunk longer than the limit (RFC 9112 §7.1.1).
    ChunkLineTooLong,
    /// No CRLF after the data of a chunk (RFC 9112 §7.1).
    ChunkEndMalformed,
    /// A 101 to a protocol that the request did not offer (RFC 9110 §7.8).
    UpgradeUnasked,
    /// A 101 to a protocol that is not allowed here, h2c above all.
    UpgradeNotAllowed,
    /// More 1xx responses to one request than [`MAX_INTERIM`](super::MAX_INTERIM), or longer ones than
    /// [`MAX_INTERIM_BYTES`](super::MAX_INTERIM_BYTES) together.
    TooManyInterimResponses,
    /// Bytes of the origin while no request was waiting.
    UnsolicitedBytes,
    /// The origin ended before its response began, or within its head.
    ResponseMissing,
    /// The origin ended within a response (RFC 9112 §8).
    ResponseIncomplete,
}

impl Violation {
    /// The rule as one word of a log line.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The status of our reply when a request broke this rule.
    pub(super) fn request_status(self) -> Status {
        if self == Self::VersionUnsupported {
            Status::HttpVersionNotSupported
        } else if matches!(self, Self::ConnectUnsupported | Self::TransferEncodingUnsupported) {
            Status::NotImplemented
        } else if matches!(self, Self::HeadTooLong | Self::TooManyFieldLines) {
            Status::RequestHeaderFieldsTooLarge
        } else {
            Status::BadRequest
        }
    }
}

/// The statuses of our own replies (RFC 9110 §15, RFC 6585).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 400
    BadRequest,
    /// 408
    RequestTimeout,
    /// 431
    RequestHeaderFieldsTooLarge,
    /// 501
    NotImplemented,
    /// 502
    BadGateway,
    /// 503
    ServiceUnavailable,
    /// 504
    GatewayTimeout,
    /// 505
    HttpVersionNotSupported,
}

impl Status {
    /// The status code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::RequestTimeout => 408,
            Self::RequestHeaderFieldsTooLarge => 431,
            Self::NotImplemented => 501,
            Self::BadGateway => 502,
            Self::ServiceUnavailable => 503,
            Self::GatewayTimeout => 504,
            Self::HttpVersionNotSupported => 505,
        }
    }
}

/// A broken rule and what follows from it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{violation} ({ending})")]
#[non_exhaustive]
pub struct Fault {
    /// The rule.
    pub violation: Violation,
    /// What becomes of the connections.
    pub ending: Ending,
}

/// Why a setting is refused, in a sentence for whoever wrote it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{problem}")]
#[non_exhaustive]
pub struct SettingError {
    /// The value at fault, as it was given. `None`: all together are.
    pub culprit: Option<String>,
    /// What is wrong, and where there is one, what would be right.
    pub problem: String,
}

impl SettingError {
    /// One value is at fault.
    pub(super) fn of(culprit: &str, problem: impl Into<String>) -> Self {
        Self { culprit: Some(culprit.to_owned()), problem: problem.into() }
    }
}

/// How an exchange ends that cannot continue. Bytes that were judged before are still written to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client's connection closes after a complete response.
    Close,
    /// A reply of our own, then the client's connection closes: nothing of the final response has been sent. It has the status,
    /// `Content-Length: 0`, `Connection: close`, and the operator's lines.
    Reply(Status),
    /// The client's connection closes within a message whose framing shows that it is incomplete.
    Cut,
    /// The client's connection is reset, since a clean end would be taken for the end of the message.
    Reset,
    /// No request was waiting: the origin's connection is closed, the client keeps its own.
    DropOrigin,
}

/// What became of the client, for a log line.
impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close => formatter.write_str("closed"),
            Self::Reply(status) => write!(formatter, "replied {}", status.code()),
            Self::Cut => formatter.write_str("cut"),
            Self::Reset => formatter.write_str("reset"),
            Self::DropOrigin => formatter.write_str("origin's connection dropped, client's kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_the_rule_and_what_became_of_it() {
        for (violation, ending, said) in [
            (Violation::BareLf, Ending::Reply(Status::BadRequest), "bare_lf (replied 400)"),
            (Violation::NoColon, Ending::Reply(Status::BadGateway), "no_colon (replied 502)"),
            (Violation::ResponseIncomplete, Ending::Cut, "response_incomplete (cut)"),
            (Violation::ResponseIncomplete, Ending::Reset, "response_incomplete (reset)"),
            (Violation::ChunkSizeMalformed, Ending::Close, "chunk_size_malformed (closed)"),
            (
                Violation::UnsolicitedBytes,
                Ending::DropOrigin,
                "unsolicited_bytes (origin's connection dropped, client's kept)",
            ),
        ] {
            assert_eq!(Fault { violation, ending }.to_string(), said);
        }
    }
}

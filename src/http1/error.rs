//! The rules that a peer can break, and what becomes of the exchange when one is broken.
//!
//! A [`Violation`] names one rule and nothing else: it is small, `Copy`, and the same word in a log, an access log and a
//! metric label. Whose fault it is follows from the direction it was found in; what the client is told follows from
//! how far the exchange had come and is an [`Ending`].

use std::fmt;

/// A broken rule. The name of each variant in snake case is the detail that an operator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A control byte, NUL and DEL among them, within a line (RFC 9110 §5.5, RFC 9112 §3).
    ControlByte,
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr,
    /// An LF that no CR precedes (RFC 9112 §2.2 lets a recipient take it for a line end; others do not, so it is refused).
    BareLf,
    /// A field line that starts with white space (RFC 9112 §5.2).
    ObsFold,
    /// White space between a field name and its colon (RFC 9112 §5.1).
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
    /// CONNECT, which this proxy does not do (RFC 9110 §9.3.6).
    ConnectUnsupported,
    /// A head or a trailer section longer than the limit (RFC 6585 §5).
    HeadTooLong,
    /// More field lines than [`MAX_FIELD_LINES`](super::MAX_FIELD_LINES) (RFC 6585 §5).
    TooManyFieldLines,
    /// The parser refused a head in which no broken rule was found: closed all the same.
    HeadMalformed,
    /// An HTTP/1.1 request without Host (RFC 9112 §3.2).
    NoHost,
    /// A request with more than one Host (RFC 9112 §3.2).
    ManyHosts,
    /// Both lengths at once: the classic of request smuggling (RFC 9112 §6.1, §6.3).
    ContentLengthAndTransferEncoding,
    /// A Content-Length, or a member of one, that is not 1*DIGIT up to 2^63 − 1 (RFC 9110 §8.6).
    ContentLengthMalformed,
    /// Two different values of Content-Length (RFC 9112 §6.3).
    ContentLengthsDiffer,
    /// A Content-Length other than 0 where no content can be: 1xx, 204 (RFC 9110 §8.6).
    ContentLengthForbidden,
    /// Transfer codings that do not end in exactly one `chunked` (RFC 9112 §6.1, §7).
    TransferEncodingNotChunkedLast,
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 §6.1).
    TransferEncodingInHttp10,
    /// Transfer-Encoding in a 1xx or a 204 (RFC 9112 §6.1).
    TransferEncodingForbidden,
    /// A chunk size that does not begin with a hexadecimal digit, or goes on with something else (RFC 9112 §7.1).
    ChunkSizeMalformed,
    /// A chunk size over 2^63 − 1, or of more than 16 digits (RFC 9112 §7.1).
    ChunkSizeTooLarge,
    /// A chunk extension that does not follow the grammar (RFC 9112 §7.1.1).
    ChunkLineMalformed,
    /// Chunk extensions of one chunk longer than the limit (RFC 9112 §7.1.1).
    ChunkLineTooLong,
    /// No CRLF after the data of a chunk (RFC 9112 §7.1).
    ChunkEndMalformed,
    /// A 101 to a request that did not ask for that protocol (RFC 9110 §7.8).
    UpgradeUnasked,
    /// A 101 to a protocol that is not allowed here, h2c above all.
    UpgradeNotAllowed,
    /// More 1xx responses to one request than [`MAX_INTERIM`](super::MAX_INTERIM).
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
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlByte => "control_byte",
            Self::BareCr => "bare_cr",
            Self::BareLf => "bare_lf",
            Self::ObsFold => "obs_fold",
            Self::WhiteSpaceBeforeColon => "white_space_before_colon",
            Self::NoColon => "no_colon",
            Self::InvalidFieldName => "invalid_field_name",
            Self::RequestLineMalformed => "request_line_malformed",
            Self::StatusLineMalformed => "status_line_malformed",
            Self::VersionUnsupported => "version_unsupported",
            Self::ConnectUnsupported => "connect_unsupported",
            Self::HeadTooLong => "head_too_long",
            Self::TooManyFieldLines => "too_many_field_lines",
            Self::HeadMalformed => "head_malformed",
            Self::NoHost => "no_host",
            Self::ManyHosts => "many_hosts",
            Self::ContentLengthAndTransferEncoding => "content_length_and_transfer_encoding",
            Self::ContentLengthMalformed => "content_length_malformed",
            Self::ContentLengthsDiffer => "content_lengths_differ",
            Self::ContentLengthForbidden => "content_length_forbidden",
            Self::TransferEncodingNotChunkedLast => "transfer_encoding_not_chunked_last",
            Self::TransferEncodingInHttp10 => "transfer_encoding_in_http_1_0",
            Self::TransferEncodingForbidden => "transfer_encoding_forbidden",
            Self::ChunkSizeMalformed => "chunk_size_malformed",
            Self::ChunkSizeTooLarge => "chunk_size_too_large",
            Self::ChunkLineMalformed => "chunk_line_malformed",
            Self::ChunkLineTooLong => "chunk_line_too_long",
            Self::ChunkEndMalformed => "chunk_end_malformed",
            Self::UpgradeUnasked => "upgrade_unasked",
            Self::UpgradeNotAllowed => "upgrade_not_allowed",
            Self::TooManyInterimResponses => "too_many_interim_responses",
            Self::UnsolicitedBytes => "unsolicited_bytes",
            Self::ResponseMissing => "response_missing",
            Self::ResponseIncomplete => "response_incomplete",
        }
    }

    /// The status of our reply when a request broke this rule.
    pub(super) fn request_status(self) -> Status {
        if self == Self::VersionUnsupported {
            Status::HttpVersionNotSupported
        } else if self == Self::ConnectUnsupported {
            Status::NotImplemented
        } else if matches!(self, Self::HeadTooLong | Self::TooManyFieldLines) {
            Status::RequestHeaderFieldsTooLarge
        } else {
            Status::BadRequest
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::error::Error for Violation {}

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
            Self::GatewayTimeout => 504,
            Self::HttpVersionNotSupported => 505,
        }
    }
}

/// A broken rule and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The rule.
    pub violation: Violation,
    /// What becomes of the connections.
    pub ending: Ending,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.violation, self.ending)
    }
}

impl std::error::Error for Fault {}

/// How an exchange ends that cannot go on. What was judged before is still written to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client's connection closes after a complete response.
    Close,
    /// A reply of ours, then the client's connection closes: nothing of the final response has gone out. It says the status,
    /// `Content-Length: 0` and `Connection: close`, and no more.
    Reply(Status),
    /// The client's connection closes within a message whose framing shows that it is incomplete.
    Cut,
    /// The client's connection is reset, since a clean end would be taken for the end of the message.
    Reset,
    /// No request was waiting: the origin's connection goes, the client keeps its own.
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
            (Violation::HeadMalformed, Ending::Reply(Status::BadGateway), "head_malformed (replied 502)"),
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

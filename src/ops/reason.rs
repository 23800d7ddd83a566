//! Why an exchange or a connection ended badly, in one word: the same in the log, the access log and the metrics.
//!
//! The words are proxy error types of RFC 9209 §2.3; which of our rules was broken is a detail beside them.

use std::fmt;

use crate::http1::Violation;

/// Whose side it was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Client,
    Origin,
    /// Ours: the proxy was told to end.
    Proxy,
}

/// A proxy error type of RFC 9209 §2.3. Words of one side may be used of the other: the side stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    DnsError,
    DestinationUnavailable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionWriteTimeout,
    HttpRequestError,
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize,
    HttpResponseTransferCoding,
    HttpResponseTimeout,
    HttpUpgradeFailed,
    HttpProtocolError,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Origin, Self::Proxy];

    /// Its place among all.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Origin => 1,
            Self::Proxy => 2,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Origin => "origin",
            Self::Proxy => "proxy",
        }
    }
}

impl Reason {
    pub(crate) const ALL: [Self; 13] = [
        Self::DnsError,
        Self::DestinationUnavailable,
        Self::ConnectionRefused,
        Self::ConnectionTerminated,
        Self::ConnectionTimeout,
        Self::ConnectionWriteTimeout,
        Self::HttpRequestError,
        Self::HttpResponseIncomplete,
        Self::HttpResponseHeaderSectionSize,
        Self::HttpResponseTransferCoding,
        Self::HttpResponseTimeout,
        Self::HttpUpgradeFailed,
        Self::HttpProtocolError,
    ];

    /// Its place among all.
    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|reason| *reason == self).unwrap_or_default()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::DnsError => "dns_error",
            Self::DestinationUnavailable => "destination_unavailable",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::ConnectionWriteTimeout => "connection_write_timeout",
            Self::HttpRequestError => "http_request_error",
            Self::HttpResponseIncomplete => "http_response_incomplete",
            Self::HttpResponseHeaderSectionSize => "http_response_header_section_size",
            Self::HttpResponseTransferCoding => "http_response_transfer_coding",
            Self::HttpResponseTimeout => "http_response_timeout",
            Self::HttpUpgradeFailed => "http_upgrade_failed",
            Self::HttpProtocolError => "http_protocol_error",
        }
    }

    /// The reason for an origin's broken rule.
    pub(crate) fn of_response(violation: Violation) -> Self {
        use Violation as V;
        match violation {
            V::HeadTooLong | V::TooManyFieldLines => Self::HttpResponseHeaderSectionSize,
            V::ChunkSizeMalformed
            | V::ChunkSizeTooLarge
            | V::ChunkLineMalformed
            | V::ChunkLineTooLong
            | V::ChunkEndMalformed => Self::HttpResponseTransferCoding,
            V::UpgradeUnasked | V::UpgradeNotAllowed => Self::HttpUpgradeFailed,
            V::ResponseMissing => Self::ConnectionTerminated,
            V::ResponseIncomplete => Self::HttpResponseIncomplete,
            V::ControlByte
            | V::BareCr
            | V::BareLf
            | V::ObsFold
            | V::WhiteSpaceBeforeColon
            | V::NoColon
            | V::InvalidFieldName
            | V::RequestLineMalformed
            | V::StatusLineMalformed
            | V::VersionUnsupported
            | V::ConnectUnsupported
            | V::HeadMalformed
            | V::NoHost
            | V::ManyHosts
            | V::ContentLengthAndTransferEncoding
            | V::ContentLengthMalformed
            | V::ContentLengthsDiffer
            | V::ContentLengthForbidden
            | V::TransferEncodingNotChunkedLast
            | V::TransferEncodingInHttp10
            | V::TransferEncodingForbidden
            | V::TooManyInterimResponses
            | V::UnsolicitedBytes => Self::HttpProtocolError,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_among_all() {
        assert!(Side::ALL.iter().enumerate().all(|(place, side)| side.index() == place));
        assert!(Reason::ALL.iter().enumerate().all(|(place, reason)| reason.index() == place));
    }
}

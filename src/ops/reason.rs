//! Why an exchange or a connection ended badly, in one word: the same in the log, the access log and the metrics.
//!
//! The words are proxy error types of RFC 9209 §2.3, where it has one; which of our rules was broken is a detail beside them.

use strum::{Display, IntoStaticStr, VariantArray};

use crate::http1::Violation;

/// Whose side it was on.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Side {
    /// The client's.
    Client,
    /// The origin's.
    Origin,
    /// Ours: the proxy is ending.
    Proxy,
}

/// A proxy error type of RFC 9209 §2.3. Words of one side may be used of the other: the side stands beside it.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The name could not be resolved.
    DnsError,
    /// The origin could not be dialled, for another reason than the next ones.
    DestinationUnavailable,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection was closed or reset.
    ConnectionTerminated,
    /// It could not be dialled in time.
    ConnectionTimeout,
    /// Nothing was taken for too long.
    ConnectionWriteTimeout,
    /// The request is malformed, incomplete or late.
    HttpRequestError,
    /// The response was cut.
    HttpResponseIncomplete,
    /// Its head is too long or has too many lines.
    HttpResponseHeaderSectionSize,
    /// Its chunks are malformed.
    HttpResponseTransferCoding,
    /// It did not come in time.
    HttpResponseTimeout,
    /// It upgrades the connection otherwise than it may.
    HttpUpgradeFailed,
    /// It breaks another rule.
    HttpProtocolError,
    /// All places for clients are taken.
    ConnectionLimitReached,
    /// All memory for clients is taken. RFC 9209 has no word for this, nor for the next one.
    MemoryLimitReached,
    /// The preamble of the PROXY protocol is missing or malformed.
    PreambleRefused,
}

/// What was a client that gave way to another, in the order in which they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum GaveWay {
    /// It had its last byte, and had not closed.
    Lingering,
    /// It had ended, and the origin had not.
    Ended,
    /// It had completed no request.
    NoRequest,
    /// It was idle.
    Idle,
    /// It held the largest unfinished head when all memory for clients was taken. Only here a request is refused.
    Memory,
}

impl GaveWay {
    pub(crate) const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

impl Side {
    pub(crate) const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What can go wrong on that side.
    pub(crate) fn reasons(self) -> &'static [Reason] {
        match self {
            Self::Client => &[
                Reason::HttpRequestError,
                Reason::ConnectionTerminated,
                Reason::ConnectionWriteTimeout,
                Reason::PreambleRefused,
            ],
            Self::Origin => &[
                Reason::ConnectionRefused,
                Reason::ConnectionTimeout,
                Reason::DnsError,
                Reason::DestinationUnavailable,
                Reason::ConnectionTerminated,
                Reason::HttpResponseIncomplete,
                Reason::HttpResponseTimeout,
                Reason::ConnectionWriteTimeout,
                Reason::HttpResponseHeaderSectionSize,
                Reason::HttpUpgradeFailed,
                Reason::HttpResponseTransferCoding,
                Reason::HttpProtocolError,
            ],
            Self::Proxy => &[Reason::ConnectionLimitReached, Reason::MemoryLimitReached, Reason::ConnectionTerminated],
        }
    }
}

impl Reason {
    pub(crate) const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
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
            | V::TlsHandshake
            | V::ProxyPreamble
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
            | V::MethodCase
            | V::NoHost
            | V::ManyHosts
            | V::InvalidHost
            | V::UnderscoreInName
            | V::ConnectionNamesFraming
            | V::ContentLengthAndTransferEncoding
            | V::ContentLengthMalformed
            | V::ContentLengthsDiffer
            | V::ContentLengthRepeated
            | V::TransferEncodingMalformed
            | V::TransferEncodingUnsupported
            | V::TransferEncodingInHttp10
            | V::TrailerNotAllowed
            | V::TooManyInterimResponses
            | V::UnsolicitedBytes => Self::HttpProtocolError,
        }
    }
}

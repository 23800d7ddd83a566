//! What the two directions of an exchange share about its request.

use strum::{IntoStaticStr, VariantArray};

use super::upgrade::Protocols;

/// The versions of HTTP that are relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// A request's method, as far as anything depends on it (RFC 9110 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Connect,
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
    /// CONNECT or HEAD except for case: servers that fold the case do not answer it as others do.
    Miscased,
    Other,
}

impl Method {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"CONNECT" => Self::Connect,
            b"DELETE" => Self::Delete,
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" => Self::Options,
            b"PATCH" => Self::Patch,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"TRACE" => Self::Trace,
            _ if name.eq_ignore_ascii_case(b"HEAD") || name.eq_ignore_ascii_case(b"CONNECT") => Self::Miscased,
            _ => Self::Other,
        }
    }

    /// RFC 9110 §9.2.2.
    pub(super) fn is_idempotent(self) -> bool {
        matches!(self, Self::Delete | Self::Get | Self::Head | Self::Options | Self::Put | Self::Trace)
    }
}

/// What a response must know of its request, and what is known of both once they are over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) has_body: bool,
    /// What its `Upgrade` lines name of what went on, if there are any.
    pub(super) upgrade: Option<Protocols>,
    /// Whether its body waits for a 100 (RFC 9110 §10.1.1).
    pub(super) wants_continue: bool,
    /// Whether the client's connection ends with the response: it means to send no more (RFC 9112 §9.3), or the response says so.
    pub(super) closes: bool,
    /// The first mark by which the exchange is not plain.
    pub(super) mark: Option<Mark>,
}

impl Asked {
    /// Records a mark; the first counts.
    pub(super) fn mark(&mut self, mark: Option<Mark>) {
        self.mark = self.mark.or(mark);
    }
}

/// How much of a request has been judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Its head, and no byte of the body that follows.
    Head,
    Part,
    Whole,
}

/// Why an exchange is not plain: the first reason, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Mark {
    /// The operator wants nothing to follow it ([`Reuse`](super::Reuse)).
    Reuse,
    /// An HTTP/1.0 request.
    #[strum(serialize = "http_1_0")]
    Http10,
    /// A method that is not GET, POST, PUT, PATCH, DELETE or OPTIONS.
    Method,
    /// A body where few have one, or a Transfer-Encoding that is not `chunked` to the letter.
    Body,
    /// A chunk extension.
    ChunkExtension,
    /// A trailer section with lines.
    TrailerSection,
    /// An `Expect` line.
    Expect,
    /// An `Upgrade` line.
    Upgrade,
    /// A `Trailer` line.
    Trailer,
    /// A `TE` line that says more than `trailers`.
    Te,
    /// A line that has some frameworks take another method.
    MethodOverride,
    /// A connection option other than keep-alive.
    Connection,
    /// A head longer than others take.
    HeadSize,
    /// An HTTP/1.0 response.
    #[strum(serialize = "response_http_1_0")]
    ResponseHttp10,
    /// A final response before the complete request was in.
    Early,
    /// A status other than 2xx to a request with a body, which may not have been read.
    Status,
    /// A 304 that names a length or a coding.
    NotModified,
    /// A response that was mended.
    Mended,
}

impl Mark {
    /// All of them.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// The mark as one word of a metric.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

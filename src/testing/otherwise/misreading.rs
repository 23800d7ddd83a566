//! In what an origin reads requests otherwise than RFC 9112 does, and what is promised of it all the same.

use super::letters::Line;
use crate::http1::Reuse;

/// How an origin reads requests otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misreading {
    /// The method's case does not matter.
    FoldsMethod,
    /// A method override is honoured.
    Override,
    /// A coding that is not `chunked` to the letter is none.
    ExactChunked,
    /// Of two lengths, the first counts.
    FirstLength,
    /// Of two lengths, the last counts.
    LastLength,
    /// A length goes before a coding.
    LengthBeforeCoding,
    /// Of a length, the digits count that it begins with.
    Atoi,
    /// Names with `_` are names with `-`.
    Underscore,
    /// What `Connection` names is not there.
    ConnectionStrips,
    /// `TE: chunked` is `Transfer-Encoding: chunked`.
    TeIsCoding,
    /// A chunk line with an extension has no size, so it is the last.
    ExtensionHidesSize,
    /// Behind the last chunk comes the next request.
    TrailersAreRequest,
    /// An empty line is a request.
    EmptyLineIsRequest,
    /// A head ends behind 8 KiB or 64 lines.
    ShortHead,
    /// Bodies of HTTP/1.0 are left unread.
    UnreadOld,
    /// Bodies of methods but POST, PUT and PATCH are left unread.
    UnreadOdd,
    /// Bodies of requests with `Expect` are left unread.
    UnreadExpect,
    /// Bodies of requests with `Upgrade` are left unread.
    UnreadUpgrade,
    /// Bodies of requests that are refused are left unread.
    UnreadRefused,
    /// All bodies are left unread.
    Unread,
    /// Whatever protocol is offered, it is switched to.
    Switches,
    /// Requests that are not plain are answered once more, late.
    OddTwice,
    /// Behind answers that are not plain comes more, late.
    OddAnswerTwice,
    /// A length that begins with a zero is octal.
    Octal,
    /// A length that stands twice is none.
    TwoLengthsAreNone,
}

impl Misreading {
    /// All of them, with their letters.
    pub const ALL: [(u8, Self); 25] = [
        (b'a', Self::FoldsMethod),
        (b'b', Self::Override),
        (b'c', Self::ExactChunked),
        (b'd', Self::FirstLength),
        (b'e', Self::LastLength),
        (b'f', Self::LengthBeforeCoding),
        (b'g', Self::Atoi),
        (b'h', Self::Underscore),
        (b'i', Self::ConnectionStrips),
        (b'j', Self::TeIsCoding),
        (b'k', Self::ExtensionHidesSize),
        (b'l', Self::TrailersAreRequest),
        (b'm', Self::EmptyLineIsRequest),
        (b'n', Self::ShortHead),
        (b'o', Self::UnreadOld),
        (b'p', Self::UnreadOdd),
        (b'q', Self::UnreadExpect),
        (b'r', Self::UnreadUpgrade),
        (b's', Self::UnreadRefused),
        (b't', Self::Unread),
        (b'u', Self::Switches),
        (b'v', Self::OddTwice),
        (b'w', Self::OddAnswerTwice),
        (b'x', Self::Octal),
        (b'y', Self::TwoLengthsAreNone),
    ];

    /// Tells whether a line of letters has an origin misread so.
    pub(super) fn is_in(self, line: &Line) -> bool {
        Self::ALL.iter().any(|(letter, misreading)| *misreading == self && line.has(*letter))
    }

    /// Tells whether no response may reach another request though an origin misreads so: it concerns only what is not plain.
    pub(super) fn is_promised(self, reuse: Reuse) -> bool {
        match self {
            // An upload that was answered by 2xx is plain.
            Self::Unread => reuse != Reuse::Plain,
            Self::FoldsMethod
            | Self::Override
            | Self::ExactChunked
            | Self::FirstLength
            | Self::LastLength
            | Self::LengthBeforeCoding
            | Self::Atoi
            | Self::Underscore
            | Self::ConnectionStrips
            | Self::TeIsCoding
            | Self::ExtensionHidesSize
            | Self::TrailersAreRequest
            | Self::EmptyLineIsRequest
            | Self::ShortHead
            | Self::UnreadOld
            | Self::UnreadOdd
            | Self::UnreadExpect
            | Self::UnreadUpgrade
            | Self::UnreadRefused
            | Self::Switches
            | Self::OddTwice
            | Self::OddAnswerTwice
            | Self::Octal
            | Self::TwoLengthsAreNone => true,
        }
    }
}

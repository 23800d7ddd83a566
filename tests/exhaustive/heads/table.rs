//! The grammar of heads and trailer sections as a table, written from RFC 9112 §2 to §5 and RFC 9110 §5. What is not of the RFCs says so.

use self::By::{Gentler, Rfc, Stricter};
use self::On::{Any, Digit, Is, NotZero, Space, Tchar};
use self::Place::{
    BadGap, BadLine, BadName, BadValue, Code, CodeEnd, CodeSecond, CodeThird, DotOne, DotOther, FieldStart, Fold,
    Known, Major, Method, MethodStart, MinorOne, MinorOther, Name, NameGap, Protocol, Reason, SpacedValue, Target,
    TargetStart, Unknown, Value,
};
use self::Who::{Both, Requests, Responses};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Request,
    Response,
    /// With a bare LF as a line end.
    LooseResponse,
    RequestTrailer,
    ResponseTrailer,
}

/// Where in a line a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    MethodStart,
    Method,
    TargetStart,
    Target,
    /// In `HTTP/`, of which so many bytes were read.
    Protocol(usize),
    Major,
    DotOne,
    DotOther,
    MinorOne,
    MinorOther,
    /// Behind `HTTP/1.0` or `HTTP/1.1`.
    Known,
    /// Behind another version.
    Unknown,
    Code,
    CodeSecond,
    CodeThird,
    CodeEnd,
    Reason,
    /// In a start-line that is none.
    BadLine,
    FieldStart,
    Name,
    NameGap,
    /// In what is no name.
    BadName,
    BadGap,
    Value,
    /// In the value of a field whose name had white space behind it.
    SpacedValue,
    /// In the value of a field whose name is none.
    BadValue,
    /// In a line that began with white space.
    Fold,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum On {
    Is(u8),
    Digit,
    NotZero,
    /// SP / HTAB.
    Space,
    Tchar,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Both,
    Requests,
    Responses,
}

/// Whence a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rfc,
    Stricter,
    Gentler,
}

/// The first row that fits counts. CR and LF are not here; see the reader.
#[rustfmt::skip]
pub(super) const TABLE: &[(Place, On, Place, Who, By)] = &[
    // request-line = method SP request-target SP HTTP-version; method = token
    (MethodStart, Tchar, Method, Both, Rfc),
    (MethodStart, Any, BadLine, Both, Rfc),
    (Method, Tchar, Method, Both, Rfc),
    (Method, Is(b' '), TargetStart, Both, Rfc),
    (Method, Any, BadLine, Both, Rfc),
    // The RFC has a URI's bytes here. What is not white space is relayed as it came: servers do not agree on which they take.
    (TargetStart, Space, BadLine, Both, Rfc),
    (TargetStart, Any, Target, Both, Gentler),
    (Target, Is(b' '), Protocol(0), Both, Rfc),
    (Target, Space, BadLine, Both, Rfc),
    (Target, Any, Target, Both, Gentler),
    // HTTP-version = HTTP-name "/" DIGIT "." DIGIT; HTTP-name = %s"HTTP"
    (Protocol(0), Is(b'H'), Protocol(1), Both, Rfc),
    (Protocol(1), Is(b'T'), Protocol(2), Both, Rfc),
    (Protocol(2), Is(b'T'), Protocol(3), Both, Rfc),
    (Protocol(3), Is(b'P'), Protocol(4), Both, Rfc),
    (Protocol(4), Is(b'/'), Major, Both, Rfc),
    (Protocol(0), Any, BadLine, Both, Rfc),
    (Protocol(1), Any, BadLine, Both, Rfc),
    (Protocol(2), Any, BadLine, Both, Rfc),
    (Protocol(3), Any, BadLine, Both, Rfc),
    (Protocol(4), Any, BadLine, Both, Rfc),
    (Major, Is(b'1'), DotOne, Both, Rfc),
    (Major, Digit, DotOther, Both, Rfc),
    (Major, Any, BadLine, Both, Rfc),
    (DotOne, Is(b'.'), MinorOne, Both, Rfc),
    (DotOne, Any, BadLine, Both, Rfc),
    (DotOther, Is(b'.'), MinorOther, Both, Rfc),
    (DotOther, Any, BadLine, Both, Rfc),
    (MinorOne, Is(b'0'), Known, Both, Rfc),
    (MinorOne, Is(b'1'), Known, Both, Rfc),
    // The RFC would have HTTP/1.2 taken for HTTP/1.1.
    (MinorOne, Digit, Unknown, Both, Stricter),
    (MinorOne, Any, BadLine, Both, Rfc),
    (MinorOther, Digit, Unknown, Both, Rfc),
    (MinorOther, Any, BadLine, Both, Rfc),
    (Known, Any, BadLine, Requests, Rfc),
    (Unknown, Any, BadLine, Requests, Rfc),
    // status-line = HTTP-version SP status-code SP [ reason-phrase ]; status-code = 3DIGIT, of which the first is 1 to 9
    (Known, Is(b' '), Code, Responses, Rfc),
    (Known, Any, BadLine, Responses, Rfc),
    (Unknown, Any, Unknown, Responses, Rfc),
    (Code, NotZero, CodeSecond, Responses, Rfc),
    (Code, Any, BadLine, Responses, Rfc),
    (CodeSecond, Digit, CodeThird, Responses, Rfc),
    (CodeSecond, Any, BadLine, Responses, Rfc),
    (CodeThird, Digit, CodeEnd, Responses, Rfc),
    (CodeThird, Any, BadLine, Responses, Rfc),
    (CodeEnd, Is(b' '), Reason, Responses, Rfc),
    (CodeEnd, Any, BadLine, Responses, Rfc),
    (Reason, Any, Reason, Responses, Rfc),
    (BadLine, Any, BadLine, Both, Rfc),
    // field-line = field-name ":" OWS field-value OWS; field-name = token
    (FieldStart, Space, Fold, Both, Rfc),
    (FieldStart, Tchar, Name, Both, Rfc),
    (FieldStart, Is(b':'), BadValue, Both, Rfc),
    (FieldStart, Any, BadName, Both, Rfc),
    (Name, Tchar, Name, Both, Rfc),
    (Name, Is(b':'), Value, Both, Rfc),
    (Name, Space, NameGap, Both, Rfc),
    (Name, Any, BadName, Both, Rfc),
    (NameGap, Space, NameGap, Both, Rfc),
    (NameGap, Is(b':'), SpacedValue, Both, Rfc),
    (NameGap, Any, BadName, Both, Rfc),
    (BadName, Is(b':'), BadValue, Both, Rfc),
    (BadName, Space, BadGap, Both, Rfc),
    (BadName, Any, BadName, Both, Rfc),
    (BadGap, Space, BadGap, Both, Rfc),
    (BadGap, Is(b':'), SpacedValue, Requests, Rfc),
    (BadGap, Is(b':'), BadValue, Responses, Rfc),
    (BadGap, Any, BadName, Both, Rfc),
    (Value, Any, Value, Both, Rfc),
    (SpacedValue, Any, SpacedValue, Both, Rfc),
    (BadValue, Any, BadValue, Both, Rfc),
    (Fold, Any, Fold, Both, Rfc),
];

/// What a line is that ends at a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    Sound,
    /// It has to be a continuation that can be mended.
    Folded,
    /// The empty line.
    Last,
    Breaks(&'static str),
}

use self::Line::{Breaks, Folded, Last, Sound};

#[rustfmt::skip]
pub(super) const ENDS: &[(Place, Line, Who, By)] = &[
    (Known, Sound, Requests, Rfc),
    (Unknown, Breaks("version_unsupported"), Both, Rfc),
    // The RFC wants a space before an empty reason. It is often left out.
    (CodeEnd, Sound, Responses, Gentler),
    (Reason, Sound, Responses, Rfc),
    (FieldStart, Last, Both, Rfc),
    (Name, Breaks("no_colon"), Both, Rfc),
    (NameGap, Breaks("no_colon"), Both, Rfc),
    (BadName, Breaks("no_colon"), Both, Rfc),
    (BadGap, Breaks("no_colon"), Both, Rfc),
    (Value, Sound, Both, Rfc),
    // RFC 9112 §5.1: a server refuses a request, a proxy removes it from a response.
    (SpacedValue, Breaks("white_space_before_colon"), Requests, Rfc),
    (SpacedValue, Sound, Responses, Rfc),
    (BadValue, Breaks("invalid_field_name"), Both, Rfc),
    // RFC 9112 §5.2: a server refuses a request or mends it, a proxy mends a response.
    (Fold, Breaks("obs_fold"), Requests, Rfc),
    (Fold, Folded, Responses, Rfc),
];

impl Form {
    pub(super) fn is_request(self) -> bool {
        matches!(self, Self::Request | Self::RequestTrailer)
    }

    pub(super) fn is(self, who: Who) -> bool {
        who == Both || (who == Requests) == self.is_request()
    }

    pub(super) fn start(self) -> Place {
        match self {
            Self::Request => MethodStart,
            Self::Response | Self::LooseResponse => Protocol(0),
            Self::RequestTrailer | Self::ResponseTrailer => FieldStart,
        }
    }
}

impl On {
    pub(super) fn holds(self, byte: u8) -> bool {
        match self {
            Is(other) => byte == other,
            Digit => byte.is_ascii_digit(),
            NotZero => matches!(byte, b'1'..=b'9'),
            Space => matches!(byte, b' ' | b'\t'),
            // RFC 9110 §5.6.2.
            Tchar => byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte),
            Any => true,
        }
    }
}

//! The length of a message body: RFC 9112 §6.3, and the fields that it depends on.
//!
//! [`Fields`] collects every line of the framing and connection fields, each list member by itself.
//! [`request_framing`] refuses a request that anybody could read differently; [`response_framing`] delimits a response as everybody would, and
//! says which of its lines must go so that nobody reads it differently.

use super::MAX_LENGTH;
use super::error::Violation;
use super::message::{Mark, Method, Version};
use super::names::{Name, is_host, is_token, members, trimmed};
use super::upgrade::{Protocols, Upgrades};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    /// 0 < length ≤ [`MAX_LENGTH`].
    Length(u64),
    Chunked,
    UntilClose,
    Tunnel,
}

/// Which framing lines of a response must go, so that nobody frames it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surplus {
    None,
    /// All of Content-Length and Transfer-Encoding: there is no body.
    Both,
    /// All of Content-Length, and the lines that say `chunked` again.
    Lengths,
    /// What repeats a length.
    Repeats,
}

/// What the fields of one head say of framing, connection and what else sets a request apart.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that a head says or does not")]
pub(super) struct Fields {
    /// `Host` lines.
    hosts: u32,
    has_invalid_host: bool,
    /// What `Upgrade` lines name.
    pub(super) upgrade: Option<Protocols>,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    /// Whether `Connection` names what goes with an offer to upgrade.
    pub(super) has_options_of_offer: bool,
    /// Whether it names anything but that and keep-alive.
    pub(super) has_other_options: bool,
    pub(super) content_length: ContentLength,
    pub(super) transfer_encoding: TransferEncoding,
    pub(super) wants_continue: bool,
    /// The first mark, in their order, that a line other than those above makes.
    pub(super) mark: Option<Mark>,
    /// Whether `Connection` names a field that must reach the origin.
    connection_names_framing: bool,
    /// Whether a framing field is spelt with an underscore.
    has_underscore: bool,
}

/// What all Content-Length lines say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentLength {
    said: Length,
    /// What the first number was, if it was one.
    length: u64,
    /// Whether there was more than one list member, over all lines.
    is_repeated: bool,
    /// Whether a number begins with a zero that means nothing.
    has_leading_zero: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Agree,
    Differ,
    Malformed,
}

/// What all Transfer-Encoding lines say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TransferEncoding {
    codings: Codings,
    /// Whether a coding other than `chunked` was named.
    has_others: bool,
    /// Whether a line said `chunked` and nothing else where that was the last coding already: it changes nothing.
    has_repeats: bool,
    /// Whether the last line is `chunked` in lower case, behind one space or none, with nothing after it.
    pub(super) is_exact: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Codings {
    #[default]
    Absent,
    /// Some, of which none is `chunked`.
    Others,
    /// Exactly one `chunked`, and the last.
    ChunkedLast,
    /// `chunked` twice in a line, or not last.
    Misplaced,
    /// An empty member, or one that is not a token.
    Malformed,
}

impl Fields {
    /// Records one field line.
    pub(super) fn see(&mut self, upgrades: &Upgrades, name: Name, value: &[u8]) {
        match name {
            Name::Other | Name::Http2Settings => {}
            Name::Host => {
                self.hosts += 1;
                self.has_invalid_host |= !is_host(trimmed(value));
            }
            Name::Connection => members(value).for_each(|option| self.see_option(option)),
            Name::ContentLength => self.content_length.see(value),
            Name::TransferEncoding => drop(self.transfer_encoding.see(value)),
            Name::Upgrade => {
                let protocols = self.upgrade.get_or_insert_default();
                members(value).for_each(|member| protocols.add(upgrades, member));
            }
            Name::Expect => {
                self.mark(Mark::Expect);
                self.wants_continue |= members(value).any(|member| member.eq_ignore_ascii_case(b"100-continue"));
            }
            Name::Trailer => self.mark(Mark::Trailer),
            Name::Te if trimmed(value).eq_ignore_ascii_case(b"trailers") => {}
            Name::Te => self.mark(Mark::Te),
            Name::MethodOverride => self.mark(Mark::MethodOverride),
            Name::Underscored => self.has_underscore = true,
        }
    }

    fn mark(&mut self, mark: Mark) {
        self.mark = Some(self.mark.map_or(mark, |first| first.min(mark)));
    }

    fn see_option(&mut self, option: &[u8]) {
        if option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if is_of_offer(option) {
            self.has_options_of_offer = true;
        } else if !option.is_empty() {
            self.has_other_options = true;
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.connection_names_framing |=
                matches!(Name::of(option), Name::ContentLength | Name::TransferEncoding | Name::Host);
        }
    }

    /// Returns whether the connection persists after this message (RFC 9112 §9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

impl ContentLength {
    pub(super) fn is_absent(self) -> bool {
        self.said == Length::Absent
    }

    fn see(&mut self, value: &[u8]) {
        let value = trimmed(value);
        match decimal(value) {
            // As nearly all are.
            length @ Some(_) => self.add(value, length),
            None => members(value).for_each(|member| self.add(member, decimal(member))),
        }
    }

    fn add(&mut self, member: &[u8], length: Option<u64>) {
        self.is_repeated = !self.is_absent();
        self.has_leading_zero |= member.len() > 1 && member.starts_with(b"0");
        self.said = match (self.said, length) {
            (Length::Malformed, _) | (_, None) => Length::Malformed,
            (Length::Absent, Some(length)) => {
                self.length = length;
                Length::Agree
            }
            (Length::Agree, Some(length)) if length == self.length => Length::Agree,
            (Length::Agree | Length::Differ, Some(_)) => Length::Differ,
        }
    }
}

impl TransferEncoding {
    pub(super) fn is_absent(self) -> bool {
        self.codings == Codings::Absent
    }

    /// Records one line. Returns whether it changes nothing.
    pub(super) fn see(&mut self, value: &[u8]) -> bool {
        self.is_exact = matches!(value, b" chunked" | b"chunked");
        let value = trimmed(value);
        let is_repeat = self.codings == Codings::ChunkedLast && value.eq_ignore_ascii_case(b"chunked");
        if is_repeat {
            self.has_repeats = true;
        } else {
            members(value).for_each(|coding| self.add(coding));
        }
        is_repeat
    }

    fn add(&mut self, coding: &[u8]) {
        let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        self.has_others |= !is_chunked;
        self.codings = match self.codings {
            // Registered codings have no parameters, and an empty member is a known way to make two parsers disagree.
            _ if !is_token(coding) => Codings::Malformed,
            Codings::Absent | Codings::Others if is_chunked => Codings::ChunkedLast,
            Codings::Absent | Codings::Others => Codings::Others,
            Codings::ChunkedLast | Codings::Misplaced => Codings::Misplaced,
            Codings::Malformed => Codings::Malformed,
        }
    }
}

/// Returns whether a connection option goes with an offer to upgrade.
pub(super) fn is_of_offer(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade") || option.eq_ignore_ascii_case(b"http2-settings")
}

/// The body of a request (RFC 9112 §6.3, items 3 to 7), if no server could frame it differently.
pub(super) fn request_framing(version: Version, fields: &Fields) -> Result<Framing, Violation> {
    if fields.has_underscore {
        return Err(Violation::UnderscoreInName);
    }
    match fields.hosts {
        0 if version == Version::Http11 => return Err(Violation::NoHost),
        0 | 1 if !fields.has_invalid_host => {}
        0 | 1 => return Err(Violation::InvalidHost),
        _ => return Err(Violation::ManyHosts),
    }
    if fields.connection_names_framing {
        return Err(Violation::ConnectionNamesFraming);
    }
    let (length, coding) = (fields.content_length, fields.transfer_encoding);
    if !coding.is_absent() {
        return if !length.is_absent() {
            Err(Violation::ContentLengthAndTransferEncoding)
        } else if version == Version::Http10 {
            Err(Violation::TransferEncodingInHttp10)
        } else if coding.codings == Codings::Malformed {
            Err(Violation::TransferEncodingMalformed)
        } else if coding.has_others {
            Err(Violation::TransferEncodingUnsupported)
        } else if coding.codings == Codings::ChunkedLast && !coding.has_repeats {
            Ok(Framing::Chunked)
        } else {
            Err(Violation::TransferEncodingMalformed)
        };
    }
    match length.said {
        _ if length.is_repeated => Err(Violation::ContentLengthRepeated),
        Length::Absent => Ok(Framing::Empty),
        Length::Agree if !length.has_leading_zero => Ok(of_length(length.length)),
        Length::Agree | Length::Differ | Length::Malformed => Err(Violation::ContentLengthMalformed),
    }
}

/// The body of a response (RFC 9112 §6.3, all items; 2 is not met, since CONNECT is refused), and which of its lines must go.
pub(super) fn response_framing(
    method: Method,
    version: Version,
    status: u16,
    fields: &Fields,
) -> Result<(Framing, Surplus), Violation> {
    let (length, coding) = (fields.content_length, fields.transfer_encoding);
    // Item 1. RFC 9110 §8.6, RFC 9112 §6.1: neither field is allowed in a 1xx or a 204.
    if matches!(status, 100..=199 | 204) {
        let framing = if status == 101 { Framing::Tunnel } else { Framing::Empty };
        let is_clean = length.is_absent() && coding.is_absent();
        return Ok((framing, if is_clean { Surplus::None } else { Surplus::Both }));
    }
    if method == Method::Head || status == 304 {
        return Ok((Framing::Empty, Surplus::None));
    }
    // Items 3 and 4.
    if !coding.is_absent() {
        let framing = match coding.codings {
            _ if version == Version::Http10 => return Err(Violation::TransferEncodingInHttp10),
            Codings::ChunkedLast => Framing::Chunked,
            Codings::Others => Framing::UntilClose,
            Codings::Absent | Codings::Misplaced | Codings::Malformed => {
                return Err(Violation::TransferEncodingMalformed);
            }
        };
        let is_clean = length.is_absent() && !coding.has_repeats;
        return Ok((framing, if is_clean { Surplus::None } else { Surplus::Lengths }));
    }
    // Items 5, 6 and 8.
    let surplus = if length.is_repeated { Surplus::Repeats } else { Surplus::None };
    match length.said {
        Length::Absent => Ok((Framing::UntilClose, surplus)),
        Length::Agree => Ok((of_length(length.length), surplus)),
        Length::Differ => Err(Violation::ContentLengthsDiffer),
        Length::Malformed => Err(Violation::ContentLengthMalformed),
    }
}

fn of_length(length: u64) -> Framing {
    if length == 0 { Framing::Empty } else { Framing::Length(length) }
}

/// `1*DIGIT` up to [`MAX_LENGTH`].
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit).filter(|value| *value <= MAX_LENGTH)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.see(&Upgrades::default(), Name::of(name.as_bytes()), value.as_bytes());
        }
        fields
    }

    fn request(lines: &[(&str, &str)]) -> Result<Framing, Violation> {
        request_framing(Version::Http11, &fields(&[&[("Host", "a")], lines].concat()))
    }

    fn response(lines: &[(&str, &str)]) -> Result<(Framing, Surplus), Violation> {
        response_framing(Method::Get, Version::Http11, 200, &fields(lines))
    }

    #[test]
    fn a_content_length_is_digits_up_to_2_to_the_63_less_1() {
        let clean = |framing| Ok((framing, Surplus::None));
        let malformed = Violation::ContentLengthMalformed;
        for (value, of_request, of_response) in [
            ("0", Ok(Framing::Empty), clean(Framing::Empty)),
            ("5", Ok(Framing::Length(5)), clean(Framing::Length(5))),
            ("05", Err(malformed), clean(Framing::Length(5))),
            ("00", Err(malformed), clean(Framing::Empty)),
            ("9223372036854775807", Ok(Framing::Length(MAX_LENGTH)), clean(Framing::Length(MAX_LENGTH))),
            ("9223372036854775808", Err(malformed), Err(malformed)),
            ("18446744073709551617", Err(malformed), Err(malformed)),
            ("5,05", Err(Violation::ContentLengthRepeated), Ok((Framing::Length(5), Surplus::Repeats))),
            ("5, 6", Err(Violation::ContentLengthRepeated), Err(Violation::ContentLengthsDiffer)),
            ("5, 6, x", Err(Violation::ContentLengthRepeated), Err(malformed)),
        ] {
            assert_eq!(request(&[("Content-Length", value)]), of_request, "{value:?}");
            assert_eq!(response(&[("Content-Length", value)]), of_response, "{value:?}");
        }
        for value in ["", "+5", "-5", "5 5", "0x5", "5;", "5.", "\u{665}"] {
            assert_eq!(request(&[("content-length", value)]), Err(malformed), "{value:?}");
            assert_eq!(response(&[("content-length", value)]), Err(malformed), "{value:?}");
        }
    }

    #[test]
    fn the_first_mark_counts_wherever_its_line_stands() {
        for (lines, mark) in [
            (&[("TE", "trailers")][..], None),
            (&[("X-HTTP-Method", "PUT"), ("TE", "gzip"), ("Trailer", "a"), ("Expect", "a")], Some(Mark::Expect)),
            (&[("Trailer", "a"), ("TE", "gzip"), ("X-HTTP-Method", "PUT")], Some(Mark::Trailer)),
        ] {
            assert_eq!(fields(lines).mark, mark, "{lines:?}");
        }
    }

    #[test]
    fn a_request_says_chunked_and_nothing_else() {
        for value in ["chunked", "Chunked", " chunked\t"] {
            assert_eq!(request(&[("Transfer-Encoding", value)]), Ok(Framing::Chunked), "{value:?}");
        }
        for value in ["gzip", "gzip, chunked", "chunked, gzip", "notchunked", "identity"] {
            let found = request(&[("transfer-encoding", value)]);
            assert_eq!(found, Err(Violation::TransferEncodingUnsupported), "{value:?}");
        }
        for value in ["", "chunked, chunked", "chunked;a", ",chunked", "chunked,", "\"chunked\"", "gzip, ,chunked"] {
            let found = request(&[("transfer-encoding", value)]);
            assert_eq!(found, Err(Violation::TransferEncodingMalformed), "{value:?}");
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(request(&twice), Err(Violation::TransferEncodingMalformed));
        assert_eq!(response(&twice), Ok((Framing::Chunked, Surplus::Lengths)));
    }

    #[test]
    fn what_servers_read_otherwise_is_no_framing() {
        let found = |lines| request_framing(Version::Http11, &fields(lines));
        assert_eq!(found(&[]), Err(Violation::NoHost));
        assert_eq!(request_framing(Version::Http10, &fields(&[])), Ok(Framing::Empty));
        assert_eq!(found(&[("host", "a"), ("Host", "a")]), Err(Violation::ManyHosts));
        assert_eq!(found(&[("host", "a b")]), Err(Violation::InvalidHost));
        assert_eq!(request(&[("Content_Length", "0")]), Err(Violation::UnderscoreInName));
        assert_eq!(request(&[("Connection", "close, Host")]), Err(Violation::ConnectionNamesFraming));
    }

    #[test]
    fn a_response_is_chunked_if_that_is_last_and_until_close_without() {
        for (value, expected) in [
            ("gzip, chunked", Ok(Framing::Chunked)),
            ("gzip", Ok(Framing::UntilClose)),
            ("chunked, gzip", Err(Violation::TransferEncodingMalformed)),
            ("chunked, chunked", Err(Violation::TransferEncodingMalformed)),
            ("chunked;a", Err(Violation::TransferEncodingMalformed)),
        ] {
            let found = response(&[("transfer-encoding", value)]);
            assert_eq!(found, expected.map(|framing| (framing, Surplus::None)), "{value:?}");
            let found = response(&[("transfer-encoding", value), ("content-length", "x")]);
            assert_eq!(found, expected.map(|framing| (framing, Surplus::Lengths)), "{value:?}");
        }
    }

    #[test]
    fn a_head_response_is_empty_whatever_its_fields_say() {
        let respond = |status, lines| response_framing(Method::Head, Version::Http11, status, &fields(lines));
        for lines in [&[("content-length", "5, 6")], &[("transfer-encoding", "x y")]] {
            assert_eq!(respond(200, lines), Ok((Framing::Empty, Surplus::None)));
            assert_eq!(respond(304, lines), Ok((Framing::Empty, Surplus::None)));
            assert_eq!(respond(204, lines), Ok((Framing::Empty, Surplus::Both)));
            assert_eq!(respond(101, lines), Ok((Framing::Tunnel, Surplus::Both)));
        }
    }
}

//! The differences between an oracle and headsnip that are accepted, each with the reason.
//!
//! All are refusals of what headsnip sends on as it is, but for three of HTTP/1.0, of whether the connection lives on, and one of a target of which an oracle
//! does not tell all. In none do both find other bytes in a message, or another end of it. A row that no input needs any more fails the test.

use crate::message::Kind;
use crate::reader::Oracle;

/// A difference that is accepted.
struct Accepted {
    oracle: Oracle,
    kind: Kind,
    /// How it begins, one way or another: the oracle's error, or what the check says.
    differences: &'static [&'static str],
    /// Why headsnip need not do otherwise.
    reason: &'static str,
    /// Whether that reason is there: in the message, in what was asked, in what follows.
    applies: fn(&Bytes<'_>) -> bool,
}

/// The bytes in which an oracle finds a difference.
pub(crate) struct Bytes<'a> {
    /// What a response answers: the method.
    pub(crate) asked: &'a str,
    /// The message, and what follows it.
    pub(crate) message: &'a [u8],
}

const ACCEPTED: &[Accepted] = &[
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Request,
        differences: &["HPE_INVALID_METHOD"],
        reason: "it knows a list of methods; RFC 9110 §9.1 leaves the list open",
        applies: |bytes| !USUAL_METHODS.contains(&bytes.word(0)),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Request,
        differences: &["HPE_INVALID_URL"],
        reason: "it wants targets in ASCII and of certain forms; the origin is to judge them",
        applies: |bytes| !bytes.word(1).starts_with(b"/") || !bytes.word(1).is_ascii(),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Request,
        differences: &["illegal request line"],
        reason: "it wants targets in ASCII; the origin is to judge them",
        applies: |bytes| !bytes.word(1).is_ascii(),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Request,
        differences: &["HPE_INVALID_CONTENT_LENGTH", "HPE_INVALID_TRANSFER_ENCODING"],
        reason: "it takes no tab around these values; RFC 9110 §5.6.3 does",
        applies: |bytes| bytes.has(b":\t") && bytes.has(b" \t\r\n"),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Request,
        differences: &["HPE_STRICT Invalid character in chunk extensions", "HPE_INVALID_CHUNK_SIZE"],
        reason: "it takes no white space within the extensions of a chunk; RFC 9112 §7.1.1 does, and such a request is alone",
        applies: |bytes| bytes.has_spaced_extension(),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Request,
        differences: &["illegal chunk header"],
        reason: "it takes no white space before the extension of a chunk; RFC 9112 §7.1.1 does, and such a request is alone",
        applies: |bytes| bytes.has_spaced_extension(),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Response,
        differences: &["HPE_STRICT Invalid character in chunk extensions", "HPE_INVALID_CHUNK_SIZE"],
        reason: "it takes no white space in the line of a chunk; servers send spaces behind its size, and no reader takes another number",
        applies: |bytes| bytes.has_spaced_chunk(),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Response,
        differences: &["illegal chunk header"],
        reason: "it takes no white space before the extension of a chunk; RFC 9112 §7.1.1 does",
        applies: |bytes| bytes.has_spaced_chunk(),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Response,
        differences: &[
            "Only Transfer-Encoding: chunked is supported",
            "by itself, Only Transfer-Encoding: chunked is supported",
        ],
        reason: "of other codings, it is told where they end all the same (RFC 9112 §6.3)",
        applies: |bytes| bytes.has_other_codings(),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Response,
        differences: &["HPE_CR_EXPECTED"],
        reason: "it takes no bare LF behind a status-line; with --allow-bare-lf an operator has said that the clients do",
        applies: |bytes| bytes.message.split(|byte| *byte == b'\n').next().is_some_and(|line| !line.ends_with(b"\r")),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Response,
        differences: &["the client does not go on behind HTTP/1.0"],
        reason: "it keeps no HTTP/1.0 connection alive; others do where both sides say so",
        applies: |bytes| bytes.says("http/1.0 ") && bytes.says("keep-alive"),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Response,
        differences: &["the client is not told that its connection closes"],
        reason: "of `keep-alive` and `close` in HTTP/1.0 it takes the first; RFC 9112 §9.3 the second",
        applies: |bytes| bytes.says("http/1.0 ") && bytes.says("keep-alive, close"),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Response,
        differences: &["HPE_CLOSED_CONNECTION"],
        reason: "it takes no final response behind a 1xx that says `close`, or is of HTTP/1.0",
        applies: |bytes| bytes.message.starts_with(b"HTTP/1.1 1") || bytes.message.starts_with(b"HTTP/1.0 1"),
    },
    Accepted {
        oracle: Oracle::Llhttp,
        kind: Kind::Response,
        differences: &["HPE_INVALID_CONTENT_LENGTH", "HPE_INVALID_TRANSFER_ENCODING", "HPE_UNEXPECTED_CONTENT_LENGTH"],
        reason: "it judges lengths that mean nothing: of a response to HEAD, of a 304, in a trailer section",
        applies: |bytes| bytes.has_idle_length(),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Response,
        differences: &["bad Content-Length"],
        reason: "it takes 20 digits; RFC 9110 §8.6 any number, which zeros may lead",
        applies: |bytes| bytes.has(b"Content-Length: 00000000000000000000"),
    },
    Accepted {
        oracle: Oracle::H11,
        kind: Kind::Response,
        differences: &[
            "bad Content-Length",
            "conflicting Content-Length headers",
            "multiple Transfer-Encoding headers",
        ],
        reason: "it judges lengths and codings that mean nothing: of a response to HEAD, of a 304, in a trailer section",
        applies: |bytes| bytes.has_idle_length(),
    },
    Accepted {
        oracle: Oracle::Hyper,
        kind: Kind::Request,
        differences: &["invalid URI"],
        reason: "it wants targets in UTF-8, of certain forms and characters; the origin is to judge them",
        applies: |bytes| {
            let target = bytes.word(1);
            !target.starts_with(b"/")
                || str::from_utf8(target).is_err()
                || target.iter().any(|byte| b"<>`".contains(byte))
        },
    },
    Accepted {
        oracle: Oracle::Hyper,
        kind: Kind::Request,
        differences: &["the start differs"],
        reason: "it drops what is behind `#` in a target; the origin is to judge it",
        applies: |bytes| bytes.word(1).contains(&b'#'),
    },
    Accepted {
        oracle: Oracle::Hyper,
        kind: Kind::Response,
        differences: &["the client does not go on behind HTTP/1.0"],
        reason: "it overlooks the options of a Connection line with a byte over 127; RFC 9110 §5.5 lets such bytes be there",
        applies: |bytes| bytes.says("http/1.0 ") && bytes.says("keep-alive") && bytes.has_odd_connection(),
    },
];

/// Methods that every server knows.
const USUAL_METHODS: [&[u8]; 8] = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"];

impl<'a> Bytes<'a> {
    /// A word of the start-line.
    fn word(&self, place: usize) -> &'a [u8] {
        self.message.split(|byte| *byte == b' ').nth(place).unwrap_or_default()
    }

    fn has(&self, bytes: &[u8]) -> bool {
        place(self.message, bytes).is_some()
    }

    /// Tells whether a line of chunk extensions has white space.
    fn has_spaced_extension(&self) -> bool {
        self.chunk_lines().any(|line| line.contains(&b';') && line.iter().any(u8::is_ascii_whitespace))
    }

    /// Tells whether the line of a chunk has white space.
    fn has_spaced_chunk(&self) -> bool {
        self.chunk_lines().any(|line| line.iter().any(u8::is_ascii_whitespace))
    }

    /// Lines that begin as that of a chunk.
    fn chunk_lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.message.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.filter(|line| {
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            digits > 0 && line.get(digits).is_none_or(|byte| b"; \t".contains(byte))
        })
    }

    /// Tells whether the response has no body whatever its fields say, or there is a length behind its body.
    fn has_idle_length(&self) -> bool {
        let response = self.final_response();
        let trailer = place(response, b"\r\n0\r\n").map_or(&[][..], |last| &response[last..]);
        let is_behind = !self.says("content-length:") && place(trailer, b"Content-Length:").is_some();
        self.asked == "HEAD" || response.get(9..12) == Some(b"304") || is_behind
    }

    /// Tells whether a Connection line is not ASCII.
    fn has_odd_connection(&self) -> bool {
        self.final_head().lines().any(|line| line.starts_with("connection:") && !line.is_ascii())
    }

    /// Tells whether a coding other than `chunked` is named.
    fn has_other_codings(&self) -> bool {
        let head = self.final_head();
        let codings = head.lines().filter_map(|line| line.strip_prefix("transfer-encoding:"));
        codings.flat_map(|line| line.split(',')).any(|coding| coding.trim() != "chunked")
    }

    /// Tells whether the final head says that, in any case.
    fn says(&self, words: &str) -> bool {
        self.final_head().contains(words)
    }

    /// The final head in lower case.
    fn final_head(&self) -> String {
        let response = self.final_response();
        let end = place(response, b"\r\n\r\n").unwrap_or(response.len());
        String::from_utf8_lossy(&response[..end]).to_lowercase()
    }

    /// What is behind the 1xx.
    fn final_response(&self) -> &'a [u8] {
        let mut rest = self.message;
        while let (Some(b'1'), Some(end)) = (rest.get(9), place(rest, b"\r\n\r\n")) {
            rest = &rest[end + 4..];
        }
        rest
    }
}

fn place(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// What was compared with an oracle, and which of the accepted differences were found.
pub(crate) struct Differences {
    oracle: Oracle,
    requests: usize,
    responses: usize,
    found: Vec<usize>,
}

impl Differences {
    pub(crate) fn new(oracle: Oracle) -> Self {
        Self { oracle, requests: 0, responses: 0, found: vec![0; ACCEPTED.len()] }
    }

    /// Counts a comparison; what differs must be accepted.
    pub(crate) fn settle(&mut self, kind: Kind, checked: Result<(), String>, bytes: &Bytes<'_>) -> Result<(), String> {
        match kind {
            Kind::Request => self.requests += 1,
            Kind::Response => self.responses += 1,
        }
        let Err(difference) = checked else { return Ok(()) };
        let is_it = |row: &Accepted| {
            let begins = row.differences.iter().any(|beginning| difference.starts_with(beginning));
            begins && (row.oracle, row.kind) == (self.oracle, kind) && (row.applies)(bytes)
        };
        let row = ACCEPTED.iter().position(is_it).ok_or(difference)?;
        self.found[row] += 1;
        Ok(())
    }

    /// How many requests and responses were compared.
    pub(crate) fn compared(&self) -> (usize, usize) {
        (self.requests, self.responses)
    }

    /// How often each was found. One that was not is no more needed.
    pub(crate) fn found(&self) -> Result<String, String> {
        let mut lines = String::new();
        for (row, count) in ACCEPTED.iter().zip(&self.found).filter(|(row, _)| row.oracle == self.oracle) {
            let line = format!("{count:>6} {:?}, {}: {}\n", row.kind, row.differences.join(", "), row.reason);
            if *count == 0 {
                return Err(format!("accepted, and not found: {line}"));
            }
            lines.push_str(&line);
        }
        Ok(lines)
    }
}

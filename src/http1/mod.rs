//! The protocol core: a judge of bytes.
//!
//! Shown the bytes that were read from a peer and are still pending, it says what to do with the first of them, by a
//! [`Verdict`]. It holds no bytes, builds no output, owns no socket, clock or lock, and never waits. A head or a trailer section is
//! judged as a whole, with all its edits at once: the output is a subsequence of the input. The only additions are a line that says
//! that the connection closes, and lines that the operator asks for.
//!
//! Three rules make every property of it easy to state:
//!
//! - Bytes before a bad byte are judged before the error is returned.
//! - A limit is a position in the stream, not what happens to be buffered.
//! - Output and error are the same however the input was cut (invariant 3).
//!
//! The owner of the connections keeps the pending bytes of each direction, and does what the verdicts say:
//!
//! ```
//! use headsnip::http1::{Direction, Edits, Ending, Exchange, Fault, OriginEnd, Policy, Run, Status, Verdict, Violation};
//!
//! /// Moves what may be forwarded from `shown` to `output`. The rest is undecided: it is shown again when more was
//! /// read, or the other direction has moved.
//! fn relay(
//!     exchange: &mut Exchange<'_>,
//!     direction: Direction,
//!     shown: &mut Vec<u8>,
//!     output: &mut Vec<u8>,
//! ) -> Result<(), Fault> {
//!     let mut edits = Edits::default();
//!     loop {
//!         match exchange.judge(direction, shown, &mut edits)? {
//!             Verdict::NeedMore | Verdict::Wait => return Ok(()),
//!             Verdict::Head(n) => {
//!                 edits.write(&shown[..n.get()], output);
//!                 shown.drain(..n.get());
//!             }
//!             Verdict::Keep(n) => output.extend(shown.drain(..n.get())),
//!             Verdict::Withhold(n) => drop(shown.drain(..n.get())),
//!             // Part of a body. An owner of sockets may move it from one to the other without looking at it.
//!             Verdict::Pass(run) => {
//!                 let count = match run {
//!                     Run::Exactly(n) => shown.len().min(usize::try_from(n.get()).unwrap_or(usize::MAX)),
//!                     Run::UntilEof => shown.len(),
//!                 };
//!                 if count == 0 {
//!                     return Ok(());
//!                 }
//!                 output.extend(shown.drain(..count));
//!                 exchange.passed(direction, u64::try_from(count).unwrap_or(u64::MAX));
//!             }
//!         }
//!     }
//! }
//!
//! let policy = Policy::default();
//! let mut exchange = Exchange::new(&policy);
//!
//! // A request is forwarded unchanged. It must be shown before the response, which cannot be delimited without it.
//! let (mut inbound, mut to_origin) = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Vec::new());
//! relay(&mut exchange, Direction::Inbound, &mut inbound, &mut to_origin)?;
//! assert_eq!(to_origin, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
//!
//! // Denied lines of a response are not, wherever a read ends.
//! let (mut outbound, mut to_client) = (Vec::new(), Vec::new());
//! for read in ["HTTP/1.1 200 OK\r\nSer", "ver: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi", "\r\n0\r\nServer: a\r\n\r\n"] {
//!     outbound.extend_from_slice(read.as_bytes());
//!     relay(&mut exchange, Direction::Outbound, &mut outbound, &mut to_client)?;
//! }
//! assert_eq!(to_client, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
//!
//! // The exchange was plain: the next request may use the same connection. Otherwise there is a mark, and the connection ends here.
//! assert_eq!(exchange.spent(), None);
//! exchange.response_end(OriginEnd::Fin)?;
//!
//! // A request that two parsers could read differently is not forwarded at all.
//! let mut inbound = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
//! let fault = relay(&mut exchange, Direction::Inbound, &mut inbound, &mut to_origin).expect_err("two lengths");
//! assert_eq!(fault.violation, Violation::ContentLengthAndTransferEncoding);
//! assert_eq!(fault.ending, Ending::Reply(Status::BadRequest));
//! # Ok::<(), Fault>(())
//! ```
//!
//! Where things are decided: [`exchange`] joins the directions, `request` and `response` follow one each, `alone` decides what may follow on an
//! origin connection, `head` reads heads and `scan` their grammar, `mend`, `forwarded`, [`added`] and [`edits`] decide what of them is forwarded, `framing` how a
//! body is delimited, `chunked` walks the chunked coding, [`denylist`] names what is withheld, and [`error`] the rules that can be broken.

pub mod added;
mod alone;
mod chunked;
pub mod denylist;
pub mod edits;
pub mod error;
pub mod exchange;
mod forwarded;
mod framing;
mod head;
mod lines;
pub mod log_fields;
mod mend;
mod message;
mod names;
mod request;
mod response;
mod scan;
pub mod trailers;
mod upgrade;

use std::num::{NonZeroU64, NonZeroUsize};

pub use added::AddedLines;
pub use denylist::{Denylist, RequestDenylist};
pub use edits::{Edits, Mended};
pub use error::{Ending, Fault, SettingError, Status, Violation};
pub use exchange::{Exchange, OriginEnd};
pub use log_fields::LogFields;
pub use message::Mark;
pub use trailers::RequestTrailers;
pub use upgrade::{MAX_UPGRADES, Upgrades};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the origin.
    Inbound,
    /// From the origin to the client.
    Outbound,
}

/// What the owner of the sockets must do with the next bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Undecided: read at least one more byte, show all pending bytes and ask again.
    NeedMore,
    /// Undecided until the other direction moves, or the origin's connection was let go: a request after one that is not answered. Keep the
    /// bytes, and show them again after each verdict on, or end of, the other direction.
    Wait,
    /// The first n bytes shown are a head, or a trailer section with the line before it: the edits say what of it is forwarded.
    Head(NonZeroUsize),
    /// The first n bytes shown are forwarded unchanged.
    Keep(NonZeroUsize),
    /// The first n bytes shown are empty lines before a start-line: they are not forwarded.
    Withhold(NonZeroUsize),
    /// Bytes that need no inspection: move up to that many, by any means, and report how many by `passed`.
    Pass(Run),
}

/// How far bytes need no inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// That many bytes, then ask again.
    Exactly(NonZeroU64),
    /// All bytes until the sender ends.
    UntilEof,
}

/// The core's settings: what to withhold, what to let pass, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// The field names that do not pass in responses.
    pub denylist: Denylist,
    /// Those that do not pass in requests.
    pub request_denylist: RequestDenylist,
    /// Lines that are added to final response heads without a line of that name.
    pub added: AddedLines,
    /// Whether requests name the client, where its address [is known](Exchange::set_client).
    pub forwarded_for: bool,
    /// Whether denied lines are only counted.
    pub dry_run: bool,
    /// The protocols that a 101 may switch to.
    pub upgrades: Upgrades,
    /// The longest head or trailer section in bytes; 0 < `max_head` ≤ [`MAX_HEAD_CEILING`].
    pub max_head: usize,
    /// The most field lines of a head or trailer section; 0 < `max_fields` ≤ [`MAX_FIELDS_CEILING`].
    pub max_fields: usize,
    /// Whether a bare LF ends a line of a response head.
    pub allow_bare_lf: bool,
    /// The lines that a request's trailer section may have.
    pub request_trailers: RequestTrailers,
    /// Which requests may follow another on an origin connection.
    pub reuse: Reuse,
}

/// Which requests may follow another on an origin connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Those after a plain exchange.
    #[default]
    Plain,
    /// Those after a plain exchange whose request had no body: for servers that leave on the connection what their application did
    /// not read of one.
    Bodyless,
    /// None.
    Never,
}

impl Default for Policy {
    /// That of the command line: `Server` and `X-Powered-By`, `websocket`, 64 KiB, 256 lines.
    fn default() -> Self {
        Self {
            denylist: Denylist::default(),
            request_denylist: RequestDenylist::default(),
            added: AddedLines::default(),
            forwarded_for: false,
            dry_run: false,
            upgrades: Upgrades::default(),
            max_head: 64 * 1024,
            max_fields: 256,
            allow_bare_lf: false,
            request_trailers: RequestTrailers::default(),
            reuse: Reuse::default(),
        }
    }
}

impl Policy {
    /// The most bytes by which a head of that direction grows: an owner that edits in place keeps that much room before it.
    #[must_use]
    pub fn most_added(&self, direction: Direction) -> usize {
        match direction {
            Direction::Inbound if self.forwarded_for => forwarded::MOST_ADDED,
            Direction::Inbound => 0,
            Direction::Outbound => edits::CLOSE_LINE.len() + self.added.bytes().len(),
        }
    }
}

/// The ceiling of [`Policy::max_head`] in bytes: a connection may hold that much for each direction, and positions
/// within a head are kept in 32 bits.
pub const MAX_HEAD_CEILING: usize = 1024 * 1024;

/// The ceiling of [`Policy::max_fields`]: as many as fit the longest head, some 16 bytes each.
pub const MAX_FIELDS_CEILING: usize = 65_535;

/// 1xx responses to one request. One each second for an hour must fit; an endless row must not.
pub const MAX_INTERIM: u16 = 4096;

/// Bytes of the 1xx responses to one request: 256 for each of so many.
pub const MAX_INTERIM_BYTES: u32 = 1024 * 1024;

/// Bytes of the extensions of one chunk. Known uses are signatures of about 100 bytes; all chunks of a body pass
/// through one at a time, so the limit bounds the time spent on a line and no memory.
pub const MAX_CHUNK_EXTENSION: u16 = 4096;

/// Bytes of a request that are held until the first byte of its response, so that it can be sent again. What is
/// read at once is held whole; longer requests are uploads.
pub const MAX_REPLAY: usize = 64 * 1024;

/// The greatest length of a message body: others keep it in a signed 64-bit integer.
pub const MAX_LENGTH: u64 = i64::MAX.unsigned_abs();

impl Verdict {
    /// `Head` for a section, which is never empty.
    fn head(length: usize) -> Self {
        NonZeroUsize::new(length).map_or(Self::NeedMore, Self::Head)
    }
}

/// `Keep` for bytes counted by a scanner. None: more must be read.
fn keep(count: usize) -> Verdict {
    NonZeroUsize::new(count).map_or(Verdict::NeedMore, Verdict::Keep)
}

/// `Pass` for the bytes left of a body, which are never none.
fn pass(left: u64) -> Verdict {
    NonZeroU64::new(left).map_or(Verdict::NeedMore, |left| Verdict::Pass(Run::Exactly(left)))
}

/// What becomes of empty lines before a start-line (RFC 9112 §2.2). `None`: there are none.
fn empty_lines(shown: &[u8]) -> Option<Verdict> {
    if shown.first() != Some(&b'\r') {
        return None;
    }
    match NonZeroUsize::new(count_empty_lines(shown)) {
        Some(count) => Some(Verdict::Withhold(count)),
        None => (shown.len() == 1).then_some(Verdict::NeedMore),
    }
}

/// Bytes of the empty lines that these begin with.
fn count_empty_lines(shown: &[u8]) -> usize {
    shown.chunks(2).take_while(|pair| pair == b"\r\n").count() * 2
}

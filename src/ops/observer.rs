//! Whom a proxy tells of what happens: events with their parts, as they come.
//!
//! [`Log`](super::Log) writes lines about them. A program that embeds a proxy may do so too, or whatever else it likes.

use std::fmt::{self, Arguments};

use super::access::Record;
use super::reason::{Reason, Side};
use crate::http1::{Direction, Ending, LogFields, Mended};
use crate::net::Peer;

/// Whoever is told of what happens: a [`Log`](super::Log), a closure, or `()`, which lets it be.
pub trait Observer: Send + Sync {
    /// Takes note of an event. It is called on the threads that serve clients, which wait until it returns.
    fn observe(&self, event: Event<'_>);
}

/// Something that happened. As text, it is the message of its line in the log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An exchange or a connection ended badly.
    BadEnd {
        /// Whose it was.
        client: Peer,
        /// The side at fault.
        side: Side,
        /// Why.
        reason: Reason,
        /// The rule that was broken, or what the kernel said.
        detail: Arguments<'a>,
        /// What became of the client.
        ending: Ending,
    },
    /// A part of a message was withheld because readers differ on it.
    Mended {
        /// Whose exchange it was.
        client: Peer,
        /// By which rule.
        rule: Mended,
    },
    /// A dry run left a line in place that would be removed.
    WouldRemove {
        /// Inbound: of a request.
        direction: Direction,
        /// The line as it came, without its end.
        line: &'a [u8],
        /// What denies it: an entry of the denylist.
        entry: &'a str,
    },
    /// An exchange is over; told of only where the configuration asks for the access log.
    Exchange {
        /// Whose it was.
        client: Peer,
        /// What came of it.
        record: &'a Record,
        /// Which of the request's fields the record has.
        fields: &'a LogFields,
    },
    /// Why the process ends that serves no longer, or never did.
    Error(Arguments<'a>),
    /// What the operator should look into.
    Warning(Arguments<'a>),
    /// What the operator may like to know.
    Notice(Arguments<'a>),
}

impl Observer for () {
    fn observe(&self, _: Event<'_>) {}
}

impl<F: Fn(Event<'_>) + Send + Sync> Observer for F {
    fn observe(&self, event: Event<'_>) {
        self(event);
    }
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadEnd { client, side, reason, detail, ending } => {
                write!(formatter, "client {client}: {side} {reason}: {detail} ({ending})")
            }
            Self::Mended { client, rule } => write!(formatter, "client {client}: mended: {}", rule.name()),
            Self::WouldRemove { direction, line, entry } => {
                // A quotation mark of the line's own must not end the quotation.
                let line = line.escape_ascii();
                let of = if direction == Direction::Inbound { " from requests" } else { "" };
                write!(formatter, "dry run: would remove \"{line}\"{of}, denied by {entry}")
            }
            Self::Exchange { client, record: Record { method, target, status, .. }, .. } => {
                write!(formatter, "client {client}: {method} {target}: {}", status.unwrap_or_default())
            }
            Self::Error(text) | Self::Warning(text) | Self::Notice(text) => formatter.write_fmt(text),
        }
    }
}

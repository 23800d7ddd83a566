//! The way to a server: a connection, or TLS on one.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "https")]
use super::secure::{Secure, Tls};
use super::target::Target;
use crate::net::address::Address;
use crate::ops::client::Connection;

/// Bytes that are read at a time.
const ROOM: usize = 16 * 1024;

/// How each connection is made.
pub(super) struct Way<'a> {
    address: &'a Address,
    #[cfg(feature = "https")]
    tls: Option<Tls>,
}

/// A connection that was made so.
pub(super) enum Conversation {
    Plain(Connection),
    #[cfg(feature = "https")]
    Secure(Box<Secure>),
}

impl<'a> Way<'a> {
    #[cfg_attr(not(feature = "https"), expect(clippy::unnecessary_wraps, reason = "only TLS can fail here"))]
    pub(super) fn to(target: &'a Target) -> Result<Self, String> {
        Ok(Self {
            address: &target.address,
            #[cfg(feature = "https")]
            tls: if target.is_secure { Some(Tls::to(&target.address)?) } else { None },
        })
    }

    /// All that is said must be said within the time limit.
    pub(super) fn open(&self, limit: Duration) -> io::Result<Conversation> {
        let connection = Connection::open(self.address, limit)?;
        #[cfg(feature = "https")]
        if let Some(tls) = &self.tls {
            return tls.on(connection).map(|secure| Conversation::Secure(Box::new(secure)));
        }
        Ok(Conversation::Plain(connection))
    }
}

impl Conversation {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(connection) => connection.write_all(bytes),
            #[cfg(feature = "https")]
            Self::Secure(secure) => secure.write_all(bytes).and_then(|()| secure.flush()),
        }
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut room = vec![0; ROOM];
        let count = match self {
            Self::Plain(connection) => connection.read(&mut room)?,
            #[cfg(feature = "https")]
            Self::Secure(secure) => match secure.read(&mut room) {
                // Many close without the word of TLS for it. Where a body needs none to end, it makes no difference.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read?,
            },
        };
        room.truncate(count);
        Ok(room)
    }

    /// The same, within a shorter time.
    pub(super) fn read_within(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        let end = self.connection().end();
        self.connection().set_end(end.min(Instant::now() + limit));
        let read = self.read();
        self.connection().set_end(end);
        read
    }

    fn connection(&mut self) -> &mut Connection {
        match self {
            Self::Plain(connection) => connection,
            #[cfg(feature = "https")]
            Self::Secure(secure) => &mut secure.sock,
        }
    }
}

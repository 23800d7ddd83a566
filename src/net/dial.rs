//! Connects to the origin.

use std::io;

use tokio::net::{TcpStream, UnixStream};

use super::address::Address;
use super::stream::Stream;

/// Connects, trying every address of a name in order. A name is resolved at each call, off this thread.
pub(crate) async fn dial(address: &Address) -> io::Result<Stream> {
    match address {
        Address::Tcp { host, port } => Ok(Stream::tcp(TcpStream::connect((&**host, *port)).await?)),
        Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
    }
}

//! The kernel's side: addresses, listeners, connections. Knows no HTTP.

pub mod address;
pub(crate) mod cgroup;
pub(crate) mod departure;
pub(crate) mod descriptors;
pub(crate) mod dial;
pub(crate) mod listener;
pub mod networks;
pub(crate) mod passed;
pub(crate) mod pipe;
pub mod preamble;
mod resolve;
pub mod socket_file;
pub(crate) mod stream;
pub(crate) mod unsent;

pub use self::stream::Peer;

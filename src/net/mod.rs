//! The kernel's side: addresses, listeners, connections. Knows no HTTP.

pub mod address;
pub(crate) mod dial;
pub(crate) mod listener;
pub(crate) mod stream;

//! What an operator sees.

pub(crate) mod access;
pub(crate) mod admin;
mod client;
pub(crate) mod counters;
#[doc(hidden)]
pub mod healthcheck;
pub mod log;
pub(crate) mod metrics;
#[doc(hidden)]
pub mod probe;
pub(crate) mod reason;
#[doc(hidden)]
pub mod signals;
pub(crate) mod trouble;

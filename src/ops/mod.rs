//! What an operator sees.

pub(crate) mod access;
pub(crate) mod admin;
#[cfg(feature = "cli")]
mod client;
pub(crate) mod counters;
#[doc(hidden)]
pub mod health;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod healthcheck;
pub mod log;
pub(crate) mod metrics;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod probe;
mod process;
pub(crate) mod reason;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod signals;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod supervisor;
pub(crate) mod trouble;

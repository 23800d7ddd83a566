//! What an operator sees: events, exchanges and counters.

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
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod observer;
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

pub use self::access::{Failure, Record};
pub use self::log::{Format, Log};
pub use self::observer::{Event, Observer};
pub use self::reason::{Reason, Side};

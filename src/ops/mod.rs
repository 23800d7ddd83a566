//! What an operator sees.

pub mod log;
pub(crate) mod reason;

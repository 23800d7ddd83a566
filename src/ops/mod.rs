//! What an operator sees.

pub(crate) mod log;

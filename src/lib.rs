//! headsnip
pub mod config;
pub mod http1;
pub mod net;
mod ops;
pub mod proxy;
#[doc(hidden)]
pub mod testing;

//! The real session over connections that are only memory, in every kind of trouble.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::session::session(input));

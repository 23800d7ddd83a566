//! Origins that read requests otherwise than RFC 9112 does, behind the real session.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::otherwise::origin(input));

//! A preamble of the PROXY protocol, against the model and within a session.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::preamble::preamble(input));

//! An origin, any bytes, to requests of all kinds.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::property::response(input));

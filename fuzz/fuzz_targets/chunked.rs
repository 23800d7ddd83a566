//! The chunked coding, both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::property::chunked(input));

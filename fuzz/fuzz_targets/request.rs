//! A client, any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::property::request(input));

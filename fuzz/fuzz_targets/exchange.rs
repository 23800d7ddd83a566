//! Both directions of a connection, any bytes, any cuts, any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::property::exchange(input));

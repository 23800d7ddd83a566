//! What an operator has removed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::operator::denylist(input));

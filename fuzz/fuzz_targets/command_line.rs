//! Flags and variables.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::operator::command_line(input));

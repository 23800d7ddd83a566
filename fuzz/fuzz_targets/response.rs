//! An origin, any bytes, to requests of all kinds.
#![no_main]

use headsnip::testing::generate::{self, Target};

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::property::response(input));

libfuzzer_sys::fuzz_mutator!(|room: &mut [u8], size: usize, most: usize, seed: u32| {
    let changed = generate::mutate(Target::Response, &mut room[..most], size, seed.into());
    changed.unwrap_or_else(|| libfuzzer_sys::fuzzer_mutate(room, size, most))
});

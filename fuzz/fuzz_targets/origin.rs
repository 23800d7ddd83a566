//! Origins that read requests otherwise than RFC 9112 does, behind the real session.
#![no_main]

use headsnip::testing::generate::{self, Target};

libfuzzer_sys::fuzz_target!(|input: &[u8]| headsnip::testing::otherwise::origin(input));

libfuzzer_sys::fuzz_mutator!(|room: &mut [u8], size: usize, most: usize, seed: u32| {
    let changed = generate::mutate(Target::Origin, &mut room[..most], size, seed.into());
    changed.unwrap_or_else(|| libfuzzer_sys::fuzzer_mutate(room, size, most))
});

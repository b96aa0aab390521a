//! Fuzz target: reads bytes as connect tokens, both the public and the private part.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::tokens(data));

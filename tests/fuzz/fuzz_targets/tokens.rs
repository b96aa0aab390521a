//! Connect tokens, public and private part.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::tokens(data));

//! Fuzz target: decodes bytes as typed messages and components.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::messages(data));

//! Typed messages and components, to the registry.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::messages(data));

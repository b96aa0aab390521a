//! Fuzz target: gives payloads that an authenticated peer has sealed to a worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::payloads(data));

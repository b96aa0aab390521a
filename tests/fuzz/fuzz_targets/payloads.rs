//! Payloads that an authenticated peer seals, to a worker.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::payloads(data));

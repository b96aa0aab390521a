//! Checkpoints, to the world that reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::checkpoints(data));

//! Fuzz target: loads bytes as a checkpoint into a world.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::checkpoints(data));

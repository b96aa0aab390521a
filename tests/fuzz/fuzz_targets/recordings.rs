//! Fuzz target: replays bytes as a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::recordings(data));

//! Recordings, to their replay.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::recordings(data));

//! Recordings, to the server that replays them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::recordings(data));

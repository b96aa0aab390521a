//! Snapshot packets in a row, to a client's mirror.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::snapshots(data));

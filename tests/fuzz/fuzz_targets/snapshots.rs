//! Fuzz target: applies snapshot packets to a client's mirror, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::snapshots(data));

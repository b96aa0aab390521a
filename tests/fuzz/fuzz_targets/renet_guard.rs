//! Fuzz target: gives reliable packets to the guard, and the packets that the guard accepts to renet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::renet_guard(data));

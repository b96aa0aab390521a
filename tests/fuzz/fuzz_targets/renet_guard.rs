//! Reliable packets, to the guard and the renet behind it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::renet_guard(data));

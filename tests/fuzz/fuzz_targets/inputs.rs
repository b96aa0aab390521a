//! Fuzz target: decodes bytes as input packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::inputs(data));

//! Fuzz target: gives datagrams of unknown senders to a worker and to a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throng_tests::fuzzing::datagrams(data));

//! Throng's behaviour tests, one linked binary: a folder or file per feature.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod attacks;
mod balance;
mod comeback;
mod feel;
mod fuzz_corpus;
mod hostile;
mod inputs;
mod interop;
mod mirror;
mod pilots;
mod players;
mod process;
mod returning;
mod routes;
mod sessions;
mod silence;
mod stalls;
mod test_server;
mod tidy;
mod workers;

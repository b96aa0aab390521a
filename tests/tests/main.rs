//! Throng's behaviour tests, one linked binary: a folder or file per feature.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod balance;
mod door;
mod feel;
mod fuzz_corpus;
mod hostile;
mod inputs;
mod interop;
mod mirror;
mod pilots;
mod players;
mod process;
mod routes;
mod sessions;
mod siege;
mod tidy;
mod workers;

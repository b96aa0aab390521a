//! Throng's behaviour tests, one linked binary: a folder or file per feature.

mod fuzz_corpus;
mod hostile;
mod interop;
mod mirror;
mod process;
mod sessions;
mod tidy;

//! Throng's behaviour tests, one linked binary: a folder or file per feature.

mod fuzz_corpus;

mod process;
mod tidy;

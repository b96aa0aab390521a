//! Throng's behaviour tests, one linked binary: a folder or file per feature.

mod tidy;

//! Throng's headless, server-authoritative game server as a library.

pub mod config;
pub mod frame;
pub mod gateway;
pub mod net;
pub mod observe;
pub mod runner;
pub mod schedule;
pub mod space;

//! Throng's headless, server-authoritative game server as a library.

pub mod boundary;
pub mod config;
pub mod http;
pub mod input;
pub mod net;
pub mod observe;
pub mod persist;
pub mod plugins;
pub mod prelude;
pub mod process;
pub mod record;
pub mod replication;
pub mod runner;
pub mod schedule;
pub mod simulation;
pub mod simulations;
pub mod space;
#[cfg(test)]
mod tests;
pub mod transport;

pub use plugins::ServerPlugins;

//! The server as a process: builds its parts from a configuration, starts, watches and stops them.
//!
//! | thread | does |
//! |---|---|
//! | main | the first simulation, one tick after the other |
//! | `sim-N` | one of the other simulations each |
//! | `net-N` | one net worker each; none when workers run inline |
//! | `http` | the HTTP server |
//! | `signals` | waits for ctrl-c, SIGTERM and SIGHUP |
//! | `log` | writes the log to standard error, so that no other thread waits for it |
//! | `summary` | logs a line every ten seconds while there are clients |
//!
//! Owns the order of starting (everything that can fail first, ticks last) and of stopping: new clients are
//! refused, the last tick ends, the workers disconnect their clients, HTTP ends. It is independent of what the
//! parts do.

mod banner;
mod error;
mod game;
mod line_writer;
mod log_filter;
mod output;
mod peer_simulations;
mod record_file;
mod replay;
mod serve;
mod server;
mod signals;
#[cfg(test)]
mod stats_page;
mod stderr_log;
mod summary;
mod time_origin;

pub use banner::{Banner, Thousands};
pub use error::ServerError;
pub use game::{Game, NoSettings};
pub use replay::{replay_file, replay_game};
pub use serve::{log_to_stderr, serve, serve_game};
pub use server::Server;

pub use crate::http::HttpError;
pub use crate::net::socket::SocketError;
pub use crate::transport::TransportError;

//! Sockets, sessions and workers: everything between a datagram and the simulation's queues.
//!
//! In the order of the data: [`socket`] opens, [`batched`] and [`portable`] move datagrams, `worker` loops,
//! [`core`] keeps the sessions, [`link`] meets the simulation. [`assign`] chooses the worker of a new
//! connection; [`directory`] knows who serves what; [`plugin`] puts it all into a Bevy app.

pub mod assign;
#[cfg(target_os = "linux")]
pub mod batched;
pub mod claims;
pub mod core;
pub mod directory;
mod io;
pub mod link;
mod pace;
pub mod plugin;
pub mod portable;
pub mod socket;
pub mod stats;
#[cfg(target_os = "linux")]
mod syscalls;
pub mod takeover;
pub mod transmit;
mod wait;
mod worker;

pub use plugin::{NeighbourTransport, Routes, ThrongRenetPlugin, Transport, TransportConfig, TransportError};

#[cfg(test)]
mod io_tests;

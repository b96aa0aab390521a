//! Sockets, sessions and workers: everything between a datagram and the simulation's queues.

pub mod assign;
#[cfg(target_os = "linux")]
pub mod batched;
pub mod claims;
pub mod directory;
pub mod link;
pub mod portable;
pub mod socket;
#[cfg(target_os = "linux")]
mod syscalls;
pub mod transmit;

#[cfg(test)]
mod io_tests;

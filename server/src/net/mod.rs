//! Sockets, sessions and workers: everything between a datagram and the simulation's queues.
//!
//! In the order in which data passes them: [`socket`] opens sockets, [`batched`] and [`portable`] move datagrams,
//! `worker` runs the loop, [`core`] keeps the sessions. [`places`] bounds sessions and unused tokens and ends an older
//! session of the same client, and [`assign`] chooses the worker of a new connection. Does not know the ECS: a worker exchanges values with a
//! simulation through the [link](crate::boundary::link), and [`transport`](crate::transport) adds the workers to a
//! Bevy app.

pub(crate) mod assign;
#[cfg(target_os = "linux")]
pub(crate) mod batched;
pub(crate) mod core;
mod io;
mod pace;
pub(crate) mod places;
pub(crate) mod portable;
pub(crate) mod socket;
pub(crate) mod stats;
#[cfg(target_os = "linux")]
mod syscalls;
pub(crate) mod transmit;
pub(crate) mod wait;
pub(crate) mod worker;

#[cfg(test)]
mod io_tests;

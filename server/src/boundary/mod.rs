//! The values that cross between the simulation and the net workers.
//!
//! Owns the [`frame`] and its history, the [`link`] of bounded queues between a worker and a simulation, the
//! [`claims`] that a session brings, and the [`directory`] of sessions and owned entities. Guarantees that both
//! halves of the process meet here and nowhere else: the network's half imports this stage and knows no ECS, the
//! simulation's half imports it and knows no worker. Refuses sockets, clocks and ECS systems.

pub mod claims;
pub mod directory;
pub mod frame;
pub mod link;

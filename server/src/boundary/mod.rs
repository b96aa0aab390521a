//! The values that cross between the simulation and the net workers.
//!
//! Owns the [`frame`] and its history, the [`link`] of bounded queues between a worker and a simulation, the
//! [`claims`] in a session's connect token with the rules for players' names, and the directory of sessions and owned entities. Guarantees that
//! the two halves of the process meet only here: the network half imports this stage and does not know the ECS, and
//! the simulation half imports it and does not know workers. Contains no sockets, clocks or ECS systems.

pub(crate) mod address_group;
pub mod claims;
pub(crate) mod directory;
pub mod frame;
pub mod link;
mod name_rules;

//! Replication to one client: interest, known set, baselines, priority, budget and packing.
//!
//! Owns everything that a net worker keeps about a session's snapshot stream. Guarantees, per call
//! of [`ClientReplication::write`] with the newest frames:
//! - the client is sent only what its player's view and the components' visibility allow;
//! - it knows the nearest entities in view, up to the configured number, and always its own one;
//!   at the edges of range and rank an entity does not come and go in every tick, nor wait forever;
//! - every difference refers to a state that the client acknowledged; a lost packet costs only its
//!   content, which is sent again in its newest state once the packet is known to be lost;
//! - the bytes stay in a budget, spent by importance, distance and waiting time;
//! - in the steady state nothing is allocated.
//!
//! Knows nothing of sockets, encryption and other clients; encodings and buffers that clients share
//! are in the worker's [`ReplicationScratch`].
//!
//! In the order of work: `interest` decides which entities are known (with `verlet_list`, `reach`, `marks` and
//! `ranks`), `collect` finds the changes to be sent (with the `cache`), `select` chooses those that fit the
//! `budget`, `pack` writes packets, and `sent` records them until they are acknowledged or lost. `known`
//! holds the result, `client` calls them all.

mod budget;
mod cache;
pub(crate) mod client;
mod collect;
mod components;
mod config;
mod interest;
mod known;
mod marks;
pub(crate) mod pack;
mod poses;
mod ranks;
mod reach;
pub(crate) mod scratch;
mod select;
mod sent;
mod simulation_view;
#[cfg(test)]
mod tests;
mod verlet_list;

pub(crate) use client::{ClientReplication, ReplicationView};
pub use config::{BYTES_PER_SECOND_DEFAULT, BYTES_PER_SECOND_MAX, ReplicationConfig, ReplicationConfigError};
pub(crate) use pack::PacketSink;
pub(crate) use scratch::{ReplicationCounters, ReplicationScratch};

/// Largest number of simulations whose frames one session can be sent. Further histories are not read.
pub(crate) const SIMULATIONS_MAX: usize = 8;

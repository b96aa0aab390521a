//! What one client is sent: interest, known set, baselines, priority, budget and packing.
//!
//! Owns everything that a net worker keeps about a session's snapshot stream. Guarantees, per call
//! of [`ClientReplication::write`] with the newest frames:
//! - the client is told of what its player's view and the components' visibility allow, nothing else;
//! - the nearest entities in view are known to it, up to the configured number, its own one always;
//!   at the edges of range and rank an entity neither comes and goes in every tick nor waits for ever;
//! - every difference refers to a state that the client acknowledged; a lost packet costs only what
//!   was in it, and that is sent again once it is known to be lost, in its newest state;
//! - the bytes stay in a budget, spent by importance, distance and waiting time;
//! - in the steady state nothing is allocated.
//!
//! Refuses to know sockets, encryption and other clients; what clients share (encodings, buffers)
//! is in the worker's [`ReplicationScratch`].
//!
//! In the order of work: `interest` decides who is known (by `neighbours`, `reach`, `marks` and `ranks`), `collect` what has
//! to be said of whom (by the `cache`), `select` what fits the `budget`, `pack` writes packets, `sent`
//! remembers them until their fate is known. `known` holds the result, `client` conducts.

mod budget;
mod cache;
mod client;
mod collect;
mod components;
mod config;
mod interest;
mod known;
mod marks;
mod neighbours;
mod pack;
mod ranks;
mod reach;
mod scratch;
mod select;
mod sent;
mod sight;
#[cfg(test)]
mod tests;

pub use client::{ClientReplication, ReplicationView};
pub use config::{BYTES_PER_SECOND_DEFAULT, BYTES_PER_SECOND_MAX, ReplicationConfig, ReplicationConfigError};
pub use pack::{PacketSink, Written};
pub use scratch::{ReplicationCounters, ReplicationScratch};

/// Simulations whose frames one session can be sent. More histories than this are not looked at.
pub const SOURCES_MAX: usize = 8;

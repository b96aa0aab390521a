//! The frame: the state that a simulation publishes once per tick. The rest of the process reads nothing else of
//! the simulation.
//!
//! Owns the immutable [`Frame`] (rows by stable slot in shared chunks, the index of slots by cell, the
//! players), its history and the recycling of its memory. Guarantees that a published frame never changes,
//! that a chunk in which no bit changed is the same `Arc` as in the frame before, and that any
//! (slot, tick) of the last 64 ticks is found in constant time. Does not depend on Bevy: the simulation fills
//! a [`FrameWriter`], and every other part of the process only reads.

mod chunk;
mod dirty;
mod history;
mod motion_bound;
mod players;
mod pool;
mod published;
mod slots;
pub(crate) mod writer;

pub use chunk::{ColdCell, ColdRow, Identity, Row};
pub(crate) use chunk::{ColdValue, each_bit};
pub use history::FrameHistory;
pub use players::{PlayerRow, PlayerTable, Upright};
pub use published::{Checksum, Frame};
pub(crate) use slots::{ChunkKind, SlotTable, SlotTableImage};
pub(crate) use writer::FrameWriter;

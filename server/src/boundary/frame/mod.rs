//! The frame: the state that a simulation publishes once per tick. The rest of the process reads nothing else of
//! the simulation.
//!
//! Owns the immutable [`Frame`] (rows by stable slot in shared chunks, the index of slots by cell, the
//! players), its history and the recycling of its memory. Guarantees that a published frame never changes,
//! that a chunk in which no bit changed is the same `Arc` as in the frame before, and that any
//! (slot, tick) of the last 64 ticks is found in constant time. Does not depend on Bevy: the simulation fills
//! a [`FrameWriter`], and every other part of the process only reads.

mod chunk;
mod history;
mod motion_bound;
mod players;
mod pool;
mod published;
mod slots;
mod writer;

pub(crate) use chunk::each_bit;
pub use chunk::{AliveBits, ColdCell, ColdChunk, ColdRow, ColdValue, HotChunk, Identity, IdentityChunk, Row};
pub use history::FrameHistory;
pub use motion_bound::MotionBound;
pub use players::{PlayerRow, PlayerTable};
pub use published::{Checksum, Frame};
pub use slots::{ChunkKind, SlotTable, SlotTableImage};
pub use writer::FrameWriter;

//! The positions of entities: cells that follow the density of the crowd, and the index of slots by cell.
//!
//! Owns the [`SpatialHash`] (a hash of square roots, each a quadtree whose leaves split and merge), the
//! [`CellIndex`] that frames carry, the [`Area`]s that players see, and queries. Guarantees that placing an
//! entity costs constant time, that queries equal brute force over the quantized positions, and that
//! the same calls give the same cells. Pure: knows slots and positions, neither Bevy nor players.
//!
//! All cell arithmetic is on integer quanta, so that a position is in exactly one leaf.

mod area;
mod cells;
mod index;
mod query;
mod tree;

pub(crate) use area::{Area, REACH_FACTOR};
pub use area::{AreaHold, AreaTable};
pub(crate) use cells::{BLOCK, Block, CellIndex};
pub use index::SpatialIndex;
pub(crate) use query::Found;
pub use tree::RoomId;

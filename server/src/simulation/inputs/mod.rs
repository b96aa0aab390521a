//! The inputs of each player, by tick, and the times that the player saw when giving them.
//!
//! Owns the [`InputBuffer`] of a player. Guarantees that the memory for a player is bounded whatever its
//! client sends, and that a claim of what it saw is limited to the window of lag compensation. `Receive`
//! fills the buffers, `Input` takes from them.

mod buffer;
mod view;
mod waiting;

pub use buffer::InputBuffer;
pub(crate) use buffer::{Offer, TickInput};
pub use view::REWIND_MAX;
pub(crate) use view::judge_view;

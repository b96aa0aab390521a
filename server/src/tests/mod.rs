//! What the engine's own tests share: a small world, and players who play in it by a script.

pub(crate) mod in_space;
pub(crate) mod scripted;
pub(crate) mod walkers;

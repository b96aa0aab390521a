//! What the client predicts: the flight of the own ship, and the missiles that it launches.

pub(crate) mod flight;
pub(crate) mod missiles;

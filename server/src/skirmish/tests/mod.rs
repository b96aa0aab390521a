//! The game as its frames show it.

//! Behaviour of both halves.

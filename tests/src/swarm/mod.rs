//! The swarm: thousands of real clients in one thread, to load a server and to check what it tells them.

pub mod arrivals;
pub mod conditions;
pub mod progress;
pub mod report;
pub mod table;

//! The simulator: server, clients and lossy links in one thread, in virtual time, from one seed.

pub mod link;
pub mod network;

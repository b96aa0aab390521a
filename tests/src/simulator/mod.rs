//! The simulator: server, clients and lossy links in one thread, in virtual time, from one seed.

pub mod arena;
pub mod audit;
pub mod client;
pub mod link;
pub mod network;
pub mod oracle;

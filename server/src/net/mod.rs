//! Sockets, sessions and workers: everything between a datagram and the simulation's queues.

pub mod assign;

//! The path of datagrams to the server and back: the socket, and a simulated bad network in front of it.

mod parse;
mod simulated_link;
mod simulated_socket;
mod socket;

pub use parse::{parse_milliseconds, parse_probability};
pub use simulated_link::{Gate, IN_FLIGHT_MAX, Link, LinkConditions, LinkTally};
pub(crate) use simulated_socket::{SimulatedSocket, Traffic};
pub use socket::{ClientSocket, is_passing, is_refusal};

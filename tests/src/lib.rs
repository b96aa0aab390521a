//! Shared code of the end-to-end tests: the simulator, the bot swarm, and the functions that the fuzz targets run.

pub mod allocations;
pub mod balance_flags;
pub mod bench;
pub mod fuzzing;
pub mod pilots;
pub mod process;
pub mod simulator;
pub mod swarm;

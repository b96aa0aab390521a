//! What the end-to-end tests share: the simulator, and the functions that the fuzz targets run.

pub mod process;
pub mod simulator;

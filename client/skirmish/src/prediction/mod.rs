//! Prediction of the own ship's flight and of the missiles that it launches.

pub(crate) mod flight;
pub(crate) mod missiles;

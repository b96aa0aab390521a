//! The simulation's ends of its links to the net workers, as a resource.

use std::sync::{Mutex, PoisonError};

use bevy_ecs::prelude::Resource;

use crate::boundary::link::SimulationLink;

/// The simulation's ends of its links, one for each net worker, in worker order.
#[derive(Resource, Default)]
pub struct WorkerLinks(Mutex<Vec<SimulationLink>>);

impl WorkerLinks {
    /// Creates the resource from the links, which are in worker order.
    pub fn new(links: Vec<SimulationLink>) -> Self {
        Self(Mutex::new(links))
    }

    /// Returns the links, in worker order. Exclusive access takes no lock.
    pub fn links(&mut self) -> &mut Vec<SimulationLink> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

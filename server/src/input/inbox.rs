//! The inbox: what players sent, until the tick that applies it.
//!
//! Owns the one list through which players' events reach the simulation: sessions that joined and left,
//! inputs, messages. The net workers' links, the exchange between simulations, single player and a replay
//! fill it. Guarantees that each value is applied once, in the order in which it was added, and can be read
//! until the end of `Record`.

use bevy_ecs::prelude::*;

use crate::boundary::link::ToSimulation;
use crate::simulation::WorkerLinks;

/// The values that the next tick applies, or that the running one has applied. Systems that fill it within
/// the tick run in `Receive` before `drain_links`.
///
/// The inbox is emptied in every tick, so it is bounded by the queues of the links. Its memory is kept.
#[derive(Resource, Debug, Default)]
pub struct Inbox {
    values: Vec<ToSimulation>,
    /// Whether the exchange between simulations drains the links.
    is_routed: bool,
}

impl Inbox {
    /// Creates an inbox that the exchange between simulations fills. [`drain_links`] leaves the links to the
    /// exchange.
    pub(crate) fn routed() -> Self {
        Self {
            values: Vec::new(),
            is_routed: true,
        }
    }

    /// Adds a value after the others.
    pub fn push(&mut self, value: ToSimulation) {
        self.values.push(value);
    }

    /// Returns the values, in the order in which they are applied.
    #[must_use]
    pub fn values(&self) -> &[ToSimulation] {
        &self.values
    }

    /// Replaces the value at `index`, if it announced a session, by the refusal of that session.
    pub(crate) fn refuse(&mut self, index: usize) {
        if let ToSimulation::Joined { key, client_id, .. } = self.values[index] {
            self.values[index] = ToSimulation::Refused { key, client_id };
        }
    }

    /// Takes all values with their memory.
    pub(crate) fn take(&mut self) -> Vec<ToSimulation> {
        std::mem::take(&mut self.values)
    }
}

impl Extend<ToSimulation> for Inbox {
    fn extend<I: IntoIterator<Item = ToSimulation>>(&mut self, values: I) {
        self.values.extend(values);
    }
}

/// Adds everything that is queued in the links, in worker order and in the order of arrival. What arrives
/// meanwhile waits for the next tick.
pub(crate) fn drain_links(mut inbox: ResMut<Inbox>, mut links: ResMut<WorkerLinks>) {
    if inbox.is_routed {
        return;
    }
    for link in links.links() {
        inbox.extend(link.drain());
    }
}

/// Removes the values that the tick has applied.
pub(crate) fn empty_inbox(mut inbox: ResMut<Inbox>) {
    inbox.values.clear();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bevy_ecs::system::RunSystemOnce;
    use throng_shared::netcode::SessionId;
    use throng_shared::protocol::ids::SimulationId;

    use super::*;
    use crate::boundary::link::{LeaveReason, LinkConfig, SessionKey, WorkerLink, link};

    fn left(worker: u8, index: u32) -> ToSimulation {
        ToSimulation::Left {
            key: SessionKey {
                worker,
                session: SessionId { index, generation: 0 },
            },
            reason: LeaveReason::Client,
        }
    }

    /// Returns a world with two workers, each of which has queued two values.
    fn world(inbox: Inbox) -> (World, Vec<WorkerLink>) {
        let config = LinkConfig::default();
        let links = (0..2).map(|worker| link(SimulationId(0), worker, &config, Arc::new(|| {})));
        let (near, mut workers): (Vec<_>, Vec<_>) = links.unzip();
        for index in 0..2 {
            for worker in [1, 0] {
                workers[usize::from(worker)].announce(left(worker, index));
            }
        }
        let mut world = World::new();
        world.insert_resource(WorkerLinks::new(near));
        world.insert_resource(inbox);
        (world, workers)
    }

    fn drained(world: &mut World) -> Vec<(u8, u32)> {
        world.run_system_once(drain_links).unwrap();
        let values = world.resource::<Inbox>().values().iter();
        let keys = values.map(|value| match value {
            ToSimulation::Left { key, .. } => (key.worker, key.session.index),
            other => panic!("{other:?}"),
        });
        keys.collect()
    }

    #[test]
    fn the_inbox_appends_links_in_worker_order_and_keeps_its_memory() {
        let (mut world, _workers) = world(Inbox::default());
        world.resource_mut::<Inbox>().push(left(9, 9));
        assert_eq!(drained(&mut world), [(9, 9), (0, 0), (0, 1), (1, 0), (1, 1)]);
        world.run_system_once(empty_inbox).unwrap();
        assert!(world.resource::<Inbox>().values().is_empty());
        assert!(world.resource::<Inbox>().values.capacity() >= 5);
    }

    #[test]
    fn a_routed_inbox_leaves_the_links_to_the_exchange() {
        let (mut world, _workers) = world(Inbox::routed());
        assert_eq!(drained(&mut world), []);
        let mut links = world.resource_mut::<WorkerLinks>();
        assert_eq!(links.links()[0].drain().count(), 2);
    }
}

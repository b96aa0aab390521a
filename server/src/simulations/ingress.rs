//! Routes what the net workers received to the simulation that has the player.
//!
//! Owns the tables of sessions and clients. Guarantees that they are the same in all simulations: all of them see the
//! same sessions begin and end, the same migrations, and the same reports of players that left. So a client that joins
//! again reaches the simulation that has its player, away or not.

use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::SimulationId;

use super::exchange::PeerMessage;
use super::map_shape::JoinPlaces;
use super::state::Simulations;
use crate::boundary::link::ToSimulation;
use crate::input::Inbox;
use crate::simulation::{ClientRefused, PlayerLeft, Players};

/// Fills the inbox with what the net workers of all simulations received for the players of this one.
pub(super) fn fill_inbox(world: &mut World) {
    world.resource_scope(|world, mut simulations: Mut<Simulations>| {
        world.resource_scope(|world, mut inbox: Mut<Inbox>| {
            for batch in std::mem::take(&mut simulations.received) {
                for value in &batch.ingress {
                    // A value without a session is counted in the simulation whose worker received it.
                    let owner = owner_of(world, &mut simulations, batch.from, value).unwrap_or(batch.from);
                    if owner == simulations.me {
                        inbox.push(value.clone());
                    }
                }
            }
        });
    });
}

/// Returns the simulation that has the player of a value's session. Updates the tables of sessions and clients when
/// a session begins or ends: a client that has a player joins the simulation that has it.
fn owner_of(
    world: &mut World,
    simulations: &mut Simulations,
    from: SimulationId,
    value: &ToSimulation,
) -> Option<SimulationId> {
    match value {
        ToSimulation::Joined { key, client_id, .. } => {
            let known = simulations.clients.get(client_id).copied();
            let owner = known.unwrap_or_else(|| {
                let positions = world.get_resource::<JoinPlaces>();
                let nth = simulations.joined;
                simulations.joined += 1;
                positions.map_or(from, |positions| simulations.partition.owner((positions.0)(nth)))
            });
            simulations.clients.insert(*client_id, owner);
            simulations.sessions.insert(*key, owner);
            Some(owner)
        }
        ToSimulation::Left { key, .. } => {
            // The watcher goes at once, because the next session may have the same index in the frame.
            let watcher = simulations.watchers.remove(key).map(|(entity, _)| entity);
            if let Some(watcher) = watcher.and_then(|entity| world.get_entity_mut(entity).ok()) {
                watcher.despawn();
            }
            simulations.sessions.remove(key)
        }
        ToSimulation::Input { key, .. }
        | ToSimulation::InputsRestarted { key }
        | ToSimulation::Refused { key, .. }
        | ToSimulation::Message { key, .. } => simulations.sessions.get(key).copied(),
    }
}

/// Sends the clients whose players left, and those that got none, to all simulations. A client that has joined again since
/// is left out.
pub(super) fn report_players_left(world: &World, simulations: &mut Simulations) {
    let players = world.resource::<Players>();
    let left = simulations.left.read(world.resource::<Messages<PlayerLeft>>());
    let clients = left.map(|left| left.player.client_id);
    let refused = world.resource::<Messages<ClientRefused>>();
    let clients = clients.chain(simulations.refused.read(refused).map(|refused| refused.0));
    let clients: Vec<_> = clients
        .filter(|&client| players.of_client(client).is_none())
        .collect();
    if !clients.is_empty() {
        simulations.outgoing.push(PeerMessage::PlayersLeft(clients));
    }
}

//! The avatars' routes in the directory, in unusual cases too: shared avatars, exchanged avatars, a full
//! directory.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{GlobalId, SimulationId};

use super::Harness;
use crate::boundary::directory::{Directory, EntityRoute};
use crate::boundary::link::{LeaveReason, SessionKey, ToSimulation};
use crate::simulation::routes::RouteCounters;
use crate::simulation::{Avatar, Player, Players, Replicated, Routes, Routing, SimulationPlugin};
use crate::tests::walkers::{CROWD, Walkers};

/// Returns a simulation with a single entity of its own, so that nearly every player's avatar is spawned for
/// it, and a directory.
fn harness(entities_max: usize) -> (Harness, Arc<Directory>) {
    let simulation = SimulationId(3);
    let simulation = SimulationPlugin {
        simulation,
        ..SimulationPlugin::default()
    };
    let mut harness = Harness::new(simulation, Walkers { count: 1, ..CROWD });
    let directory = Arc::new(Directory::new(1, 64, entities_max));
    harness.app.insert_resource(Routes(Arc::clone(&directory)));
    (harness, directory)
}

fn player(harness: &Harness, key: SessionKey) -> Entity {
    harness.app.world().resource::<Players>().get(key).unwrap()
}

fn avatar(harness: &Harness, key: SessionKey) -> Entity {
    harness.app.world().get::<Avatar>(player(harness, key)).unwrap().0
}

fn global(harness: &Harness, entity: Entity) -> GlobalId {
    harness.app.world().get::<Replicated>(entity).unwrap().global()
}

fn counters(harness: &Harness) -> RouteCounters {
    harness.app.world().resource::<Routing>().counters()
}

fn route(session_index: u32) -> EntityRoute {
    EntityRoute {
        simulation: SimulationId(3),
        worker: 0,
        session_index,
    }
}

fn leave(harness: &mut Harness, key: SessionKey) {
    let reason = LeaveReason::Client;
    harness.worker.announce(ToSimulation::Left { key, reason });
}

#[test]
fn a_route_follows_every_change_of_the_avatar() {
    let (mut harness, directory) = harness(64);
    let keys = [harness.join(4), harness.join(9)];
    harness.tick();
    let entities = keys.map(|key| avatar(&harness, key));
    let ids = entities.map(|entity| global(&harness, entity));
    let routes = || ids.map(|id| directory.entity(id));
    assert_eq!(routes(), [Some(route(4)), Some(route(9))]);

    // Both players exchange their avatars within a tick.
    for (key, entity) in keys.into_iter().zip([entities[1], entities[0]]) {
        let player = player(&harness, key);
        harness.app.world_mut().entity_mut(player).insert(Avatar(entity));
    }
    harness.tick();
    assert_eq!(routes(), [Some(route(9)), Some(route(4))]);

    // One player gives up its avatar, and the other takes it, leaving its own without a player.
    let [first, second] = keys.map(|key| player(&harness, key));
    harness.app.world_mut().entity_mut(first).remove::<Avatar>();
    assert_eq!(routes(), [Some(route(9)), None], "at once");
    harness
        .app
        .world_mut()
        .entity_mut(second)
        .insert(Avatar(entities[1]));
    harness.tick();
    assert_eq!(routes(), [None, Some(route(9))]);

    // The avatar gets a new global id, by which it is another entity to clients.
    let mut entity = harness.app.world_mut().entity_mut(entities[1]);
    entity.remove::<Replicated>().insert(Replicated::default());
    harness.tick();
    let renewed = global(&harness, entities[1]);
    assert!(renewed != ids[1]);
    assert_eq!(
        (directory.entity(ids[1]), directory.entity(renewed)),
        (None, Some(route(9)))
    );

    // The avatar is despawned while its player stays.
    harness.app.world_mut().despawn(entities[1]);
    harness.tick();
    assert_eq!(directory.entity(renewed), None);
    let RouteCounters {
        entered,
        removed,
        refused,
    } = counters(&harness);
    assert_eq!((entered - removed, refused), (0, 0));
}

#[test]
fn the_second_player_of_a_shared_avatar_gets_the_route_when_the_first_leaves() {
    let (mut harness, directory) = harness(64);
    let keys = [harness.join(0), harness.join(1)];
    harness.tick();
    let shared = avatar(&harness, keys[0]);
    let id = global(&harness, shared);
    let second = player(&harness, keys[1]);
    harness.app.world_mut().entity_mut(second).insert(Avatar(shared));
    (0..3).for_each(|_| drop(harness.tick()));
    assert_eq!(directory.entity(id), Some(route(0)));
    leave(&mut harness, keys[0]);
    harness.tick();
    assert_eq!(directory.entity(id), Some(route(1)));
    leave(&mut harness, keys[1]);
    harness.tick();
    assert_eq!(directory.entity(id), None);
    assert_eq!(counters(&harness).refused, 0);
}

#[test]
fn an_avatar_refused_by_a_full_directory_is_counted_once_and_routed_when_there_is_room() {
    // The smallest directory has room for 16.
    let (mut harness, directory) = harness(1);
    let keys: Vec<_> = (0..20).map(|index| harness.join(index)).collect();
    (0..5).for_each(|_| drop(harness.tick()));
    let routed = |harness: &mut Harness| {
        let world = harness.app.world_mut();
        let mut players = world.query::<(&Player, &Avatar)>();
        let avatars: Vec<_> = players
            .iter(world)
            .map(|(player, avatar)| (player.session, avatar.0))
            .collect();
        let found = avatars.into_iter().filter_map(|(key, entity)| {
            let found = directory.entity(global(harness, entity))?;
            assert_eq!(found, route(key.session.index));
            Some(key)
        });
        found.collect::<Vec<_>>()
    };
    let first = routed(&mut harness);
    assert_eq!(first.len(), 16);
    assert_eq!(
        counters(&harness),
        RouteCounters {
            entered: 16,
            removed: 0,
            refused: 4
        }
    );
    // All players stay in the frames. When four of them leave, four others get their routes.
    assert_eq!(harness.tick().players.len(), keys.len());
    first[..4].iter().for_each(|&key| leave(&mut harness, key));
    harness.tick();
    let second = routed(&mut harness);
    assert_eq!((second.len(), counters(&harness).refused), (16, 4));
    assert!(first[..4].iter().all(|key| !second.contains(key)));
}

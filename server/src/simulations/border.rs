//! Maintains the images of other simulations at the border: ghosts of their entities near it, and watchers
//! for their players near it.

use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::pose3d::Position3d;
use throng_shared::tick::Tick;

use super::exchange::{GhostImage, WatcherImage};
use super::map_shape::GhostKinds;
use super::state::{KnownGhost, Simulations};
use crate::simulation::{
    Eye, Ghost, GhostEntry, Owner, RemoteFrames, Room, RowLocation, Slots, Team, Viewer, Watcher,
};

/// Updates the ghosts of one simulation from the images that it sent.
pub(super) fn show_ghosts(
    world: &mut World,
    simulations: &mut Simulations,
    kinds: &GhostKinds,
    simulation: SimulationId,
    ghosts: &[GhostImage],
    tick: Tick,
) {
    for image in ghosts {
        if world.resource::<Slots>().find(image.global).is_some() {
            continue;
        }
        let known = simulations.ghosts.get_mut(&image.global);
        let known = known.filter(|known| world.entities().contains(known.entity));
        let ghost = Ghost(RowLocation {
            simulation,
            slot: image.slot,
        });
        let pose = (ghost, image.position, image.velocity, image.heading);
        let Some(known) = known else {
            let identity = (image.global, Owner(image.owner), Team(image.team));
            let mut ghost = world.spawn((identity, pose));
            image.pose_3d.map(|pose| ghost.insert(pose));
            kinds.write(&mut ghost, &image.values);
            let known = KnownGhost {
                entity: ghost.id(),
                last_seen: tick,
                room: image.room,
                values: image.values.clone(),
            };
            simulations.ghosts.insert(image.global, known);
            continue;
        };
        (known.last_seen, known.room) = (tick, image.room);
        let mut ghost = world.entity_mut(known.entity);
        ghost.insert(pose);
        image.pose_3d.map(|pose| ghost.insert(pose));
        if known.values != image.values {
            kinds.write(&mut ghost, &image.values);
            known.values.clone_from(&image.values);
        }
        // These components are immutable, and inserting them runs hooks: they are inserted only when they
        // changed.
        if ghost.get::<Owner>() != Some(&Owner(image.owner)) || ghost.get::<Team>() != Some(&Team(image.team))
        {
            ghost.insert((Owner(image.owner), Team(image.team)));
        }
    }
}

/// Replaces the ghosts that spatial queries find by the current ones.
pub(super) fn place_ghosts(world: &mut World, simulations: &Simulations) {
    world.try_resource_scope(|world, mut remote_frames: Mut<RemoteFrames>| {
        let ghosts = simulations.ghosts.iter().filter_map(|(&global, known)| {
            Some(GhostEntry {
                entity: known.entity,
                global,
                position: world.get::<Position>(known.entity)?.0,
                height: world
                    .get::<Position3d>(known.entity)
                    .map_or(0.0, |position| position.0.y),
                room: known.room,
            })
        });
        remote_frames.replace_ghosts(ghosts);
    });
}

/// Updates the watchers of one simulation from the images that it sent.
pub(super) fn update_watchers(
    world: &mut World,
    simulations: &mut Simulations,
    watchers: &[WatcherImage],
    tick: Tick,
) {
    for image in watchers {
        let known = simulations
            .watchers
            .get(&image.session)
            .map(|&(entity, _)| entity);
        let entity = known
            .filter(|&entity| world.entities().contains(entity))
            .unwrap_or_else(|| {
                let (session, player) = (image.session, image.player);
                world.spawn(Watcher { session, player }).id()
            });
        let mut watcher = world.entity_mut(entity);
        watcher.insert((Eye(image.eye), Viewer { radius: image.radius }));
        image.heights.0.map(|height| watcher.insert(height));
        image.heights.1.map(|height| watcher.insert(height));
        // These components are immutable, and inserting them runs hooks: they are inserted only when they
        // changed.
        if (watcher.get(), watcher.get()) != (Some(&Team(image.team)), Some(&Room(image.room))) {
            watcher.insert((Team(image.team), Room(image.room)));
        }
        simulations.watchers.insert(image.session, (entity, tick));
    }
}

/// Despawns ghosts and watchers that no simulation sent in this tick.
pub(super) fn retire_unmentioned(world: &mut World, simulations: &mut Simulations, tick: Tick) {
    let mut gone = Vec::new();
    simulations.ghosts.retain(|_, known| {
        gone.extend((known.last_seen != tick).then_some(known.entity));
        known.last_seen == tick
    });
    simulations.watchers.retain(|_, &mut (entity, last_seen)| {
        gone.extend((last_seen != tick).then_some(entity));
        last_seen == tick
    });
    for entity in gone {
        if let Ok(entity) = world.get_entity_mut(entity) {
            entity.despawn();
        }
    }
}

//! Who owns which entity of a scene.

use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::protocol::pose::{Heading, Position};
use throng_shared::scenes::VIEW_RADIUS;
use throng_shared::tick::Tick;

use super::SceneWorld;
use super::movement::Helm;
use crate::net::link::PeerKind;
use crate::simulation::{Avatar, Owner, Player, PlayerJoined, PlayerLeft, Replicated, Seed, Viewer};

/// Entities that no client owns; the last one is given away next.
#[derive(Resource, MapEntities, Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Unowned {
    #[entities]
    entities: Vec<Entity>,
    spawned: u64,
}

/// Spawns the scene's entities, strewn evenly.
pub(super) fn fill_world(
    mut commands: Commands,
    mut unowned: ResMut<Unowned>,
    world: Res<SceneWorld>,
    seed: Res<Seed>,
) {
    for _ in 0..world.scene.entities() {
        let entity = spawn(&mut commands, &mut unowned, &world, *seed);
        unowned.entities.push(entity);
    }
    // The first ones are given away first.
    unowned.entities.reverse();
}

/// Takes back the entities of players who left.
pub(super) fn release_avatars(
    mut left: MessageReader<PlayerLeft>,
    mut commands: Commands,
    mut unowned: ResMut<Unowned>,
    mut helms: Query<&mut Helm>,
) {
    for avatar in left.read().filter_map(|left| left.avatar) {
        if let Ok(mut helm) = helms.get_mut(avatar) {
            *helm = Helm::default();
        }
        commands.entity(avatar).insert(Owner(PlayerId::NOBODY));
        unowned.entities.push(avatar);
    }
}

/// Gives every player who joined an entity of its own, and a view.
pub(super) fn give_avatars(
    mut joined: MessageReader<PlayerJoined>,
    mut commands: Commands,
    mut unowned: ResMut<Unowned>,
    players: Query<&Player>,
    world: Res<SceneWorld>,
    seed: Res<Seed>,
) {
    for joined in joined.read() {
        // A session can end in the tick in which it began; and a stock renet peer does not play.
        if joined.player.kind != PeerKind::Throng || !players.contains(joined.entity) {
            continue;
        }
        let avatar = unowned
            .entities
            .pop()
            .unwrap_or_else(|| spawn(&mut commands, &mut unowned, &world, *seed));
        commands.entity(avatar).insert(Owner(joined.player.id));
        commands
            .entity(joined.entity)
            .insert((Avatar(avatar), Viewer { radius: VIEW_RADIUS }));
    }
}

fn spawn(commands: &mut Commands, unowned: &mut Unowned, world: &SceneWorld, seed: Seed) -> Entity {
    unowned.spawned += 1;
    // Tick 0 never runs, so these numbers are used for nothing else.
    let mut random = seed.of(GlobalId(unowned.spawned), Tick(0));
    let edge = world.side * 0.5;
    let place = Vec2::new(random.within(-edge, edge), random.within(-edge, edge));
    let heading = random.within(-std::f32::consts::PI, std::f32::consts::PI);
    let still = (Replicated::default(), Position(place), Heading(heading));
    if world.scene.moves() {
        commands.spawn((still, Helm::default())).id()
    } else {
        commands.spawn(still).id()
    }
}

//! The poses of a game in three dimensions: their rows, and the points on the ground plane below them.
//!
//! Runs only where the protocol says [`poses_3d`](throng_shared::protocol::registry::ProtocolAppExt::poses_3d).
//! Guarantees that the `Position` and `Velocity` of every replicated entity are those of its pose in space, seen from
//! above: x and z. So cells, areas, parts of the map and everything else that works on the plane needs no height.

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryData;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::pose::{Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d, ground_pose};
use throng_shared::protocol::registry::Protocol;

use super::away::Away;
use super::mistakes::poses::PoseFaults;
use super::players::{Avatar, Player};
use super::replicated::{Replicated, Slots};
use super::rows::Rows;
use super::space::Space;
use crate::runner::TickTime;

/// The height of the centre of a player's view, in units, in a game in three dimensions. Follows the avatar; without an
/// avatar, gameplay may set it. The rest of the centre is the [`Eye`](super::Eye).
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EyeHeight(pub f32);

/// Makes a player's view a cylinder, in a game in three dimensions: the [`Viewer`](super::Viewer)'s radius around its eye
/// on the ground plane, and half of this height, in units, up and down. Without it, the view is a sphere.
#[derive(Component, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewHeight(pub f32);

/// The components of a pose in space, and those of the point on the ground below.
#[derive(QueryData)]
#[query_data(mutable)]
pub(super) struct Posed {
    replicated: &'static Replicated,
    position: Ref<'static, Position3d>,
    velocity: Ref<'static, Velocity3d>,
    rotation: Ref<'static, Rotation3d>,
    ground_position: &'static mut Position,
    ground_velocity: &'static mut Velocity,
}

/// Returns whether the game is one in three dimensions.
pub(super) fn is_3d(protocol: Res<Protocol>) -> bool {
    protocol.quanta_3d().is_some()
}

/// Gives every replicated entity a pose in space, if the game is one in three dimensions. The protocol is complete.
pub(super) fn finish(world: &mut World) {
    let Some(quanta) = world.resource::<Protocol>().quanta_3d() else {
        return;
    };
    world.resource_mut::<Rows>().0.enable_3d(&quanta);
    world.register_required_components::<Player, EyeHeight>();
    if world
        .try_register_required_components::<Replicated, Position3d>()
        .is_ok()
    {
        world.register_required_components::<Replicated, Velocity3d>();
        world.register_required_components::<Replicated, Rotation3d>();
        return;
    }
    // Some were spawned while the app was built: then Bevy lets no component be required any more.
    world.add_observer(|added: On<Add, Replicated>, mut commands: Commands| {
        commands.entity(added.entity).insert_if_new(at_rest());
    });
    let mut spawned = world.query_filtered::<Entity, (With<Replicated>, Allow<Disabled>)>();
    let spawned: Vec<Entity> = spawned.iter(world).collect();
    for entity in spawned {
        world.entity_mut(entity).insert_if_new(at_rest());
    }
}

fn at_rest() -> (Position3d, Velocity3d, Rotation3d) {
    Default::default()
}

/// Moves every eye to the height of its avatar, so that simulation and clients have it equal to the bit.
pub(super) fn update_eye_heights(
    mut eyes: Query<(&Avatar, &mut EyeHeight), (Without<Away>, Allow<Disabled>)>,
    avatars: Query<&Replicated>,
    rows: Res<Rows>,
    protocol: Res<Protocol>,
) {
    let Some(quanta) = protocol.quanta_3d() else {
        return;
    };
    for (avatar, mut height) in &mut eyes {
        let slot = avatars.get(avatar.0).ok().and_then(Replicated::slot);
        if let Some(pose) = slot.and_then(|slot| rows.0.pose_3d(slot)) {
            height.0 = quanta.position_of(pose).0.y;
        }
    }
}

/// Quantizes the poses that changed, moves the entities in the index, and writes the points on the ground below.
pub(super) fn sync_poses_3d(
    mut poses: Query<Posed>,
    slots: Res<Slots>,
    protocol: Res<Protocol>,
    mut rows: ResMut<Rows>,
    mut space: ResMut<Space>,
    time: Res<TickTime>,
    mut faults: Local<PoseFaults>,
) {
    let Some(quanta) = protocol.quanta_3d() else {
        return;
    };
    let mut sync = |mut posed: PosedItem| {
        let Some(slot) = posed.replicated.slot() else {
            return;
        };
        let (position, velocity, rotation) = (&*posed.position, &*posed.velocity, &*posed.rotation);
        faults.check_3d(posed.replicated, &quanta, position, velocity, rotation);
        posed.ground_position.set_if_neq(position.ground());
        posed.ground_velocity.set_if_neq(velocity.ground());
        let below = ground_pose(position, velocity);
        if rows.0.set_pose(slot, below, time.tick) {
            space.0.place(slot, below.x, below.y, time.tick);
        }
        let pose = quanta.quantize(position, velocity, rotation);
        rows.0.set_pose_3d(slot, pose, time.tick);
    };
    for posed in &mut poses {
        if posed.position.is_changed() || posed.velocity.is_changed() || posed.rotation.is_changed() {
            sync(posed);
        }
    }
    // An entity that was enabled may have changed before the last tick.
    for &slot in &slots.fresh {
        if let Some(posed) = slots.entity(slot).and_then(|entity| poses.get_mut(entity).ok()) {
            sync(posed);
        }
    }
}

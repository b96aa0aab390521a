//! Updates the areas that players see as they move: the `AreaOfInterest` systems of `Index`.
//!
//! The cost grows with the viewers that cross borders of cells and with the cells that split or merge in a
//! view, not with the number of entities.

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;

use super::away::Away;
use super::parallel::Parallel;
use super::players::{AreaOfInterest, Avatar, Eye, Viewer};
use super::replicated::{Replicated, Room};
use super::routes::{Routed, Routing};
use super::rows::Rows;
use super::space::{Areas, Space};
use crate::space::RoomId;

/// Number of areas that one task builds; it takes about 50 us.
const AREAS_PER_CHUNK: usize = 32;

/// Moves every eye to the position of its avatar's row, so that simulation and clients have it equal to the
/// bit. As the avatar is looked up here anyway, it also notes the players whose route in the directory is out
/// of date. A player that is away sees nothing: its eye stays where it is. So does the eye of a player whose avatar is
/// disabled. A player that is disabled itself has a session all the same, and sees on.
pub(super) fn update_eyes(
    mut eyes: Query<(Entity, &Avatar, &mut Eye, &Routed), (Without<Away>, Allow<Disabled>)>,
    avatars: Query<&Replicated>,
    rows: Res<Rows>,
    mut routing: ResMut<Routing>,
) {
    for (player, avatar, mut eye, routed) in &mut eyes {
        let avatar = avatars.get(avatar.0).ok();
        if routed.is_stale(avatar) {
            routing.stale.push(player);
        }
        let slot = avatar.and_then(Replicated::slot);
        if let Some(row) = slot.and_then(|slot| rows.0.row(slot)) {
            eye.0 = row.pose.position().0;
        }
    }
}

/// Chooses the area of every viewer that is not away, by its eye and with hysteresis.
pub(super) fn update_areas_of_interest(
    mut viewers: Query<
        (
            &Eye,
            Option<&Viewer>,
            Option<&Room>,
            Option<&Avatar>,
            &mut AreaOfInterest,
        ),
        (Without<Away>, Allow<Disabled>),
    >,
    avatars: Query<&Room, Allow<Disabled>>,
    mut areas: ResMut<Areas>,
) {
    for (eye, viewer, room, avatar, mut interest) in &mut viewers {
        let radius = viewer.map_or(0.0, |viewer| viewer.radius);
        let room = room_seen(room, avatar, &avatars);
        let hold = areas.0.update(room, eye.0, radius, interest.hold);
        interest.set_if_neq(AreaOfInterest { hold });
    }
}

/// Returns the room that a player sees: its avatar's, disabled or not, or its own without an avatar.
pub(super) fn room_seen(
    own: Option<&Room>,
    avatar: Option<&Avatar>,
    avatars: &Query<&Room, Allow<Disabled>>,
) -> RoomId {
    let avatars = avatar.and_then(|avatar| avatars.get(avatar.0).ok());
    avatars.or(own).copied().unwrap_or_default().0
}

/// Builds the areas that are new or in which cells changed.
pub(super) fn build_areas(mut areas: ResMut<Areas>, space: Res<Space>, parallel: Res<Parallel>) {
    let stale = areas.0.list_stale(&space.0);
    if stale.is_empty() {
        return;
    }
    parallel.for_each(stale.chunks_mut(AREAS_PER_CHUNK), |chunk| {
        chunk.iter_mut().for_each(|stale| stale.build(&space.0));
    });
    areas.0.take_built();
}

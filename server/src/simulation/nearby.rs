//! Spatial queries for gameplay, which return entities.

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::registry::Protocol;

use super::publish::Frames;
use super::remote_frames::RemoteFrames;
use super::replicated::Slots;
use super::space::Space;
use super::tell::Place;
use crate::space::Found;

/// The first distance within which the nearest in space are looked for, in units.
const FIRST_REACH: f32 = 16.0;
/// A distance that no two entities exceed, in units: the largest positions on the plane are some 2e7.
const REACH_MAX: f32 = 1e8;

/// Finds replicated entities by position, as they were published last: at the end of the last tick.
///
/// A query costs about as much as it returns, however many entities there are elsewhere. An entity spawned in
/// this tick is found from the next tick on, and one despawned in this tick is not found any more. With
/// several simulations, [ghosts](super::Ghost) are found too.
///
/// In a game in three dimensions a query from a `Vec3` goes by distances in space, and one from a `Vec2` by those on the
/// ground plane, whatever the height.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use throng_server::simulation::Nearby;
/// # use throng_shared::protocol::pose::Position;
/// # #[derive(Component)] struct Mine;
/// # #[derive(Component)] struct Hull(u16);
/// fn explode(mines: Query<(Entity, &Position), With<Mine>>, mut hulls: Query<&mut Hull>, mut nearby: Nearby) {
///     for (mine, position) in &mines {
///         for neighbour in nearby.within(position.0, 5.0) {
///             if let Ok(mut hull) = hulls.get_mut(neighbour.entity) {
///                 hull.0 = hull.0.saturating_sub(10);
///             }
///         }
///         let _three = nearby.nearest(position.0, 3, f32::INFINITY).filter(|near| near.entity != mine);
///     }
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(explode);
/// ```
#[derive(bevy_ecs::system::SystemParam)]
pub struct Nearby<'w, 's> {
    space: Res<'w, Space>,
    frames: Res<'w, Frames>,
    slots: Res<'w, Slots>,
    remote_frames: Option<Res<'w, RemoteFrames>>,
    protocol: Res<'w, Protocol>,
    found: Local<'s, Vec<Found>>,
}

/// An entity found by a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The entity, which may be a ghost.
    pub entity: Entity,
    /// Its position at the end of the last tick, in units; in a game in three dimensions, on the ground plane.
    pub position: Vec2,
    /// Its height, in a game in three dimensions; 0 on the plane.
    pub height: f32,
    /// Its distance from the position of the query, in units: in space if that has a height.
    pub distance: f32,
}

impl Nearby<'_, '_> {
    /// Returns the entities at most `radius` units from a position, nearest first; equal distances in the
    /// order of slots.
    pub fn within(&mut self, place: impl Into<Place>, radius: f32) -> impl Iterator<Item = Neighbour> + '_ {
        self.find(place.into(), radius);
        self.neighbours()
    }

    /// Returns the `count` entities nearest to a position among those at most `radius` units away, which may
    /// be infinite; nearest first, equal distances in the order of slots.
    pub fn nearest(
        &mut self,
        place: impl Into<Place>,
        count: usize,
        radius: f32,
    ) -> impl Iterator<Item = Neighbour> + '_ {
        let place @ Place { position, room, .. } = place.into();
        if place.height.is_some() {
            self.find_nearest_in_space(place, count, radius);
            return self.neighbours();
        }
        self.found.clear();
        if let Some(frame) = self.frames.0.newest() {
            let space = &self.space.0;
            space.nearest_in_room(&frame.index, room, position, count, radius, &mut self.found);
        }
        if let Some(remote_frames) = &self.remote_frames {
            remote_frames.find(room, position, radius, &mut self.found);
            self.found.truncate(count);
        }
        self.neighbours()
    }

    /// Finds the entities at most `radius` units from a place, nearest first.
    fn find(&mut self, place: Place, radius: f32) {
        let Place { position, room, .. } = place;
        self.found.clear();
        if let Some(frame) = self.frames.0.newest() {
            let space = &self.space.0;
            space.within_room(&frame.index, room, position, radius, &mut self.found);
        }
        if let Some(remote_frames) = &self.remote_frames {
            remote_frames.find(room, position, radius, &mut self.found);
        }
        let Some(height) = place.height else {
            return;
        };
        let mut found = std::mem::take(&mut *self.found);
        found.retain_mut(|found| {
            let rise = self.height(found.slot) - height;
            found.distance2 += rise * rise;
            found.distance2 <= radius * radius
        });
        found.sort_unstable_by(|one, other| {
            let near = one.distance2.total_cmp(&other.distance2);
            near.then(one.slot.0.cmp(&other.slot.0))
        });
        *self.found = found;
    }

    /// Finds the nearest by distance in space: within a distance that doubles until there are enough.
    fn find_nearest_in_space(&mut self, place: Place, count: usize, radius: f32) {
        // A radius that is not a number stays one: nothing is within it.
        let mut reach = radius.clamp(f32::MIN, FIRST_REACH);
        loop {
            self.find(place, reach);
            let may_grow = reach < radius && reach < REACH_MAX;
            if self.found.len() >= count || !may_grow {
                break;
            }
            reach = (reach * 2.0).min(radius);
        }
        self.found.truncate(count);
    }

    /// Returns the height at which an entity was published last; 0 on the plane.
    fn height(&self, slot: Slot) -> f32 {
        let Some(quanta) = self.protocol.quanta_3d() else {
            return 0.0;
        };
        if let Some(ghost) = self
            .remote_frames
            .as_ref()
            .and_then(|frames| frames.ghost_height(slot))
        {
            return ghost;
        }
        let pose = self.frames.0.newest().and_then(|frame| frame.pose_3d(slot));
        pose.map_or(0.0, |pose| quanta.position_of(pose).0.y)
    }

    fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.found.iter().filter_map(|found| {
            let ghost = || self.remote_frames.as_ref()?.ghost(found.slot);
            Some(Neighbour {
                entity: self.slots.entity(found.slot).or_else(ghost)?,
                position: found.position,
                height: self.height(found.slot),
                distance: found.distance2.sqrt(),
            })
        })
    }
}

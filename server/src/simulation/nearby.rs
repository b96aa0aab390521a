//! Spatial queries for gameplay, which return entities.

use bevy_ecs::prelude::*;
use glam::Vec2;

use super::publish::Frames;
use super::remote_frames::RemoteFrames;
use super::replicated::Slots;
use super::space::Space;
use super::tell::Place;
use crate::space::Found;

/// Finds replicated entities by position, as they were published last: at the end of the last tick.
///
/// A query costs about as much as it returns, however many entities there are elsewhere. An entity spawned in
/// this tick is found from the next tick on, and one despawned in this tick is not found any more. With
/// several simulations, [ghosts](super::Ghost) are found too.
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
    found: Local<'s, Vec<Found>>,
}

/// An entity found by a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The entity, which may be a ghost.
    pub entity: Entity,
    /// Its position at the end of the last tick, in units.
    pub position: Vec2,
    /// Its distance from the position of the query, in units.
    pub distance: f32,
}

impl Nearby<'_, '_> {
    /// Returns the entities at most `radius` units from a position, nearest first; equal distances in the
    /// order of slots.
    pub fn within(&mut self, place: impl Into<Place>, radius: f32) -> impl Iterator<Item = Neighbour> + '_ {
        let Place { position, room } = place.into();
        self.found.clear();
        if let Some(frame) = self.frames.0.newest() {
            let space = &self.space.0;
            space.within_room(&frame.index, room, position, radius, &mut self.found);
        }
        if let Some(remote_frames) = &self.remote_frames {
            remote_frames.find(room, position, radius, &mut self.found);
        }
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
        let Place { position, room } = place.into();
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

    fn neighbours(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.found.iter().filter_map(|found| {
            let ghost = || self.remote_frames.as_ref()?.ghost(found.slot);
            Some(Neighbour {
                entity: self.slots.entity(found.slot).or_else(ghost)?,
                position: found.position,
                distance: found.distance2.sqrt(),
            })
        })
    }
}

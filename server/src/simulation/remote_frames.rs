//! The frames of the other simulations of the process, the past rows of entities that migrated, and the
//! ghosts near the border.
//!
//! Maintained by `simulations`. With a single simulation the resource does not exist, and nothing is looked
//! up. Guarantees that a look into the past finds an entity in the frames of the simulation that owned it
//! then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::limits::HISTORY_TICKS;
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot};
use throng_shared::tick::Tick;

use crate::boundary::frame::{Frame, FrameHistory};
use crate::space::{Found, RoomId};

/// A copy of an entity of another simulation, near the border, as it was one tick ago, with the location of
/// the entity's row. It has a [`GlobalId`], position, velocity, heading, owner and team. Gameplay reads it,
/// and changes the entity only by [effects](crate::simulations::TellEntity). Clients are not sent the copy:
/// they are sent the entity itself.
///
/// A query skips ghosts unless it names this component: `With<Ghost>` matches the ghosts alone, `Has<Ghost>`
/// or [`Allow<Ghost>`](bevy_ecs::query::Allow) matches everything. So gameplay written without ghosts in mind
/// never changes one. [`Nearby`](super::Nearby) and [`Rewind`](super::Rewind) find them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost(pub RowLocation);

/// The location of an entity's row: a simulation and a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLocation {
    /// The simulation that has the entity.
    pub simulation: SimulationId,
    /// The entity's row in that simulation's frames.
    pub slot: Slot,
}

/// A ghost as spatial queries find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GhostEntry {
    /// The entity of the ghost in this simulation.
    pub entity: Entity,
    /// The global id of the original entity.
    pub global: GlobalId,
    /// Its position at the end of the last tick, in units; in a game in three dimensions, on the ground plane.
    pub position: Vec2,
    /// Its height, in a game in three dimensions.
    pub height: f32,
    /// The room in which it is.
    pub room: RoomId,
}

/// A row that an entity had before it migrated.
#[derive(Clone, Copy, Debug)]
struct PastLocation {
    location: RowLocation,
    /// The tick of the last frame in which the entity had the row.
    until: Tick,
}

/// The frames of all simulations and the ghosts of this one.
#[derive(Resource, Debug, Default)]
pub(crate) struct RemoteFrames {
    /// The histories of all simulations, this one included, by simulation id.
    frames: Vec<FrameHistory>,
    /// The past rows of the entities that migrated within the last 64 ticks, oldest first.
    past_locations: BTreeMap<GlobalId, Vec<PastLocation>>,
    /// For each past row, the tick of its last frame and its entity, in the order of ticks.
    ends: VecDeque<(Tick, GlobalId)>,
    /// Ghosts in the order of their positions from west to east.
    ghosts: Vec<GhostEntry>,
}

impl RemoteFrames {
    /// Adds a frame to the history of its simulation.
    pub(crate) fn push_frame(&mut self, frame: &Arc<Frame>) {
        let simulation = usize::from(frame.simulation.0);
        if self.frames.len() <= simulation {
            self.frames.resize_with(simulation + 1, FrameHistory::default);
        }
        drop(self.frames[simulation].push(Arc::clone(frame)));
    }

    /// Records that an entity had the row `location` up to the frame of `until`, and another one from then
    /// on.
    pub(crate) fn record_move(&mut self, global: GlobalId, location: RowLocation, until: Tick) {
        self.past_locations
            .entry(global)
            .or_default()
            .push(PastLocation { location, until });
        self.ends.push_back((until, global));
    }

    /// Removes past rows whose last frame is no longer in the history.
    pub(crate) fn forget_before(&mut self, now: Tick) {
        while let Some(&(until, global)) = self.ends.front() {
            if now.since(until) <= HISTORY_TICKS as i32 {
                break;
            }
            self.ends.pop_front();
            if let Some(past_locations) = self.past_locations.get_mut(&global) {
                past_locations.remove(0);
                if past_locations.is_empty() {
                    self.past_locations.remove(&global);
                }
            }
        }
    }

    /// Replaces the ghosts of the last tick by those of this one.
    pub(crate) fn replace_ghosts(&mut self, ghosts: impl Iterator<Item = GhostEntry>) {
        self.ghosts.clear();
        self.ghosts.extend(ghosts);
        let key = |one: &GhostEntry| (one.position.x, one.global);
        self.ghosts.sort_unstable_by(|one, other| {
            let (one, other) = (key(one), key(other));
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        });
    }

    /// Returns the frame of `tick` of the simulation that had an entity then, and the entity's slot. `present` is its row
    /// since it last migrated.
    #[must_use]
    pub(crate) fn frame_of(
        &self,
        global: GlobalId,
        present: RowLocation,
        tick: Tick,
    ) -> Option<(&Frame, Slot)> {
        let past_locations = self.past_locations.get(&global);
        let past = past_locations
            .and_then(|past_locations| past_locations.iter().find(|past| !tick.is_after(past.until)));
        let RowLocation { simulation, slot } = past.map_or(present, |past| past.location);
        let frame = self.frames.get(usize::from(simulation.0))?.at(tick)?;
        Some((frame, slot))
    }

    /// Adds the ghosts at most `radius` units from a position to the entities that were found in this
    /// simulation. The result is sorted by distance; at equal distances the simulation's own entities come
    /// first. The ghosts have slots from [`FIRST_GHOST_SLOT`] on.
    pub(super) fn find(&self, room: RoomId, position: Vec2, radius: f32, found: &mut Vec<Found>) {
        let local_len = found.len();
        let first = self
            .ghosts
            .partition_point(|one| one.position.x < position.x - radius);
        for (index, one) in (first..).zip(&self.ghosts[first..]) {
            if one.position.x > position.x + radius {
                break;
            }
            let distance2 = one.position.distance_squared(position);
            if one.room == room && distance2 <= radius * radius {
                found.push(Found {
                    slot: Slot(FIRST_GHOST_SLOT + index as u32),
                    position: one.position,
                    distance2,
                });
            }
        }
        if found.len() > local_len {
            found.sort_by(|one, other| {
                let near = one.distance2.total_cmp(&other.distance2);
                near.then(one.slot.0.cmp(&other.slot.0))
            });
        }
    }

    /// Returns the height of the ghost that was found under a slot; `None` for an entity of this simulation.
    pub(super) fn ghost_height(&self, slot: Slot) -> Option<f32> {
        let index = slot.0.checked_sub(FIRST_GHOST_SLOT)?;
        Some(self.ghosts.get(index as usize)?.height)
    }

    /// Returns the ghost that was found under a slot.
    pub(super) fn ghost(&self, slot: Slot) -> Option<Entity> {
        let index = slot.0.checked_sub(FIRST_GHOST_SLOT)?;
        Some(self.ghosts.get(index as usize)?.entity)
    }
}

/// The first slot number that denotes a ghost; the ghost's index is added to it. No frame has as many rows.
pub(super) const FIRST_GHOST_SLOT: u32 = 1 << 31;

//! What a world knows of the other simulations of its process: their frames, where entities were before they
//! changed hands, and copies of what is near the border.
//!
//! Kept by `simulations`; without it, as with a single simulation, the resource is missing and nothing is looked up.
//! Guarantees that a look into the past finds an entity in the frames of whoever owned it then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::limits::HISTORY_TICKS;
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot};
use throng_shared::protocol::pose::Pose;
use throng_shared::tick::Tick;

use crate::boundary::frame::{Frame, FrameHistory};
use crate::space::{Found, RoomId};

/// A copy of an entity of another simulation, near the border, as it was a tick ago; says where the entity is. It has
/// a [`GlobalId`], position, velocity, heading, owner and team; gameplay reads it and changes it by
/// [effects](crate::simulations::TellEntity) only. Clients are not shown it: they are shown the entity itself.
///
/// A query skips ghosts unless it names this component: `With<Ghost>` gives the ghosts alone, `Has<Ghost>` or
/// [`Allow<Ghost>`](bevy_ecs::query::Allow) everything. So gameplay that knows of no ghosts never changes one.
/// [`Nearby`](super::Nearby) and [`Rewind`](super::Rewind) find them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost(pub RowLocation);

/// Where an entity has its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLocation {
    /// The simulation that has the entity.
    pub simulation: SimulationId,
    /// The entity's row in that simulation's frames.
    pub slot: Slot,
}

/// A copy near the border, as spatial queries find it.
#[derive(Clone, Copy, Debug)]
pub struct GhostEntry {
    /// The copy.
    pub entity: Entity,
    /// Who it is.
    pub global: GlobalId,
    /// Where it was at the end of the last tick, in units.
    pub position: Vec2,
    /// In which room.
    pub room: RoomId,
}

/// A row that an entity had.
#[derive(Clone, Copy, Debug)]
struct PastLocation {
    location: RowLocation,
    /// The last frame in which it was there.
    until: Tick,
}

/// The other simulations, as far as this one looks.
#[derive(Resource, Debug, Default)]
pub struct RemoteFrames {
    /// Of all simulations, this one among them, by their number.
    frames: Vec<FrameHistory>,
    /// Of those who changed hands within the last 64 ticks, oldest first.
    past_locations: BTreeMap<GlobalId, Vec<PastLocation>>,
    /// Whose oldest stay ends when.
    ends: VecDeque<(Tick, GlobalId)>,
    /// In the order of their places from west to east.
    ghosts: Vec<GhostEntry>,
}

impl RemoteFrames {
    /// Takes in a frame of a simulation.
    pub fn push_frame(&mut self, frame: &Arc<Frame>) {
        let simulation = usize::from(frame.simulation.0);
        if self.frames.len() <= simulation {
            self.frames.resize_with(simulation + 1, FrameHistory::default);
        }
        drop(self.frames[simulation].push(Arc::clone(frame)));
    }

    /// Notes that an entity was in a row up to the frame of `until`, and is elsewhere from then on.
    pub fn record_move(&mut self, global: GlobalId, location: RowLocation, until: Tick) {
        self.past_locations
            .entry(global)
            .or_default()
            .push(PastLocation { location, until });
        self.ends.push_back((until, global));
    }

    /// Forgets what no frame shows any more.
    pub fn forget_before(&mut self, now: Tick) {
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

    /// Takes the copies near the border in place of those of the last tick.
    pub fn replace_ghosts(&mut self, ghosts: impl Iterator<Item = GhostEntry>) {
        self.ghosts.clear();
        self.ghosts.extend(ghosts);
        let key = |one: &GhostEntry| (one.position.x, one.global);
        self.ghosts.sort_unstable_by(|one, other| {
            let (one, other) = (key(one), key(other));
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        });
    }

    /// The pose of an entity in the frame of `tick`, wherever it was; it is at `present` since it last moved.
    #[must_use]
    pub fn pose(&self, global: GlobalId, present: RowLocation, tick: Tick) -> Option<Pose> {
        let past_locations = self.past_locations.get(&global);
        let past = past_locations
            .and_then(|past_locations| past_locations.iter().find(|past| !tick.is_after(past.until)));
        let RowLocation { simulation, slot } = past.map_or(present, |past| past.location);
        let frame = self.frames.get(usize::from(simulation.0))?.at(tick)?;
        let row = frame.row(slot)?;
        (frame.identity(slot).global == global).then_some(row.pose)
    }

    /// Adds the copies at most `radius` units from a place to what was found at home, nearest first, those at
    /// home first where they are equally far. What is added has slots from [`FIRST_GHOST_SLOT`] on.
    pub(super) fn find(&self, room: RoomId, at: Vec2, radius: f32, found: &mut Vec<Found>) {
        let local_len = found.len();
        let first = self.ghosts.partition_point(|one| one.position.x < at.x - radius);
        for (place, one) in (first..).zip(&self.ghosts[first..]) {
            if one.position.x > at.x + radius {
                break;
            }
            let distance2 = one.position.distance_squared(at);
            if one.room == room && distance2 <= radius * radius {
                found.push(Found {
                    slot: Slot(FIRST_GHOST_SLOT + place as u32),
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

    /// The copy that was found under a slot.
    pub(super) fn ghost(&self, slot: Slot) -> Option<Entity> {
        let place = slot.0.checked_sub(FIRST_GHOST_SLOT)?;
        Some(self.ghosts.get(place as usize)?.entity)
    }
}

/// The first number that stands for a copy instead of a slot: no frame has so many rows.
pub(super) const FIRST_GHOST_SLOT: u32 = 1 << 31;

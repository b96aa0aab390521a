//! What a world knows of the other simulations of its process: their frames, where entities were before they
//! changed hands, and copies of what is near the border.
//!
//! Kept by `worlds`; without it, as with a single simulation, the resource is missing and nothing is looked up.
//! Guarantees that a look into the past finds an entity in the frames of whoever owned it then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::limits::HISTORY_TICKS;
use throng_shared::protocol::ids::{GlobalId, Slot, SourceId};
use throng_shared::protocol::pose::Pose;
use throng_shared::tick::Tick;

use crate::boundary::frame::{Frame, FrameHistory};
use crate::space::{Found, RoomId};

/// A copy of an entity of another simulation, near the border, as it was a tick ago; says where the entity is. It has
/// a [`GlobalId`], position, velocity, heading, owner and team; gameplay reads it and changes it by
/// [effects](crate::worlds::TellEntity) only. Clients are not shown it: they are shown the entity itself.
///
/// A query skips ghosts unless it names this component: `With<Ghost>` gives the ghosts alone, `Has<Ghost>` or
/// [`Allow<Ghost>`](bevy_ecs::query::Allow) everything. So gameplay that knows of no ghosts never changes one.
/// [`Nearby`](super::Nearby) and [`Rewind`](super::Rewind) find them.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost(pub Abode);

/// Where an entity has its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abode {
    /// The simulation that has the entity.
    pub source: SourceId,
    /// The entity's row in that simulation's frames.
    pub slot: Slot,
}

/// A copy near the border, as spatial queries find it.
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
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
struct Stay {
    abode: Abode,
    /// The last frame in which it was there.
    until: Tick,
}

/// The other simulations, as far as this one looks.
#[derive(Resource, Debug, Default)]
pub struct Abroad {
    /// Of all simulations, this one among them, by their number.
    frames: Vec<FrameHistory>,
    /// Of those who changed hands within the last 64 ticks, oldest first.
    stays: BTreeMap<GlobalId, Vec<Stay>>,
    /// Whose oldest stay ends when.
    ends: VecDeque<(Tick, GlobalId)>,
    /// In the order of their places from west to east.
    strangers: Vec<Stranger>,
}

impl Abroad {
    /// Takes in a frame of a simulation.
    pub fn show(&mut self, frame: &Arc<Frame>) {
        let source = usize::from(frame.source.0);
        if self.frames.len() <= source {
            self.frames.resize_with(source + 1, FrameHistory::default);
        }
        drop(self.frames[source].push(Arc::clone(frame)));
    }

    /// Notes that an entity was in a row up to the frame of `until`, and is elsewhere from then on.
    pub fn moved(&mut self, global: GlobalId, abode: Abode, until: Tick) {
        self.stays.entry(global).or_default().push(Stay { abode, until });
        self.ends.push_back((until, global));
    }

    /// Forgets what no frame shows any more.
    pub fn forget_before(&mut self, now: Tick) {
        while let Some(&(until, global)) = self.ends.front() {
            if now.since(until) <= HISTORY_TICKS as i32 {
                break;
            }
            self.ends.pop_front();
            if let Some(stays) = self.stays.get_mut(&global) {
                stays.remove(0);
                if stays.is_empty() {
                    self.stays.remove(&global);
                }
            }
        }
    }

    /// Takes the copies near the border in place of those of the last tick.
    pub fn meet(&mut self, strangers: impl Iterator<Item = Stranger>) {
        self.strangers.clear();
        self.strangers.extend(strangers);
        let key = |one: &Stranger| (one.position.x, one.global);
        self.strangers.sort_unstable_by(|one, other| {
            let (one, other) = (key(one), key(other));
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        });
    }

    /// The pose of an entity in the frame of `tick`, wherever it was; it is at `present` since it last moved.
    #[must_use]
    pub fn pose(&self, global: GlobalId, present: Abode, tick: Tick) -> Option<Pose> {
        let stays = self.stays.get(&global);
        let stay = stays.and_then(|stays| stays.iter().find(|stay| !tick.is_after(stay.until)));
        let Abode { source, slot } = stay.map_or(present, |stay| stay.abode);
        let frame = self.frames.get(usize::from(source.0))?.at(tick)?;
        let row = frame.row(slot)?;
        (frame.identity(slot).global == global).then_some(row.pose)
    }

    /// Adds the copies at most `radius` units from a place to what was found at home, nearest first, those at
    /// home first where they are equally far. What is added has slots from [`STRANGERS`] on.
    pub(super) fn find(&self, room: RoomId, at: Vec2, radius: f32, found: &mut Vec<Found>) {
        let home = found.len();
        let first = self
            .strangers
            .partition_point(|one| one.position.x < at.x - radius);
        for (place, one) in (first..).zip(&self.strangers[first..]) {
            if one.position.x > at.x + radius {
                break;
            }
            let distance2 = one.position.distance_squared(at);
            if one.room == room && distance2 <= radius * radius {
                found.push(Found {
                    slot: Slot(STRANGERS + place as u32),
                    position: one.position,
                    distance2,
                });
            }
        }
        if found.len() > home {
            found.sort_by(|one, other| {
                let near = one.distance2.total_cmp(&other.distance2);
                near.then(one.slot.0.cmp(&other.slot.0))
            });
        }
    }

    /// The copy that was found under a slot.
    pub(super) fn stranger(&self, slot: Slot) -> Option<Entity> {
        let place = slot.0.checked_sub(STRANGERS)?;
        Some(self.strangers.get(place as usize)?.entity)
    }
}

/// The first number that stands for a copy instead of a slot: no frame has so many rows.
pub(super) const STRANGERS: u32 = 1 << 31;

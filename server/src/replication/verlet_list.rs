//! Lists the entities that may enter or leave the view before all entities in reach have to be examined
//! again: a Verlet list.
//!
//! The *skin* of molecular dynamics is here a part of the margin between the radius within which an entity
//! enters and the reach beyond which it leaves. Until some entity, or the eye, can have moved farther than
//! the skin, only entities that were within the skin of one of the two borders, and new entities, can have
//! crossed a border. Each of them is measured again when it can have reached its border, not before. (L.
//! Verlet, Physical Review 159, 98, 1967.)

use glam::Vec2;
use throng_shared::prefetch::prefetch;
use throng_shared::protocol::ids::{Slot, SlotKey};
use throng_shared::tick::Tick;

use super::known::{Known, each_id};
use super::simulation_view::{Newcomer, SimulationView};
use crate::boundary::frame::Upright;
use crate::space::{REACH_FACTOR, RoomId};

/// The skin, as a part of the radius. It is less than the margin between radius and reach, so that an entity
/// that has entered does not leave, and one that has left does not enter, before all are examined again.
const SKIN: f32 = 0.9 * (REACH_FACTOR - 1.0);
/// Largest number of entities near a border. Where there are more, all entities are examined in every tick.
const LISTED_MAX: usize = 47;
/// Largest number of new entities in one tick that are tested one by one. With more, all entities are examined.
const ARRIVALS_MAX: usize = 16;
/// Allowance for the relative rounding error of positions and distances in `f32`: more than twice the error.
const ROUNDING: f32 = 1e-6;
/// Stands for no short id: the entity is not known.
const UNKNOWN: u16 = u16::MAX;

/// An entity near a border: of the radius if it is unknown, of the reach if it is known.
#[derive(Clone, Copy, Debug)]
struct Listed {
    slot: Slot,
    id: u16,
}

/// One client's list, and the conditions under which it is valid.
#[derive(Debug, Default)]
pub(super) struct VerletList {
    is_valid: bool,
    /// Whether the list was sufficient in the last tick.
    is_updated: bool,
    simulation: usize,
    /// The last position of the eye, and the length of its path since all entities were examined.
    eye: Vec2,
    upright: Upright,
    strayed: f32,
    radius: f32,
    /// How far entities may move before the list becomes invalid.
    skin: f32,
    room: RoomId,
    own: Option<SlotKey>,
    own_id: Option<usize>,
    /// [`MotionBound::max_displacement`](crate::boundary::frame::MotionBound::max_displacement) of the last full scan.
    max_displacement: u64,
    /// The counters of new and removed entities in the frame that was followed last.
    arrived: u64,
    departed: u64,
    /// By index in the list: how far entities can move, from the last full examination on, before this one
    /// can be beyond its border. Stored apart from `listed`, because most entries are only
    /// compared. Has at most [`LISTED_MAX`] + 1 entries.
    due: Vec<f32>,
    listed: Vec<Listed>,
}

impl VerletList {
    /// Creates an invalid list with its memory allocated.
    pub(super) fn new() -> Self {
        Self {
            due: Vec::with_capacity(LISTED_MAX + 1),
            listed: Vec::with_capacity(LISTED_MAX + 1),
            ..Self::default()
        }
    }

    /// Returns the square of the distance up to which an unknown entity has to be listed.
    pub(super) fn near2(radius: f32) -> f32 {
        let near = radius * (1.0 + SKIN);
        near * near
    }

    /// Returns the short id of the player's own entity.
    pub(super) fn own_id(&self) -> Option<usize> {
        self.own_id
    }

    /// Returns whether all entities in reach were examined in the last tick.
    #[inline]
    pub(super) fn was_scanned(&self) -> bool {
        !self.is_updated
    }

    /// Prefetches the list.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&*self.due);
        prefetch(&*self.listed);
    }

    /// Invalidates the list: all entities have to be examined next time.
    pub(super) fn forget(&mut self) {
        self.is_valid = false;
    }

    /// Makes a list after all entities in `simulation_view` were examined. `near` are those that do not enter but are
    /// within [`VerletList::near2`], and `distances2` the squared distances of those that are known now.
    pub(super) fn rebuild(
        &mut self,
        simulation_view: &SimulationView<'_>,
        near: &[Newcomer],
        known: &Known,
        distances2: &[f32],
        own_id: Option<usize>,
    ) {
        let (player, motion_bound) = (simulation_view.player, &simulation_view.frame.motion_bound);
        self.due.clear();
        self.listed.clear();
        let reach = player.radius * REACH_FACTOR;
        let edge = player.radius * (REACH_FACTOR - SKIN);
        for (at, group) in known.groups().iter().enumerate() {
            each_id(at, group.live, |id| {
                if distances2[id] > edge * edge {
                    self.list(known.key(id).slot(), id as u16, reach - distances2[id].sqrt());
                }
            });
        }
        for unknown in near {
            let due = unknown.distance2.sqrt() - player.radius;
            self.list(unknown.key.slot(), UNKNOWN, due);
        }
        self.is_valid = self.listed.len() <= LISTED_MAX;
        self.skin = player.radius * SKIN * part_of_skin(player.eye);
        self.simulation = simulation_view.simulation;
        (self.eye, self.radius, self.room) = (player.eye, player.radius, player.room);
        self.upright = player.upright;
        self.strayed = player.eye.abs().max_element().max(player.upright.eye.abs()) * ROUNDING;
        (self.own, self.own_id) = (simulation_view.own(), own_id);
        (self.max_displacement, self.arrived, self.departed) = (
            motion_bound.max_displacement,
            motion_bound.arrived,
            motion_bound.departed,
        );
    }

    /// Adds one entity to the list, up to one more than the list may have.
    fn list(&mut self, slot: Slot, id: u16, due: f32) {
        if self.listed.len() <= LISTED_MAX {
            self.due.push(due);
            self.listed.push(Listed { slot, id });
        }
    }

    /// Removes one entity from the list; the last takes its index.
    fn unlist(&mut self, at: usize) {
        self.due.swap_remove(at);
        self.listed.swap_remove(at);
    }

    /// Makes the entities leave that crossed their border, and collects those that are to enter. Returns
    /// whether the list was sufficient for that; if not, all entities have to be examined.
    pub(super) fn update(
        &mut self,
        known: &mut Known,
        simulation_view: &SimulationView<'_>,
        tick: Tick,
        newcomers: &mut Vec<Newcomer>,
    ) -> bool {
        self.is_updated = false;
        if !self.is_of(simulation_view) {
            return false;
        }
        let moved = self.moved(simulation_view);
        // False if it is not a number.
        let is_in_skin = moved <= self.skin;
        if !is_in_skin || !self.take_arrivals(simulation_view, moved) {
            return false;
        }
        self.take_departures(known, simulation_view, tick);
        let mut at = 0;
        while let Some(&due) = self.due.get(at) {
            if due > moved {
                at += 1;
            } else if let Some(left) = self.cross(known, simulation_view, tick, self.listed[at], newcomers) {
                self.due[at] = moved + left;
                at += 1;
            } else {
                self.unlist(at);
            }
        }
        self.is_updated = true;
        true
    }

    /// Returns whether the list was made for this simulation, room, radius and own entity.
    fn is_of(&self, simulation_view: &SimulationView<'_>) -> bool {
        let player = simulation_view.player;
        self.is_valid
            && (self.simulation, self.room, self.radius)
                == (simulation_view.simulation, player.room, player.radius)
            && self.own == simulation_view.own()
            && self.upright.stretch == player.upright.stretch
    }

    /// Returns an upper bound of the movement of any entity plus that of the eye, in units, since all entities were
    /// examined. It never decreases, so a difference of two results bounds the movement between them.
    fn moved(&mut self, simulation_view: &SimulationView<'_>) -> f32 {
        let eye = simulation_view.player.eye;
        self.strayed += eye.distance(self.eye);
        self.eye = eye;
        let units = simulation_view
            .frame
            .motion_bound
            .units_since(self.max_displacement);
        if simulation_view.height_quantum.is_none() {
            return units + self.strayed;
        }
        let upright = simulation_view.player.upright;
        self.strayed += (upright.eye - self.upright.eye).abs();
        self.upright = upright;
        (units + self.strayed) * upright.stretch_max()
    }

    /// Lists the entities that appeared since the last frame and are near enough to enter now or later.
    /// Returns whether the frame names all of them and they are few enough.
    fn take_arrivals(&mut self, simulation_view: &SimulationView<'_>, moved: f32) -> bool {
        let motion_bound = &simulation_view.frame.motion_bound;
        let missed = motion_bound.arrived.wrapping_sub(self.arrived);
        if missed == 0 {
            return true;
        }
        self.arrived = motion_bound.arrived;
        if missed != motion_bound.arrivals.len() as u64 || motion_bound.arrivals.len() > ARRIVALS_MAX {
            return false;
        }
        let near2 = Self::near2(self.radius);
        for &slot in &motion_bound.arrivals {
            let is_near = simulation_view
                .distance2(slot)
                .is_some_and(|distance2| distance2 <= near2);
            if is_near && simulation_view.frame.identity(slot).room == self.room {
                self.list(slot, UNKNOWN, moved);
            }
        }
        self.listed.len() <= LISTED_MAX
    }

    /// Makes entities leave that were removed from the simulation. Their slots may soon be reused, so they are
    /// removed from the list.
    fn take_departures(&mut self, known: &mut Known, simulation_view: &SimulationView<'_>, tick: Tick) {
        let motion_bound = &simulation_view.frame.motion_bound;
        if std::mem::replace(&mut self.departed, motion_bound.departed) == motion_bound.departed {
            return;
        }
        let is_gone = |slot| simulation_view.frame.row(slot).is_none();
        known.leave_where(tick, |_, key| is_gone(key.slot()));
        for at in (0..self.listed.len()).rev() {
            if is_gone(self.listed[at].slot) {
                self.unlist(at);
            }
        }
    }

    /// Returns how far a listed entity is from its border; `None` if it has crossed it, and leaves or is to
    /// enter.
    fn cross(
        &self,
        known: &mut Known,
        simulation_view: &SimulationView<'_>,
        tick: Tick,
        Listed { slot, id }: Listed,
        newcomers: &mut Vec<Newcomer>,
    ) -> Option<f32> {
        let distance2 = simulation_view.distance2(slot)?;
        let (radius, reach) = (self.radius, self.radius * REACH_FACTOR);
        if id == UNKNOWN {
            if distance2 > radius * radius {
                return Some(distance2.sqrt() - radius);
            }
            newcomers.push(Newcomer::new(simulation_view.key(slot), distance2));
        } else {
            if distance2 <= reach * reach {
                return Some(reach - distance2.sqrt());
            }
            known.leave(usize::from(id), tick);
        }
        None
    }
}

/// Returns the part of the skin that may be used up before the next full examination, 3/4 to 1. It follows from a
/// hash of the eye's position, so it differs between clients. When one entity moves far, the lists of many clients
/// become invalid in the same tick; the different parts spread their next full examinations over several ticks.
fn part_of_skin(eye: Vec2) -> f32 {
    let mixed = (eye.x.to_bits() ^ eye.y.to_bits().rotate_left(16)).wrapping_mul(0x9e37_79b9);
    1.0 - (mixed >> 8) as f32 / (1 << 26) as f32
}

//! What interest management looks at: a client's view of one simulation, and the entities that may enter it.

use throng_shared::protocol::ids::{SimulationId, Slot, SlotKey};

use crate::boundary::frame::{Frame, PlayerRow};

/// A simulation's newest frame and the client's player in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulationView<'a> {
    /// Place among the histories.
    pub(super) simulation: usize,
    pub(super) frame: &'a Frame,
    pub(super) player: &'a PlayerRow,
    /// Units in a quantum of height; `None` on the plane.
    pub(super) height_quantum: Option<f32>,
}

impl SimulationView<'_> {
    pub(super) fn key(&self, slot: Slot) -> SlotKey {
        SlotKey::new(SimulationId(self.simulation as u8), slot)
    }

    /// Returns the square of an entity's distance from the eye, in units, exactly as it is measured block by block.
    #[inline(always)]
    pub(super) fn distance2(&self, slot: Slot) -> Option<f32> {
        let offset = self.frame.row(slot)?.pose.position().0 - self.player.eye;
        Some(self.distance2_in_space(slot, offset.x * offset.x + offset.y * offset.y))
    }

    /// Returns the square of an entity's distance from the eye if it is `distance2` on the plane.
    #[inline(always)]
    pub(super) fn distance2_in_space(&self, slot: Slot, distance2: f32) -> f32 {
        match self.height_quantum {
            None => distance2,
            Some(quantum) => self.lifted(slot, distance2, quantum),
        }
    }

    #[inline(never)]
    fn lifted(&self, slot: Slot, distance2: f32, quantum: f32) -> f32 {
        let pose = self.frame.pose_3d(slot);
        let height = pose.map_or(0.0, |pose| pose.position[1] as f32 * quantum);
        self.player.upright.distance2(distance2, height)
    }

    /// Returns the player's entity, if the simulation has it.
    pub(super) fn own(&self) -> Option<SlotKey> {
        let slot = self.player.entity?;
        self.frame.row(slot)?;
        Some(self.key(slot))
    }
}

/// An entity that is to enter if there is room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer {
    pub(super) key: SlotKey,
    pub(super) distance2: f32,
    /// Whether its rank suffices to take the place of one that is ranked beyond what may be known.
    pub(super) is_core: bool,
}

impl Newcomer {
    pub(super) fn new(key: SlotKey, distance2: f32) -> Self {
        Self {
            key,
            distance2,
            is_core: true,
        }
    }
}

//! Maps the current client's entities to their short ids without a hash map: by slot, in one array per
//! simulation.

use throng_shared::protocol::ids::{SimulationId, Slot, SlotKey};

use super::SIMULATIONS_MAX;

/// Bit of a mark that is set if the short id is leaving; the id is in the bits below.
const LEAVING: u32 = 1 << 15;

/// The short id of an entity in the current client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// None: the client does not know the entity.
    Unknown,
    /// A short id, which is live.
    Live(usize),
    /// A short id, which is leaving.
    Leaving(usize),
}

/// Short ids by simulation and slot, for one client at a time.
///
/// A mark has the number of the client's turn in its upper half, so that no mark has to be cleared.
#[derive(Debug, Default)]
pub(super) struct Marks {
    simulations: [Vec<u32>; SIMULATIONS_MAX],
    turn: u16,
}

/// The marks of one simulation in this turn.
#[derive(Clone, Copy)]
pub(super) struct SimulationMarks<'a> {
    marks: &'a [u32],
    /// The value of the bits from [`LEAVING`] up for a live id: the turn, and the bit of leaving as 0.
    live: u32,
}

impl SimulationMarks<'_> {
    /// Returns the short id at a slot, if it is live.
    #[inline(always)]
    pub(super) fn live(self, slot: usize) -> Option<usize> {
        let mark = self.marks.get(slot).copied().unwrap_or(0);
        (mark >> LEAVING.trailing_zeros() == self.live).then_some((mark & (LEAVING - 1)) as usize)
    }
}

/// The marks of one simulation in this turn, to be set.
pub(super) struct SimulationMarksMut<'a> {
    marks: &'a mut [u32],
    /// The simulation's key of slot 0.
    simulation: u32,
    turn: u32,
}

impl SimulationMarksMut<'_> {
    /// Marks an entity with its short id, if it is one of this simulation.
    #[inline(always)]
    pub(super) fn set(&mut self, key: SlotKey, id: usize, is_leaving: bool) {
        // The xor leaves the slot. For an entity of another simulation it is beyond all slots.
        if let Some(mark) = self.marks.get_mut((key.0 ^ self.simulation) as usize) {
            let flag = if is_leaving { LEAVING } else { 0 };
            *mark = self.turn | flag | id as u32;
        }
    }
}

impl Marks {
    /// Invalidates all marks: the next client's turn begins.
    pub(super) fn begin(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        if self.turn == 0 {
            self.simulations.iter_mut().for_each(|marks| marks.fill(0));
            self.turn = 1;
        }
    }

    /// Marks one more entity with its live short id.
    pub(super) fn set(&mut self, key: SlotKey, id: usize) {
        let simulation = usize::from(key.simulation().0) % SIMULATIONS_MAX;
        self.simulation_mut(simulation, key.slot().index() + 1)
            .set(key, id, false);
    }

    /// Returns the marks of one simulation with up to `slots` slots, to be set.
    pub(super) fn simulation_mut(&mut self, simulation: usize, slots: usize) -> SimulationMarksMut<'_> {
        let marks = &mut self.simulations[simulation];
        if marks.len() < slots {
            marks.resize(slots, 0);
        }
        SimulationMarksMut {
            marks,
            simulation: SlotKey::new(SimulationId(simulation as u8), Slot(0)).0,
            turn: u32::from(self.turn) << 16,
        }
    }

    /// Returns the short id of an entity and whether it is live.
    pub(super) fn get(&self, key: SlotKey) -> Mark {
        let marks = &self.simulations[usize::from(key.simulation().0) % SIMULATIONS_MAX];
        let mark = marks.get(key.slot().index()).copied().unwrap_or(0);
        let id = (mark & (LEAVING - 1)) as usize;
        match (mark >> 16 == u32::from(self.turn), mark & LEAVING) {
            (false, _) => Mark::Unknown,
            (true, 0) => Mark::Live(id),
            (true, _) => Mark::Leaving(id),
        }
    }

    /// Returns the marks of one simulation, for many look-ups.
    pub(super) fn simulation(&self, simulation: usize) -> SimulationMarks<'_> {
        SimulationMarks {
            marks: &self.simulations[simulation],
            live: u32::from(self.turn) << 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_valid_for_one_turn_also_when_turns_wrap() {
        let mut marks = Marks::default();
        let key = |simulation, slot| SlotKey::new(SimulationId(simulation), Slot(slot));
        for turn in 0..140_000u32 {
            marks.begin();
            assert_eq!(marks.get(key(0, turn % 7)), Mark::Unknown);
            marks
                .simulation_mut(0, 7)
                .set(key(0, turn % 7), 1_285, turn % 2 == 0);
            marks.simulation_mut(0, 7).set(key(3, turn % 7), 1, false);
            let expected = if turn % 2 == 0 {
                Mark::Leaving(1_285)
            } else {
                Mark::Live(1_285)
            };
            assert_eq!(marks.get(key(0, turn % 7)), expected);
            assert_eq!(
                marks.simulation(0).live(turn as usize % 7),
                (turn % 2 == 1).then_some(1_285)
            );
        }
        assert_eq!(marks.get(key(1, 0)), Mark::Unknown);
        marks.set(key(7, 300), 0);
        assert_eq!(
            (marks.get(key(7, 300)), marks.simulation(7).live(301)),
            (Mark::Live(0), None)
        );
    }
}

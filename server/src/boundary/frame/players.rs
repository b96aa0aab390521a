//! The players of a frame: what each net worker needs to serve its sessions.

use std::sync::Arc;

use glam::Vec2;
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{PlayerId, Slot, TeamId};
use throng_shared::tick::Tick;

use crate::space::{Area, RoomId};

/// The extent of a view in the third dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Upright {
    /// Height of the centre, in units.
    pub eye: f32,
    /// `None` for a sphere. For a cylinder, the factor on differences of height that makes them distances: its radius by
    /// half its height.
    pub stretch: Option<f32>,
}

impl Upright {
    /// Returns the square of a distance that is `distance2` on the plane, between the eye and an entity at `height`. An
    /// entity is within the view if this is at most the square of the radius.
    #[inline]
    #[must_use]
    pub fn distance2(&self, distance2: f32, height: f32) -> f32 {
        let difference = height - self.eye;
        match self.stretch {
            None => distance2 + difference * difference,
            Some(stretch) => distance2.max((difference * stretch) * (difference * stretch)),
        }
    }

    /// Returns how much farther an entity that moves by one unit can be at most, by [`distance2`](Self::distance2).
    #[inline]
    #[must_use]
    pub fn stretch_max(&self) -> f32 {
        self.stretch.unwrap_or(1.0).max(1.0)
    }
}

/// What a worker needs to know about one session's player.
#[derive(Clone, Debug)]
pub struct PlayerRow {
    /// Generation of the session. The row of an earlier session with the same index is never returned.
    pub generation: u32,
    /// Id of the session's player.
    pub player: PlayerId,
    /// Whether the frame's simulation runs the player. Otherwise the player belongs to another simulation and only
    /// sees a part of this one.
    pub is_local: bool,
    /// Slot of the entity that the player controls, if any.
    pub entity: Option<Slot>,
    /// Centre of the player's view, in units.
    pub eye: Vec2,
    /// Radius of the player's view, in units; with 0 the player sees nothing.
    pub radius: f32,
    /// What the view is in the third dimension. Without meaning on the plane.
    pub upright: Upright,
    /// Team of the player.
    pub team: TeamId,
    /// Room that the player sees.
    pub room: RoomId,
    /// Newest tick in which a received input, not a substitute for a missing one, was applied; 0 before the first.
    pub last_input: Tick,
    /// Ticks by which the newest input's tick is ahead of the frame's; -128 before the first input.
    pub newest_ahead: i8,
    /// Time from the newest input's arrival until its tick was due, in 1/16 tick; negative when it was late.
    pub margin_16: i16,
    /// Leaf cells in view; all of them are in this frame's index.
    pub area: Arc<Area>,
}

/// The players of a frame by worker and session index.
#[derive(Debug, Default)]
pub struct PlayerTable {
    workers: Vec<Vec<Option<PlayerRow>>>,
    len: usize,
}

impl PlayerTable {
    /// Returns the player of `session` on `worker`, or `None`. Takes constant time.
    #[inline]
    #[must_use]
    pub fn get(&self, worker: u8, session: SessionId) -> Option<&PlayerRow> {
        let row = self
            .workers
            .get(usize::from(worker))?
            .get(session.index as usize)?
            .as_ref()?;
        (row.generation == session.generation).then_some(row)
    }

    /// Returns the row of a session index, of any generation. Does not read the row, so it can be prefetched.
    #[inline]
    pub(crate) fn at(&self, worker: u8, index: usize) -> Option<&Option<PlayerRow>> {
        self.workers.get(usize::from(worker))?.get(index)
    }

    /// Returns the number of players in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the table has no player.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterates over all players with their worker, ordered by worker and session index.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &PlayerRow)> {
        self.workers
            .iter()
            .enumerate()
            .flat_map(|(worker, rows)| rows.iter().flatten().map(move |row| (worker as u8, row)))
    }

    /// Adds or replaces a player. The table grows to the highest session index; workers keep their indices dense.
    pub fn insert(&mut self, worker: u8, session: SessionId, mut row: PlayerRow) {
        row.generation = session.generation;
        let worker = usize::from(worker);
        if self.workers.len() <= worker {
            self.workers.resize_with(worker + 1, Vec::new);
        }
        let rows = &mut self.workers[worker];
        let index = session.index as usize;
        if rows.len() <= index {
            rows.resize_with(index + 1, || None);
        }
        self.len += usize::from(rows[index].replace(row).is_none());
    }

    /// Removes all players and keeps the allocated memory.
    pub fn clear(&mut self) {
        for rows in &mut self.workers {
            rows.clear();
        }
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(player: u32) -> PlayerRow {
        PlayerRow {
            generation: 0,
            player: PlayerId(player),
            is_local: true,
            entity: None,
            eye: Vec2::ZERO,
            radius: 0.0,
            upright: Upright::default(),
            team: TeamId::NONE,
            room: RoomId::default(),
            last_input: Tick(0),
            newest_ahead: i8::MIN,
            margin_16: 0,
            area: Arc::default(),
        }
    }

    #[test]
    fn a_player_is_found_by_its_sessions_generation_only() {
        let mut table = PlayerTable::default();
        let session = SessionId {
            index: 7,
            generation: 3,
        };
        table.insert(1, session, row(9));
        assert_eq!(table.get(1, session).map(|row| row.player), Some(PlayerId(9)));
        assert!(
            table
                .get(
                    1,
                    SessionId {
                        index: 7,
                        generation: 2
                    }
                )
                .is_none()
        );
        assert!(table.get(0, session).is_none());
        assert!(
            table
                .get(
                    1,
                    SessionId {
                        index: 8,
                        generation: 3
                    }
                )
                .is_none()
        );
        table.insert(
            1,
            SessionId {
                index: 7,
                generation: 4,
            },
            row(10),
        );
        assert_eq!((table.len(), table.iter().count()), (1, 1));
        table.clear();
        assert!(table.is_empty() && table.get(1, session).is_none());
    }
}

//! Bounds on how much a frame differs from an earlier one in its entities and their positions, known without
//! reading its rows.

use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::POSITION_QUANTUM;
use throng_shared::protocol::pose3d::Pose3d;

use super::chunk::{AliveBits, HotChunk, Row, each_bit};

/// Displacement that a change of room counts as, in quanta: farther than any view reaches.
const JUMP: u64 = 1 << 40;

/// The heights of a chunk in space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heights<'a> {
    pub(super) poses: &'a [Pose3d],
    /// Quanta of the plane in a quantum of height.
    pub(super) scale: f32,
}

impl Heights<'_> {
    /// Returns the square of the displacement in space of the entity at an index, in quanta of the plane.
    fn step2(&self, before: &HotChunk, rows: &[Row], at: usize) -> f32 {
        let (old, new) = (&before.rows[at].pose, &rows[at].pose);
        let dx = (i64::from(new.x) - i64::from(old.x)) as f32;
        let dy = (i64::from(new.y) - i64::from(old.y)) as f32;
        let height = |pose: &Pose3d| i64::from(pose.position[1]);
        let old_height = before.poses_3d.get(at).map_or(0, height);
        let rise = (height(&self.poses[at]) - old_height) as f32 * self.scale;
        dx * dx + dy * dy + rise * rise
    }
}

/// Totals since the simulation began, so that a reader that skipped frames can compare any two frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MotionBound {
    /// The longest displacement of any entity in each tick, summed over all ticks, in quanta. No entity that is in
    /// two frames has moved farther between them than the difference of their sums.
    pub max_displacement: u64,
    /// Number of entities that appeared since the simulation began; wraps.
    pub arrived: u64,
    /// Number of entities that disappeared since the simulation began; wraps.
    pub departed: u64,
    /// Slots of the entities that appeared in this frame.
    pub arrivals: Vec<Slot>,
}

impl MotionBound {
    /// Returns an upper bound, in units, of how far any entity has moved since the frame whose `max_displacement` was
    /// `earlier`.
    #[must_use]
    pub(crate) fn units_since(&self, earlier: u64) -> f32 {
        // The added quantum covers what the conversion may round away.
        (self.max_displacement.wrapping_sub(earlier) as f32 + 1.0) * POSITION_QUANTUM
    }

    /// Begins a tick: clears the list of slots that appeared.
    pub(super) fn begin(&mut self) {
        self.arrivals.clear();
    }

    /// Records that an entity changed its room.
    pub(super) fn note_room_change(&mut self) {
        self.max_displacement = self.max_displacement.wrapping_add(JUMP);
    }

    /// Counts the entities that appeared or disappeared between a chunk's last published state `before` and its new
    /// state `rows` and `alive`. Returns the square of the longest displacement of an entity in both, in quanta.
    pub(super) fn compare(
        &mut self,
        chunk: usize,
        before: &HotChunk,
        rows: &[Row],
        alive: &AliveBits,
        heights: Option<Heights<'_>>,
    ) -> f32 {
        let mut longest2 = 0.0f32;
        for (word, (&then, &now)) in before.alive.iter().zip(alive).enumerate() {
            // One bit per slot: `then & !now` are the slots that became free, `now & !then` those that were taken,
            // and `then & now` those that hold an entity in both states.
            self.departed = self.departed.wrapping_add(u64::from((then & !now).count_ones()));
            self.arrived = self.arrived.wrapping_add(u64::from((now & !then).count_ones()));
            each_bit(now & !then, |bit| {
                self.arrivals
                    .push(Slot((chunk * CHUNK_SLOTS + word * 64 + bit) as u32));
            });
            if let Some(heights) = &heights {
                each_bit(then & now, |bit| {
                    let at = word * 64 + bit;
                    longest2 = longest2.max(heights.step2(before, rows, at));
                });
                continue;
            }
            let (old, new) = (&before.rows[word * 64..][..64], &rows[word * 64..][..64]);
            each_bit(then & now, |bit| {
                let (old, new) = (&old[bit].pose, &new[bit].pose);
                let dx = (i64::from(new.x) - i64::from(old.x)) as f32;
                let dy = (i64::from(new.y) - i64::from(old.y)) as f32;
                longest2 = longest2.max(dx * dx + dy * dy);
            });
        }
        longest2
    }

    /// Adds the longest displacement of a tick, given as its square in quanta.
    pub(super) fn add_longest_step(&mut self, longest2: f32) {
        if longest2 > 0.0 {
            // The square was rounded to `f32`, so its root may be too short. The factor and rounding up cover that.
            let step = (f64::from(longest2).sqrt() * (1.0 + 1e-6)).ceil() as u64;
            self.max_displacement = self.max_displacement.wrapping_add(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use throng_shared::protocol::ids::SimulationId;
    use throng_shared::protocol::pose::Pose;
    use throng_shared::tick::Tick;

    use super::super::{Frame, FrameWriter, Identity};
    use super::*;
    use crate::space::RoomId;

    fn pose(x: i32, y: i32) -> Pose {
        Pose {
            x,
            y,
            ..Pose::default()
        }
    }

    fn publish(writer: &mut FrameWriter, tick: u32) -> Arc<Frame> {
        let (index, players) = (writer.spare_index(), writer.spare_players());
        writer.publish(Tick(tick), Duration::ZERO, index, players)
    }

    #[test]
    fn arrivals_departures_and_the_longest_step_are_counted() {
        let mut writer = FrameWriter::new(SimulationId(0));
        for slot in [3, 300, 301] {
            writer.insert(Slot(slot), Identity::default(), pose(0, 0), Tick(1));
        }
        let first = publish(&mut writer, 1).motion_bound.clone();
        assert_eq!((first.arrived, first.departed, first.max_displacement), (3, 0, 0));
        assert_eq!(first.arrivals, [3, 300, 301].map(Slot));
        writer.set_pose(Slot(3), pose(30, 40), Tick(2));
        writer.set_pose(Slot(300), pose(-5, 5), Tick(2));
        writer.remove(Slot(301));
        let second = publish(&mut writer, 2).motion_bound.clone();
        assert_eq!((second.arrived, second.departed), (3, 1));
        assert!(second.arrivals.is_empty() && (50..=52).contains(&second.max_displacement));
        assert_eq!(publish(&mut writer, 3).motion_bound, second, "nothing moved");
    }

    #[test]
    fn a_change_of_room_counts_as_farther_than_any_view() {
        let mut writer = FrameWriter::new(SimulationId(0));
        writer.insert(Slot(0), Identity::default(), pose(0, 0), Tick(1));
        let before = publish(&mut writer, 1).motion_bound.max_displacement;
        let moved = Identity {
            room: RoomId(1),
            ..Identity::default()
        };
        writer.set_identity(Slot(0), moved, Tick(2));
        assert!(publish(&mut writer, 2).motion_bound.units_since(before) > 1e9);
    }

    proptest! {
        #[test]
        fn no_entity_moves_farther_than_units_since_returns(
            steps in prop::collection::vec((0u32..20, any::<i32>(), any::<i32>(), 0u32..32), 1..100),
            per_tick in 1usize..8,
        ) {
            let mut writer = FrameWriter::new(SimulationId(0));
            for slot in 0..20 {
                writer.insert(Slot(slot), Identity::default(), pose(0, 0), Tick(0));
            }
            let mut frames = vec![publish(&mut writer, 0)];
            for (tick, steps) in steps.chunks(per_tick).enumerate() {
                let tick = tick as u32 + 1;
                for &(slot, x, y, shift) in steps {
                    writer.set_pose(Slot(slot), pose(x >> shift, y >> shift), Tick(tick));
                }
                frames.push(publish(&mut writer, tick));
            }
            let newest = &frames[frames.len() - 1];
            for frame in &frames {
                let bound = newest.motion_bound.units_since(frame.motion_bound.max_displacement);
                for (slot, row) in frame.rows() {
                    let now = newest.row(slot).unwrap().pose;
                    let offset = |a: i32, b: i32| (f64::from(a) - f64::from(b)) * f64::from(POSITION_QUANTUM);
                    let moved = offset(row.pose.x, now.x).hypot(offset(row.pose.y, now.y));
                    prop_assert!(moved <= f64::from(bound), "{} moved {}, bound {}", slot.0, moved, bound);
                }
            }
        }
    }
}

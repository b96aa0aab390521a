//! The simulation's working copy of all rows, from which frames are published.
//!
//! Each write compares the new row with the old one. Publishing then copies only the chunks in which a bit changed
//! and shares all others by reference.

use std::sync::Arc;
use std::time::Duration;

use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::{ComponentId, SimulationId, Slot};
use throng_shared::protocol::pose::{POSITION_QUANTUM, Pose};
use throng_shared::protocol::pose3d::{Pose3d, Quanta3d};
use throng_shared::tick::Tick;

use super::chunk::{
    AliveBits, ColdChunk, ColdRow, ColdValue, HotChunk, Identity, IdentityChunk, Row, locate,
};
use super::dirty::Dirty;
use super::motion_bound::{Heights, MotionBound};
use super::players::PlayerTable;
use super::pool::FramePool;
use super::published::Frame;
use crate::space::CellIndex;

/// Builds the frames of one simulation.
#[derive(Debug)]
pub struct FrameWriter {
    simulation: SimulationId,
    rows: Vec<Row>,
    /// The poses like `rows` in a game in three dimensions, and quanta of the plane in one of height; `None` on the plane.
    poses_3d: Option<(Vec<Pose3d>, f32)>,
    alive: Vec<AliveBits>,
    identities: Vec<Identity>,
    cold_rows: Vec<Option<Arc<ColdRow>>>,
    dirty_hot: Dirty,
    dirty_identities: Dirty,
    dirty_cold: Dirty,
    hot: Vec<Arc<HotChunk>>,
    identity_chunks: Arc<Vec<Arc<IdentityChunk>>>,
    cold_chunks: Arc<Vec<Arc<ColdChunk>>>,
    pool: FramePool,
    motion_bound: MotionBound,
}

impl FrameWriter {
    /// Creates a writer without entities for the simulation `simulation`.
    #[must_use]
    pub fn new(simulation: SimulationId) -> Self {
        Self {
            simulation,
            rows: Vec::new(),
            poses_3d: None,
            alive: Vec::new(),
            identities: Vec::new(),
            cold_rows: Vec::new(),
            dirty_hot: Dirty::default(),
            dirty_identities: Dirty::default(),
            dirty_cold: Dirty::default(),
            hot: Vec::new(),
            identity_chunks: Arc::default(),
            cold_chunks: Arc::default(),
            pool: FramePool::default(),
            motion_bound: MotionBound::default(),
        }
    }

    /// Lets each entity have a pose in space, in these quanta, besides the one on the plane.
    pub fn enable_3d(&mut self, quanta: &Quanta3d) {
        let poses = vec![Pose3d::default(); self.rows.len()];
        self.poses_3d = Some((poses, quanta.position() / POSITION_QUANTUM));
    }

    /// Returns whether entities have poses in space.
    #[must_use]
    pub fn is_3d(&self) -> bool {
        self.poses_3d.is_some()
    }

    /// Returns the simulation whose frames are built here.
    #[must_use]
    pub fn simulation(&self) -> SimulationId {
        self.simulation
    }

    /// Returns the state of a slot as it will be published, or `None` when it holds no entity.
    #[inline]
    #[must_use]
    pub fn row(&self, slot: Slot) -> Option<&Row> {
        self.is_alive(slot).then(|| &self.rows[slot.index()])
    }

    /// Puts an entity into a slot, which must be free. The entity appears in the next frame.
    pub fn insert(&mut self, slot: Slot, identity: Identity, pose: Pose, tick: Tick) {
        let (chunk, index) = locate(slot);
        self.grow(chunk + 1);
        self.alive[chunk][index / 64] |= 1 << (index % 64);
        self.rows[slot.index()] = Row { pose, changed: tick };
        if let Some((poses, _)) = &mut self.poses_3d {
            poses[slot.index()] = Pose3d::default();
        }
        self.identities[slot.index()] = identity;
        self.dirty_hot.mark(chunk);
        self.dirty_identities.mark(chunk);
        if self.cold_rows[slot.index()].take().is_some() {
            self.dirty_cold.mark(chunk);
        }
    }

    /// Removes the entity from a slot. The slot must not be used again until no reader can hold a frame with the
    /// removed entity; see [`SlotTable`](super::SlotTable).
    pub fn remove(&mut self, slot: Slot) {
        let (chunk, index) = locate(slot);
        self.alive[chunk][index / 64] &= !(1 << (index % 64));
        self.dirty_hot.mark(chunk);
        if self.cold_rows[slot.index()].take().is_some() {
            self.dirty_cold.mark(chunk);
        }
    }

    /// Sets the pose of a slot, which must hold an entity. Returns whether the position changed.
    #[inline]
    pub fn set_pose(&mut self, slot: Slot, pose: Pose, tick: Tick) -> bool {
        debug_assert!(self.is_alive(slot), "the slot of a pose must hold an entity");
        let row = &mut self.rows[slot.index()];
        if row.pose == pose {
            return false;
        }
        let moved = row.pose.x != pose.x || row.pose.y != pose.y;
        *row = Row { pose, changed: tick };
        self.dirty_hot.mark(slot.index() / CHUNK_SLOTS);
        moved
    }

    /// Returns the pose in space of a slot as it will be published; `None` when it holds no entity, and on the plane.
    #[must_use]
    pub fn pose_3d(&self, slot: Slot) -> Option<&Pose3d> {
        let (poses, _) = self.poses_3d.as_ref()?;
        self.is_alive(slot).then(|| &poses[slot.index()])
    }

    /// Sets the pose in space of a slot, which must hold an entity. Ignored on the plane.
    #[inline]
    pub fn set_pose_3d(&mut self, slot: Slot, pose: Pose3d, tick: Tick) {
        let Some((poses, _)) = &mut self.poses_3d else {
            return;
        };
        if std::mem::replace(&mut poses[slot.index()], pose) != pose {
            self.touch(slot, tick);
        }
    }

    /// Sets the identity of a slot, which must hold an entity.
    pub fn set_identity(&mut self, slot: Slot, identity: Identity, tick: Tick) {
        let old = self.identities[slot.index()];
        if old != identity {
            if old.room != identity.room {
                self.motion_bound.note_room_change();
            }
            self.identities[slot.index()] = identity;
            self.dirty_identities.mark(slot.index() / CHUNK_SLOTS);
            self.touch(slot, tick);
        }
    }

    /// Returns the identity at `slot`; stale when the slot holds no entity.
    #[must_use]
    pub fn identity(&self, slot: Slot) -> &Identity {
        &self.identities[slot.index()]
    }

    /// Sets a registered component of a slot, which must hold an entity, or removes it when `value` is `None`.
    pub fn set_component(&mut self, slot: Slot, id: ComponentId, value: Option<ColdValue>, tick: Tick) {
        let row = &mut self.cold_rows[slot.index()];
        let old = row.as_deref();
        if value.is_none() && old.is_none_or(|old| old.mask & id.bit() == 0) {
            return;
        }
        // A row that lost its last component is kept: from its tick the workers know which clients must still
        // be sent the removal.
        *row = Some(Arc::new(
            old.map_or_else(ColdRow::default, Clone::clone)
                .with(id, value, tick),
        ));
        self.dirty_cold.mark(slot.index() / CHUNK_SLOTS);
        self.touch(slot, tick);
    }

    /// Returns an empty player table, in the memory of a recycled one when there is one.
    #[must_use]
    pub fn spare_players(&mut self) -> PlayerTable {
        self.pool.players()
    }

    /// Returns an index to fill, in the memory of a recycled one when there is one. Its content is stale.
    #[must_use]
    pub fn spare_index(&mut self) -> CellIndex {
        self.pool.index()
    }

    /// Takes back a frame that has left the history. Its memory is reused once it has no reader left.
    pub fn retire(&mut self, frame: Arc<Frame>) {
        self.pool.retire(frame);
    }

    /// Builds the immutable frame of `tick` from the current rows, `index` and `players`. `published_at` is the time
    /// since the process's origin.
    pub fn publish(
        &mut self,
        tick: Tick,
        published_at: Duration,
        index: CellIndex,
        players: PlayerTable,
    ) -> Arc<Frame> {
        self.freeze_hot();
        self.freeze_identities();
        self.freeze_cold();
        let mut hot = self.pool.chunk_list();
        hot.extend_from_slice(&self.hot);
        Arc::new(Frame {
            simulation: self.simulation,
            tick,
            published_at,
            motion_bound: self.motion_bound.clone(),
            index,
            players,
            hot,
            identities: Arc::clone(&self.identity_chunks),
            cold: Arc::clone(&self.cold_chunks),
        })
    }

    fn is_alive(&self, slot: Slot) -> bool {
        let (chunk, index) = locate(slot);
        self.alive
            .get(chunk)
            .is_some_and(|alive| alive[index / 64] >> (index % 64) & 1 == 1)
    }

    fn touch(&mut self, slot: Slot, tick: Tick) {
        self.rows[slot.index()].changed = tick;
        self.dirty_hot.mark(slot.index() / CHUNK_SLOTS);
    }

    fn grow(&mut self, chunks: usize) {
        let slots = chunks * CHUNK_SLOTS;
        if self.rows.len() < slots {
            self.rows.resize(slots, Row::default());
            if let Some((poses, _)) = &mut self.poses_3d {
                poses.resize(slots, Pose3d::default());
            }
            self.identities.resize(slots, Identity::default());
            self.cold_rows.resize(slots, None);
            self.alive.resize(chunks, AliveBits::default());
        }
    }

    fn freeze_hot(&mut self) {
        self.pool.reclaim();
        self.hot.resize_with(self.alive.len(), Arc::default);
        self.motion_bound.begin();
        let mut longest2 = 0.0f32;
        for chunk in self.dirty_hot.drain() {
            let mut fresh = self.pool.chunk();
            // A pooled chunk has no other owner, so this copies nothing. A shared chunk would be copied, never changed.
            let to: &mut HotChunk = Arc::make_mut(&mut fresh);
            let rows = &self.rows[chunk * CHUNK_SLOTS..(chunk + 1) * CHUNK_SLOTS];
            to.rows.copy_from_slice(rows);
            to.alive = self.alive[chunk];
            let heights = self.poses_3d.as_ref().map(|(poses, scale)| Heights {
                poses: &poses[chunk * CHUNK_SLOTS..(chunk + 1) * CHUNK_SLOTS],
                scale: *scale,
            });
            if let Some(heights) = &heights {
                to.set_poses_3d(heights.poses);
            }
            let step2 = self
                .motion_bound
                .compare(chunk, &self.hot[chunk], rows, &self.alive[chunk], heights);
            longest2 = longest2.max(step2);
            self.hot[chunk] = fresh;
        }
        self.motion_bound.add_longest_step(longest2);
    }

    fn freeze_identities(&mut self) {
        if self.dirty_identities.is_empty() {
            return;
        }
        let chunks = Arc::make_mut(&mut self.identity_chunks);
        chunks.resize_with(self.alive.len(), Arc::default);
        for chunk in self.dirty_identities.drain() {
            let mut fresh = IdentityChunk::default();
            fresh
                .rows
                .copy_from_slice(&self.identities[chunk * CHUNK_SLOTS..(chunk + 1) * CHUNK_SLOTS]);
            chunks[chunk] = Arc::new(fresh);
        }
    }

    fn freeze_cold(&mut self) {
        if self.dirty_cold.is_empty() {
            return;
        }
        let chunks = Arc::make_mut(&mut self.cold_chunks);
        chunks.resize_with(self.alive.len(), Arc::default);
        for chunk in self.dirty_cold.drain() {
            let mut fresh = ColdChunk::default();
            fresh
                .rows
                .clone_from_slice(&self.cold_rows[chunk * CHUNK_SLOTS..(chunk + 1) * CHUNK_SLOTS]);
            chunks[chunk] = Arc::new(fresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use throng_shared::protocol::ids::{GlobalId, PlayerId};

    fn pose(x: i32) -> Pose {
        Pose { x, ..Pose::default() }
    }

    fn identity(global: u64) -> Identity {
        Identity {
            global: GlobalId(global),
            importance: 1,
            ..Identity::default()
        }
    }

    fn publish(writer: &mut FrameWriter, tick: u32) -> Arc<Frame> {
        let (index, players) = (writer.spare_index(), writer.spare_players());
        writer.publish(Tick(tick), Duration::ZERO, index, players)
    }

    fn written() -> FrameWriter {
        let mut writer = FrameWriter::new(SimulationId(0));
        for slot in 0..600 {
            writer.insert(Slot(slot), identity(u64::from(slot)), pose(1), Tick(1));
        }
        writer
    }

    #[test]
    fn an_unchanged_chunk_is_the_same_arc() {
        let mut writer = written();
        let first = publish(&mut writer, 1);
        assert!(!writer.set_pose(Slot(5), pose(1), Tick(2)), "no bit changed");
        assert!(writer.set_pose(Slot(300), pose(2), Tick(2)));
        let turned = Pose { yaw: 1, ..pose(1) };
        assert!(!writer.set_pose(Slot(301), turned, Tick(2)), "turned, not moved");
        let second = publish(&mut writer, 2);
        let same: Vec<_> = first
            .chunks()
            .iter()
            .zip(second.chunks())
            .map(|(a, b)| Arc::ptr_eq(a, b))
            .collect();
        assert_eq!(same, [true, false, true]);
        assert!(Arc::ptr_eq(&first.identities, &second.identities));
        assert_eq!(
            first.row(Slot(300)).map(|row| (row.pose.x, row.changed)),
            Some((1, Tick(1)))
        );
        assert_eq!(
            second.row(Slot(300)).map(|row| (row.pose.x, row.changed)),
            Some((2, Tick(2)))
        );
        assert_eq!(
            second.row(Slot(301)).map(|row| (row.pose.yaw, row.changed)),
            Some((1, Tick(2)))
        );
        assert_eq!(second.row(Slot(302)).map(|row| row.changed), Some(Tick(1)));
        assert_eq!(second.row(Slot(600)), None);
        assert_eq!(second.rows().count(), 600);
    }

    #[test]
    fn a_change_of_identity_or_component_marks_the_row_as_changed() {
        let mut writer = written();
        publish(&mut writer, 1);
        let owned = Identity {
            owner: PlayerId(4),
            ..identity(7)
        };
        writer.set_identity(Slot(7), owned, Tick(2));
        writer.set_component(Slot(8), ComponentId(3), Some(Arc::new(5u8)), Tick(2));
        writer.set_component(Slot(9), ComponentId(3), None, Tick(2));
        let frame = publish(&mut writer, 2);
        let changed = |slot| frame.row(Slot(slot)).map(|row| row.changed.0);
        assert_eq!([changed(7), changed(8), changed(9)], [Some(2), Some(2), Some(1)]);
        assert_eq!(frame.identity(Slot(7)), &owned);
        let value = frame
            .cold(Slot(8))
            .and_then(|row| row.cell(ComponentId(3)))
            .unwrap();
        assert_eq!(value.value.downcast_ref::<u8>(), Some(&5));
        writer.remove(Slot(8));
        let later = publish(&mut writer, 3);
        assert!(later.row(Slot(8)).is_none() && later.cold(Slot(8)).is_none());
        assert!(frame.cold(Slot(8)).is_some(), "a published frame never changes");
    }

    #[test]
    fn memory_of_a_frame_is_reused_only_without_readers() {
        let mut writer = written();
        let frames: Vec<_> = (1..=3)
            .map(|tick| {
                writer.set_pose(Slot(0), pose(100 + tick as i32), Tick(tick));
                publish(&mut writer, tick)
            })
            .collect();
        let read: Vec<_> = frames
            .iter()
            .map(|frame| Arc::as_ptr(&frame.chunks()[0]))
            .collect();
        let held = Arc::clone(&frames[0]);
        frames.into_iter().for_each(|frame| writer.retire(frame));
        let fresh: Vec<_> = (4..8)
            .map(|tick| {
                writer.set_pose(Slot(0), pose(100 + tick as i32), Tick(tick));
                publish(&mut writer, tick)
            })
            .collect();
        let used: Vec<_> = fresh
            .iter()
            .map(|frame| Arc::as_ptr(&frame.chunks()[0]))
            .collect();
        assert!(used.contains(&read[1]), "reused");
        assert!(!used.contains(&read[0]), "still read");
        assert_eq!(held.row(Slot(0)).map(|row| row.pose.x), Some(101));
    }

    proptest! {
        #[test]
        fn a_published_frame_equals_the_rows_written_before_it(
            steps in prop::collection::vec((0u32..700, 0u8..6, 0i32..3), 1..200),
        ) {
            let mut writer = FrameWriter::new(SimulationId(0));
            let mut model: BTreeMap<Slot, i32> = BTreeMap::new();
            let mut kept: Vec<(Arc<Frame>, BTreeMap<Slot, i32>)> = Vec::new();
            for (tick, (slot, action, x)) in steps.into_iter().enumerate() {
                let (slot, tick) = (Slot(slot), tick as u32);
                match (action, model.contains_key(&slot)) {
                    (0, true) => {
                        writer.remove(slot);
                        model.remove(&slot);
                    }
                    (_, true) => {
                        writer.set_pose(slot, pose(x), Tick(tick));
                        model.insert(slot, x);
                    }
                    (_, false) => {
                        writer.insert(slot, identity(u64::from(tick)), pose(x), Tick(tick));
                        model.insert(slot, x);
                    }
                }
                kept.push((publish(&mut writer, tick), model.clone()));
                if kept.len() > 8 {
                    writer.retire(kept.remove(0).0);
                }
                for (frame, model) in &kept {
                    let read: BTreeMap<_, _> = frame.rows().map(|(slot, row)| (slot, row.pose.x)).collect();
                    prop_assert_eq!(&read, model);
                }
            }
        }
    }
}

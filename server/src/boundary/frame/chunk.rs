//! Rows and the chunks of 256 slots that hold them.
//!
//! Hot rows (the pose) and identities are plain integers and are copied chunk by chunk. Cold rows hold the
//! registered components as shared values, which each net worker encodes when it sends them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::{ComponentId, GlobalId, PlayerId, Slot, TeamId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::tick::Tick;

use crate::space::RoomId;

/// One bit for each slot of a chunk, set while the slot holds an entity.
pub(super) type AliveBits = [u64; CHUNK_SLOTS / 64];

/// A slot's hot state: 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// Quantized position, velocity, yaw and flags. In a game in three dimensions, the position on the ground plane.
    pub pose: Pose,
    /// Tick of the last change of any replicated part: pose, components or identity. At least the tick in which the
    /// slot was taken, so a reader never mistakes the slot's new entity for its previous one.
    pub changed: Tick,
}

/// The hot rows of 256 consecutive slots of one kind.
#[derive(Clone, Debug)]
pub(crate) struct HotChunk {
    /// Rows by the low 8 bits of the slot. The row of a slot without an entity is stale.
    pub rows: [Row; CHUNK_SLOTS],
    /// The slots of the chunk that hold an entity.
    pub alive: AliveBits,
    /// The poses in space, like `rows`; empty in a game on the plane.
    pub poses_3d: Box<[Pose3d]>,
}

impl HotChunk {
    /// Returns the row at `index` (0..256), or `None` when its slot holds no entity.
    #[inline]
    #[must_use]
    pub(crate) fn row(&self, index: usize) -> Option<&Row> {
        (self.alive[index / 64] >> (index % 64) & 1 == 1).then(|| &self.rows[index])
    }

    /// Replaces the poses in space.
    pub(super) fn set_poses_3d(&mut self, poses: &[Pose3d]) {
        if self.poses_3d.len() == poses.len() {
            self.poses_3d.copy_from_slice(poses);
        } else {
            self.poses_3d = poses.into();
        }
    }
}

impl Default for HotChunk {
    fn default() -> Self {
        Self {
            rows: [Row::default(); CHUNK_SLOTS],
            alive: AliveBits::default(),
            poses_3d: Box::default(),
        }
    }
}

/// Id, owner, team, importance and room of an entity. Changes rarely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Id of the entity, unique across all simulations and never reused.
    pub global: GlobalId,
    /// Player that owns the entity and sees its owner-only components.
    pub owner: PlayerId,
    /// Team whose players see the entity's team-only components.
    pub team: TeamId,
    /// Weight of the entity when a client's budget does not suffice for all; 1 is usual, 0 is sent last.
    pub importance: u8,
    /// Room in which the entity is.
    pub room: RoomId,
}

/// The identities of 256 consecutive slots.
#[derive(Clone, Debug)]
pub(super) struct IdentityChunk {
    /// Identities by the low 8 bits of the slot.
    pub rows: [Identity; CHUNK_SLOTS],
}

impl Default for IdentityChunk {
    fn default() -> Self {
        Self {
            rows: [Identity::default(); CHUNK_SLOTS],
        }
    }
}

/// A replicated component's value as it was at the end of a tick.
pub(crate) type ColdValue = Arc<dyn Any + Send + Sync>;

/// One registered component of one entity.
#[derive(Clone)]
pub struct ColdCell {
    /// Id of the component in the protocol's registry.
    pub id: ComponentId,
    /// Tick of the last change of its value.
    pub changed: Tick,
    /// Value of the component; downcasts to the registered type.
    pub value: ColdValue,
}

impl fmt::Debug for ColdCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColdCell")
            .field("id", &self.id)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}

/// The registered components of one entity, by ascending id.
#[derive(Clone, Debug, Default)]
pub struct ColdRow {
    /// One bit for each component that the entity has: bit `n` for component id `n`.
    pub mask: u64,
    /// Tick of the last change of a value or of the set of components.
    pub changed: Tick,
    /// The components by ascending id, one for each bit of `mask`.
    pub components: Box<[ColdCell]>,
}

impl ColdRow {
    /// Returns the cell of component `id`, or `None` when the entity does not have it.
    #[inline]
    #[must_use]
    pub fn cell(&self, id: ComponentId) -> Option<&ColdCell> {
        // The components with a lower id: as many as the cell's index, because cells are sorted by id.
        let before = self.mask & (id.bit() - 1);
        (self.mask & id.bit() != 0).then(|| &self.components[before.count_ones() as usize])
    }

    /// Returns a copy with one component set, or removed when `value` is `None`.
    #[must_use]
    pub(super) fn with(&self, id: ComponentId, value: Option<ColdValue>, tick: Tick) -> Self {
        let mut components: Vec<ColdCell> = self
            .components
            .iter()
            .filter(|cell| cell.id != id)
            .cloned()
            .collect();
        let mut mask = self.mask & !id.bit();
        if let Some(value) = value {
            mask |= id.bit();
            let index = components.partition_point(|cell| cell.id < id);
            components.insert(
                index,
                ColdCell {
                    id,
                    changed: tick,
                    value,
                },
            );
        }
        Self {
            mask,
            changed: tick,
            components: components.into(),
        }
    }
}

/// The cold rows of 256 consecutive slots; `None` where an entity has no registered component.
#[derive(Clone, Debug)]
pub(super) struct ColdChunk {
    /// Cold rows by the low 8 bits of the slot.
    pub rows: [Option<Arc<ColdRow>>; CHUNK_SLOTS],
}

impl Default for ColdChunk {
    fn default() -> Self {
        Self {
            rows: [const { None }; CHUNK_SLOTS],
        }
    }
}

/// Calls `visit` with the index of each set bit, from the lowest.
#[inline(always)]
pub(crate) fn each_bit(bits: u64, mut visit: impl FnMut(usize)) {
    let mut left = bits;
    while left != 0 {
        visit(left.trailing_zeros() as usize);
        // Clears the lowest set bit. `left` is not 0, so the subtraction cannot wrap.
        left &= left - 1;
    }
}

/// Splits a slot into the index of its chunk and its index in that chunk.
#[inline]
pub(super) const fn locate(slot: Slot) -> (usize, usize) {
    (slot.index() / CHUNK_SLOTS, slot.index() % CHUNK_SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_twenty_bytes() {
        assert_eq!(size_of::<Row>(), 20);
    }

    #[test]
    fn cold_rows_keep_their_order_and_mask() {
        let row = ColdRow::default()
            .with(ComponentId(63), Some(Arc::new(63u32)), Tick(1))
            .with(ComponentId(0), Some(Arc::new(0u32)), Tick(2))
            .with(ComponentId(5), Some(Arc::new(5u32)), Tick(3))
            .with(ComponentId(5), Some(Arc::new(50u32)), Tick(4));
        assert_eq!(row.mask, 1 | 1 << 5 | 1 << 63);
        assert_eq!(row.changed, Tick(4));
        let value = |id: u8| {
            row.cell(ComponentId(id))
                .and_then(|cell| cell.value.downcast_ref::<u32>().copied())
        };
        assert_eq!(
            [value(0), value(5), value(63), value(6)],
            [Some(0), Some(50), Some(63), None]
        );
        let row = row.with(ComponentId(0), None, Tick(5));
        assert_eq!((row.mask, row.components.len()), (1 << 5 | 1 << 63, 2));
        assert!(row.cell(ComponentId(0)).is_none() && row.cell(ComponentId(63)).is_some());
    }
}

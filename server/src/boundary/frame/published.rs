//! The published frame: the immutable rows, index and players of one simulation in one tick.

use std::sync::Arc;
use std::time::Duration;

use throng_shared::hash::Mixer;
use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::{SimulationId, Slot};
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::tick::Tick;

use super::chunk::{ColdChunk, ColdRow, HotChunk, Identity, IdentityChunk, Row, locate};
use super::motion_bound::MotionBound;
use super::players::PlayerTable;
use crate::space::{CellIndex, RoomId};

/// The replicated state of one simulation at the end of one tick. Immutable; shared by `Arc`.
#[derive(Debug)]
pub struct Frame {
    /// Simulation that published the frame.
    pub simulation: SimulationId,
    /// Tick at whose end the frame was published.
    pub tick: Tick,
    /// Time of publication since the process's origin. For metering only; it decides nothing.
    pub published_at: Duration,
    /// Bounds on the difference from earlier frames in entities and positions.
    pub(crate) motion_bound: MotionBound,
    /// Slots of the entities by leaf cell, in two layers.
    pub(crate) index: CellIndex,
    /// Players to serve, by worker and session.
    pub players: PlayerTable,
    pub(super) hot: Vec<Arc<HotChunk>>,
    pub(super) identities: Arc<Vec<Arc<IdentityChunk>>>,
    pub(super) cold: Arc<Vec<Arc<ColdChunk>>>,
}

impl Frame {
    /// Returns the hot row of a slot, or `None` when it holds no entity in this frame.
    #[inline]
    #[must_use]
    pub fn row(&self, slot: Slot) -> Option<&Row> {
        let (chunk, index) = locate(slot);
        self.hot.get(chunk)?.row(index)
    }

    /// Returns whether entities have poses in space. Unknown, and false, without any.
    #[must_use]
    pub(crate) fn has_poses_3d(&self) -> bool {
        self.hot.iter().any(|chunk| !chunk.poses_3d.is_empty())
    }

    /// Returns the pose in space of a slot, or `None` when it holds no entity in this frame, and on the plane.
    #[inline]
    #[must_use]
    pub fn pose_3d(&self, slot: Slot) -> Option<&Pose3d> {
        let (chunk, index) = locate(slot);
        let chunk = self.hot.get(chunk)?;
        chunk.row(index)?;
        chunk.poses_3d.get(index)
    }

    /// Returns the identity at `slot`. Meaningful only where [`Frame::row`] returns a row; otherwise stale or zero.
    #[inline]
    #[must_use]
    pub fn identity(&self, slot: Slot) -> &Identity {
        const NO_IDENTITY: Identity = Identity {
            global: throng_shared::protocol::ids::GlobalId(0),
            owner: throng_shared::protocol::ids::PlayerId::NONE,
            team: throng_shared::protocol::ids::TeamId::NONE,
            importance: 0,
            room: RoomId(0),
        };
        let (chunk, index) = locate(slot);
        self.identities
            .get(chunk)
            .map_or(&NO_IDENTITY, |chunk| &chunk.rows[index])
    }

    /// Returns the registered components at `slot`, or `None` when there are none.
    #[inline]
    #[must_use]
    pub fn cold(&self, slot: Slot) -> Option<&ColdRow> {
        let (chunk, index) = locate(slot);
        self.cold.get(chunk)?.rows[index].as_deref()
    }

    /// Returns the chunks of hot rows; slot `s` is row `s % 256` of chunk `s / 256`.
    #[must_use]
    pub(crate) fn chunks(&self) -> &[Arc<HotChunk>] {
        &self.hot
    }

    /// Returns the number of slots, with those that hold no entity. It is a multiple of 256.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.hot.len() * CHUNK_SLOTS
    }

    /// Iterates over all slots that hold an entity, with their rows, in slot order.
    pub fn rows(&self) -> impl Iterator<Item = (Slot, &Row)> {
        self.hot.iter().enumerate().flat_map(|(chunk, hot)| {
            (0..CHUNK_SLOTS)
                .filter_map(move |index| Some((Slot((chunk * CHUNK_SLOTS + index) as u32), hot.row(index)?)))
        })
    }

    /// Returns a digest of the rows and identities of all entities. It is equal for two runs of the same simulation
    /// at the same tick. It reads every row, so it is for tests, replays and audits rather than for every tick.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        let mut sum =
            Mixer::new(0x7468_726f_6e67 ^ u64::from(self.tick.0) << 8 ^ u64::from(self.simulation.0));
        for (slot, row) in self.rows() {
            let pose = row.pose;
            sum.mix(u64::from(slot.0) << 32 | u64::from(row.changed.0));
            sum.mix(u64::from(pose.x as u32) << 32 | u64::from(pose.y as u32));
            sum.mix(
                u64::from(pose.vx as u16) << 48
                    | u64::from(pose.vy as u16) << 32
                    | u64::from(pose.yaw) << 16
                    | u64::from(pose.flags),
            );
            if let Some(pose) = self.pose_3d(slot) {
                mix_pose_3d(&mut sum, pose);
            }
            let identity = self.identity(slot);
            sum.mix(identity.global.0);
            sum.mix(
                u64::from(identity.room.0) << 48
                    | u64::from(identity.owner.0) << 16
                    | u64::from(identity.team.0) << 8
                    | u64::from(identity.importance),
            );
        }
        Checksum(sum.finish())
    }
}

fn mix_pose_3d(sum: &mut Mixer, pose: &Pose3d) {
    pose.position.iter().for_each(|&axis| sum.mix(axis as u64));
    pose.velocity.iter().for_each(|&axis| sum.mix(axis as u64));
    sum.mix(pose.rotation.to_bits());
}

/// Digest of a frame's rows and identities; see [`Frame::checksum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checksum(pub u64);

//! The poses of a game as its packets carry them: those on the plane, or those in space.

use throng_shared::protocol::delta::{DeltaBits, MotionModel};
use throng_shared::protocol::delta3d::MotionModel3d;
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::{Enter, PoseCode, ShortId, SnapshotWriter, enter_bits};

use crate::boundary::frame::{Frame, Row};

/// The code of poses.
#[derive(Debug)]
pub(super) struct Poses {
    plane: MotionModel,
    space: Option<MotionModel3d>,
}

impl Poses {
    pub(super) fn new(tick_rate: u16, protocol: &Protocol) -> Self {
        let space = protocol.quanta_3d();
        Self {
            plane: MotionModel::new(tick_rate),
            space: space.map(|quanta| MotionModel3d::new(quanta, tick_rate)),
        }
    }

    /// Returns the difference of a slot's pose from that in `base`, whose row is `base_row`, `age` ticks before;
    /// `None` where it does not fit.
    #[inline]
    pub(super) fn encode(
        &self,
        (base, base_row): (&Frame, &Row),
        (now, row): (&Frame, &Row),
        slot: Slot,
        age: u32,
    ) -> Option<DeltaBits> {
        match &self.space {
            None => self.plane.encode(&base_row.pose, &row.pose, age),
            Some(motion) => motion.encode(base.pose_3d(slot)?, now.pose_3d(slot)?, age),
        }
    }

    /// Returns the bits of a slot's pose without a baseline.
    pub(super) fn absolute_bits(&self, frame: &Frame, slot: Slot) -> u32 {
        match &self.space {
            None => frame
                .row(slot)
                .map_or(0, |row| PoseCode::absolute_bits(&self.plane, &row.pose)),
            Some(motion) => frame.pose_3d(slot).map_or(0, |pose| motion.absolute_bits(pose)),
        }
    }

    /// Returns the bits of an enter without components.
    pub(super) fn enter_bits(&self, id: ShortId, frame: &Frame, slot: Slot, id_bits: u32) -> usize {
        match &self.space {
            None => enter_bits(
                &enter(id, frame, slot, plane_pose(frame, slot)),
                &self.plane,
                id_bits,
            ),
            Some(motion) => enter_bits(&enter(id, frame, slot, space_pose(frame, slot)), motion, id_bits),
        }
    }

    /// Writes an enter.
    pub(super) fn write_enter(
        &self,
        writer: &mut SnapshotWriter<'_>,
        id: ShortId,
        frame: &Frame,
        slot: Slot,
    ) {
        match &self.space {
            None => writer.enter(&enter(id, frame, slot, plane_pose(frame, slot)), &self.plane),
            Some(motion) => writer.enter(&enter(id, frame, slot, space_pose(frame, slot)), motion),
        }
    }

    /// Writes an update without a baseline.
    pub(super) fn write_absolute(&self, writer: &mut SnapshotWriter<'_>, frame: &Frame, slot: Slot) {
        match &self.space {
            None => writer.absolute(&plane_pose(frame, slot), &self.plane),
            Some(motion) => writer.absolute(&space_pose(frame, slot), motion),
        }
    }

    /// Writes updates that have neither exceptions nor components.
    #[inline(always)]
    pub(super) fn write_differences(
        &self,
        writer: &mut SnapshotWriter<'_>,
        deltas: impl Iterator<Item = DeltaBits>,
    ) {
        match self.space {
            None => writer.differences(deltas),
            Some(_) => writer.long_differences(deltas),
        }
    }
}

fn enter<P>(id: ShortId, frame: &Frame, slot: Slot, pose: P) -> Enter<P> {
    Enter {
        id,
        global: frame.identity(slot).global,
        pose,
    }
}

fn plane_pose(frame: &Frame, slot: Slot) -> Pose {
    frame.row(slot).map(|row| row.pose).unwrap_or_default()
}

fn space_pose(frame: &Frame, slot: Slot) -> Pose3d {
    frame.pose_3d(slot).copied().unwrap_or_default()
}

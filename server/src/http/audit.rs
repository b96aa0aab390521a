//! The state of every entity at one tick, with which a load test compares its mirrors.
//!
//! Keeps the newest [`FRAMES_KEPT`] published frames, in benchmark scenes and with `--audit` only, since they
//! reveal everything to every client. Guarantees that the simulation only pushes an `Arc` into a bounded lock-free
//! queue; a frame that finds the queue full is missing here only.
//!
//! The response to `GET /v1/audit?tick=T`, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `THA1` |
//! | 4..8 | the tick, u32 |
//! | 8..12 | how many entities follow, u32 |
//! | 12..16 | bytes of each, u32: 28, and 56 in a game in three dimensions |
//! | then each, by simulation and slot | global id u64; x i32, y i32, vx i16, vy i16, yaw u16, flags u16 in the quanta of `Pose`; tick of the last change u32 |
//! | in three dimensions also | position 3 x i32, velocity 3 x i16, 2 bytes, rotation u64 in the quanta of `Pose3d` |

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bevy_ecs::prelude::Resource;
use bytes::{BufMut, Bytes, BytesMut};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::boundary::frame::Frame;

/// Number of frames that are kept of each simulation.
pub(crate) const FRAMES_KEPT: usize = 64;

/// The first bytes of a response.
pub const AUDIT_MAGIC: [u8; 4] = *b"THA1";
/// Bytes before the first entity's row.
pub const AUDIT_HEADER_BYTES: usize = 16;
/// Bytes of one entity's row.
pub const AUDIT_ROW_BYTES: usize = 28;
/// Bytes of one entity's row in a game in three dimensions.
pub const AUDIT_ROW_3D_BYTES: usize = 56;

/// The simulation's end of the queue, which receives every published frame.
///
/// The mutex is never locked: it is accessed only through `&mut`, and makes the queue's end a valid resource.
#[derive(Resource)]
pub(crate) struct AuditSink(Mutex<Producer<Arc<Frame>>>);

/// The HTTP server's end of the queues, with the frames that are kept.
pub(crate) struct AuditFrames(Vec<Kept>);

/// The frames of one simulation.
struct Kept {
    incoming: Consumer<Arc<Frame>>,
    frames: VecDeque<Arc<Frame>>,
}

/// Creates both ends for the given number of simulations.
#[must_use]
pub(crate) fn audit(simulations: u8) -> (Vec<AuditSink>, AuditFrames) {
    let ends = (0..simulations).map(|_| {
        let (producer, incoming) = RingBuffer::new(FRAMES_KEPT);
        let frames = VecDeque::with_capacity(FRAMES_KEPT);
        (AuditSink(Mutex::new(producer)), Kept { incoming, frames })
    });
    let (sinks, kept) = ends.unzip();
    (sinks, AuditFrames(kept))
}

impl AuditSink {
    /// Offers a frame to the HTTP server. If the queue is full, the frame is dropped: the HTTP server has not collected
    /// for 64 ticks.
    pub(crate) fn offer(&mut self, frame: &Arc<Frame>) {
        // A full queue loses only this tick's audit, for which the HTTP server then returns 404.
        let _ = self
            .0
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(frame));
    }
}

impl AuditFrames {
    /// Collects the offered frames, and drops the oldest above [`FRAMES_KEPT`].
    pub(super) fn collect(&mut self) {
        for kept in &mut self.0 {
            while let Ok(frame) = kept.incoming.pop() {
                if kept.frames.len() == FRAMES_KEPT {
                    kept.frames.pop_front();
                }
                kept.frames.push_back(frame);
            }
        }
    }

    /// Returns the frames of `tick`, one of each simulation.
    ///
    /// # Errors
    /// Returns the oldest and newest tick that are kept of all simulations, or `None` if there are none.
    pub(super) fn at(&self, tick: u32) -> Result<Vec<Arc<Frame>>, Option<(u32, u32)>> {
        let found = self.0.iter().map(|kept| {
            let frame = kept.frames.iter().rev().find(|frame| frame.tick.0 == tick);
            frame.map(Arc::clone)
        });
        found.collect::<Option<_>>().ok_or_else(|| {
            let ends = |kept: &Kept| Some((kept.frames.front()?.tick.0, kept.frames.back()?.tick.0));
            let ends: Option<Vec<_>> = self.0.iter().map(ends).collect();
            let common = |one: (u32, u32), other: (u32, u32)| (one.0.max(other.0), one.1.min(other.1));
            ends?.into_iter().reduce(common)
        })
    }
}

/// Encodes the frames of one tick in the layout above.
pub(super) fn encode(tick: u32, frames: &[Arc<Frame>]) -> Bytes {
    let chunks: usize = frames.iter().map(|frame| frame.chunks().len()).sum();
    let is_3d = frames.iter().any(|frame| frame.has_poses_3d());
    let row_bytes = if is_3d {
        AUDIT_ROW_3D_BYTES
    } else {
        AUDIT_ROW_BYTES
    };
    let mut bytes = BytesMut::with_capacity(AUDIT_HEADER_BYTES + chunks * 256 * row_bytes);
    bytes.put_slice(&AUDIT_MAGIC);
    bytes.put_u32_le(tick);
    bytes.put_u32_le(0);
    bytes.put_u32_le(row_bytes as u32);
    let mut count = 0_u32;
    let rows = frames.iter().flat_map(|frame| {
        frame
            .rows()
            .map(move |(slot, row)| (frame.identity(slot).global, row, frame.pose_3d(slot)))
    });
    for (global, row, pose_3d) in rows {
        count += 1;
        bytes.put_u64_le(global.0);
        bytes.put_i32_le(row.pose.x);
        bytes.put_i32_le(row.pose.y);
        bytes.put_i16_le(row.pose.vx);
        bytes.put_i16_le(row.pose.vy);
        bytes.put_u16_le(row.pose.yaw);
        bytes.put_u16_le(row.pose.flags);
        bytes.put_u32_le(row.changed.0);
        if is_3d {
            let pose = pose_3d.copied().unwrap_or_default();
            pose.position.iter().for_each(|&axis| bytes.put_i32_le(axis));
            pose.velocity.iter().for_each(|&axis| bytes.put_i16_le(axis));
            bytes.put_u16_le(0);
            bytes.put_u64_le(pose.rotation.to_bits());
        }
    }
    bytes[8..12].copy_from_slice(&count.to_le_bytes());
    bytes.freeze()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot};
    use throng_shared::protocol::pose::Pose;
    use throng_shared::tick::Tick;

    use super::*;
    use crate::boundary::frame::{FrameWriter, Identity};

    /// Returns a frame of two entities.
    pub(crate) fn frame_of(tick: u32) -> Arc<Frame> {
        let mut writer = FrameWriter::new(SimulationId(0));
        for (slot, x) in [(3, -7), (700, 9)] {
            let identity = Identity {
                global: GlobalId(u64::from(slot) << 40),
                ..Identity::default()
            };
            let pose = Pose {
                x,
                y: 0x0102_0304,
                vx: -2,
                vy: 5,
                yaw: 1_023,
                flags: 0,
            };
            writer.insert(Slot(slot), identity, pose, Tick(tick - 1));
        }
        let (index, players) = (writer.spare_index(), writer.spare_players());
        writer.publish(Tick(tick), Duration::ZERO, index, players)
    }

    #[test]
    fn audit_layout_is_as_documented() {
        let bytes = encode(0x0a0b_0c0d, &[frame_of(0x0a0b_0c0d)]);
        assert_eq!(bytes.len(), AUDIT_HEADER_BYTES + 2 * AUDIT_ROW_BYTES);
        assert_eq!(bytes[..16], *b"THA1\x0d\x0c\x0b\x0a\x02\0\0\0\x1c\0\0\0");
        let first = [
            &(3_u64 << 40).to_le_bytes()[..],
            &(-7_i32).to_le_bytes(),
            &[4, 3, 2, 1],
            &(-2_i16).to_le_bytes(),
            &[5, 0],
            &[0xff, 3],
            &[0, 0],
            &[0x0c, 0x0c, 0x0b, 0x0a],
        ];
        assert_eq!(bytes[16..16 + AUDIT_ROW_BYTES], first.concat());
        assert_eq!(bytes[44..52], (700_u64 << 40).to_le_bytes());
    }

    #[test]
    fn audit_keeps_the_newest_64_frames() {
        let (mut sinks, mut frames) = audit(1);
        let sink = &mut sinks[0];
        assert_eq!(frames.at(1).unwrap_err(), None);
        for tick in 1..=100 {
            sink.offer(&frame_of(tick));
            if tick % 10 == 0 {
                frames.collect();
            }
        }
        assert_eq!(frames.at(36).unwrap_err(), Some((37, 100)));
        assert!((37..=100).all(|tick| frames.at(tick).unwrap()[0].tick.0 == tick));
        assert_eq!(frames.at(101).unwrap_err(), Some((37, 100)));
    }

    #[test]
    fn audit_has_a_tick_once_every_simulation_has_offered_it() {
        let (mut sinks, mut frames) = audit(2);
        (1..=5).for_each(|tick| sinks[0].offer(&frame_of(tick)));
        frames.collect();
        assert_eq!(frames.at(3).unwrap_err(), None);
        (2..=4).for_each(|tick| sinks[1].offer(&frame_of(tick)));
        frames.collect();
        assert_eq!(frames.at(5).unwrap_err(), Some((2, 4)));
        let both = frames.at(4).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(encode(4, &both).len(), AUDIT_HEADER_BYTES + 4 * AUDIT_ROW_BYTES);
    }

    #[test]
    fn audit_keeps_a_bounded_number_of_frames_without_collecting() {
        let (mut sinks, mut frames) = audit(1);
        let sink = &mut sinks[0];
        (1..=200).for_each(|tick| sink.offer(&frame_of(tick)));
        frames.collect();
        assert_eq!(frames.at(1_000).unwrap_err(), Some((1, 64)));
    }
}

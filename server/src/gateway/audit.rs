//! What the simulation said of every entity at one tick, for a load test to compare its mirrors with.
//!
//! Owns a second look at the published frames: the newest [`FRAMES_KEPT`], in benchmark scenes only, since
//! it shows everybody everything. Guarantees that the simulation only pushes an `Arc` into a bounded
//! lock-free queue; a frame that finds it full is missing here and nowhere else.
//!
//! The answer to `GET /v1/audit?tick=T`, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `THA1` |
//! | 4..8 | the tick, u32 |
//! | 8..12 | how many entities follow, u32 |
//! | 12..16 | bytes of each, u32: 28 |
//! | then each, by slot | global id u64; x i32, y i32, vx i16, vy i16, yaw u16, flags u16 in the quanta of `Pose`; tick of the last change u32 |

use std::collections::VecDeque;
use std::sync::Arc;

use bevy_ecs::prelude::Resource;
use bytes::{BufMut, Bytes, BytesMut};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::frame::Frame;

/// Frames that can be asked for.
pub const FRAMES_KEPT: usize = 64;

/// The first bytes of an answer.
pub const AUDIT_MAGIC: [u8; 4] = *b"THA1";
/// Bytes before the first entity.
pub const AUDIT_HEADER_BYTES: usize = 16;
/// Bytes of one entity.
pub const AUDIT_ROW_BYTES: usize = 28;

/// The simulation's end: give it every published frame.
#[derive(Resource)]
pub struct AuditSink(Producer<Arc<Frame>>);

/// The gateway's end.
pub struct AuditFrames {
    incoming: Consumer<Arc<Frame>>,
    kept: VecDeque<Arc<Frame>>,
}

/// Both ends.
#[must_use]
pub fn audit() -> (AuditSink, AuditFrames) {
    let (producer, incoming) = RingBuffer::new(FRAMES_KEPT);
    (
        AuditSink(producer),
        AuditFrames {
            incoming,
            kept: VecDeque::with_capacity(FRAMES_KEPT),
        },
    )
}

impl AuditSink {
    /// Offers a frame. Without room it is not kept: the gateway has been asleep for 64 ticks.
    pub fn offer(&mut self, frame: &Arc<Frame>) {
        // A full queue loses nothing but this tick's audit, which then answers 404.
        let _ = self.0.push(Arc::clone(frame));
    }
}

impl AuditFrames {
    /// Takes what was offered, dropping the oldest above [`FRAMES_KEPT`].
    pub(super) fn collect(&mut self) {
        while let Ok(frame) = self.incoming.pop() {
            if self.kept.len() == FRAMES_KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(frame);
        }
    }

    /// The frame of `tick`.
    ///
    /// # Errors
    /// The oldest and newest tick that are kept, when `tick` is not; `None` when nothing is.
    pub(super) fn at(&self, tick: u32) -> Result<&Arc<Frame>, Option<(u32, u32)>> {
        let found = self.kept.iter().rev().find(|frame| frame.tick.0 == tick);
        found.ok_or_else(|| Some((self.kept.front()?.tick.0, self.kept.back()?.tick.0)))
    }
}

/// A frame in the layout above.
pub(super) fn encode(frame: &Frame) -> Bytes {
    let mut bytes =
        BytesMut::with_capacity(AUDIT_HEADER_BYTES + frame.chunks().len() * 256 * AUDIT_ROW_BYTES);
    bytes.put_slice(&AUDIT_MAGIC);
    bytes.put_u32_le(frame.tick.0);
    bytes.put_u32_le(0);
    bytes.put_u32_le(AUDIT_ROW_BYTES as u32);
    let mut count = 0_u32;
    for (slot, row) in frame.rows() {
        count += 1;
        bytes.put_u64_le(frame.identity(slot).global.0);
        bytes.put_i32_le(row.pose.x);
        bytes.put_i32_le(row.pose.y);
        bytes.put_i16_le(row.pose.vx);
        bytes.put_i16_le(row.pose.vy);
        bytes.put_u16_le(row.pose.yaw);
        bytes.put_u16_le(row.pose.flags);
        bytes.put_u32_le(row.changed.0);
    }
    bytes[8..12].copy_from_slice(&count.to_le_bytes());
    bytes.freeze()
}

//! Buffers for a decoded packet until it is applied.

use throng_shared::protocol::snapshot::{ComponentsHead, Enter, Presence, ShortId};
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

/// A decoded packet that is not yet applied. The poses of updates are in the baselines, unpublished.
#[derive(Debug, Default)]
pub(super) struct PendingPacket<P> {
    pub(super) leaves: Vec<ShortId>,
    pub(super) enters: Vec<(Enter<P>, Tick)>,
    pub(super) updates: Vec<(Tick, Presence)>,
    pub(super) heads: Vec<PendingComponents>,
    pub(super) values: Vec<PendingValue>,
    /// Encoded values of components that consist of numbers.
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PendingComponents {
    pub(super) id: ShortId,
    pub(super) tick: Tick,
    pub(super) head: ComponentsHead,
    /// Index of its first value in `PendingPacket::values`.
    pub(super) values: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PendingValue {
    /// A byte range of the packet.
    Bytes { start: usize, end: usize },
    /// The numbers, and a byte range of [`PendingPacket::bytes`] with their encoding.
    Steps { steps: Steps, start: usize, end: usize },
}

impl<P> PendingPacket<P> {
    pub(super) fn clear(&mut self) {
        self.leaves.clear();
        self.enters.clear();
        self.updates.clear();
        self.heads.clear();
        self.values.clear();
        self.bytes.clear();
    }
}

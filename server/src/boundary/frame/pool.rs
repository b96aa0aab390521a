//! Recycling of the memory of frames that have no reader any more.

use std::collections::VecDeque;
use std::sync::Arc;

use throng_shared::limits::HISTORY_TICKS;

use super::chunk::HotChunk;
use super::players::PlayerTable;
use super::published::Frame;
use crate::space::CellIndex;

/// Hot chunks kept for reuse: one tick's worth for 256,000 moving entities (5 MiB). More are freed.
const CHUNKS_KEPT_MAX: usize = 1_024;
/// Emptied containers of each type kept for reuse.
const SPARES_MAX: usize = 8;

/// Takes the memory of retired frames and gives it to new ones.
///
/// A retired frame waits until its last reader drops it. At most 64 frames wait: beyond that the pool drops the
/// oldest, and its last reader frees the memory.
#[derive(Debug, Default)]
pub(super) struct FramePool {
    retired: VecDeque<Arc<Frame>>,
    chunks: Vec<Arc<HotChunk>>,
    chunk_lists: Vec<Vec<Arc<HotChunk>>>,
    players: Vec<PlayerTable>,
    indexes: Vec<CellIndex>,
}

impl FramePool {
    /// Takes a frame that has left the history.
    pub(super) fn retire(&mut self, frame: Arc<Frame>) {
        self.retired.push_back(frame);
        if self.retired.len() > HISTORY_TICKS {
            self.retired.pop_front();
        }
    }

    /// Returns a chunk to fill, which has no other owner. Its content is stale.
    pub(super) fn chunk(&mut self) -> Arc<HotChunk> {
        self.chunks.pop().unwrap_or_default()
    }

    /// Returns an empty list of chunks.
    pub(super) fn chunk_list(&mut self) -> Vec<Arc<HotChunk>> {
        self.chunk_lists.pop().unwrap_or_default()
    }

    /// Returns an empty player table.
    pub(super) fn players(&mut self) -> PlayerTable {
        self.players.pop().unwrap_or_default()
    }

    /// Returns an index to fill. Its content is stale.
    pub(super) fn index(&mut self) -> CellIndex {
        self.indexes.pop().unwrap_or_default()
    }

    /// Recycles the memory of the retired frames that have no reader any more.
    pub(super) fn reclaim(&mut self) {
        for _ in 0..self.retired.len() {
            let Some(frame) = self.retired.pop_front() else {
                return;
            };
            match Arc::try_unwrap(frame) {
                Ok(frame) => self.recycle(frame),
                Err(shared) => self.retired.push_back(shared),
            }
        }
    }

    /// Keeps the parts of a frame for reuse, up to their bounds, and frees the rest.
    fn recycle(&mut self, frame: Frame) {
        let Frame {
            mut hot,
            mut players,
            index,
            ..
        } = frame;
        for mut chunk in hot.drain(..) {
            if self.chunks.len() < CHUNKS_KEPT_MAX && Arc::get_mut(&mut chunk).is_some() {
                self.chunks.push(chunk);
            }
        }
        players.clear();
        keep(&mut self.chunk_lists, hot);
        keep(&mut self.players, players);
        keep(&mut self.indexes, index);
    }
}

/// Keeps `spare` for reuse, or frees it when there are [`SPARES_MAX`] already.
fn keep<T>(spares: &mut Vec<T>, spare: T) {
    if spares.len() < SPARES_MAX {
        spares.push(spare);
    }
}

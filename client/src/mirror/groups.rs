//! Short ids in groups of 64, whose bits fill a word.

use throng_shared::protocol::snapshot::ShortId;

/// The group of 64 that an id is in, and its place there.
#[inline(always)]
pub(super) fn locate(id: ShortId) -> (usize, usize) {
    (id.index() / 64, id.index() % 64)
}

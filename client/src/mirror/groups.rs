//! Groups short ids by 64, so that a word holds one bit for each.

use throng_shared::protocol::snapshot::ShortId;

/// Returns the group of 64 that an id belongs to, and its bit index within the group.
#[inline(always)]
pub(super) fn locate(id: ShortId) -> (usize, usize) {
    (id.index() / 64, id.index() % 64)
}

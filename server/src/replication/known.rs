//! The entities that one client has been told of, by short id.
//!
//! A short id is free, *live* (the client is to have the entity) or *leaving* (the client is to forget it);
//! a live one is *confirmed* once an enter was acknowledged. It becomes free again when a leave was. Every
//! change of state notes its tick, and packets from before it no longer count: so a short id can be used
//! again while old packets are still on their way.

use throng_shared::protocol::ids::SlotKey;
use throng_shared::tick::Tick;

/// Ticks by which an entity that was never sent, or whose packet was lost, counts as older than any change.
const LONG_AGO: u32 = 1 << 30;
/// Priority with which an entity enters: that of one that has waited for a while.
const ENTER_PRIORITY: u16 = 1 << 12;
/// Arrays grow by this many short ids.
const GROWTH: usize = 64;

/// What is known about one short id.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownEntry {
    /// The entity: simulation (by its place among the histories) and slot.
    pub(super) key: SlotKey,
    /// Tick of the newest state that was sent and is not known to be lost.
    pub(super) sent: Tick,
    /// Tick of the newest state that was acknowledged; means something for confirmed ids only.
    pub(super) acked: Tick,
    /// Tick of the first packet that says that the id is live or leaving.
    since: Tick,
}

/// A set of short ids.
#[derive(Debug, Default)]
pub(super) struct IdSet {
    words: Vec<u64>,
    len: usize,
}

impl IdSet {
    #[inline(always)]
    pub(super) fn contains(&self, id: usize) -> bool {
        self.words
            .get(id / 64)
            .is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The ids, ascending, without borrowing the set: as of this call.
    #[inline]
    pub(super) fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn insert(&mut self, id: usize) {
        self.insert_word(id / 64, 1 << (id % 64));
    }

    /// Adds the ids `at * 64 ..` that are set in `ids`.
    #[inline]
    pub(super) fn insert_word(&mut self, at: usize, ids: u64) {
        if ids == 0 {
            return;
        }
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.len += (ids & !self.words[at]).count_ones() as usize;
        self.words[at] |= ids;
    }

    #[inline]
    pub(super) fn remove(&mut self, id: usize) {
        if self.contains(id) {
            self.words[id / 64] &= !(1 << (id % 64));
            self.len -= 1;
        }
    }
}

/// Calls `visit` with each id in a word of an [`IdSet`].
#[inline(always)]
pub(super) fn each_id(at: usize, word: u64, mut visit: impl FnMut(usize)) {
    let mut left = word;
    while left != 0 {
        visit(at * 64 + left.trailing_zeros() as usize);
        left &= left - 1;
    }
}

/// The known set of one client.
#[derive(Debug)]
pub(super) struct Known {
    ids_max: usize,
    pub(super) entries: Vec<KnownEntry>,
    /// Grows while something waits to be sent.
    pub(super) priority: Vec<u16>,
    /// Whether priorities are kept: from the first time that not everything fitted.
    pub(super) has_priorities: bool,
    pub(super) live: IdSet,
    pub(super) confirmed: IdSet,
    pub(super) leaving: IdSet,
}

impl Known {
    pub(super) fn new(ids_max: usize) -> Self {
        Self {
            ids_max,
            entries: Vec::new(),
            priority: Vec::new(),
            has_priorities: false,
            live: IdSet::default(),
            confirmed: IdSet::default(),
            leaving: IdSet::default(),
        }
    }

    /// Words of 64 ids that sets of ids in use take.
    pub(super) fn word_count(&self) -> usize {
        self.entries.len() / GROWTH
    }

    /// Gives an entity the lowest free id; `None` when all are live or leaving.
    pub(super) fn enter(&mut self, key: SlotKey, tick: Tick) -> Option<usize> {
        let used = |at: usize| self.live.word(at) | self.leaving.word(at);
        let at = (0..self.ids_max.div_ceil(64)).find(|&at| used(at) != u64::MAX)?;
        let id = at * 64 + used(at).trailing_ones() as usize;
        if id >= self.ids_max {
            return None;
        }
        if id >= self.entries.len() {
            self.entries.resize((at + 1) * GROWTH, KnownEntry::default());
            self.priority.resize((at + 1) * GROWTH, 0);
        }
        self.enter_as(id, key, tick);
        Some(id)
    }

    /// Gives an entity a certain id that is leaving or live; the client is told absolutely.
    pub(super) fn enter_as(&mut self, id: usize, key: SlotKey, tick: Tick) {
        self.leaving.remove(id);
        self.confirmed.remove(id);
        self.live.insert(id);
        self.entries[id] = KnownEntry {
            key,
            sent: tick - LONG_AGO,
            acked: tick - LONG_AGO,
            since: tick,
        };
        self.priority[id] = ENTER_PRIORITY;
    }

    /// Takes a live id's entity away from the client.
    pub(super) fn leave(&mut self, id: usize, tick: Tick) {
        self.live.remove(id);
        self.confirmed.remove(id);
        self.leaving.insert(id);
        self.entries[id].since = tick;
        self.priority[id] = 0;
    }

    /// A packet of tick `packet` arrived that told of ids `at * 64 ..`, those set in `ids`; `state` answers
    /// which state of an entity it holds.
    #[inline]
    pub(super) fn acknowledge(&mut self, at: usize, ids: u64, packet: Tick, state: impl Fn(SlotKey) -> Tick) {
        let live = self.live.word(at);
        let mut confirmed = 0;
        let mut left = ids & live;
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            let Some(entry) = self.entries.get_mut(at * 64 + bit as usize) else {
                return;
            };
            if entry.since.is_after(packet) {
                continue;
            }
            // What was resolved out of order does not turn back the baseline.
            let state = state(entry.key);
            if state.is_after(entry.acked) {
                entry.acked = state;
            }
            confirmed |= 1 << bit;
        }
        self.confirmed.insert_word(at, confirmed);
        each_id(at, ids & self.leaving.word(at), |id| {
            if !self.entries[id].since.is_after(packet) {
                self.leaving.remove(id);
            }
        });
    }

    /// A packet with the state of `id` at `state` is lost: it is to be sent again, unless a later one was.
    #[inline]
    pub(super) fn lose(&mut self, id: usize, state: Tick) {
        if let Some(entry) = self.entries.get_mut(id)
            && entry.sent == state
        {
            entry.sent = entry.acked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> SlotKey {
        SlotKey(slot)
    }

    fn acknowledge(known: &mut Known, id: usize, tick: Tick) {
        known.acknowledge(id / 64, 1 << (id % 64), tick, |_| tick);
    }

    fn is_dirty(known: &Known, id: usize, changed: Tick) -> bool {
        changed.is_after(known.entries[id].sent)
    }

    #[test]
    fn the_lowest_free_id_is_taken_until_none_is_left() {
        let mut known = Known::new(70);
        for slot in 0..70 {
            assert_eq!(known.enter(key(slot), Tick(1)), Some(slot as usize));
        }
        assert_eq!(known.enter(key(70), Tick(1)), None);
        known.leave(3, Tick(2));
        assert_eq!((known.enter(key(70), Tick(2)), known.live.len()), (None, 69));
        acknowledge(&mut known, 3, Tick(2));
        assert_eq!(known.enter(key(70), Tick(3)), Some(3));
        assert_eq!(known.word_count(), 2);
    }

    #[test]
    fn packets_from_before_a_change_do_not_count() {
        let mut known = Known::new(8);
        let id = known.enter(key(1), Tick(10)).unwrap();
        known.leave(id, Tick(12));
        acknowledge(&mut known, id, Tick(11));
        assert!(
            known.leaving.contains(id),
            "an enter was acknowledged, not the leave"
        );
        acknowledge(&mut known, id, Tick(12));
        assert!(!known.leaving.contains(id));
        assert_eq!(known.enter(key(2), Tick(20)), Some(id));
        acknowledge(&mut known, id, Tick(13));
        assert!(!known.confirmed.contains(id), "that was about the last tenant");
        acknowledge(&mut known, id, Tick(21));
        acknowledge(&mut known, id, Tick(20));
        assert!(known.confirmed.contains(id));
        assert_eq!(known.entries[id].acked, Tick(21));
    }

    #[test]
    fn what_was_lost_is_dirty_again_unless_sent_since() {
        let mut known = Known::new(8);
        for start in [100, u32::MAX - 1] {
            let at = |ticks: u32| Tick(start) + ticks;
            let id = known.enter(key(1), at(0)).unwrap();
            assert!(is_dirty(&known, id, at(0)) && is_dirty(&known, id, at(0) - 100_000));
            known.entries[id].sent = at(0);
            known.lose(id, at(0));
            assert!(is_dirty(&known, id, at(0)), "an enter is lost");
            known.entries[id].sent = at(2);
            acknowledge(&mut known, id, at(1));
            known.lose(id, at(1));
            assert!(!is_dirty(&known, id, at(2)));
            known.lose(id, at(2));
            assert!(is_dirty(&known, id, at(2)) && !is_dirty(&known, id, at(1)));
        }
    }
}

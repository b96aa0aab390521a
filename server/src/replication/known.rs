//! The known set: the entities that one client has been sent, by short id.
//!
//! A short id is free, *live* (the client is to have the entity) or *leaving* (the client is to remove it). A
//! live one is *confirmed* once an enter was acknowledged. A leaving one becomes free when a leave was. Every
//! change of state records its tick, and packets from before it no longer count: so a short id can be reused
//! while old packets are still on their way.

use throng_shared::prefetch::prefetch;
use throng_shared::protocol::ids::SlotKey;
use throng_shared::tick::Tick;

use crate::boundary::frame::each_bit;

/// Ticks by which an entity that was never sent, or whose packet was lost, is older than any change.
const LONG_AGO: u32 = 1 << 30;
/// Priority with which an entity enters: as if it had waited for a while.
const ENTER_PRIORITY: u16 = 1 << 12;
/// Short ids of a group.
pub(super) const IDS: usize = u64::BITS as usize;
/// Groups whose memory is allocated from the start, so that all of a client's memory lies together. If every
/// list were in a page of its own, the worker would walk the page tables for each of them.
pub(super) const GROUPS_USUAL: usize = 2;

/// The state of one short id besides its entity.
#[derive(Clone, Copy, Debug, Default)]
struct KnownState {
    /// Tick of the newest state that was sent and is not known to be lost.
    sent: Tick,
    /// Tick of the newest state that was acknowledged; valid for confirmed ids only.
    acked: Tick,
    /// Tick of the first packet that says that the id is live or leaving.
    since: Tick,
}

/// 64 short ids: bit `i` of each set is the id `at * 64 + i`, where `at` is the group's index.
///
/// Most of a group's ids move in every tick, so they are sent and acknowledged together. These are *uniform*:
/// their state is stored once, and a packet with all of them costs as much to record as a packet with one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdGroup {
    pub(super) live: u64,
    pub(super) confirmed: u64,
    pub(super) leaving: u64,
    /// Live and confirmed ids whose `sent` and `acked` are the two fields below, whatever their own states
    /// are.
    pub(super) uniform: u64,
    pub(super) sent: Tick,
    pub(super) acked: Tick,
    /// The latest `since` of the uniform ids.
    since: Tick,
}

/// Calls `visit` with each id in a set of a group.
#[inline(always)]
pub(super) fn each_id(at: usize, ids: u64, mut visit: impl FnMut(usize)) {
    each_bit(ids, |bit| visit(at * IDS + bit));
}

/// The known set of one client.
#[derive(Debug)]
pub(super) struct Known {
    ids_max: usize,
    groups: Vec<IdGroup>,
    /// By group and short id: the entity, as simulation (its index among the histories) and slot.
    keys: Vec<[SlotKey; IDS]>,
    /// By short id; for the uniform ids, the group's fields are used instead.
    states: Vec<KnownState>,
    live_len: usize,
    leaving_len: usize,
    /// By short id: grows while a change waits to be sent.
    pub(super) priority: Vec<u16>,
    /// Whether priorities are updated: from the first time that not everything fitted.
    pub(super) has_priorities: bool,
}

impl Known {
    pub(super) fn new(ids_max: usize) -> Self {
        let groups = ids_max.div_ceil(IDS).min(GROUPS_USUAL);
        Self {
            ids_max,
            groups: Vec::with_capacity(groups),
            keys: Vec::with_capacity(groups),
            states: Vec::with_capacity(groups * IDS),
            live_len: 0,
            leaving_len: 0,
            priority: Vec::with_capacity(groups * IDS),
            has_priorities: false,
        }
    }

    /// Prefetches the entities and the groups.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&*self.groups);
        prefetch(&*self.keys);
    }

    /// Prefetches the groups alone.
    #[inline]
    pub(super) fn prefetch_groups(&self) {
        prefetch(&*self.groups);
    }

    /// Returns the groups of 64 ids.
    #[inline]
    pub(super) fn groups(&self) -> &[IdGroup] {
        &self.groups
    }

    /// Returns the number of short ids with memory: a multiple of 64, above all ids in use.
    #[inline]
    pub(super) fn id_end(&self) -> usize {
        self.states.len()
    }

    /// Returns the entities of a group's ids; those of ids that are neither live nor leaving are invalid.
    #[inline(always)]
    pub(super) fn keys(&self, at: usize) -> &[SlotKey; IDS] {
        &self.keys[at]
    }

    /// Returns the entity of a live or leaving id.
    #[inline(always)]
    pub(super) fn key(&self, id: usize) -> SlotKey {
        self.keys[id / IDS][id % IDS]
    }

    /// Returns the number of entities that the client is to have.
    #[inline]
    pub(super) fn live_len(&self) -> usize {
        self.live_len
    }

    /// Returns the number of entities that the client is to remove.
    #[inline]
    pub(super) fn leaving_len(&self) -> usize {
        self.leaving_len
    }

    /// Returns the tick of the newest state of a live id that was sent and is not known to be lost.
    #[inline(always)]
    pub(super) fn sent(&self, id: usize) -> Tick {
        let (group, bit) = self.locate(id);
        match group.uniform & bit {
            0 => self.states[id].sent,
            _ => group.sent,
        }
    }

    /// Returns the tick of the newest state of a confirmed id that was acknowledged.
    #[inline(always)]
    pub(super) fn acked(&self, id: usize) -> Tick {
        let (group, bit) = self.locate(id);
        match group.uniform & bit {
            0 => self.states[id].acked,
            _ => group.acked,
        }
    }

    /// Returns whether the client has the entity of a live id.
    #[inline(always)]
    pub(super) fn is_confirmed(&self, id: usize) -> bool {
        let (group, bit) = self.locate(id);
        group.confirmed & bit != 0
    }

    #[inline(always)]
    fn locate(&self, id: usize) -> (&IdGroup, u64) {
        (&self.groups[id / IDS], 1 << (id % IDS))
    }

    /// Gives an entity the lowest free id; `None` when all are live or leaving.
    pub(super) fn enter(&mut self, key: SlotKey, tick: Tick) -> Option<usize> {
        let used = |group: &IdGroup| group.live | group.leaving;
        let at = self.groups.iter().position(|group| used(group) != u64::MAX);
        let at = at.unwrap_or(self.groups.len());
        let taken = self.groups.get(at).map_or(0, used);
        let id = at * IDS + taken.trailing_ones() as usize;
        if id >= self.ids_max {
            return None;
        }
        if at == self.groups.len() {
            self.groups.push(IdGroup::default());
            self.keys.push([SlotKey::default(); IDS]);
            self.states.resize((at + 1) * IDS, KnownState::default());
            self.priority.resize((at + 1) * IDS, 0);
        }
        self.enter_as(id, key, tick);
        Some(id)
    }

    /// Gives an entity this id, which is leaving, live or free. The entity will be sent as an absolute state.
    pub(super) fn enter_as(&mut self, id: usize, key: SlotKey, tick: Tick) {
        let (group, bit) = (&mut self.groups[id / IDS], 1 << (id % IDS));
        self.live_len += usize::from(group.live & bit == 0);
        self.leaving_len -= usize::from(group.leaving & bit != 0);
        group.live |= bit;
        group.leaving &= !bit;
        group.confirmed &= !bit;
        group.uniform &= !bit;
        self.keys[id / IDS][id % IDS] = key;
        self.states[id] = KnownState {
            sent: tick - LONG_AGO,
            acked: tick - LONG_AGO,
            since: tick,
        };
        self.priority[id] = ENTER_PRIORITY;
    }

    /// Makes a live id's entity leave the client.
    pub(super) fn leave(&mut self, id: usize, tick: Tick) {
        let (group, bit) = (&mut self.groups[id / IDS], 1 << (id % IDS));
        self.live_len -= usize::from(group.live & bit != 0);
        self.leaving_len += usize::from(group.leaving & bit == 0);
        group.live &= !bit;
        group.confirmed &= !bit;
        group.uniform &= !bit;
        group.leaving |= bit;
        self.states[id].since = tick;
        self.priority[id] = 0;
    }

    /// Makes the entity of each live id leave if `is_gone` returns true for the id and the entity.
    pub(super) fn leave_where(&mut self, tick: Tick, is_gone: impl Fn(usize, SlotKey) -> bool) {
        for at in 0..self.groups.len() {
            each_id(at, self.groups[at].live, |id| {
                if is_gone(id, self.key(id)) {
                    self.leave(id, tick);
                }
            });
        }
    }

    /// Records that a packet contains the live ids of a group that are set in `ids`, in their state of tick
    /// `state`.
    pub(super) fn note_sent(&mut self, at: usize, ids: u64, state: Tick) {
        let Some(group) = self.groups.get(at) else {
            return;
        };
        let uniform_ids = ids & group.uniform;
        if self.keeps_uniform(at, uniform_ids) {
            self.groups[at].sent = state;
        }
        let single = ids & !self.groups[at].uniform;
        each_id(at, single, |id| self.states[id].sent = state);
    }

    /// Records that a packet of tick `packet` arrived that contained the ids of a group that are set in
    /// `ids`. `state` returns which state of an entity the packet has; if `is_single_tick`, that is the packet's
    /// own tick for all.
    #[inline]
    pub(super) fn acknowledge(
        &mut self,
        at: usize,
        ids: u64,
        packet: Tick,
        is_single_tick: bool,
        state: impl Fn(SlotKey) -> Tick,
    ) {
        let Some(&group) = self.groups.get(at) else {
            return;
        };
        let uniform_ids = ids & group.uniform;
        if !is_single_tick || group.since.is_after(packet) {
            self.expel(at, uniform_ids);
        } else if packet.is_after(group.acked) && self.keeps_uniform(at, uniform_ids) {
            self.groups[at].acked = packet;
        }
        let single = ids & group.live & !(uniform_ids & self.groups[at].uniform);
        if single != 0 {
            self.acknowledge_singly(at, single, packet, state);
        }
        each_id(at, ids & group.leaving, |id| {
            if !self.states[id].since.is_after(packet) {
                self.groups[at].leaving &= !(1 << (id % IDS));
                self.leaving_len -= 1;
            }
        });
    }

    fn acknowledge_singly(&mut self, at: usize, ids: u64, packet: Tick, state: impl Fn(SlotKey) -> Tick) {
        let mut confirmed = 0;
        each_id(at, ids, |id| {
            let known = &mut self.states[id];
            if known.since.is_after(packet) {
                return;
            }
            // Acknowledgements out of order do not move the baseline back.
            let state = state(self.keys[at][id % IDS]);
            if state.is_after(known.acked) {
                known.acked = state;
            }
            confirmed |= 1 << (id % IDS);
        });
        self.groups[at].confirmed |= confirmed;
        self.join(at, confirmed);
    }

    /// Records that the state that `id` had at tick `state` was lost with its packet: it is sent again,
    /// unless a later one was sent.
    #[inline]
    pub(super) fn lose(&mut self, id: usize, state: Tick) {
        if id >= self.id_end() || self.sent(id) != state {
            return;
        }
        self.expel(id / IDS, 1 << (id % IDS));
        let known = &mut self.states[id];
        known.sent = known.acked;
    }

    /// Splits the uniform ids, of which `uniform_ids` is a part: the larger part stays uniform, and each id of the
    /// smaller part gets a state of its own. Returns whether the ids in `uniform_ids` stay uniform; otherwise the
    /// caller treats each of them by itself.
    #[inline]
    fn keeps_uniform(&mut self, at: usize, uniform_ids: u64) -> bool {
        let others = self.groups[at].uniform & !uniform_ids;
        if others == 0 {
            return uniform_ids != 0;
        }
        let is_most = uniform_ids.count_ones() > others.count_ones();
        self.expel(at, if is_most { others } else { uniform_ids });
        is_most
    }

    /// Gives the uniform ids among `ids` states of their own.
    fn expel(&mut self, at: usize, ids: u64) {
        let group = &mut self.groups[at];
        let (sent, acked) = (group.sent, group.acked);
        let expelled = ids & group.uniform;
        group.uniform &= !ids;
        each_id(at, expelled, |id| {
            let known = &mut self.states[id];
            (known.sent, known.acked) = (sent, acked);
        });
    }

    /// Makes the ids uniform whose state equals the group's; `ids` are confirmed and not uniform. If they are
    /// more than the uniform ids, the state of one of them first becomes the group's.
    fn join(&mut self, at: usize, ids: u64) {
        if ids == 0 {
            return;
        }
        let group = self.groups[at];
        if ids.count_ones() > group.uniform.count_ones() {
            self.expel(at, group.uniform);
            let first = self.states[at * IDS + ids.trailing_zeros() as usize];
            let group = &mut self.groups[at];
            (group.sent, group.acked, group.since) = (first.sent, first.acked, first.since);
        }
        let group = &mut self.groups[at];
        each_id(at, ids, |id| {
            let known = &self.states[id];
            if (known.sent, known.acked) == (group.sent, group.acked) {
                group.uniform |= 1 << (id % IDS);
                if known.since.is_after(group.since) {
                    group.since = known.since;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;

//! Collects the changes of the known entities that have to be sent, and their sizes in bits.

use std::ops::Range;

use throng_shared::limits::{BASELINE_AGE_MAX, HISTORY_TICKS};
use throng_shared::protocol::delta::DeltaBits;
use throng_shared::protocol::ids::{SimulationId, Slot, SlotKey};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::{EXCEPTION_BITS, Presence, ShortId};
use throng_shared::tick::Tick;

use super::cache::{Change, EncodeCache};
use super::components::{ComponentUpdate, Encoded, ViewerIdentity, Viewers};
use super::known::{IDS, Known};
use super::poses::Poses;
use crate::boundary::frame::{ColdRow, Frame, FrameHistory, Identity, Row};

/// An enter or an update of one entity.
///
/// Packed into two words: a struct of small fields is assembled in memory, and reading it then stalls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// The difference of an update that has a baseline.
    bits: u64,
    /// From the lowest bits: id 16, cost 16, length of the difference 8, age 8, components 16.
    rest: u64,
}

impl Item {
    #[inline(always)]
    fn new(id: usize, cost: u64, delta: DeltaBits, age: u32) -> Self {
        let len = u64::from(delta.len);
        Self {
            bits: delta.bits,
            rest: id as u64 | cost << 16 | len << 32 | u64::from(age) << 40,
        }
    }

    #[inline(always)]
    pub(super) fn id(self) -> usize {
        usize::from(self.rest as u16)
    }

    /// Returns the bits of pose and components, without those that depend on the section.
    #[inline(always)]
    fn cost(self) -> usize {
        usize::from((self.rest >> 16) as u16)
    }

    /// Returns the difference; its `len` is 0 for enters and absolute updates.
    #[inline(always)]
    pub(super) fn delta(self) -> DeltaBits {
        DeltaBits {
            bits: self.bits,
            len: (self.rest >> 32) as u8,
        }
    }

    /// Returns the ticks since the baseline; 0 without one.
    #[inline(always)]
    pub(super) fn age(self) -> u8 {
        (self.rest >> 40) as u8
    }

    /// Returns the index among the encoded components, if the item has some.
    #[inline(always)]
    pub(super) fn components(self) -> Option<usize> {
        usize::from((self.rest >> 48) as u16).checked_sub(1)
    }

    fn add_components(&mut self, place: usize, bits: usize) {
        self.rest += (bits as u64) << 16 | (place as u64 + 1) << 48;
    }
}

/// One simulation's part of the queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Index of the simulation among the histories.
    pub(super) simulation: usize,
    /// The simulation's enters and updates, as ranges of the queue's lists.
    pub(super) enters: Range<usize>,
    pub(super) updates: Range<usize>,
    /// The most frequent age of its updates.
    pub(super) age: u8,
    pub(super) has_exceptions: bool,
    pub(super) has_components: bool,
    /// The ids of its updates, as long as all of them are in the queue.
    pub(super) presence: Presence,
    /// Number of bits that the section's enters and updates take, with the presence bits of the updates.
    pub(super) bits: usize,
}

impl Plan {
    /// Returns the bits of an enter in this section.
    #[inline(always)]
    pub(super) fn enter_bits(&self, item: Item) -> usize {
        item.cost() + usize::from(self.has_components)
    }

    /// Returns the bits of an update in this section, without its presence.
    #[inline(always)]
    pub(super) fn update_bits(&self, item: Item) -> usize {
        let exception = match (self.has_exceptions, item.age() == self.age) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => EXCEPTION_BITS,
        };
        item.cost() + exception + usize::from(self.has_components)
    }
}

/// The enters and updates that have to be sent to one client in one tick.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    pub(super) enters: Vec<Item>,
    /// By ascending id within a simulation.
    pub(super) updates: Vec<Item>,
    pub(super) plans: Vec<Plan>,
    pub(super) encoded: Encoded,
    /// Whether some items were removed again, to wait.
    pub(super) is_reduced: bool,
}

/// The inputs of collecting the changes of one simulation.
#[derive(Clone, Copy)]
pub(super) struct Collect<'a> {
    pub(super) simulation: usize,
    pub(super) frame: &'a Frame,
    pub(super) history: &'a FrameHistory,
    /// How many ticks the frame is older than the packet.
    pub(super) older: u32,
    pub(super) id_bits: u32,
    /// Whether entities whose squared distance exceeds `far2` are updated in every fourth turn only.
    pub(super) is_thinning: bool,
    /// The number of the served tick. A slow server skips tick numbers regularly, and would miss the turns of some
    /// entities for ever if these followed from the tick.
    pub(super) turn: u32,
    pub(super) far2: f32,
    pub(super) distances2: &'a [f32],
    pub(super) poses: &'a Poses,
    pub(super) viewer: ViewerIdentity,
    pub(super) viewers: &'a Viewers,
    pub(super) protocol: &'a Protocol,
}

impl SendQueue {
    pub(super) fn clear(&mut self) {
        self.enters.clear();
        self.updates.clear();
        self.plans.clear();
        self.encoded.clear();
        self.is_reduced = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.enters.is_empty() && self.updates.is_empty()
    }

    /// Adds one simulation's enters and updates: those of live entities whose row changed after it was sent.
    pub(super) fn collect(
        &mut self,
        known: &Known,
        cache: &mut EncodeCache,
        input: &Collect<'_>,
        refused: &mut u64,
    ) {
        let (enters_start, updates_start) = (self.enters.len(), self.updates.len());
        let mut plan = Plan {
            simulation: input.simulation,
            ..Plan::default()
        };
        let mut tally = Tally::default();
        let misses = cache.misses;
        for (at, group) in known.groups().iter().enumerate() {
            tally.updated = 0;
            let mut left = group.live;
            while left != 0 {
                // The lowest bit of an id that is not uniform, and below it the run of uniform ids. `x & -x` is
                // the lowest bit of `x`; where there is none, 0 - 1 makes the run all that is left.
                let lowest_single = left & !group.uniform & (left & !group.uniform).wrapping_neg();
                let run = left & lowest_single.wrapping_sub(1);
                left &= !self.collect_run(known, at, run, cache, input, &mut tally);
                if left != 0 {
                    let id = at * IDS + left.trailing_zeros() as usize;
                    left &= left - 1;
                    plan.has_components |= self.collect_one(known, id, cache, input, &mut tally, refused);
                }
            }
            plan.presence.insert_word(at, tally.updated);
        }
        let updates = &self.updates[updates_start..];
        cache.hits += (updates.len() as u64).saturating_sub(cache.misses - misses);
        plan.age = tally.ages.age;
        plan.has_exceptions = tally.ages.are_mixed;
        plan.bits = plan.presence.bits(input.id_bits)
            + (self.enters[enters_start..].iter())
                .map(|&item| plan.enter_bits(item))
                .sum::<usize>()
            + if plan.has_exceptions || plan.has_components {
                updates.iter().map(|&item| plan.update_bits(item)).sum()
            } else {
                tally.bits
            };
        plan.enters = enters_start..self.enters.len();
        plan.updates = updates_start..self.updates.len();
        self.plans.push(plan);
    }

    /// Adds the updates of the ids of a group that are set in `run`, all of them uniform, from the cache.
    /// Stops at the first id that needs more work; returns the ids before it.
    #[inline(never)]
    fn collect_run(
        &mut self,
        known: &Known,
        at: usize,
        run: u64,
        cache: &EncodeCache,
        input: &Collect<'_>,
        tally: &mut Tally,
    ) -> u64 {
        let (group, keys, tick) = (&known.groups()[at], known.keys(at), input.frame.tick);
        let (unsent, age) = (tick.since(group.sent) as u32, tick.since(group.acked) as u32);
        if input.is_thinning || run == 0 {
            return 0;
        }
        let entries = cache.entries(age);
        // The xor clears the simulation's bits of a key. A key of another simulation gives an index beyond
        // all slots.
        let simulation = SlotKey::new(SimulationId(input.simulation as u8), Slot(0)).0;
        let (mut left, mut updated, mut bits) = (run, 0, 0);
        while left != 0 {
            let bit = left.trailing_zeros() as usize;
            let slot = keys[bit % IDS].0 ^ simulation;
            let Some(change) = entries.get(slot as usize).and_then(|entry| entry.change(tick)) else {
                break;
            };
            if !change.is_plain() {
                break;
            }
            if change.unchanged() < unsent {
                let delta = change.delta();
                bits += u64::from(delta.len);
                updated |= 1 << bit;
                self.updates
                    .push(Item::new(at * IDS + bit, delta.len.into(), delta, age));
            }
            left &= left - 1;
        }
        tally.bits += bits as usize;
        tally.updated |= updated;
        tally.ages.count(age as u8, updated.count_ones());
        run & !left
    }

    /// Adds the update or enter of a live id, if it is due; returns whether that has components.
    fn collect_one(
        &mut self,
        known: &Known,
        id: usize,
        cache: &mut EncodeCache,
        input: &Collect<'_>,
        tally: &mut Tally,
        refused: &mut u64,
    ) -> bool {
        let (key, tick) = (known.key(id), input.frame.tick);
        if usize::from(key.simulation().0) != input.simulation {
            return false;
        }
        let (slot, sent, acked) = (key.slot(), known.sent(id), known.acked(id));
        if !known.is_confirmed(id) {
            return self.push_enter(id, slot, sent, input, refused);
        }
        let age = tick.since(acked) as u32;
        let change = cache.find(tick, age, slot);
        let Some(change) = change.or_else(|| input.change(slot, sent, age, cache)) else {
            return false;
        };
        let is_sent = change.unchanged() >= tick.since(sent) as u32;
        if is_sent || input.is_thinned(id, slot) {
            return false;
        }
        let mut item = if change.delta().len > 0 {
            Item::new(id, change.delta().len.into(), change.delta(), age)
        } else {
            input.absolute(id, slot)
        };
        tally.ages.count(item.age(), 1);
        let has_components =
            change.has_components() && self.push_components(&mut item, acked, slot, input, refused);
        tally.bits += item.cost();
        tally.updated |= 1 << (id % IDS);
        self.updates.push(item);
        has_components
    }

    /// Adds an enter if it is not under way; returns whether it has components.
    #[cold]
    #[inline(never)]
    fn push_enter(
        &mut self,
        id: usize,
        slot: Slot,
        sent: Tick,
        input: &Collect<'_>,
        refused: &mut u64,
    ) -> bool {
        let row = input.frame.row(slot);
        if row.is_none_or(|row| !row.changed.is_after(sent)) {
            return false;
        }
        let identity = input.frame.identity(slot);
        let short = ShortId(id as u16);
        let cost = input.poses.enter_bits(short, input.frame, slot, input.id_bits) as u64;
        let mut item = Item::new(id, cost, DeltaBits::default(), 0);
        let cold = input.frame.cold(slot);
        if let Some(cold) = cold {
            let update = input.update(cold, identity, None);
            let (place, bits) = self.encoded.push(&update, refused);
            item.add_components(place, bits);
        }
        self.enters.push(item);
        cold.is_some()
    }

    /// Adds the components of an update; returns whether there are any.
    #[cold]
    #[inline(never)]
    fn push_components(
        &mut self,
        item: &mut Item,
        acked: Tick,
        slot: Slot,
        input: &Collect<'_>,
        refused: &mut u64,
    ) -> bool {
        let Some(cold) = input.frame.cold(slot) else {
            return false;
        };
        let identity = input.frame.identity(slot);
        // When the owner or team has changed, other components may be visible: then all are sent again.
        let since = input.is_same_since(acked, slot).then_some(acked);
        let base = since.filter(|_| item.age() > 0).and_then(|acked| {
            let base = input.history.at(acked)?;
            Some((base.cold(slot)?, base.identity(slot)))
        });
        let update = ComponentUpdate {
            base,
            ..input.update(cold, identity, since)
        };
        let (place, bits) = self.encoded.push(&update, refused);
        item.add_components(place, bits);
        true
    }
}

impl<'a> Collect<'a> {
    /// Returns the description of the components to send, without a base state.
    fn update(&self, row: &'a ColdRow, identity: &'a Identity, since: Option<Tick>) -> ComponentUpdate<'a> {
        ComponentUpdate {
            row,
            identity,
            viewer: self.viewer,
            viewers: self.viewers,
            protocol: self.protocol,
            since,
            base: None,
        }
    }

    /// Returns whether an update of the entity is not due in this tick, because it is far away.
    #[inline(always)]
    fn is_thinned(&self, id: usize, slot: Slot) -> bool {
        self.is_thinning && self.distances2[id] > self.far2 && (self.turn ^ slot.0) & 3 != 0
    }

    /// Returns the change of an entity within the last `age` ticks, and puts it into the cache; `None` if the
    /// entity has not changed since it was `sent`.
    #[inline(never)]
    fn change(&self, slot: Slot, sent: Tick, age: u32, cache: &mut EncodeCache) -> Option<Change> {
        let row = self.frame.row(slot)?;
        if !row.changed.is_after(sent) {
            return None;
        }
        let change = self.encode(row, slot, age);
        cache.put(self.frame.tick, age, slot, change);
        Some(change)
    }

    fn encode(&self, row: &Row, slot: Slot, age: u32) -> Change {
        let unchanged = self.frame.tick.since(row.changed) as u32;
        let cold = self.frame.cold(slot);
        let tick = self.frame.tick - age;
        let base = if age <= BASELINE_AGE_MAX - self.older {
            self.history.at(tick)
        } else {
            None
        };
        let Some((base, base_row)) = base.and_then(|base| Some((base, base.row(slot)?))) else {
            return Change::new(None, unchanged, cold.is_some());
        };
        let has_components =
            cold.is_some_and(|cold| cold.changed.is_after(tick) || !self.is_same_since(tick, slot));
        let delta = self.poses.encode((base, base_row), (self.frame, row), slot, age);
        Change::new(delta, unchanged, has_components)
    }

    /// Returns whether an entity had the same owner and team in all frames since that of `tick`, which must
    /// still exist. All frames are compared, since the client may have its state of any of them.
    fn is_same_since(&self, tick: Tick, slot: Slot) -> bool {
        let now = self.frame.identity(slot);
        let age = self.frame.tick.since(tick) as u32;
        age < HISTORY_TICKS as u32
            && self.history.at(tick).is_some()
            && (0..age).all(|later| {
                self.history.at(tick + later).is_none_or(|frame| {
                    let then = frame.identity(slot);
                    (then.owner, then.team) == (now.owner, now.team)
                })
            })
    }

    #[cold]
    #[inline(never)]
    fn absolute(&self, id: usize, slot: Slot) -> Item {
        let bits = self.poses.absolute_bits(self.frame, slot);
        Item::new(id, bits.into(), DeltaBits::default(), 0)
    }
}

/// Sums over a simulation's updates.
#[derive(Default)]
struct Tally {
    ages: MajorityAge,
    /// Bits of the updates, without those that depend on the section.
    bits: usize,
    /// The ids of the current group that have an update.
    updated: u64,
}

/// Finds the age that more than half of the updates have, if there is one, and otherwise any age among them.
/// (Boyer and Moore's majority vote.)
#[derive(Default)]
struct MajorityAge {
    age: u8,
    lead: u32,
    has_votes: bool,
    are_mixed: bool,
}

impl MajorityAge {
    #[inline(always)]
    fn count(&mut self, age: u8, votes: u32) {
        if votes == 0 {
            return;
        }
        if age == self.age {
            self.lead += votes;
        } else if self.lead < votes {
            // The first age counted, unless other ages were outvoted.
            self.are_mixed |= self.has_votes;
            (self.age, self.lead) = (age, votes - self.lead);
        } else {
            self.are_mixed = true;
            self.lead -= votes;
        }
        self.has_votes = true;
    }
}

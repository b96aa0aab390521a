//! What has to be said of the known entities, and in how many bits.

use std::ops::Range;

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::delta::{DeltaBits, Motion, absolute_bits};
use throng_shared::protocol::ids::Slot;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::{EXCEPTION_BITS, Enter, Presence, ShortId, enter_bits};

use super::cache::{CACHED_AGE_MAX, Change, EncodeCache};
use super::components::{Encoded, Viewer, Viewers};
use super::known::{Known, KnownEntry};
use crate::frame::{Frame, FrameHistory, Row};

/// Something to be said of one entity.
///
/// In two words, because a struct of small fields is put together in memory and then stalls being read.
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

    /// Bits of pose and components, without what depends on the section.
    #[inline(always)]
    fn cost(self) -> usize {
        usize::from((self.rest >> 16) as u16)
    }

    /// The difference; `len` is 0 for enters and absolute updates.
    #[inline(always)]
    pub(super) fn delta(self) -> DeltaBits {
        DeltaBits {
            bits: self.bits,
            len: (self.rest >> 32) as u8,
        }
    }

    /// Ticks since the baseline; 0 without one.
    #[inline(always)]
    pub(super) fn age(self) -> u8 {
        (self.rest >> 40) as u8
    }

    /// Place among the encoded components.
    #[inline(always)]
    pub(super) fn components(self) -> Option<usize> {
        usize::from((self.rest >> 48) as u16).checked_sub(1)
    }

    fn add_components(&mut self, place: usize, bits: usize) {
        self.rest += (bits as u64) << 16 | (place as u64 + 1) << 48;
    }
}

/// One simulation's part of what has to be said.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Place of the simulation among the histories.
    pub(super) source: usize,
    /// Its enters and updates among all in the queue.
    pub(super) enters: Range<usize>,
    pub(super) updates: Range<usize>,
    /// The most frequent age.
    pub(super) age: u8,
    pub(super) has_exceptions: bool,
    pub(super) has_components: bool,
    /// The ids of its updates, as long as all of them are in the queue.
    pub(super) presence: Presence,
    /// Bits of its enters, and of its updates with their presence.
    pub(super) bits: usize,
}

impl Plan {
    /// Bits of an enter in this section.
    #[inline(always)]
    pub(super) fn enter_bits(&self, item: Item) -> usize {
        item.cost() + usize::from(self.has_components)
    }

    /// Bits of an update in this section, without its presence.
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

/// What has to be said to one client in one tick.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) enters: Vec<Item>,
    /// By ascending id within a simulation.
    pub(super) updates: Vec<Item>,
    pub(super) plans: Vec<Plan>,
    pub(super) encoded: Encoded,
    /// Whether some of it was taken out again, to wait.
    pub(super) is_reduced: bool,
}

/// What collecting reads.
#[derive(Clone, Copy)]
pub(super) struct Collect<'a> {
    pub(super) source: usize,
    pub(super) frame: &'a Frame,
    pub(super) history: &'a FrameHistory,
    /// How much older the frame is than the packet.
    pub(super) older: u32,
    pub(super) id_bits: u32,
    /// Entities farther than this, squared, are updated in every fourth tick only.
    pub(super) far2: f32,
    pub(super) distances2: &'a [f32],
    pub(super) motion: &'a Motion,
    pub(super) viewer: Viewer,
    pub(super) viewers: &'a Viewers,
    pub(super) protocol: &'a Protocol,
}

impl Queue {
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

    /// Adds one simulation's enters and updates: of live entities whose row changed after it was sent.
    pub(super) fn collect(
        &mut self,
        known: &Known,
        cache: &mut EncodeCache,
        input: &Collect<'_>,
        refused: &mut u64,
    ) {
        let (enters_start, updates_start) = (self.enters.len(), self.updates.len());
        let mut plan = Plan {
            source: input.source,
            ..Plan::default()
        };
        let mut ages = [0u16; BASELINE_AGE_MAX as usize + 1];
        let tick = input.frame.tick;
        for at in 0..known.live.words().len() {
            let confirmed = known.confirmed.word(at);
            let mut updated = 0;
            let mut left = known.live.word(at);
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let id = at * 64 + bit as usize;
                let entry = &known.entries[id];
                if usize::from(entry.key.source().0) != input.source {
                    continue;
                }
                let slot = entry.key.slot();
                let Some(row) = input.frame.row(slot) else {
                    continue;
                };
                if !row.changed.is_after(entry.sent) {
                    continue;
                }
                if confirmed >> bit & 1 == 0 {
                    plan.has_components |= self.push_enter(id, slot, row, input, refused);
                    continue;
                }
                if input.distances2[id] > input.far2 && (tick.0 ^ slot.0) & 3 != 0 {
                    continue;
                }
                let age = tick.since(entry.acked) as u32;
                let change = match age {
                    1..=CACHED_AGE_MAX => cache.get(tick, age, slot, || input.change(row, slot, age)),
                    _ if age <= BASELINE_AGE_MAX - input.older => input.change(row, slot, age),
                    _ => input.change_without_baseline(slot),
                };
                let mut item = if change.delta.len > 0 {
                    Item::new(id, change.delta.len.into(), change.delta, age)
                } else {
                    Item::new(id, absolute_bits(&row.pose).into(), DeltaBits::default(), 0)
                };
                ages[usize::from(item.age()) % ages.len()] += 1;
                if change.has_components {
                    plan.has_components |= self.push_components(&mut item, entry, slot, input, refused);
                }
                updated |= 1 << bit;
                self.updates.push(item);
            }
            plan.presence.insert_word(at, updated);
        }
        let updates = &self.updates[updates_start..];
        (plan.age, plan.has_exceptions) = usual_age(&ages, updates.len());
        plan.bits = plan.presence.bits(input.id_bits)
            + updates.iter().map(|&item| plan.update_bits(item)).sum::<usize>()
            + (self.enters[enters_start..].iter())
                .map(|&item| plan.enter_bits(item))
                .sum::<usize>();
        plan.enters = enters_start..self.enters.len();
        plan.updates = updates_start..self.updates.len();
        self.plans.push(plan);
    }

    /// Adds an enter; answers whether it has components.
    #[cold]
    fn push_enter(
        &mut self,
        id: usize,
        slot: Slot,
        row: &Row,
        input: &Collect<'_>,
        refused: &mut u64,
    ) -> bool {
        let identity = input.frame.identity(slot);
        let enter = Enter {
            id: ShortId(id as u16),
            global: identity.global,
            pose: row.pose,
        };
        let cost = enter_bits(&enter, input.id_bits) as u64;
        let mut item = Item::new(id, cost, DeltaBits::default(), 0);
        let cold = input.frame.cold(slot);
        if let Some(cold) = cold {
            let (viewer, viewers, protocol) = (input.viewer, input.viewers, input.protocol);
            let (place, bits) = self
                .encoded
                .push(cold, identity, viewer, viewers, protocol, None, refused);
            item.add_components(place, bits);
        }
        self.enters.push(item);
        cold.is_some()
    }

    /// Adds the components of an update; answers whether there are any.
    #[cold]
    fn push_components(
        &mut self,
        item: &mut Item,
        entry: &KnownEntry,
        slot: Slot,
        input: &Collect<'_>,
        refused: &mut u64,
    ) -> bool {
        let Some(cold) = input.frame.cold(slot) else {
            return false;
        };
        let identity = input.frame.identity(slot);
        // Who may see what may have changed with the identity; then all is told again.
        let base = input.history.at(entry.acked);
        let is_same = base.is_some_and(|base| base.row(slot).is_some() && base.identity(slot) == identity);
        let (viewer, viewers, protocol) = (input.viewer, input.viewers, input.protocol);
        let since = is_same.then_some(entry.acked);
        let (place, bits) = self
            .encoded
            .push(cold, identity, viewer, viewers, protocol, since, refused);
        item.add_components(place, bits);
        true
    }
}

impl Collect<'_> {
    /// The change of `slot` within the last `age` ticks.
    #[inline(never)]
    fn change(&self, row: &Row, slot: Slot, age: u32) -> Change {
        let tick = self.frame.tick - age;
        let base = self.history.at(tick);
        let Some((base, base_row)) = base.and_then(|base| Some((base, base.row(slot)?))) else {
            return self.change_without_baseline(slot);
        };
        let cold = self.frame.cold(slot);
        Change {
            delta: self
                .motion
                .encode(&base_row.pose, &row.pose, age)
                .unwrap_or_default(),
            has_components: cold.is_some_and(|cold| {
                cold.changed.is_after(tick) || base.identity(slot) != self.frame.identity(slot)
            }),
        }
    }

    #[cold]
    fn change_without_baseline(&self, slot: Slot) -> Change {
        Change {
            delta: DeltaBits::default(),
            has_components: self.frame.cold(slot).is_some(),
        }
    }
}

/// The most frequent age, and whether there are others. Absolute updates are exceptions, unless all are.
fn usual_age(ages: &[u16; BASELINE_AGE_MAX as usize + 1], updates: usize) -> (u8, bool) {
    let (age, &count) = (ages.iter().enumerate())
        .skip(1)
        .max_by_key(|&(age, &count)| (count, std::cmp::Reverse(age)))
        .unwrap_or((0, &0));
    if count == 0 {
        return (0, false);
    }
    (age as u8, usize::from(count) < updates)
}

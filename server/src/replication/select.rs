//! Selects the part of the queue that a client is sent now, where not all of it fits the budget.
//!
//! Priority grows with every tick that a change waits, faster for near and important entities. The changes
//! are not sorted. The upper half of a change's priority selects one of 256 buckets, which adds up the sizes
//! of its changes. The buckets are then taken from the highest priority down until the budget is full.

use throng_shared::protocol::ids::SlotKey;

use super::collect::{Item, SendQueue};
use super::known::Known;

const BUCKETS: usize = 256;
/// Priority that a change gains in a tick at the edge of the view, and how much more at the eye.
const FAR_GAIN: f32 = 64.0;
const NEAR_GAIN: f32 = 192.0;

/// Bits to be sent, by priority.
#[derive(Debug)]
pub(super) struct Buckets {
    bits: [u32; BUCKETS],
}

impl Default for Buckets {
    fn default() -> Self {
        Self { bits: [0; BUCKETS] }
    }
}

/// The properties of an entity that its priority depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// 1 is usual, 0 comes last.
    pub(super) importance: u8,
    /// 1 at the eye, 0 and less at the edge of the view.
    pub(super) nearness: f32,
}

impl Buckets {
    /// Removes the items from `queue` that have to wait, so that the rest takes at most `room` bits. Returns
    /// the number of removed items.
    pub(super) fn select(
        &mut self,
        queue: &mut SendQueue,
        known: &mut Known,
        own: Option<usize>,
        room: usize,
        weight: impl Fn(usize, SlotKey) -> Weight,
    ) -> u64 {
        self.bits.fill(0);
        known.has_priorities = true;
        for plan in &queue.plans {
            for &item in &queue.enters[plan.enters.clone()] {
                let hastened = hastened(queue, item);
                self.add(known, own, item, plan.enter_bits(item), hastened, &weight);
            }
            for &item in &queue.updates[plan.updates.clone()] {
                // One more bit, for its presence.
                let hastened = hastened(queue, item);
                self.add(known, own, item, plan.update_bits(item) + 1, hastened, &weight);
            }
        }
        let mut left = room;
        let mut lowest = BUCKETS;
        while let Some(bits) = lowest.checked_sub(1).map(|bucket| self.bits[bucket] as usize)
            && bits <= left
        {
            lowest -= 1;
            left -= bits;
        }
        self.keep(queue, known, own, lowest, left)
    }

    fn add(
        &mut self,
        known: &mut Known,
        own: Option<usize>,
        item: Item,
        bits: usize,
        hastened: u32,
        weight: impl Fn(usize, SlotKey) -> Weight,
    ) {
        let id = item.id();
        let Weight { importance, nearness } = weight(id, known.key(id));
        let gain = FAR_GAIN + NEAR_GAIN * nearness.clamp(0.0, 1.0);
        let gain = match importance {
            0 => 1,
            _ => gain as u32 * u32::from(importance) * hastened,
        };
        let priority = &mut known.priority[id];
        *priority = priority.saturating_add(u16::try_from(gain).unwrap_or(u16::MAX));
        if own == Some(id) {
            *priority = u16::MAX;
        }
        self.bits[usize::from(*priority >> 8)] += bits as u32;
    }

    /// Keeps the buckets from `lowest` on, and the items of the next lower bucket that fit `left` bits.
    fn keep(
        &self,
        queue: &mut SendQueue,
        known: &Known,
        own: Option<usize>,
        lowest: usize,
        mut left: usize,
    ) -> u64 {
        let before = queue.enters.len() + queue.updates.len();
        let mut is_kept = |item: Item, bits: usize| {
            let bucket = usize::from(known.priority[item.id()] >> 8);
            if bucket >= lowest || own == Some(item.id()) {
                return true;
            }
            let fits = bucket + 1 == lowest && bits <= left;
            left -= if fits { bits } else { 0 };
            fits
        };
        let SendQueue {
            enters,
            updates,
            plans,
            is_reduced,
            ..
        } = queue;
        let (mut enters_kept, mut updates_kept) = (0, 0);
        for plan in plans {
            let (enters_start, updates_start) = (enters_kept, updates_kept);
            for at in plan.enters.clone() {
                if is_kept(enters[at], plan.enter_bits(enters[at])) {
                    enters[enters_kept] = enters[at];
                    enters_kept += 1;
                }
            }
            for at in plan.updates.clone() {
                if is_kept(updates[at], plan.update_bits(updates[at]) + 1) {
                    updates[updates_kept] = updates[at];
                    updates_kept += 1;
                }
            }
            plan.enters = enters_start..enters_kept;
            plan.updates = updates_start..updates_kept;
        }
        enters.truncate(enters_kept);
        updates.truncate(updates_kept);
        *is_reduced = true;
        (before - enters.len() - updates.len()) as u64
    }
}

/// Returns the factor by which the most important component of an item raises its priority.
fn hastened(queue: &SendQueue, item: Item) -> u32 {
    item.components()
        .map_or(1, |place| u32::from(queue.encoded.importance(place)))
}

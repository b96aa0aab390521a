//! Baselines: the states of the last 32 ticks to which the server may refer, by tick and short id.
//!
//! Each tick has one plane of poses, because a packet refers to many entities of one tick and adds many of
//! another: both accesses are sequential. Takes about 1 MiB for the widest short ids, 65 KiB for a hundred
//! entities.

use std::ops::Range;

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::snapshot::{Presence, ShortId};
use throng_shared::tick::Tick;

use super::groups::locate;

const PLANES: usize = BASELINE_AGE_MAX as usize + 1;
const _: () = assert!(PLANES.is_power_of_two(), "a tick keeps its plane when ticks wrap");

/// The poses of 64 ids at one tick.
// `repr(C)` keeps the bits before the poses: a group is read from its start.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct BaselineGroup<P> {
    /// Bits of the ids whose poses are published. The other poses are older or belong to packets that were not
    /// applied.
    published: u64,
    pub(super) poses: [P; 64],
}

impl<P: Copy + Default> Default for BaselineGroup<P> {
    fn default() -> Self {
        Self {
            published: 0,
            poses: [P::default(); 64],
        }
    }
}

impl<P> BaselineGroup<P> {
    /// Returns the pose at index `bit`, if it is published.
    #[inline(always)]
    pub(super) fn get(&self, bit: usize) -> Option<&P> {
        (self.published >> bit & 1 == 1).then(|| &self.poses[bit])
    }

    /// Returns the poses, if those of all `ids` (a bit mask) are published.
    #[inline(always)]
    pub(super) fn all(&self, ids: u64) -> Option<&[P; 64]> {
        (ids & !self.published == 0).then_some(&self.poses)
    }
}

/// Poses by tick and short id.
#[derive(Debug, Default)]
pub(super) struct Baselines<P> {
    /// Each plane's tick; `None` before the first.
    ticks: [Option<Tick>; PLANES],
    /// The planes one after another, each of `width` groups.
    groups: Vec<BaselineGroup<P>>,
    /// Groups in each plane.
    width: usize,
}

impl<P: Copy + Default> Baselines<P> {
    /// Opens the plane of `tick` and empties it if it held an older tick. Returns false when it holds a newer
    /// one.
    pub(super) fn open(&mut self, tick: Tick) -> bool {
        let slot = slot(tick);
        match self.ticks[slot] {
            Some(old) if old == tick => true,
            Some(old) if old.is_after(tick) => false,
            _ => {
                self.ticks[slot] = Some(tick);
                let plane = self.plane(tick);
                self.groups[plane]
                    .iter_mut()
                    .for_each(|group| group.published = 0);
                true
            }
        }
    }

    /// Returns the published pose of `id` at `tick`, if there is one.
    #[inline]
    pub(super) fn get(&self, tick: Tick, id: ShortId) -> Option<P> {
        let (group, bit) = locate(id);
        let found = self.groups[self.plane(tick)].get(group);
        found.filter(|_| self.holds(tick))?.get(bit).copied()
    }

    /// Returns the groups of two different ticks less than 32 apart. Those of `base` are for reading; the slice
    /// is empty if the tick is no longer held. Those of `tick`, which must be open, are for writing and have
    /// room for all `ids`.
    pub(super) fn pair(
        &mut self,
        base: Tick,
        tick: Tick,
        ids: &Presence,
    ) -> (&[BaselineGroup<P>], &mut [BaselineGroup<P>]) {
        self.widen(ids.words().len());
        let is_held = self.holds(base);
        let (from, to) = (self.plane(base), self.plane(tick));
        let (low, high) = self.groups.split_at_mut(from.start.max(to.start));
        let (bases, output) = if from.start < to.start {
            (&low[from], &mut high[..self.width])
        } else {
            (&high[..self.width], &mut low[to])
        };
        (if is_held { bases } else { &[] }, output)
    }

    /// Returns whether a newer tick has taken the plane of `tick`.
    pub(super) fn is_gone(&self, tick: Tick) -> bool {
        self.ticks[slot(tick)].is_some_and(|newer| newer.is_after(tick))
    }

    /// Stores a pose of an open tick without publishing it.
    #[inline]
    pub(super) fn put(&mut self, tick: Tick, id: ShortId, pose: P) {
        let (group, bit) = locate(id);
        self.group(tick, group).poses[bit] = pose;
    }

    /// Stores and publishes a pose of an open tick.
    pub(super) fn publish(&mut self, tick: Tick, id: ShortId, pose: P) {
        let (group, bit) = locate(id);
        let group = self.group(tick, group);
        group.poses[bit] = pose;
        group.published |= 1 << bit;
    }

    /// Publishes the poses stored for `ids` and returns the tick's groups. Returns no groups when the tick is no
    /// longer open, which happens only when one packet holds two ticks that share a plane.
    pub(super) fn publish_all(&mut self, tick: Tick, ids: &Presence) -> &[BaselineGroup<P>] {
        if !self.holds(tick) {
            return &[];
        }
        let plane = self.plane(tick);
        let groups = &mut self.groups[plane];
        for (group, ids) in groups.iter_mut().zip(ids.words()) {
            group.published |= ids;
        }
        groups
    }

    #[inline]
    fn holds(&self, tick: Tick) -> bool {
        self.ticks[slot(tick)] == Some(tick)
    }

    /// Returns the range of a tick's plane in `groups`.
    #[inline]
    fn plane(&self, tick: Tick) -> Range<usize> {
        let start = slot(tick) * self.width;
        start..start + self.width
    }

    /// Returns the group at index `group` of an open tick; widens the planes if necessary.
    #[inline]
    fn group(&mut self, tick: Tick, group: usize) -> &mut BaselineGroup<P> {
        self.widen(group + 1);
        let plane = self.plane(tick);
        &mut self.groups[plane][group]
    }

    /// Makes every plane at least `width` groups wide.
    #[inline]
    fn widen(&mut self, width: usize) {
        if width <= self.width {
            return;
        }
        let mut wide = vec![BaselineGroup::default(); PLANES * width];
        for (slot, wide) in wide.chunks_exact_mut(width).enumerate() {
            wide[..self.width].copy_from_slice(&self.groups[slot * self.width..][..self.width]);
        }
        (self.groups, self.width) = (wide, width);
    }
}

#[inline]
fn slot(tick: Tick) -> usize {
    tick.0 as usize % PLANES
}

#[cfg(test)]
mod tests {
    use throng_shared::protocol::pose::Pose;

    use super::*;

    #[test]
    fn baseline_is_available_from_publishing_until_a_newer_tick_takes_its_plane() {
        let mut baselines = Baselines::default();
        let (tick, id) = (Tick(u32::MAX - 1), ShortId(70));
        let pose = Pose {
            x: 5,
            ..Pose::default()
        };
        assert!(baselines.open(tick));
        baselines.put(tick, id, pose);
        assert_eq!(baselines.get(tick, id), None);
        let mut ids = Presence::default();
        ids.insert(id);
        baselines.publish_all(tick, &ids);
        for later in 1..PLANES as u32 {
            assert!(baselines.open(tick + later));
            assert_eq!(baselines.get(tick, id), Some(pose));
        }
        assert_eq!(baselines.get(tick, ShortId(71)), None);
        assert!(baselines.open(tick));
        assert!(baselines.open(tick + PLANES as u32));
        assert_eq!(baselines.get(tick, id), None);
        assert!(!baselines.open(tick) && baselines.is_gone(tick));
        assert!(!baselines.is_gone(tick + 2 * PLANES as u32));
        assert!(baselines.publish_all(tick, &ids).is_empty());
    }

    #[test]
    fn baselines_keep_their_poses_when_planes_widen() {
        let mut baselines = Baselines::default();
        let pose = |x| Pose { x, ..Pose::default() };
        for tick in 0..PLANES as u32 {
            assert!(baselines.open(Tick(tick)));
            let id = ShortId(tick as u16 * 7);
            baselines.publish(Tick(tick), id, pose(tick as i32));
        }
        for tick in 0..PLANES as u32 {
            let id = ShortId(tick as u16 * 7);
            assert_eq!(baselines.get(Tick(tick), id), Some(pose(tick as i32)));
            assert_eq!(baselines.get(Tick(tick), ShortId(id.0 + 1)), None);
        }
    }
}

//! The states that the server may refer to: for the last 32 ticks, by short id.
//!
//! One plane of poses for each tick, because a packet refers to many entities of one tick and adds many of
//! another: both are sequential. About 1 MiB for the widest short ids, 65 KiB for a hundred entities.

use std::ops::Range;

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{Presence, ShortId};
use throng_shared::tick::Tick;

use super::groups::locate;

const PLANES: usize = BASELINE_AGE_MAX as usize + 1;
const _: () = assert!(PLANES.is_power_of_two(), "planes stay in place when ticks wrap");

/// The poses of 64 ids at one tick.
// In this order: it is read from its beginning on.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct BaselineGroup {
    /// Bits of the ids whose poses are published; the others are of packets that were not applied, or older.
    published: u64,
    pub(super) poses: [Pose; 64],
}

impl Default for BaselineGroup {
    fn default() -> Self {
        Self {
            published: 0,
            poses: [Pose::default(); 64],
        }
    }
}

impl BaselineGroup {
    /// The pose with this number, if it is published.
    #[inline(always)]
    pub(super) fn get(&self, bit: usize) -> Option<&Pose> {
        (self.published >> bit & 1 == 1).then(|| &self.poses[bit])
    }

    /// The poses, if all are published of which `ids` are the bits.
    #[inline(always)]
    pub(super) fn all(&self, ids: u64) -> Option<&[Pose; 64]> {
        (ids & !self.published == 0).then_some(&self.poses)
    }
}

/// Poses by tick and short id.
#[derive(Debug, Default)]
pub(super) struct Baselines {
    /// Each plane's tick; `None` before the first.
    ticks: [Option<Tick>; PLANES],
    /// Plane after plane.
    groups: Vec<BaselineGroup>,
    /// Groups in a plane.
    width: usize,
}

impl Baselines {
    /// Makes room for `tick`; false when its place belongs to a newer one.
    pub(super) fn open(&mut self, tick: Tick) -> bool {
        let place = place(tick);
        match self.ticks[place] {
            Some(old) if old == tick => true,
            Some(old) if old.is_after(tick) => false,
            _ => {
                self.ticks[place] = Some(tick);
                let plane = self.plane(tick);
                self.groups[plane]
                    .iter_mut()
                    .for_each(|group| group.published = 0);
                true
            }
        }
    }

    /// The published pose of `id` at `tick`, if there is one.
    #[inline]
    pub(super) fn get(&self, tick: Tick, id: ShortId) -> Option<Pose> {
        let (at, bit) = locate(id);
        let group = self.groups[self.plane(tick)].get(at);
        group.filter(|_| self.is_here(tick))?.get(bit).copied()
    }

    /// The groups of two different ticks less than 32 apart: those of the first to be read, none if they are gone,
    /// those of the second, which is open, to be written, with room for all `ids`.
    pub(super) fn pair(
        &mut self,
        base: Tick,
        tick: Tick,
        ids: &Presence,
    ) -> (&[BaselineGroup], &mut [BaselineGroup]) {
        self.widen(ids.words().len());
        let is_here = self.is_here(base);
        let (from, to) = (self.plane(base), self.plane(tick));
        let (low, high) = self.groups.split_at_mut(from.start.max(to.start));
        let (bases, room) = if from.start < to.start {
            (&low[from], &mut high[..self.width])
        } else {
            (&high[..self.width], &mut low[to])
        };
        (if is_here { bases } else { &[] }, room)
    }

    /// Whether the place of `tick` has been taken by a newer one.
    pub(super) fn is_gone(&self, tick: Tick) -> bool {
        self.ticks[place(tick)].is_some_and(|newer| newer.is_after(tick))
    }

    /// Keeps a pose of an opened tick, not yet published.
    #[inline]
    pub(super) fn put(&mut self, tick: Tick, id: ShortId, pose: Pose) {
        let (at, bit) = locate(id);
        self.group(tick, at).poses[bit] = pose;
    }

    /// Publishes a pose of an opened tick.
    pub(super) fn publish(&mut self, tick: Tick, id: ShortId, pose: Pose) {
        let (at, bit) = locate(id);
        let group = self.group(tick, at);
        group.poses[bit] = pose;
        group.published |= 1 << bit;
    }

    /// Publishes what was put for `ids` and answers the tick's groups. Empty when the tick is not open any more,
    /// which is so only where one packet holds ticks that share a place.
    pub(super) fn publish_all(&mut self, tick: Tick, ids: &Presence) -> &[BaselineGroup] {
        if !self.is_here(tick) {
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
    fn is_here(&self, tick: Tick) -> bool {
        self.ticks[place(tick)] == Some(tick)
    }

    /// Where a tick's groups are.
    #[inline]
    fn plane(&self, tick: Tick) -> Range<usize> {
        let start = place(tick) * self.width;
        start..start + self.width
    }

    /// The group with this number at an opened tick; room is made for it.
    #[inline]
    fn group(&mut self, tick: Tick, at: usize) -> &mut BaselineGroup {
        self.widen(at + 1);
        let plane = self.plane(tick);
        &mut self.groups[plane][at]
    }

    /// Makes every plane at least `width` groups wide.
    #[inline]
    fn widen(&mut self, width: usize) {
        if width <= self.width {
            return;
        }
        let mut wide = vec![BaselineGroup::default(); PLANES * width];
        for (place, wide) in wide.chunks_exact_mut(width).enumerate() {
            wide[..self.width].copy_from_slice(&self.groups[place * self.width..][..self.width]);
        }
        (self.groups, self.width) = (wide, width);
    }
}

#[inline]
fn place(tick: Tick) -> usize {
    tick.0 as usize % PLANES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_is_there_from_publishing_until_its_place_is_taken() {
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
    fn poses_stay_when_the_planes_grow() {
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

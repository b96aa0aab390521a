//! The states that the server may refer to: for the last 32 ticks, by short id.
//!
//! One plane of poses for each tick, because a packet refers to many entities of one tick and adds many of
//! another: both are sequential. At most 1 MiB for the widest short ids, 64 KiB for a hundred entities.

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{Presence, ShortId};
use throng_shared::tick::Tick;

const PLANES: usize = BASELINE_AGE_MAX as usize + 1;
const _: () = assert!(PLANES.is_power_of_two(), "planes stay in place when ticks wrap");

/// Poses by tick and short id.
#[derive(Debug)]
pub(super) struct Baselines {
    planes: Box<[Plane; PLANES]>,
}

/// One tick's poses.
#[derive(Debug, Default)]
pub(super) struct Plane {
    /// The tick; `None` before the first.
    tick: Option<Tick>,
    /// Which poses are published; the others are of packets that were not applied, or older.
    published: Vec<u64>,
    poses: Vec<Pose>,
}

impl Plane {
    fn grow(&mut self, ids: usize) {
        self.published.resize(ids / 64, 0);
        self.poses.resize(ids, Pose::default());
    }

    /// The pose of `id`, if it is published.
    #[inline(always)]
    pub(super) fn get(&self, id: ShortId) -> Option<Pose> {
        let word = *self.published.get(id.index() / 64)?;
        let pose = *self.poses.get(id.index())?;
        (word >> (id.index() % 64) & 1 == 1).then_some(pose)
    }

    /// Keeps a pose, not yet published; without room it is dropped.
    #[inline(always)]
    pub(super) fn put(&mut self, id: ShortId, pose: Pose) {
        if let Some(place) = self.poses.get_mut(id.index()) {
            *place = pose;
        }
    }
}

impl Default for Baselines {
    fn default() -> Self {
        Self {
            planes: Box::new(std::array::from_fn(|_| Plane::default())),
        }
    }
}

impl Baselines {
    /// Makes room for `tick`; false when its place belongs to a newer one.
    pub(super) fn open(&mut self, tick: Tick) -> bool {
        let plane = &mut self.planes[place(tick)];
        match plane.tick {
            Some(old) if old == tick => true,
            Some(old) if old.is_after(tick) => false,
            _ => {
                plane.tick = Some(tick);
                plane.published.fill(0);
                true
            }
        }
    }

    /// The published pose of `id` at `tick`, if there is one.
    #[inline]
    pub(super) fn get(&self, tick: Tick, id: ShortId) -> Option<Pose> {
        let plane = &self.planes[place(tick)];
        if plane.tick == Some(tick) {
            plane.get(id)
        } else {
            None
        }
    }

    /// The planes of two different ticks less than 32 apart: the first to be read, if it is still there, the
    /// second, which is open, to be written, with room for all `ids`.
    pub(super) fn pair(&mut self, base: Tick, tick: Tick, ids: &Presence) -> (Option<&Plane>, &mut Plane) {
        let highest = ids.words().len() * 64;
        let (from, to) = (place(base), place(tick));
        let (low, high) = self.planes.split_at_mut(from.max(to));
        let (from, to) = if from < to {
            (&low[from], &mut high[0])
        } else {
            (&high[0], &mut low[to])
        };
        if highest > to.poses.len() {
            to.grow(highest);
        }
        (Some(from).filter(|plane| plane.tick == Some(base)), to)
    }

    /// Whether the place of `tick` has been taken by a newer one.
    pub(super) fn is_gone(&self, tick: Tick) -> bool {
        self.planes[place(tick)]
            .tick
            .is_some_and(|newer| newer.is_after(tick))
    }

    /// Keeps a pose of an opened tick, not yet published.
    #[inline]
    pub(super) fn put(&mut self, tick: Tick, id: ShortId, pose: Pose) {
        let plane = &mut self.planes[place(tick)];
        if id.index() >= plane.poses.len() {
            plane.grow((id.index() / 64 + 1) * 64);
        }
        plane.poses[id.index()] = pose;
    }

    /// Publishes a pose of an opened tick.
    pub(super) fn publish(&mut self, tick: Tick, id: ShortId, pose: Pose) {
        self.put(tick, id, pose);
        self.planes[place(tick)].published[id.index() / 64] |= 1 << (id.index() % 64);
    }

    /// Publishes what was put for `ids` and answers the tick's poses by short id. Empty when the tick is
    /// not open any more, which is so only where one packet holds ticks that share a place.
    pub(super) fn publish_all(&mut self, tick: Tick, ids: &Presence) -> &[Pose] {
        let plane = &mut self.planes[place(tick)];
        if plane.tick != Some(tick) {
            return &[];
        }
        for (published, ids) in plane.published.iter_mut().zip(ids.words()) {
            *published |= ids;
        }
        &plane.poses
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
}

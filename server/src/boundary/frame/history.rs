//! The last 64 frames of one simulation, found by tick in constant time.

use std::sync::Arc;

use throng_shared::limits::HISTORY_TICKS;
use throng_shared::tick::Tick;

use super::published::Frame;

/// A ring of the last 64 ticks' frames. Every reader has its own, one for each simulation.
///
/// A tick that the reader skipped has no frame. A look-up returns the frame of exactly that tick or none.
#[derive(Debug)]
pub struct FrameHistory {
    ring: Box<[Option<Arc<Frame>>]>,
    newest: Option<Tick>,
}

impl Default for FrameHistory {
    fn default() -> Self {
        Self {
            ring: (0..HISTORY_TICKS).map(|_| None).collect(),
            newest: None,
        }
    }
}

impl FrameHistory {
    /// Adds the next frame and returns the one that it replaces, if any. A frame that is not newer than the newest
    /// is returned itself.
    pub fn push(&mut self, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        let ahead = self.newest.map_or(1, |newest| frame.tick.since(newest));
        if ahead <= 0 {
            return Some(frame);
        }
        // The entries of skipped ticks are cleared, too. Otherwise a reader that skips would keep old frames alive.
        for back in 1..(ahead as u32).min(HISTORY_TICKS as u32) {
            self.ring[ring_index(frame.tick - back)] = None;
        }
        self.newest = Some(frame.tick);
        self.ring[ring_index(frame.tick)].replace(frame)
    }

    /// Returns the frame of `tick`, or `None` when it is not among the last 64 ticks or was skipped.
    #[inline]
    #[must_use]
    pub fn at(&self, tick: Tick) -> Option<&Arc<Frame>> {
        self.ring[ring_index(tick)]
            .as_ref()
            .filter(|frame| frame.tick == tick)
    }

    /// Returns the last tick at or before `tick` that has a frame, and the first one after it, if there is one yet.
    /// Ticks that were skipped have none. Returns `None` if no frame is as old as `tick`.
    #[must_use]
    pub fn ticks_around(&self, tick: Tick) -> Option<(Tick, Option<Tick>)> {
        let newest = self.newest?;
        let ahead = newest.since(tick);
        if ahead < 0 {
            return Some((newest, None));
        }
        let has_frame = |tick: &Tick| self.at(*tick).is_some();
        let older = (ahead..HISTORY_TICKS as i32).map(|age| newest - age as u32);
        let newer = (0..ahead).rev().map(|age| newest - age as u32);
        Some((
            older.into_iter().find(has_frame)?,
            newer.into_iter().find(has_frame),
        ))
    }

    /// Returns the newest frame, or `None` before the first.
    #[inline]
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Frame>> {
        self.at(self.newest?)
    }
}

/// Returns the index of a tick in the ring.
#[inline]
fn ring_index(tick: Tick) -> usize {
    tick.0 as usize % HISTORY_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::frame::FrameWriter;
    use crate::space::CellIndex;
    use std::time::Duration;
    use throng_shared::protocol::ids::SimulationId;

    fn frame(tick: u32) -> Arc<Frame> {
        let mut writer = FrameWriter::new(SimulationId(0));
        writer.publish(
            Tick(tick),
            Duration::ZERO,
            CellIndex::default(),
            Default::default(),
        )
    }

    fn held(history: &FrameHistory) -> usize {
        history.ring.iter().flatten().count()
    }

    #[test]
    fn history_keeps_exactly_the_last_64_ticks_across_the_wrap() {
        let mut history = FrameHistory::default();
        let start = Tick(u32::MAX - 100);
        for n in 0..200 {
            let displaced = history.push(frame((start + n).0));
            assert_eq!(displaced.map(|old| old.tick), (n >= 64).then(|| start + n - 64));
            assert_eq!(history.newest().map(|newest| newest.tick), Some(start + n));
            for back in 0..=n.min(70) {
                let found = history.at(start + n - back).map(|found| found.tick);
                assert_eq!(found, (back < 64).then(|| start + n - back));
            }
        }
    }

    #[test]
    fn the_ticks_around_a_skipped_tick_are_those_that_ran() {
        let mut history = FrameHistory::default();
        assert_eq!(history.ticks_around(Tick(1)), None);
        for tick in [10, 12, 14, 60] {
            history.push(frame(tick));
        }
        let around = |tick| {
            history
                .ticks_around(Tick(tick))
                .map(|(from, to)| (from.0, to.map(|to| to.0)))
        };
        assert_eq!(around(9), None);
        assert_eq!(around(10), Some((10, Some(12))));
        assert_eq!(around(13), Some((12, Some(14))));
        assert_eq!(around(59), Some((14, Some(60))));
        assert_eq!(around(60), Some((60, None)));
        assert_eq!(around(1_000), Some((60, None)));
        history.push(frame(76));
        assert_eq!(history.ticks_around(Tick(13)), None, "too old");
    }

    #[test]
    fn skipped_ticks_have_no_frame_and_a_frame_that_is_not_newer_is_returned() {
        let mut history = FrameHistory::default();
        for tick in 1..=64 {
            history.push(frame(tick));
        }
        history.push(frame(100));
        assert!(history.at(Tick(99)).is_none() && history.at(Tick(36)).is_none());
        assert!(history.at(Tick(37)).is_some());
        assert_eq!(held(&history), 1 + 28);
        assert_eq!(history.push(frame(100)).map(|old| old.tick), Some(Tick(100)));
        history.push(frame(1_000));
        assert_eq!(held(&history), 1);
    }
}

//! The last 64 frames of one simulation, found by tick in constant time.

use std::sync::Arc;

use throng_shared::limits::HISTORY_TICKS;
use throng_shared::tick::Tick;

use super::published::Frame;

/// A ring of frames. Every reader holds its own, one per simulation.
///
/// A reader that skipped frames has holes; an asked-for tick is either exactly that frame or nothing.
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
    /// Adds the next frame and returns the one whose place it takes. A frame that is not newer than the
    /// newest is handed back.
    pub fn push(&mut self, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        let ahead = self.newest.map_or(1, |newest| frame.tick.since(newest));
        if ahead <= 0 {
            return Some(frame);
        }
        // Skipped ticks give up their places too, or a reader that skips would keep old frames alive.
        for back in 1..(ahead as u32).min(HISTORY_TICKS as u32) {
            self.ring[place(frame.tick - back)] = None;
        }
        self.newest = Some(frame.tick);
        self.ring[place(frame.tick)].replace(frame)
    }

    /// The frame of `tick`, if it is among the last 64 and was not skipped.
    #[inline]
    #[must_use]
    pub fn at(&self, tick: Tick) -> Option<&Arc<Frame>> {
        self.ring[place(tick)].as_ref().filter(|frame| frame.tick == tick)
    }

    /// The newest frame.
    #[inline]
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Frame>> {
        self.at(self.newest?)
    }
}

#[inline]
fn place(tick: Tick) -> usize {
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
    fn keeps_exactly_the_last_64_across_the_wrap() {
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
    fn skipped_ticks_are_holes_and_old_frames_come_back() {
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

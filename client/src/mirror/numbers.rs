//! Number baselines: the received numbers of one entity's components, from which later packets encode
//! differences.
//!
//! A component that did not change is not sent again, so its value in the state of a tick is the newest that
//! was received for that tick or an earlier one. For each component this keeps the values of the ticks to which
//! a packet can still refer, and the last one before them: 33 values at most.

use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

/// The values of all components, by ascending tick.
#[derive(Debug, Default)]
pub(super) struct NumberBaselines(Vec<NumberBaseline>);

#[derive(Clone, Copy, Debug)]
struct NumberBaseline {
    component: ComponentId,
    tick: Tick,
    steps: Steps,
}

impl NumberBaselines {
    /// Returns the newest numbers of a component at `tick` or before.
    pub(super) fn newest_at(&self, component: ComponentId, tick: Tick) -> Option<&Steps> {
        let mut newest_first = self.0.iter().rev();
        newest_first
            .find(|known| known.component == component && !known.tick.is_after(tick))
            .map(|known| &known.steps)
    }

    /// Stores a component's numbers of `tick`, and discards one that no packet can refer to any more: one that
    /// is older than the component's value at `oldest`.
    pub(super) fn record(&mut self, component: ComponentId, tick: Tick, steps: Steps, oldest: Tick) {
        let baseline = NumberBaseline {
            component,
            tick,
            steps,
        };
        let before = self.0.iter().rposition(|other| !other.tick.is_after(tick));
        let mut same = self.0.iter_mut().filter(|other| other.tick == tick);
        if let Some(same) = same.find(|other| other.component == component) {
            *same = baseline;
            return;
        }
        self.0.insert(before.map_or(0, |before| before + 1), baseline);
        let mut ours = (0..self.0.len()).filter(|&index| self.0[index].component == component);
        if let (Some(first), Some(second)) = (ours.next(), ours.next())
            && !self.0[second].tick.is_after(oldest)
        {
            self.0.remove(first);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_shared::protocol::codec;

    fn steps(number: i32) -> Steps {
        let mut bytes = Vec::new();
        codec::encode_into(&number, &mut bytes).unwrap();
        Steps::decode(&bytes, 1).unwrap()
    }

    #[test]
    fn number_baselines_in_range_are_kept_in_any_order_of_arrival() {
        let (mut baselines, start) = (NumberBaselines::default(), Tick(u32::MAX - 40));
        let (one, other) = (ComponentId(1), ComponentId(2));
        baselines.record(other, start, steps(-1), start - 31);
        for n in 0..100 {
            // Every second one arrives late.
            let tick = start + (n ^ 1);
            baselines.record(one, tick, steps(tick.0 as i32), start + n - 31);
            assert!(baselines.0.len() <= 36, "{}", baselines.0.len());
        }
        for back in 0..=31 {
            let tick = start + 99 - back;
            assert_eq!(baselines.newest_at(one, tick), Some(&steps(tick.0 as i32)));
            assert_eq!(
                baselines.newest_at(other, tick),
                Some(&steps(-1)),
                "received once"
            );
        }
        assert_eq!(baselines.newest_at(one, start + 60), None, "discarded");
        assert_eq!(baselines.newest_at(other, start - 1), None);
        for _ in 0..100 {
            baselines.record(one, start + 100, steps(7), start + 69);
        }
        assert!(baselines.0.len() <= 36, "received again and again");
        baselines.clear();
        assert_eq!(baselines.newest_at(other, start), None);
    }
}

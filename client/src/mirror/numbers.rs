//! The numbers of one entity's components as they were told, for packets that tell by how much they differ.
//!
//! A component that did not change is not told again, so its value in the state of a tick is the newest that
//! was told at that tick or before. Of each component are kept what was told within the ticks to which a packet
//! can still refer, and the last before them: 33 values at most.

use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::steps::Steps;
use throng_shared::tick::Tick;

/// By ascending tick.
#[derive(Debug, Default)]
pub(super) struct NumberBaselines(Vec<NumberBaseline>);

#[derive(Clone, Copy, Debug)]
struct NumberBaseline {
    component: ComponentId,
    tick: Tick,
    steps: Steps,
}

impl NumberBaselines {
    /// The newest numbers of a component that were told at `tick` or before.
    pub(super) fn told(&self, component: ComponentId, tick: Tick) -> Option<&Steps> {
        let mut newest_first = self.0.iter().rev();
        newest_first
            .find(|told| told.component == component && !told.tick.is_after(tick))
            .map(|told| &told.steps)
    }

    /// Keeps what was told of a component at `tick`, and forgets what nobody can refer to any more: all that
    /// was told before its value at `oldest`.
    pub(super) fn tell(&mut self, component: ComponentId, tick: Tick, steps: Steps, oldest: Tick) {
        let told = NumberBaseline {
            component,
            tick,
            steps,
        };
        let before = self.0.iter().rposition(|other| !other.tick.is_after(tick));
        let mut same = self.0.iter_mut().filter(|other| other.tick == tick);
        if let Some(same) = same.find(|other| other.component == component) {
            *same = told;
            return;
        }
        self.0.insert(before.map_or(0, |before| before + 1), told);
        let mut ours = (0..self.0.len()).filter(|&at| self.0[at].component == component);
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
    fn what_a_packet_can_refer_to_is_kept_whatever_comes_in_whatever_order() {
        let (mut told, start) = (NumberBaselines::default(), Tick(u32::MAX - 40));
        let (one, other) = (ComponentId(1), ComponentId(2));
        told.tell(other, start, steps(-1), start - 31);
        for n in 0..100 {
            // Every second comes late.
            let tick = start + (n ^ 1);
            told.tell(one, tick, steps(tick.0 as i32), start + n - 31);
            assert!(told.0.len() <= 36, "{}", told.0.len());
        }
        for back in 0..=31 {
            let tick = start + 99 - back;
            assert_eq!(told.told(one, tick), Some(&steps(tick.0 as i32)));
            assert_eq!(told.told(other, tick), Some(&steps(-1)), "told once");
        }
        assert_eq!(told.told(one, start + 60), None, "forgotten");
        assert_eq!(told.told(other, start - 1), None);
        for _ in 0..100 {
            told.tell(one, start + 100, steps(7), start + 69);
        }
        assert!(told.0.len() <= 36, "told again and again");
        told.clear();
        assert_eq!(told.told(other, start), None);
    }
}

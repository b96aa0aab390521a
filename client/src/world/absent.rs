//! Entities for which no message waits, although they are not in view.
//!
//! Owns the memory of the entities that left the view a moment ago, and of those for which a message has waited in vain.
//! Bounded by [`ABSENT_MAX`]: beyond it the oldest entry is forgotten, and a message may wait for its entity once more.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use throng_shared::protocol::ids::GlobalId;

/// Entities that are remembered at most.
const ABSENT_MAX: usize = 1_024;
/// Time for which an entity is remembered after it has left. One that comes back later is waited for.
const LEFT_FOR: Duration = Duration::from_secs(3);

/// Entities that are not in view and not waited for.
#[derive(Debug, Default)]
pub(super) struct AbsentEntities {
    /// When each is forgotten, and the number of its entry. This map is only looked up and never iterated.
    until: HashMap<GlobalId, (Duration, u64)>,
    /// The entries in the order in which they were made. One that was replaced has another number than in the map.
    order: VecDeque<(GlobalId, u64)>,
    entries: u64,
    now: Duration,
}

impl AbsentEntities {
    /// Sets the time.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// Remembers an entity that left the view.
    pub(super) fn left(&mut self, global: GlobalId) {
        self.remember(global, self.now + LEFT_FOR);
    }

    /// Remembers an entity that did not enter while a message waited for it, until it enters.
    pub(super) fn waited_in_vain(&mut self, global: GlobalId) {
        self.remember(global, Duration::MAX);
    }

    /// Forgets an entity that entered the view.
    pub(super) fn entered(&mut self, global: GlobalId) {
        self.until.remove(&global);
    }

    /// Returns whether no message waits for an entity.
    pub(super) fn contains(&self, global: GlobalId) -> bool {
        self.until
            .get(&global)
            .is_some_and(|&(until, _)| self.now < until)
    }

    /// Forgets all entities, as when the session ends.
    pub(super) fn clear(&mut self) {
        self.until.clear();
        self.order.clear();
    }

    fn remember(&mut self, global: GlobalId, until: Duration) {
        self.entries += 1;
        self.until.insert(global, (until, self.entries));
        self.order.push_back((global, self.entries));
        if self.order.len() > ABSENT_MAX
            && let Some((oldest, entry)) = self.order.pop_front()
            && self
                .until
                .get(&oldest)
                .is_some_and(|&(_, newest)| newest == entry)
        {
            self.until.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_forgotten_after_a_while_when_they_enter_and_at_the_bound() {
        let mut absent = AbsentEntities::default();
        let [first, second] = [GlobalId(1), GlobalId(2)];
        absent.left(first);
        absent.waited_in_vain(second);
        assert!(absent.contains(first) && absent.contains(second));
        absent.set_now(LEFT_FOR);
        assert!(!absent.contains(first) && absent.contains(second));
        absent.entered(second);
        assert!(!absent.contains(second));
        absent.waited_in_vain(second);
        for n in 0..ABSENT_MAX as u64 {
            assert!(absent.contains(second), "{n}");
            absent.left(GlobalId(100 + n));
        }
        assert!(!absent.contains(second));
        for _ in 0..10 * ABSENT_MAX {
            absent.left(first);
        }
        assert!(absent.contains(first));
        assert!(absent.order.len() <= ABSENT_MAX && absent.until.len() <= ABSENT_MAX);
    }
}

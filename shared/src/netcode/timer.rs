//! A timer wheel over dense indices: set, clear and expire in constant time.
//!
//! One turn of the wheel is 8 s. A deadline further away comes up after one turn, and the caller sets it
//! again. So an index that comes up *may* be due; it is never late by more than one step. Callers rely on
//! this: a session's deadline moves with every packet, and its timer is set again only when the old one
//! comes up.

use core::time::Duration;

/// Steps a second; a deadline comes up at most one step late.
const STEPS_PER_S: u64 = 64;
/// Length of a turn, in steps.
const STEPS: u64 = 512;
/// The end of a list, or no list.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct TimerLink {
    next: u32,
    previous: u32,
    /// The list that this index is in, or [`NONE`].
    list: u32,
}

const UNLINKED: TimerLink = TimerLink {
    next: NONE,
    previous: NONE,
    list: NONE,
};

/// A wheel of timers, at most one for each index.
pub(crate) struct TimerWheel {
    heads: Box<[u32; STEPS as usize]>,
    links: Vec<TimerLink>,
    /// The step whose list is being emptied; every later list is in the future.
    cursor: u64,
    len: usize,
}

impl TimerWheel {
    pub(crate) fn new() -> Self {
        Self {
            heads: Box::new([NONE; STEPS as usize]),
            links: Vec::new(),
            cursor: 0,
            len: 0,
        }
    }

    /// Sets or moves the timer of `index`. A `deadline` that has passed comes up in the next step.
    pub(crate) fn set(&mut self, index: u32, now: Duration, deadline: Duration) {
        self.clear(index);
        if self.len == 0 {
            self.cursor = step_before(now);
        }
        // The first step that begins at or after the deadline: never early.
        let due = step_before(deadline.saturating_sub(Duration::from_nanos(1))) + 1;
        // A deadline beyond one turn comes up at the turn's last step, too early; the caller sets it again.
        let step = due.clamp(self.cursor + 1, self.cursor + STEPS - 1);
        let list = (step % STEPS) as u32;
        let position = index as usize;
        if position >= self.links.len() {
            self.links.resize(position + 1, UNLINKED);
        }
        let next = self.heads[list as usize];
        self.links[position] = TimerLink {
            next,
            previous: NONE,
            list,
        };
        if next != NONE {
            self.links[next as usize].previous = index;
        }
        self.heads[list as usize] = index;
        self.len += 1;
    }

    /// Removes the timer of `index`, if it has one.
    pub(crate) fn clear(&mut self, index: u32) {
        let Some(link) = self.links.get_mut(index as usize) else {
            return;
        };
        let TimerLink { next, previous, list } = core::mem::replace(link, UNLINKED);
        if list == NONE {
            return;
        }
        if previous == NONE {
            self.heads[list as usize] = next;
        } else {
            self.links[previous as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        self.len -= 1;
    }

    /// Removes and returns one index whose deadline may have passed by `now`. Call until `None`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<u32> {
        let target = step_before(now);
        // After a long pause one turn visits every list; further turns would visit them again.
        self.cursor = self.cursor.max(target.saturating_sub(STEPS));
        while self.len > 0 {
            let head = self.heads[(self.cursor % STEPS) as usize];
            if head != NONE {
                self.clear(head);
                return Some(head);
            }
            if self.cursor >= target {
                return None;
            }
            self.cursor += 1;
        }
        None
    }
}

/// Returns the last step that began at or before `time`, capped so that adding steps cannot overflow.
fn step_before(time: Duration) -> u64 {
    time.as_secs().saturating_mul(STEPS_PER_S).min(u64::MAX >> 1)
        + u64::from(time.subsec_nanos()) * STEPS_PER_S / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pop_all(wheel: &mut TimerWheel, now: Duration) -> Vec<u32> {
        core::iter::from_fn(|| wheel.pop(now)).collect()
    }

    #[test]
    fn deadlines_come_up_once_and_at_most_a_step_late() {
        let mut wheel = TimerWheel::new();
        let start = Duration::from_secs(1_700_000_000);
        wheel.set(7, start, start + ms(100));
        wheel.set(3, start, start + ms(200));
        assert!(pop_all(&mut wheel, start + ms(99)).is_empty());
        assert_eq!(pop_all(&mut wheel, start + ms(116)), [7]);
        assert_eq!(pop_all(&mut wheel, start + ms(216)), [3]);
        assert!(pop_all(&mut wheel, start + ms(100_000)).is_empty());
    }

    #[test]
    fn a_moved_timer_comes_up_at_its_new_time_only_and_a_cleared_one_never() {
        let mut wheel = TimerWheel::new();
        wheel.set(0, ms(0), ms(100));
        wheel.set(0, ms(0), ms(300));
        wheel.set(1, ms(0), ms(100));
        wheel.clear(1);
        wheel.clear(99);
        assert!(pop_all(&mut wheel, ms(200)).is_empty());
        assert_eq!(pop_all(&mut wheel, ms(400)), [0]);
    }

    #[test]
    fn a_long_pause_costs_one_turn_and_loses_no_timer() {
        let mut wheel = TimerWheel::new();
        for index in 0..1_000 {
            wheel.set(index, ms(0), ms(u64::from(index) * 13));
        }
        let mut found = pop_all(&mut wheel, Duration::MAX);
        found.sort_unstable();
        assert_eq!(found, (0..1_000).collect::<Vec<_>>());
        wheel.set(5, Duration::MAX, Duration::MAX);
    }

    #[test]
    fn a_timer_set_again_does_not_come_up_for_every_turn_missed() {
        let mut wheel = TimerWheel::new();
        // Two timers, so that the wheel is never empty and its cursor is never reset.
        wheel.set(0, ms(0), ms(5_000));
        wheel.set(1, ms(0), ms(6_000));
        let now = Duration::from_secs(1_000_000);
        let mut popped = 0;
        while let Some(index) = wheel.pop(now) {
            wheel.set(index, now, now + ms(5_000));
            popped += 1;
        }
        assert!((2..=6).contains(&popped), "{popped} times");
    }

    proptest! {
        /// The caller sets an index again when it comes up too early; no deadline is missed then.
        #[test]
        fn a_timer_wheel_expires_the_same_indices_as_a_list(
            steps in proptest::collection::vec((0u32..40, 0u64..20_000, 0u64..3_000, any::<bool>()), 1..200),
        ) {
            let mut wheel = TimerWheel::new();
            let mut deadlines: HashMap<u32, Duration> = HashMap::new();
            let mut now = ms(5_000_000);
            for (index, delay, pass, clear) in steps {
                if clear {
                    wheel.clear(index);
                    deadlines.remove(&index);
                } else {
                    wheel.set(index, now, now + ms(delay));
                    deadlines.insert(index, now + ms(delay));
                }
                now += ms(pass);
                while let Some(index) = wheel.pop(now) {
                    let deadline = deadlines[&index];
                    if deadline > now {
                        wheel.set(index, now, deadline);
                    } else {
                        deadlines.remove(&index);
                    }
                }
                for deadline in deadlines.values() {
                    prop_assert!(*deadline + ms(16) > now, "{deadline:?} is overdue at {now:?}");
                }
            }
        }
    }
}

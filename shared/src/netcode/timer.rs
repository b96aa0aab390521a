//! A timer wheel over dense indices: set, clear and expire in constant time.
//!
//! One turn of the wheel is 8 s. A deadline further away comes up after one turn, and its owner sets it
//! again: what comes up is *maybe* due, never late by more than one step. Owners use that: a session's
//! deadline moves with every packet, and the wheel is not told until the old one comes up.

use core::time::Duration;

/// Steps a second; a deadline comes up at most one step late.
const STEPS_PER_S: u64 = 64;
/// Length of a turn, in steps.
const STEPS: u64 = 512;
/// No index.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    next: u32,
    previous: u32,
    /// The list that this index is in, or [`NONE`].
    list: u32,
}

const UNLINKED: Link = Link {
    next: NONE,
    previous: NONE,
    list: NONE,
};

/// At most one timer for each index.
pub(crate) struct TimerWheel {
    heads: Box<[u32; STEPS as usize]>,
    links: Vec<Link>,
    /// The step whose list is being emptied; every list ahead is in the future.
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
        let step = due.clamp(self.cursor + 1, self.cursor + STEPS - 1);
        let list = (step % STEPS) as u32;
        let at = index as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, UNLINKED);
        }
        let next = self.heads[list as usize];
        self.links[at] = Link {
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
        let Link { next, previous, list } = core::mem::replace(link, UNLINKED);
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

    /// Takes out one index whose deadline may have passed by `now`. Call until `None`.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<u32> {
        let target = step_before(now);
        // After a long silence one turn visits every list; more would visit them again.
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

/// The last step that began at or before `time`.
fn step_before(time: Duration) -> u64 {
    time.as_secs().saturating_mul(STEPS_PER_S).min(u64::MAX >> 1)
        + u64::from(time.subsec_nanos()) * STEPS_PER_S / 1_000_000_000
}

//! Reliable messages that wait until the entities to which they refer are in view.
//!
//! A message and the snapshot in which its entity enters are sent together, but each may be lost alone. Owns the messages
//! that wait. Guarantees:
//! - a message waits for at most [`WAIT_TICKS`] from its arrival, and is then delivered as it is;
//! - the messages of the ordered channel are delivered in their order, so those behind one that waits also wait; those of
//!   the unordered channel do not;
//! - no message is lost. Beyond [`HELD_BYTES_MAX`] the oldest message is delivered without waiting longer.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::prelude::Resource;
use bytes::Bytes;
use throng_shared::protocol::ids::{Channel, GlobalId};
use throng_shared::reliable::held_bytes;

/// Ticks for which a message waits at most, in time of this client.
pub(super) const WAIT_TICKS: u32 = 20;
/// Bytes of the messages that wait at most, each with 32 bytes more than it has.
pub(super) const HELD_BYTES_MAX: usize = 256 * 1024;

/// The messages that wait.
#[derive(Resource, Debug, Default)]
pub(super) struct HeldMessages {
    ordered: VecDeque<HeldMessage>,
    unordered: VecDeque<HeldMessage>,
    bytes: usize,
    /// Number of messages that waited so far.
    count: u64,
    now: Duration,
    wait: Duration,
}

#[derive(Debug)]
struct HeldMessage {
    bytes: Bytes,
    /// The entities that it waits for.
    missing: Vec<GlobalId>,
    until: Duration,
    /// Increases in the order of arrival.
    number: u64,
}

/// The entities around a message, as the client knows them.
pub(super) trait Awaited {
    /// Returns whether a message waits for the entity: it is not in view, and may enter soon.
    fn is_awaited(&self, global: GlobalId) -> bool;

    /// Notes that a message has waited for the entity in vain.
    fn waited_in_vain(&mut self, global: GlobalId);
}

impl HeldMessages {
    /// Sets the time and the time between two ticks.
    pub(super) fn set_now(&mut self, now: Duration, tick_length: Duration) {
        self.now = now;
        self.wait = tick_length * WAIT_TICKS;
    }

    /// Takes a message that arrived, with the entities to which it refers. Returns it if it does not wait.
    pub(super) fn receive(
        &mut self,
        channel: Channel,
        bytes: Bytes,
        mut references: Vec<GlobalId>,
        view: &impl Awaited,
    ) -> Option<Bytes> {
        references.retain(|&global| view.is_awaited(global));
        let queue = match channel {
            Channel::ReliableOrdered => &mut self.ordered,
            Channel::ReliableUnordered => &mut self.unordered,
            Channel::Unreliable => return Some(bytes),
        };
        if references.is_empty() && (channel != Channel::ReliableOrdered || queue.is_empty()) {
            return Some(bytes);
        }
        self.bytes += held_bytes(&bytes);
        queue.push_back(HeldMessage {
            bytes,
            missing: references,
            until: self.now + self.wait,
            number: self.count,
        });
        self.count += 1;
        None
    }

    /// Returns whether there are more messages than may wait.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > HELD_BYTES_MAX
    }

    /// Removes and returns the next message that does not wait longer; `None` when all others do.
    pub(super) fn next_ready(&mut self, view: &mut impl Awaited) -> Option<(Channel, Bytes)> {
        let is_full = self.is_full();
        let front = |queue: &VecDeque<HeldMessage>| queue.front().map_or(u64::MAX, |held| held.number);
        let is_oldest_ordered = front(&self.ordered) < front(&self.unordered);
        let now = self.now;
        let mut is_ready = |held: &mut HeldMessage| {
            held.missing.retain(|&global| view.is_awaited(global));
            if held.until <= now {
                held.missing
                    .drain(..)
                    .for_each(|global| view.waited_in_vain(global));
            }
            held.missing.is_empty()
        };
        let ordered = self.ordered.front_mut();
        if ordered.is_some_and(|held| is_ready(held) || is_full && is_oldest_ordered) {
            return self.take(Channel::ReliableOrdered, 0);
        }
        let ready = self.unordered.iter_mut().position(is_ready);
        let ready = ready.or((is_full && !is_oldest_ordered).then_some(0))?;
        self.take(Channel::ReliableUnordered, ready)
    }

    /// Removes and returns all messages, in the order of their arrival.
    pub(super) fn take_all(&mut self) -> Vec<(Channel, Bytes)> {
        let Self {
            ordered, unordered, ..
        } = std::mem::take(self);
        let with = |channel| move |held: HeldMessage| (held.number, channel, held.bytes);
        let ordered = ordered.into_iter().map(with(Channel::ReliableOrdered));
        let unordered = unordered.into_iter().map(with(Channel::ReliableUnordered));
        let mut all: Vec<_> = ordered.chain(unordered).collect();
        all.sort_unstable_by_key(|&(number, ..)| number);
        all.into_iter()
            .map(|(_, channel, bytes)| (channel, bytes))
            .collect()
    }

    fn take(&mut self, channel: Channel, index: usize) -> Option<(Channel, Bytes)> {
        let queue = match channel {
            Channel::ReliableOrdered => &mut self.ordered,
            _ => &mut self.unordered,
        };
        let held = queue.remove(index)?;
        self.bytes -= held_bytes(&held.bytes);
        Some((channel, held.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The entities in view, and those waited for in vain.
    #[derive(Default)]
    struct Entered(BTreeSet<GlobalId>, Vec<GlobalId>);

    impl Awaited for Entered {
        fn is_awaited(&self, global: GlobalId) -> bool {
            !self.0.contains(&global) && !self.1.contains(&global)
        }

        fn waited_in_vain(&mut self, global: GlobalId) {
            self.1.push(global);
        }
    }

    const TICK: Duration = Duration::from_millis(50);
    use Channel::{ReliableOrdered as Ordered, ReliableUnordered as Unordered, Unreliable};

    fn held(at: u32) -> HeldMessages {
        let mut held = HeldMessages::default();
        held.set_now(TICK * at, TICK);
        held
    }

    /// Lets a message of one byte arrive that refers to these entities. Returns whether it is delivered at once.
    fn arrive(held: &mut HeldMessages, channel: Channel, number: u8, about: &[u64], view: &Entered) -> bool {
        let about = about.iter().map(|&global| GlobalId(global)).collect();
        held.receive(channel, vec![number].into(), about, view).is_some()
    }

    fn ready(held: &mut HeldMessages, view: &mut Entered) -> Vec<u8> {
        std::iter::from_fn(|| held.next_ready(view))
            .map(|(_, bytes)| bytes[0])
            .collect()
    }

    #[test]
    fn ordered_messages_wait_behind_one_that_waits_and_the_others_do_not() {
        let (mut held, mut view) = (held(0), Entered::default());
        view.0.insert(GlobalId(9));
        assert!(arrive(&mut held, Ordered, 0, &[9], &view), "in view");
        assert!(!arrive(&mut held, Ordered, 1, &[9, 1], &view));
        assert!(!arrive(&mut held, Ordered, 2, &[], &view));
        assert!(!arrive(&mut held, Unordered, 3, &[2], &view));
        assert!(arrive(&mut held, Unordered, 4, &[], &view));
        assert!(arrive(&mut held, Unreliable, 5, &[1], &view));
        assert!(!arrive(&mut held, Ordered, 6, &[3], &view));
        assert!(!arrive(&mut held, Unordered, 7, &[4], &view));
        assert_eq!(ready(&mut held, &mut view), [0; 0]);
        view.0.insert(GlobalId(4));
        assert_eq!(ready(&mut held, &mut view), [7]);
        view.0.insert(GlobalId(1));
        assert_eq!(ready(&mut held, &mut view), [1, 2]);
        view.0.extend([GlobalId(2), GlobalId(3)]);
        assert_eq!(ready(&mut held, &mut view), [6, 3]);
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn a_message_waits_twenty_ticks_and_only_once_for_an_entity() {
        let (mut held, mut view) = (held(5), Entered::default());
        assert!(!arrive(&mut held, Ordered, 1, &[1], &view));
        held.set_now(TICK * 15, TICK);
        assert!(!arrive(&mut held, Ordered, 2, &[2], &view));
        held.set_now(TICK * 24, TICK);
        assert_eq!(ready(&mut held, &mut view), [0; 0]);
        held.set_now(TICK * 25, TICK);
        assert_eq!(ready(&mut held, &mut view), [1]);
        assert!(!arrive(&mut held, Ordered, 3, &[1], &view), "behind another");
        held.set_now(TICK * 35, TICK);
        assert_eq!(ready(&mut held, &mut view), [2, 3]);
        assert!(arrive(&mut held, Ordered, 4, &[1, 2], &view), "not again");
    }

    #[test]
    fn beyond_the_bound_the_oldest_message_is_delivered() {
        let (mut held, mut view) = (held(0), Entered::default());
        let load = Bytes::from(vec![7; 1_000]);
        let (mut sent, mut delivered) = (0..=u8::MAX, Vec::new());
        let fits = HELD_BYTES_MAX / held_bytes(&load);
        for number in sent.by_ref() {
            let channel = if number % 2 == 0 { Ordered } else { Unordered };
            let mut bytes = load.to_vec();
            bytes[0] = number;
            let about = vec![GlobalId(u64::from(number) + 1)];
            assert_eq!(held.receive(channel, bytes.into(), about, &view), None);
            delivered.extend(ready(&mut held, &mut view));
            assert!(held.bytes <= HELD_BYTES_MAX);
        }
        let overflow = 256 - fits;
        assert!(
            overflow > 0 && delivered.len() == overflow,
            "{overflow}: {delivered:?}"
        );
        assert_eq!(delivered, (0..overflow as u8).collect::<Vec<_>>());
        let rest: Vec<_> = held.take_all().into_iter().map(|(_, bytes)| bytes[0]).collect();
        assert_eq!(rest, (overflow as u8..=255).collect::<Vec<_>>());
        assert_eq!(held.bytes, 0);
    }
}

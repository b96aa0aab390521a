//! An emulated bad line between the bots and the server, with loss, latency and jitter. They are the same in each
//! direction and independent of each other.
//!
//! Owns the decision about each datagram ([`Conditions::fate`]) and the queue of datagrams under way ([`DelayQueue`]).
//! All randomness follows from one seed. The queue recycles its buffers: it allocates only while it grows beyond its
//! largest size so far.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use throng_shared::random::Random;

/// Properties of the emulated line, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conditions {
    /// Probability that a datagram is lost, 0..=1.
    pub loss: f64,
    /// Mean one-way delay.
    pub latency: Duration,
    /// The delay is uniform within this much of the mean, and never negative: datagrams overtake each other.
    pub jitter: Duration,
}

impl Conditions {
    /// Returns whether the line neither loses nor delays datagrams, so that the swarm can do without it.
    pub fn is_perfect(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the delay of the next datagram, or `None` if it is lost.
    pub fn fate(&self, random: &mut Random) -> Option<Duration> {
        if self.loss > 0.0 && random.unit() < self.loss {
            return None;
        }
        let jitter = self.jitter.as_secs_f64() * f64::from(random.signed_unit());
        Some(Duration::from_secs_f64(
            (self.latency.as_secs_f64() + jitter).max(0.0),
        ))
    }
}

impl fmt::Display for Conditions {
    /// Writes the properties to append to a name. A perfect line has none.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.loss > 0.0 {
            write!(formatter, ", {:.1} % loss", self.loss * 100.0)?;
        }
        if self.latency + self.jitter > Duration::ZERO {
            let milliseconds = |length: Duration| length.as_secs_f64() * 1e3;
            let (latency, jitter) = (milliseconds(self.latency), milliseconds(self.jitter));
            write!(formatter, ", {latency} ± {jitter} ms each way")?;
        }
        Ok(())
    }
}

/// The direction of a delayed datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineDirection {
    /// From the server to a bot.
    #[default]
    Down,
    /// From a bot to the server.
    Up,
}

/// One datagram that has arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Time of arrival.
    pub due: Duration,
    /// The bot that sent it or receives it.
    pub bot: u32,
    /// Whether the bot receives it or has sent it.
    pub direction: LineDirection,
    /// The datagram. Return the buffer with [`DelayQueue::recycle`].
    pub bytes: Vec<u8>,
}

/// Datagrams under way, in the order of arrival. Datagrams with equal times keep the order of sending.
#[derive(Debug, Default)]
pub struct DelayQueue {
    /// Due time, number and index in `in_flight`.
    due: BinaryHeap<Reverse<(Duration, u64, u32)>>,
    in_flight: Vec<Delivery>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    sent: u64,
}

impl DelayQueue {
    /// Inserts a datagram that arrives at `due`.
    pub fn push(&mut self, due: Duration, bot: u32, direction: LineDirection, datagram: &[u8]) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(datagram);
        let index = self.free.pop().unwrap_or_else(|| {
            self.in_flight.push(Delivery::default());
            self.in_flight.len() as u32 - 1
        });
        self.in_flight[index as usize] = Delivery {
            due,
            bot,
            direction,
            bytes,
        };
        self.due.push(Reverse((due, self.sent, index)));
        self.sent += 1;
    }

    /// Removes and returns the oldest datagram that has arrived by `now`.
    pub fn pop(&mut self, now: Duration) -> Option<Delivery> {
        let Reverse((_, _, index)) = *self.due.peek().filter(|Reverse((due, ..))| *due <= now)?;
        self.due.pop();
        self.free.push(index);
        Some(std::mem::take(&mut self.in_flight[index as usize]))
    }

    /// Keeps the buffer of a delivered datagram for the next one.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare.push(bytes);
    }

    /// Returns the arrival time of the next datagram.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    /// Returns the number of datagrams under way.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Returns whether no datagram is under way.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

/// A line that loses and delays datagrams, with the datagrams under way.
#[derive(Debug)]
pub struct EmulatedLine {
    conditions: Conditions,
    random: Random,
    /// Datagrams under way in both directions.
    pub queue: DelayQueue,
}

impl EmulatedLine {
    /// Creates a line with these conditions, or returns `None` if they change nothing.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Option<Self> {
        let line = Self {
            conditions,
            random: Random::new(seed),
            queue: DelayQueue::default(),
        };
        (!conditions.is_perfect()).then_some(line)
    }

    /// Sends a datagram of a bot, or loses it.
    pub fn send(&mut self, now: Duration, bot: u32, direction: LineDirection, datagram: &[u8]) {
        if let Some(delay) = self.conditions.fate(&mut self.random) {
            self.queue.push(now + delay, bot, direction, datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn loss_latency_and_jitter_follow_the_conditions() {
        let conditions = Conditions {
            loss: 0.2,
            latency: 50 * MS,
            jitter: 10 * MS,
        };
        let mut random = Random::new(4);
        let delays: Vec<Duration> = (0..10_000).filter_map(|_| conditions.fate(&mut random)).collect();
        assert!((7_800..8_200).contains(&delays.len()), "{} arrived", delays.len());
        assert!(delays.iter().all(|delay| (40 * MS..=60 * MS).contains(delay)));
        let mean = delays.iter().sum::<Duration>() / delays.len() as u32;
        assert!((49 * MS..51 * MS).contains(&mean), "{mean:?}");
        assert!(Conditions::default().is_perfect() && !conditions.is_perfect());
        assert_eq!(conditions.to_string(), ", 20.0 % loss, 50 ± 10 ms each way");
        assert_eq!(Conditions::default().to_string(), "");
    }

    #[test]
    fn jitter_above_the_latency_gives_no_negative_delay() {
        let conditions = Conditions {
            loss: 0.0,
            latency: MS,
            jitter: 100 * MS,
        };
        let mut random = Random::new(4);
        assert!((0..100).any(|_| conditions.fate(&mut random) == Some(Duration::ZERO)));
    }

    #[test]
    fn buffers_of_delivered_datagrams_are_recycled() {
        let mut queue = DelayQueue::default();
        for round in 0..100_u32 {
            for bot in 0..4 {
                queue.push(round * MS, bot, LineDirection::Up, &[round as u8; 100]);
            }
            while let Some(delivery) = queue.pop(round * MS) {
                assert_eq!(delivery.bytes, [round as u8; 100]);
                queue.recycle(delivery.bytes);
            }
        }
        assert!(queue.is_empty());
        assert_eq!((queue.in_flight.len(), queue.spare.len()), (4, 4));
    }

    proptest! {
        #[test]
        fn every_datagram_arrives_in_order_of_its_time(due in prop::collection::vec(0_u64..50, 1..100)) {
            let mut queue = DelayQueue::default();
            for (index, millis) in due.iter().enumerate() {
                let time = Duration::from_millis(*millis);
                queue.push(time, index as u32, LineDirection::Down, &index.to_le_bytes());
            }
            prop_assert_eq!(queue.next_due(), due.iter().min().map(|ms| Duration::from_millis(*ms)));
            let first = queue.pop(Duration::ZERO);
            prop_assert_eq!(first.is_some(), due.contains(&0));
            let mut arrived: Vec<_> = first.iter().map(|delivery| (delivery.due, delivery.bot)).collect();
            while let Some(delivery) = queue.pop(Duration::from_secs(1)) {
                prop_assert_eq!(&delivery.bytes, &(delivery.bot as usize).to_le_bytes());
                arrived.push((delivery.due, delivery.bot));
            }
            prop_assert!(arrived.is_sorted(), "by time, then by order of sending");
            prop_assert_eq!(queue.len(), 0);
        }
    }
}

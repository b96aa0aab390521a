//! A bad line between the bots and the server, emulated inside the swarm: loss, latency and jitter, the same
//! in each direction and independent of each other.
//!
//! Owns the decision what happens to a datagram ([`Conditions::fate`]) and the queue of those under way
//! ([`DelayQueue`]). All randomness follows from one seed. The queue recycles its buffers: once it has seen
//! its busiest moment it allocates nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use throng_client::seeded::Seeded;

/// What the emulated line does to every datagram, in each direction.
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
    /// Whether the line does nothing at all, so that the swarm can leave it out.
    pub fn is_perfect(&self) -> bool {
        *self == Self::default()
    }

    /// How long the next datagram is under way; `None` when it is lost.
    pub fn fate(&self, random: &mut Seeded) -> Option<Duration> {
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
    /// What is wrong with the line, to follow a name; nothing when it is perfect.
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

/// Which way a delayed datagram travels.
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
    /// When it arrived.
    pub due: Duration,
    /// The bot at one end.
    pub bot: u32,
    /// Which way it went.
    pub direction: LineDirection,
    /// Its bytes; hand them back with [`DelayQueue::recycle`].
    pub bytes: Vec<u8>,
}

/// Datagrams under way, in order of their arrival; equal arrivals keep the order in which they were sent.
#[derive(Debug, Default)]
pub struct DelayQueue {
    /// Due time, number and place in `in_flight`.
    due: BinaryHeap<Reverse<(Duration, u64, u32)>>,
    in_flight: Vec<Delivery>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    sent: u64,
}

impl DelayQueue {
    /// Puts a datagram on its way, to arrive at `due`.
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

    /// The oldest datagram that has arrived by `now`.
    pub fn pop(&mut self, now: Duration) -> Option<Delivery> {
        let Reverse((_, _, index)) = *self.due.peek().filter(|Reverse((due, ..))| *due <= now)?;
        self.due.pop();
        self.free.push(index);
        Some(std::mem::take(&mut self.in_flight[index as usize]))
    }

    /// Takes back the bytes of a delivered datagram, for the next one.
    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare.push(bytes);
    }

    /// When the next datagram arrives.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((due, ..))| *due)
    }

    /// Datagrams under way.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn loss_latency_and_jitter_are_what_was_asked_for() {
        let conditions = Conditions {
            loss: 0.2,
            latency: 50 * MS,
            jitter: 10 * MS,
        };
        let mut random = Seeded::new(4);
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
    fn jitter_above_the_latency_does_not_send_into_the_past() {
        let conditions = Conditions {
            loss: 0.0,
            latency: MS,
            jitter: 100 * MS,
        };
        let mut random = Seeded::new(4);
        assert!((0..100).any(|_| conditions.fate(&mut random) == Some(Duration::ZERO)));
    }

    #[test]
    fn buffers_are_recycled() {
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
        fn everything_arrives_in_order_of_its_time(due in prop::collection::vec(0_u64..50, 1..100)) {
            let mut queue = DelayQueue::default();
            for (index, millis) in due.iter().enumerate() {
                let at = Duration::from_millis(*millis);
                queue.push(at, index as u32, LineDirection::Down, &index.to_le_bytes());
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

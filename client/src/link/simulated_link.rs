//! One direction of a simulated bad network: it drops, duplicates, reorders, delays and stalls datagrams.
//!
//! Owns the datagrams in flight. Guarantees that equal seeds and equal calls give equal deliveries, that a
//! datagram never changes on the way, and that a perfect link delivers every datagram once, in order, at once.
//! Refuses to read a clock: time is a parameter.

use std::collections::BTreeMap;
use std::time::Duration;

use throng_shared::random::Random;

/// Datagrams that a link holds at most; above it the link drops new ones, as a router's queue does.
pub const IN_FLIGHT_MAX: usize = 4_096;

/// How bad a link is. Probabilities are per datagram, in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConditions {
    /// Probability that a datagram never arrives.
    pub loss: f64,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram is overtaken: it is delayed by up to `reorder_span` more.
    pub reorder: f64,
    /// Longest extra delay of an overtaken datagram.
    pub reorder_span: Duration,
    /// Delay of every datagram.
    pub latency: Duration,
    /// Longest extra delay, uniformly distributed. Above the time between two datagrams it reorders them.
    pub jitter: Duration,
}

impl LinkConditions {
    /// Every datagram arrives once, in order, at once.
    pub const PERFECT: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        reorder_span: Duration::ZERO,
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
    };

    /// Returns the conditions of a wide-area link with every kind of fault: it loses the share `loss` of the
    /// datagrams, delivers 5 % of them twice and delays 10 % by up to 150 ms more, so that later ones overtake
    /// them. Each direction has 40 ms of latency and 30 ms of jitter.
    #[must_use]
    pub fn lossy(loss: f64) -> Self {
        Self {
            loss,
            duplicate: 0.05,
            reorder: 0.10,
            reorder_span: Duration::from_millis(150),
            latency: Duration::from_millis(40),
            jitter: Duration::from_millis(30),
        }
    }
}

/// What a link does with the datagrams sent into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// Delivers according to its conditions.
    #[default]
    Open,
    /// Loses every datagram, like a pulled cable.
    Closed,
    /// Holds every datagram and delivers all in one burst when it opens, like a buffering radio link.
    Held,
}

/// Counts of datagrams on a link so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkTally {
    /// Datagrams sent into the link.
    pub sent: u64,
    /// Datagrams delivered by the link, copies included.
    pub delivered: u64,
    /// Datagrams lost by chance, by a closed gate or by a full queue.
    pub lost: u64,
    /// Extra copies made of datagrams.
    pub duplicated: u64,
    /// Bytes of the datagrams sent into the link.
    pub sent_bytes: u64,
}

/// One direction of a simulated network between two endpoints.
#[derive(Debug)]
pub struct Link {
    conditions: LinkConditions,
    gate: Gate,
    random: Random,
    /// Ordered by due time, then by order of sending, so that equal due times keep their order.
    in_flight: BTreeMap<(Duration, u64), Vec<u8>>,
    held: Vec<Vec<u8>>,
    sequence: u64,
    tally: LinkTally,
}

impl Link {
    /// Creates an open link whose every decision follows from `seed`.
    #[must_use]
    pub fn new(conditions: LinkConditions, seed: u64) -> Self {
        Self {
            conditions,
            gate: Gate::Open,
            random: Random::new(seed),
            in_flight: BTreeMap::new(),
            held: Vec::new(),
            sequence: 0,
            tally: LinkTally::default(),
        }
    }

    /// Changes the conditions of datagrams sent from now on.
    pub fn set_conditions(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
    }

    /// Opens, closes or holds the link. Datagrams already in flight still arrive.
    pub fn set_gate(&mut self, now: Duration, gate: Gate) {
        self.gate = gate;
        if gate == Gate::Open {
            for datagram in std::mem::take(&mut self.held) {
                self.schedule(now, datagram);
            }
        }
    }

    /// Returns the counts since the link was made.
    #[must_use]
    pub fn tally(&self) -> LinkTally {
        self.tally
    }

    /// Returns the number of datagrams in flight or held.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len() + self.held.len()
    }

    /// Sends one datagram at `now`.
    pub fn send(&mut self, now: Duration, datagram: &[u8]) {
        self.tally.sent += 1;
        self.tally.sent_bytes += datagram.len() as u64;
        if self.gate == Gate::Closed || self.in_flight() >= IN_FLIGHT_MAX || self.chance(self.conditions.loss)
        {
            self.tally.lost += 1;
            return;
        }
        if self.chance(self.conditions.duplicate) {
            self.tally.duplicated += 1;
            self.route(now, datagram.to_vec());
        }
        self.route(now, datagram.to_vec());
    }

    /// Returns whether a datagram is due at or before `now`.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.in_flight
            .first_key_value()
            .is_some_and(|(&(due, _), _)| due <= now)
    }

    /// Returns the next datagram due at or before `now`.
    pub fn receive_datagram(&mut self, now: Duration) -> Option<Vec<u8>> {
        let entry = self.in_flight.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        self.tally.delivered += 1;
        Some(entry.remove())
    }

    fn route(&mut self, now: Duration, datagram: Vec<u8>) {
        if self.gate == Gate::Held {
            self.held.push(datagram);
        } else {
            self.schedule(now, datagram);
        }
    }

    fn schedule(&mut self, now: Duration, datagram: Vec<u8>) {
        let mut delay = self.conditions.latency + self.conditions.jitter.mul_f64(self.random.unit());
        if self.chance(self.conditions.reorder) {
            delay += self.conditions.reorder_span.mul_f64(self.random.unit());
        }
        self.sequence += 1;
        self.in_flight.insert((now + delay, self.sequence), datagram);
    }

    fn chance(&mut self, probability: f64) -> bool {
        // A number is always drawn, so that changing one probability leaves the other decisions of a seed
        // alone.
        self.random.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(5);

    /// Sends numbered datagrams one step apart and returns the numbers in order of arrival.
    fn arrivals(conditions: LinkConditions, seed: u64, count: u32) -> Vec<u32> {
        let mut link = Link::new(conditions, seed);
        let mut arrived = Vec::new();
        for number in 0..count + 200 {
            let now = STEP * number;
            if number < count {
                link.send(now, &number.to_le_bytes());
            }
            while let Some(datagram) = link.receive_datagram(now) {
                arrived.push(u32::from_le_bytes(datagram.try_into().unwrap()));
            }
        }
        assert_eq!(link.in_flight(), 0);
        arrived
    }

    #[test]
    fn perfect_link_delivers_every_datagram_in_order() {
        assert_eq!(
            arrivals(LinkConditions::PERFECT, 1, 500),
            (0..500).collect::<Vec<_>>()
        );
    }

    #[test]
    fn lossy_link_loses_duplicates_and_reorders_at_the_stated_rates() {
        let arrived = arrivals(LinkConditions::lossy(0.4), 7, 10_000);
        let mut unique = arrived.clone();
        unique.sort_unstable();
        unique.dedup();
        assert!(
            (5_700..6_300).contains(&unique.len()),
            "{} of 10,000 arrived",
            unique.len()
        );
        let copies = arrived.len() - unique.len();
        assert!((200..400).contains(&copies), "{copies} copies of 6,000");
        assert!(
            arrived.windows(2).any(|pair| pair[0] > pair[1]),
            "nothing was overtaken"
        );
    }

    #[test]
    fn link_deliveries_are_equal_for_equal_seeds() {
        let run = |seed| arrivals(LinkConditions::lossy(0.2), seed, 300);
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn closed_gate_loses_and_held_gate_delays_datagrams() {
        let mut link = Link::new(LinkConditions::PERFECT, 1);
        link.set_gate(STEP, Gate::Closed);
        link.send(STEP, b"lost");
        link.set_gate(STEP, Gate::Held);
        link.send(STEP, b"held");
        assert_eq!(link.receive_datagram(STEP * 9), None);
        link.set_gate(STEP * 9, Gate::Open);
        assert_eq!(link.receive_datagram(STEP * 9), Some(b"held".to_vec()));
        assert_eq!(link.receive_datagram(STEP * 9), None);
        assert_eq!(link.tally().lost, 1);
    }

    #[test]
    fn link_queue_is_bounded() {
        let mut link = Link::new(
            LinkConditions {
                latency: STEP,
                ..LinkConditions::PERFECT
            },
            1,
        );
        for _ in 0..2 * IN_FLIGHT_MAX {
            link.send(Duration::ZERO, b"x");
        }
        assert_eq!(link.in_flight(), IN_FLIGHT_MAX);
    }
}

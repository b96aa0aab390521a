//! The recent snapshot packets, and the tick up to which the own entity's state is known.
//!
//! The server sends an entity's state only when it changed, and the own entity's first. So a packet without a
//! new state of the own entity means that it is unchanged, as long as no packet is missing that could have
//! contained one. A missing packet stops mattering once the server must have noticed its loss and sent the
//! state again.

use std::collections::VecDeque;

use bevy_ecs::prelude::Resource;
use throng_shared::tick::Tick;

use crate::mirror::Applied;

/// Packets that are remembered; the oldest is discarded first.
const PACKETS_MAX: usize = 256;
/// Distance behind the newest packet at which a missing one no longer matters: longer than any playable round
/// trip, plus the three later packets by which the server detects a loss.
const IGNORED_AFTER: u64 = 40;

/// The last snapshot packets, by number.
#[derive(Resource, Debug, Clone, Default)]
pub struct RecentPackets {
    packets: VecDeque<RecentPacket>,
    own: Option<OwnState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RecentPacket {
    sequence: u64,
    tick: Tick,
}

/// The known state of the own entity.
#[derive(Debug, Clone, Copy)]
struct OwnState {
    /// The tick of its newest received state.
    received: Tick,
    /// The packet and tick up to which the state is known to be unchanged.
    through: RecentPacket,
}

impl RecentPackets {
    /// Returns the newest tick for which the own entity's state is known; `None` before the entity is in view.
    #[must_use]
    pub fn own_known_at(&self) -> Option<Tick> {
        self.own.map(|own| own.through.tick)
    }

    /// Returns how many of the last `count` packets are missing, and how many packets were checked. The newest
    /// few are excluded, because they may still be in flight.
    #[must_use]
    pub(crate) fn missing(&self, count: usize) -> (u32, u32) {
        const IN_FLIGHT: usize = 4;
        let arrived = self.packets.len().saturating_sub(IN_FLIGHT);
        let first = arrived.saturating_sub(count);
        let (Some(oldest), Some(newest)) = (
            self.packets.get(first),
            arrived.checked_sub(1).and_then(|last| self.packets.get(last)),
        ) else {
            return (0, 0);
        };
        let sent = (newest.sequence - oldest.sequence + 1) as u32;
        (sent - (arrived - first) as u32, sent)
    }

    /// Records packets that the mirror has applied, in the order of their sequence numbers.
    pub(super) fn note(&mut self, applied: &[Applied]) {
        for &Applied { sequence, tick, .. } in applied {
            let index = self.packets.iter().rposition(|packet| packet.sequence < sequence);
            self.packets.insert(
                index.map_or(0, |index| index + 1),
                RecentPacket { sequence, tick },
            );
            if self.packets.len() > PACKETS_MAX {
                self.packets.pop_front();
            }
        }
    }

    /// Updates the tick up to which the own entity's state is known. `received` is the tick of its newest state, if it
    /// is in view.
    pub(super) fn update_own(&mut self, received: Option<Tick>) {
        let Some(received) = received else {
            self.own = None;
            return;
        };
        if self.own.is_none_or(|own| own.received != received) {
            let packet = self.packets.iter().find(|packet| packet.tick == received);
            let sequence = packet.map_or(0, |packet| packet.sequence);
            let through = RecentPacket {
                sequence,
                tick: received,
            };
            self.own = Some(OwnState { received, through });
        }
        let (Some(own), Some(newest)) = (&mut self.own, self.packets.back()) else {
            return;
        };
        if own.through.sequence == 0 {
            return;
        }
        let ignored = newest.sequence.saturating_sub(IGNORED_AFTER);
        let later = self
            .packets
            .partition_point(|packet| packet.sequence <= own.through.sequence);
        for packet in self.packets.iter().skip(later) {
            let is_next = packet.sequence == own.through.sequence + 1;
            if !is_next && packet.sequence > ignored {
                break;
            }
            own.through.sequence = packet.sequence;
            if packet.tick.is_after(own.through.tick) {
                own.through.tick = packet.tick;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(sequences: &[(u64, u32)]) -> Vec<Applied> {
        let applied = |&(sequence, tick)| Applied {
            sequence,
            tick: Tick(tick),
            ..Applied::default()
        };
        sequences.iter().map(applied).collect()
    }

    #[test]
    fn own_state_is_known_until_a_missing_packet() {
        let mut arrivals = RecentPackets::default();
        arrivals.note(&packets(&[(1, 10), (2, 11), (3, 12)]));
        arrivals.update_own(Some(Tick(10)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(12)));
        arrivals.note(&packets(&[(5, 14)]));
        arrivals.update_own(Some(Tick(10)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(12)), "13 is missing");
        arrivals.note(&packets(&[(4, 13)]));
        arrivals.update_own(Some(Tick(10)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(14)), "it was only late");
        arrivals.update_own(Some(Tick(11)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(14)));
        arrivals.update_own(None);
        assert_eq!(arrivals.own_known_at(), None);
    }

    #[test]
    fn own_state_is_known_again_long_after_a_loss() {
        let mut arrivals = RecentPackets::default();
        let later: Vec<_> = (5..60).map(|number| (number, number as u32)).collect();
        arrivals.note(&packets(&[(3, 3)]));
        arrivals.note(&packets(&later[..20]));
        arrivals.update_own(Some(Tick(3)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(3)));
        arrivals.note(&packets(&later[20..]));
        arrivals.update_own(Some(Tick(3)));
        assert_eq!(arrivals.own_known_at(), Some(Tick(59)));
    }

    #[test]
    fn missing_packets_exclude_those_that_may_be_in_flight() {
        let mut arrivals = RecentPackets::default();
        assert_eq!(arrivals.missing(100), (0, 0));
        let odd: Vec<_> = (0..60).map(|number| (1 + number * 2, number as u32)).collect();
        arrivals.note(&packets(&odd));
        assert_eq!(arrivals.missing(100), (55, 111));
        assert_eq!(arrivals.missing(10), (9, 19));
    }
}

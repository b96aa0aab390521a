//! Which snapshot packets arrived, and what that says about an entity of which they say nothing.
//!
//! The server sends an entity's state when it changed. So nothing new about the own entity, which always goes
//! first, means that it is unchanged, as long as no packet is missing that could have said otherwise. A missing
//! one stops mattering once the server must have noticed its loss and sent the state again.

use std::collections::VecDeque;

use bevy_ecs::prelude::Resource;
use throng_shared::tick::Tick;

use crate::mirror::Applied;

/// Packets that are remembered.
const PACKETS_MAX: usize = 256;
/// Packets behind the newest at which a missing one no longer matters: longer than any round trip worth playing
/// on, and the three further packets by which the server notices a loss.
const FORGIVEN_AFTER: u64 = 40;

/// The last packets, by number.
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

/// What is known of the own entity.
#[derive(Debug, Clone, Copy)]
struct OwnState {
    /// The tick of its state.
    told: Tick,
    /// The packet and tick through which it is unchanged.
    through: RecentPacket,
}

impl RecentPackets {
    /// The newest tick of which the own entity's state is known; `None` before it is seen.
    #[must_use]
    pub fn own_known_at(&self) -> Option<Tick> {
        self.own.map(|own| own.through.tick)
    }

    /// Packets that are missing among the last `count`, and how many of these there are. The newest ones may
    /// still be on their way, so they are left out.
    #[must_use]
    pub(crate) fn missing(&self, count: usize) -> (u32, u32) {
        const ON_THEIR_WAY: usize = 4;
        let settled = self.packets.len().saturating_sub(ON_THEIR_WAY);
        let first = settled.saturating_sub(count);
        let (Some(oldest), Some(newest)) = (
            self.packets.get(first),
            settled.checked_sub(1).and_then(|last| self.packets.get(last)),
        ) else {
            return (0, 0);
        };
        let sent = (newest.sequence - oldest.sequence + 1) as u32;
        (sent - (settled - first) as u32, sent)
    }

    pub(super) fn note(&mut self, applied: &[Applied]) {
        for &Applied { sequence, tick, .. } in applied {
            let place = self.packets.iter().rposition(|packet| packet.sequence < sequence);
            self.packets.insert(
                place.map_or(0, |place| place + 1),
                RecentPacket { sequence, tick },
            );
            if self.packets.len() > PACKETS_MAX {
                self.packets.pop_front();
            }
        }
    }

    /// `told` is the tick of the own entity's state, if it is in view.
    pub(super) fn update_own(&mut self, told: Option<Tick>) {
        let Some(told) = told else {
            self.own = None;
            return;
        };
        if self.own.is_none_or(|own| own.told != told) {
            let by = self.packets.iter().find(|packet| packet.tick == told);
            let sequence = by.map_or(0, |packet| packet.sequence);
            let through = RecentPacket { sequence, tick: told };
            self.own = Some(OwnState { told, through });
        }
        let (Some(own), Some(newest)) = (&mut self.own, self.packets.back()) else {
            return;
        };
        if own.through.sequence == 0 {
            return;
        }
        let forgiven = newest.sequence.saturating_sub(FORGIVEN_AFTER);
        let later = self
            .packets
            .partition_point(|packet| packet.sequence <= own.through.sequence);
        for packet in self.packets.iter().skip(later) {
            let is_next = packet.sequence == own.through.sequence + 1;
            if !is_next && packet.sequence > forgiven {
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
    fn silence_means_unchanged_until_a_packet_is_missing() {
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
    fn a_loss_of_long_ago_is_forgiven() {
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
    fn what_is_missing_is_counted_without_what_may_be_on_its_way() {
        let mut arrivals = RecentPackets::default();
        assert_eq!(arrivals.missing(100), (0, 0));
        let odd: Vec<_> = (0..60).map(|number| (1 + number * 2, number as u32)).collect();
        arrivals.note(&packets(&odd));
        assert_eq!(arrivals.missing(100), (55, 111));
        assert_eq!(arrivals.missing(10), (9, 19));
    }
}

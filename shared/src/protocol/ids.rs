//! Identifiers that travel between simulation, workers and clients.
//!
//! All of them are plain numbers that only identify, ordered by their number, so that nothing has
//! to be ordered by a Bevy `Entity`.

use std::fmt;

use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};

/// Identifies an entity everywhere and forever: in all simulations, on disk, on the wire.
///
/// Assigned in command order by the simulation; never reused.
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct GlobalId(pub u64);

/// Row of an entity in the frames of one simulation. Uses 24 bits; reused some time after it is freed.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The highest slot: 24 bits, so that a [`SlotKey`] fits into 32.
    pub const MAX: Self = Self(0x00ff_ffff);

    /// Returns the index of the slot in an array by slot.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which simulation a frame comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SimulationId(pub u8);

/// A slot together with its simulation: unique among all entities that a session can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey(pub u32);

impl SlotKey {
    /// Joins the two; bits of `slot` above 24 are ignored.
    #[inline]
    #[must_use]
    pub const fn new(simulation: SimulationId, slot: Slot) -> Self {
        Self((simulation.0 as u32) << 24 | (slot.0 & Slot::MAX.0))
    }

    /// Returns the simulation that the slot belongs to.
    #[inline]
    #[must_use]
    pub const fn simulation(self) -> SimulationId {
        SimulationId((self.0 >> 24) as u8)
    }

    /// Returns the slot within the simulation.
    #[inline]
    #[must_use]
    pub const fn slot(self) -> Slot {
        Slot(self.0 & Slot::MAX.0)
    }
}

/// A player, as gameplay and visibility know one. 0 is no player.
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct PlayerId(pub u32);

impl PlayerId {
    /// No player: the owner of an unowned entity.
    pub const NONE: Self = Self(0);

    /// Returns whether this is a player, not [`PlayerId::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// A team, for components that only team mates may see. 0 is no team, whose members are not mates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TeamId(pub u8);

impl TeamId {
    /// No team: two entities without a team are not mates.
    pub const NONE: Self = Self(0);

    /// Returns whether both are the same team; false for two of [`TeamId::NONE`].
    #[inline]
    #[must_use]
    pub const fn is_mate(self, other: Self) -> bool {
        self.0 != 0 && self.0 == other.0
    }
}

/// The team of an entity or of a player. The server's engine reads it, and a game that replicates it shows it to
/// clients. To change it, insert it again: [`TeamId::NONE`] for no team.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[component(immutable)]
pub struct Team(pub TeamId);

/// A registered component: its index in the order of registration, 0..64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId(pub u8);

impl ComponentId {
    /// Returns the component's bit in a 64-bit mask.
    #[inline]
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self.0 & 63)
    }
}

/// A registered message type: its index in the order of registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

/// A renet channel, with the id of one of renet's default channels, so that stock peers are compatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Channel {
    /// Messages may be lost, duplicated or reordered; none is sent again.
    Unreliable = 0,
    /// Each message arrives once, in any order.
    ReliableUnordered = 1,
    /// Each message arrives once, in the order of sending.
    ReliableOrdered = 2,
}

/// Number of a channel on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u8);

impl Channel {
    /// All channels, by ascending id.
    pub const ALL: [Self; 3] = [Self::Unreliable, Self::ReliableUnordered, Self::ReliableOrdered];

    /// Returns the channel's number on the wire.
    #[inline]
    #[must_use]
    pub const fn id(self) -> ChannelId {
        ChannelId(self as u8)
    }

    /// Returns the channel with this number, if there is one.
    #[inline]
    #[must_use]
    pub const fn from_id(id: ChannelId) -> Option<Self> {
        match id.0 {
            0 => Some(Self::Unreliable),
            1 => Some(Self::ReliableUnordered),
            2 => Some(Self::ReliableOrdered),
            _ => None,
        }
    }

    /// Returns whether each message arrives exactly once.
    #[inline]
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Unreliable)
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_key_round_trips_simulation_and_slot() {
        for simulation in [0, 1, 255] {
            for slot in [0, 1, 0x00ff_ffff] {
                let key = SlotKey::new(SimulationId(simulation), Slot(slot));
                assert_eq!(
                    (key.simulation(), key.slot()),
                    (SimulationId(simulation), Slot(slot))
                );
            }
        }
    }

    #[test]
    fn channels_round_trip_through_their_ids() {
        for channel in Channel::ALL {
            assert_eq!(Channel::from_id(channel.id()), Some(channel));
        }
        assert_eq!(Channel::from_id(ChannelId(3)), None);
    }

    #[test]
    fn entities_without_a_team_are_not_mates() {
        assert!(!TeamId::NONE.is_mate(TeamId::NONE));
        assert!(TeamId(3).is_mate(TeamId(3)));
        assert!(!TeamId(3).is_mate(TeamId(4)));
    }
}

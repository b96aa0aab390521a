//! The mirror of the entities that the server shows to one client, cheap enough for thousands in one process.
//!
//! Owns decoding of snapshot packets, the baselines that later packets refer to, and which packets to
//! acknowledge. Guarantees: a packet is applied completely or not at all, and only an applied one is
//! acknowledged, so that the server never refers to a state that is not held; whatever the order of arrival, an
//! entity only moves forward in time; memory is bounded by the short ids of a session. Refuses to know Bevy,
//! sockets and time: a [`MirrorObserver`] receives the changes, for a mirror in a `World` or for a bot that
//! measures.

mod acks;
mod baselines;
mod decode;
mod entities;
mod groups;
mod numbers;
mod observer;
mod pending;
#[cfg(test)]
mod tests;

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::delta::MotionModel;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::snapshot::{OwnerBlock, ShortId, SnapshotError, SnapshotReader};
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::tick::Tick;

use acks::{AckWindow, PacketFreshness};
use baselines::Baselines;
use entities::{Entities, PacketComponents};
pub use observer::{ComponentBytes, MirrorEntity, MirrorObserver};
use pending::{PendingPacket, PendingValue};

/// The server's properties that decoding needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// The server's tick rate, in Hz.
    pub tick_rate: u16,
    /// How the components registered in the protocol are sent.
    pub components: ComponentFormats,
    /// A recent tick, from the welcome. The 16-bit ticks of packets are unwrapped near it.
    pub tick: Tick,
}

/// The result of receiving a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The packet was applied and will be acknowledged.
    Applied(Applied),
    /// The packet was received before.
    Duplicate,
    /// The packet arrived too late to be used. The server will count it as lost.
    Stale,
}

/// What an applied packet contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The packet's unwrapped number: one more than the number of the packet sent before it.
    pub sequence: u64,
    /// The newest tick among the packet's sections.
    pub tick: Tick,
    /// The packet's index among the packets of that tick, from 0.
    pub part: u8,
    /// Whether no packet with a higher number arrived before it.
    pub is_newest: bool,
    /// Number of entities that came into view.
    pub entered: u32,
    /// Number of entities whose state was replaced by a newer one.
    pub updated: u32,
    /// Number of entities that left view.
    pub left: u32,
}

/// The mirror of one session.
#[derive(Debug)]
pub struct Mirror {
    motion: MotionModel,
    components: ComponentFormats,
    newest_tick: Tick,
    acks: AckWindow,
    owner: OwnerBlock,
    owner_sequence: u64,
    entities: Entities,
    baselines: Baselines,
    pending: PendingPacket,
}

impl Mirror {
    /// Creates a mirror that has received nothing.
    #[must_use]
    pub fn new(config: &MirrorConfig) -> Self {
        Self {
            motion: MotionModel::new(config.tick_rate),
            components: config.components,
            newest_tick: config.tick,
            acks: AckWindow::default(),
            owner: OwnerBlock::default(),
            owner_sequence: 0,
            entities: Entities::default(),
            baselines: Baselines::default(),
            pending: PendingPacket::default(),
        }
    }

    /// Decodes a snapshot packet and applies it.
    ///
    /// # Errors
    /// [`SnapshotError`] when the bytes are not a packet that the server of this session would send. Then
    /// nothing changes except that old baselines may be discarded.
    pub fn receive_snapshot(
        &mut self,
        packet: &[u8],
        observer: &mut impl MirrorObserver,
    ) -> Result<Received, SnapshotError> {
        let (mut reader, header, owner) = SnapshotReader::new(packet, self.newest_tick)?;
        let sequence = match self.acks.look_up(header.sequence) {
            PacketFreshness::New(sequence) => sequence,
            PacketFreshness::Duplicate => return Ok(Received::Duplicate),
            PacketFreshness::Stale => return Ok(Received::Stale),
        };
        self.pending.clear();
        while let Some(head) = reader.section()? {
            if !self.read_section(head, sequence, packet, &mut reader)? {
                return Ok(Received::Stale);
            }
        }
        let is_newest = self.acks.is_newest(sequence);
        self.acks.insert(sequence);
        if header.tick.is_after(self.newest_tick) {
            self.newest_tick = header.tick;
        }
        if let Some(owner) = owner
            && sequence >= self.owner_sequence
        {
            self.owner = owner;
            self.owner_sequence = sequence;
        }
        let mut applied = Applied {
            sequence,
            tick: header.tick,
            part: header.part,
            is_newest,
            ..Applied::default()
        };
        self.apply(packet, sequence, &mut applied, observer);
        Ok(Received::Applied(applied))
    }

    /// Returns the acknowledgement for the next input packet; `None` before the first snapshot.
    #[must_use]
    pub fn ack(&self) -> Option<SnapshotAck> {
        self.acks.ack()
    }

    /// Returns the newest tick received, or the one from the config before any packet.
    #[must_use]
    pub fn newest_tick(&self) -> Tick {
        self.newest_tick
    }

    /// Returns the newest owner block: the server's data about this session.
    #[must_use]
    pub fn owner(&self) -> &OwnerBlock {
        &self.owner
    }

    /// Returns the entity that the player controls, if it is in view.
    #[must_use]
    pub fn own(&self) -> Option<MirrorEntity> {
        self.get(self.owner.own?)
    }

    /// Returns the number of entities in view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Returns whether no entity is in view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entity with this short id, if it is in view.
    #[must_use]
    pub fn get(&self, id: ShortId) -> Option<MirrorEntity> {
        self.entities.get(id, self.owner.own)
    }

    /// Returns the entities in view, in order of their short ids.
    pub fn entities(&self) -> impl Iterator<Item = MirrorEntity> + '_ {
        self.entities.iter(self.owner.own)
    }

    /// Returns the encoded components of an entity in view, in no particular order.
    #[must_use]
    pub fn components(&self, id: ShortId) -> &[ComponentBytes] {
        self.entities.components(id)
    }

    fn apply(
        &mut self,
        packet: &[u8],
        sequence: u64,
        applied: &mut Applied,
        observer: &mut impl MirrorObserver,
    ) {
        let own = self.owner.own;
        for &id in &self.pending.leaves {
            if let Some(global) = self.entities.leave(id, sequence) {
                applied.left += 1;
                observer.left(id, global);
            }
        }
        for (enter, tick) in &self.pending.enters {
            if self.entities.since(enter.id) > sequence {
                continue;
            }
            self.baselines.publish(*tick, enter.id, enter.pose);
            let (replaced, is_new) = self.entities.enter(enter, *tick, sequence);
            if let Some(global) = replaced {
                applied.left += 1;
                observer.left(enter.id, global);
            }
            let Some(entity) = self.entities.get(enter.id, own) else {
                continue;
            };
            if is_new {
                applied.entered += 1;
                observer.entered(&entity);
            } else if entity.tick == *tick {
                applied.updated += 1;
                observer.updated(&entity);
            }
        }
        for (tick, presence) in &self.pending.updates {
            let groups = self.baselines.publish_all(*tick, presence);
            for (index, (&ids, group)) in presence.words().iter().zip(groups).enumerate() {
                self.entities
                    .update(index, ids, &group.poses, *tick, |entities, id| {
                        applied.updated += 1;
                        if let Some(entity) = entities.get(id, own) {
                            observer.updated(&entity);
                        }
                    });
            }
        }
        let oldest = self.newest_tick - BASELINE_AGE_MAX;
        for pending in &self.pending.heads {
            let count = pending.head.included.count_ones() as usize;
            let values = self.pending.values[pending.values..][..count]
                .iter()
                .map(|value| match value {
                    PendingValue::Bytes { start, end } => (&packet[*start..*end], None),
                    PendingValue::Steps { steps, start, end } => {
                        (&self.pending.bytes[*start..*end], Some(*steps))
                    }
                });
            let received = PacketComponents {
                id: pending.id,
                tick: pending.tick,
                sequence,
                head: pending.head,
                oldest,
            };
            self.entities.set_components(received, values, observer);
        }
    }
}

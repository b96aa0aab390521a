//! What a client knows of the world: the plain mirror, cheap enough for thousands in one process.
//!
//! Owns decoding of snapshot packets, the states that later packets refer to, and which packets to
//! acknowledge. Guarantees: a packet is applied whole or not at all, and only an applied one is
//! acknowledged, so that the server never refers to a state that is not here; whatever the order
//! of arrival, an entity only moves forward in time; memory is bounded by the short ids of a
//! session. Refuses to know Bevy, sockets and time: a [`MirrorObserver`] hears what happens, for a
//! mirror in a `World` or for a bot that measures.

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

/// What a mirror has to know about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// The server's ticks a second.
    pub tick_rate: u16,
    /// How the components registered in the protocol are sent.
    pub components: ComponentFormats,
    /// A recent tick, from the welcome: packets' 16-bit ticks are near it.
    pub tick: Tick,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was applied and will be acknowledged.
    Applied(Applied),
    /// It had been received before.
    Duplicate,
    /// It came too late to be of use; the server will count it as lost.
    Stale,
}

/// What an applied packet held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Its number, unwrapped: one more than that of the packet sent before it.
    pub sequence: u64,
    /// Its newest tick.
    pub tick: Tick,
    /// Its place among the packets of that tick.
    pub part: u8,
    /// Whether no packet with a higher number was here before.
    pub is_newest: bool,
    /// Entities that came into view.
    pub entered: u32,
    /// Entities whose state is newer than before.
    pub updated: u32,
    /// Entities that left.
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
    /// A mirror that has received nothing.
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
    /// [`SnapshotError`] when the bytes are not a packet that the server of this session would send;
    /// nothing but forgotten baselines changes then.
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

    /// What to put into the next input packet; `None` before the first snapshot.
    #[must_use]
    pub fn ack(&self) -> Option<SnapshotAck> {
        self.acks.ack()
    }

    /// The newest tick received, or the one the mirror was made with.
    #[must_use]
    pub fn newest_tick(&self) -> Tick {
        self.newest_tick
    }

    /// What the server last said about the session itself.
    #[must_use]
    pub fn owner(&self) -> &OwnerBlock {
        &self.owner
    }

    /// The entity that the player acts through, if it is in view.
    #[must_use]
    pub fn own(&self) -> Option<MirrorEntity> {
        self.get(self.owner.own?)
    }

    /// Entities in view.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether no entity is in view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An entity in view.
    #[must_use]
    pub fn get(&self, id: ShortId) -> Option<MirrorEntity> {
        self.entities.get(id, self.owner.own)
    }

    /// The entities in view, by short id.
    pub fn entities(&self) -> impl Iterator<Item = MirrorEntity> + '_ {
        self.entities.iter(self.owner.own)
    }

    /// The components of an entity in view, encoded, in no particular order.
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
            for (at, (&ids, group)) in presence.words().iter().zip(groups).enumerate() {
                self.entities
                    .update(at, ids, &group.poses, *tick, |entities, id| {
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
            let told = PacketComponents {
                id: pending.id,
                tick: pending.tick,
                sequence,
                head: pending.head,
                oldest,
            };
            self.entities.set_components(told, values, observer);
        }
    }
}

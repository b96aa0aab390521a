//! The mirror for one of the two codes of poses.

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::snapshot::{OwnerBlock, PoseCode, ShortId, SnapshotError, SnapshotReader};
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::tick::Tick;

use super::acks::{AckWindow, PacketFreshness};
use super::baselines::Baselines;
use super::entities::{Entities, PacketComponents};
use super::observer::{MirrorEntity, MirrorObserver, ShownPose};
use super::pending::{PendingPacket, PendingValue};
use super::types::{Applied, MirrorConfig, Received};

/// The mirror of one session whose poses have the code `M`.
#[derive(Debug)]
pub(super) struct TypedMirror<M: PoseCode> {
    pub(super) motion: M,
    pub(super) components: ComponentFormats,
    pub(super) newest_tick: Tick,
    acks: AckWindow,
    pub(super) owner: OwnerBlock,
    owner_sequence: u64,
    pub(super) entities: Entities<M::Pose>,
    pub(super) baselines: Baselines<M::Pose>,
    pub(super) pending: PendingPacket<M::Pose>,
}

impl<M> TypedMirror<M>
where
    M: PoseCode,
    M::Pose: ShownPose,
{
    pub(super) fn new(config: &MirrorConfig, motion: M) -> Self {
        Self {
            motion,
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

    pub(super) fn receive_snapshot(
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

    pub(super) fn ack(&self) -> Option<SnapshotAck> {
        self.acks.ack()
    }

    pub(super) fn get(&self, id: ShortId) -> Option<MirrorEntity> {
        self.entities.get(id, self.owner.own)
    }

    pub(super) fn entities(&self) -> impl Iterator<Item = MirrorEntity> + '_ {
        self.entities.iter(self.owner.own)
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

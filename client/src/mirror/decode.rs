//! Decoding of a packet into what is pending, with what it refers to.

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{Presence, SectionHead, ShortId, SnapshotError, SnapshotReader};
use throng_shared::protocol::steps::{SentSteps, Steps};
use throng_shared::tick::Tick;

use super::Mirror;
use super::entities::UpdateTarget;
use super::pending::{PendingComponents, PendingValue};

/// What differences are decoded from that refer to nothing: only their length matters.
static NOWHERE: Pose = Pose {
    x: 0,
    y: 0,
    vx: 0,
    vy: 0,
    yaw: 0,
    flags: 0,
};

/// What an entity's components are read for.
#[derive(Clone, Copy, Debug)]
struct ComponentReading {
    id: ShortId,
    tick: Tick,
    /// The state to which its update refers; `None` without one.
    base: Option<Tick>,
    /// Whether what is read is of use: the entity is there.
    is_present: bool,
}

impl Mirror {
    /// Decodes one section into what is pending. False when it refers to states that are gone.
    pub(super) fn read_section(
        &mut self,
        head: SectionHead,
        sequence: u64,
        packet: &[u8],
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        if self.newest_tick.since(head.tick) > BASELINE_AGE_MAX as i32 || !self.baselines.open(head.tick) {
            return Ok(false);
        }
        while let Some(id) = reader.leave()? {
            self.pending.leaves.push(id);
        }
        while let Some(enter) = reader.enter()? {
            self.pending.enters.push((enter, head.tick));
            let reading = ComponentReading {
                id: enter.id,
                tick: head.tick,
                base: None,
                is_present: true,
            };
            self.read_components(reading, packet, reader)?;
        }
        let mut presence = reader.presence()?;
        let is_plain = head.age > 0 && !head.has_exceptions && !head.has_components;
        let is_whole = if is_plain {
            self.read_differences(head, sequence, &mut presence, reader)?
        } else {
            self.read_updates(head, sequence, &mut presence, packet, reader)?
        };
        self.pending.updates.push((head.tick, presence));
        Ok(is_whole)
    }

    /// Decodes updates that all have the section's baseline and no components: the usual case.
    fn read_differences(
        &mut self,
        head: SectionHead,
        sequence: u64,
        presence: &mut Presence,
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        let base_tick = head.tick - u32::from(head.age);
        let is_gone = self.baselines.is_gone(base_tick);
        let (bases, room) = self.baselines.pair(base_tick, head.tick, presence);
        let mut is_whole = true;
        for (at, room) in room.iter_mut().enumerate().take(presence.words().len()) {
            let mut left = presence.words()[at];
            let bases = bases.get(at);
            if self.entities.are_present(at, left, sequence)
                && let Some(bases) = bases.and_then(|bases| bases.all(left))
            {
                while left != 0 {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    room.poses[bit] = reader.difference(&self.motion, &bases[bit], head.age)?;
                }
                continue;
            }
            // Somebody has left since, or never was there.
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                let id = ShortId((at * 64 + bit) as u16);
                let base = bases.and_then(|bases| bases.get(bit));
                let pose = reader.difference(&self.motion, base.unwrap_or(&NOWHERE), head.age)?;
                match self.entities.subject(id, sequence) {
                    UpdateTarget::Present if base.is_some() => room.poses[bit] = pose,
                    UpdateTarget::Present if is_gone => is_whole = false,
                    UpdateTarget::Present => return Err(SnapshotError::Baseline),
                    UpdateTarget::Past => presence.remove(id),
                    UpdateTarget::Nobody => return Err(SnapshotError::Entity),
                }
            }
        }
        Ok(is_whole)
    }

    /// Decodes updates of any kind.
    fn read_updates(
        &mut self,
        head: SectionHead,
        sequence: u64,
        presence: &mut Presence,
        packet: &[u8],
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        let mut is_whole = true;
        for at in 0..presence.words().len() {
            let mut left = presence.words()[at];
            while left != 0 {
                let id = ShortId((at * 64) as u16 + left.trailing_zeros() as u16);
                left &= left - 1;
                let subject = self.entities.subject(id, sequence);
                let age = reader.age()?;
                let pose = if age == 0 {
                    reader.absolute()?
                } else {
                    let base_tick = head.tick - u32::from(age);
                    let base = self.baselines.get(base_tick, id);
                    if base.is_none() && subject == UpdateTarget::Present {
                        is_whole = false;
                        if !self.baselines.is_gone(base_tick) {
                            return Err(SnapshotError::Baseline);
                        }
                    }
                    reader.difference(&self.motion, &base.unwrap_or_default(), age)?
                };
                let reading = ComponentReading {
                    id,
                    tick: head.tick,
                    base: (age > 0).then(|| head.tick - u32::from(age)),
                    is_present: subject == UpdateTarget::Present,
                };
                is_whole &= self.read_components(reading, packet, reader)?;
                match subject {
                    UpdateTarget::Present => self.baselines.put(head.tick, id, pose),
                    UpdateTarget::Past => presence.remove(id),
                    UpdateTarget::Nobody => return Err(SnapshotError::Entity),
                }
            }
        }
        Ok(is_whole)
    }

    /// Decodes an entity's components, if it has any here. False when one differs from a value that is gone.
    fn read_components(
        &mut self,
        reading: ComponentReading,
        packet: &[u8],
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        let Some(head) = reader.components(self.components.count())? else {
            return Ok(true);
        };
        self.pending.heads.push(PendingComponents {
            id: reading.id,
            tick: reading.tick,
            head,
            values: self.pending.values.len(),
        });
        let (mut left, mut is_whole) = (head.included, true);
        while left != 0 {
            let component = ComponentId(left.trailing_zeros() as u8);
            left &= left - 1;
            let numbers = self.components.numbers(component);
            let value = if numbers == 0 {
                let bytes = reader.component()?;
                let start = bytes.as_ptr().addr() - packet.as_ptr().addr();
                let end = start + bytes.len();
                PendingValue::Bytes { start, end }
            } else {
                let sent = reader.steps(numbers, reading.base.is_some())?;
                let steps = self.resolve(reading, component, &sent)?;
                is_whole &= steps.is_some();
                let (steps, start) = (steps.unwrap_or_default(), self.pending.bytes.len());
                steps
                    .encode(&mut self.pending.bytes)
                    .map_err(|_| SnapshotError::Components)?;
                let end = self.pending.bytes.len();
                PendingValue::Steps { steps, start, end }
            };
            self.pending.values.push(value);
        }
        Ok(is_whole)
    }

    /// The numbers that were meant; `None` when those from which they differ are gone.
    fn resolve(
        &self,
        reading: ComponentReading,
        component: ComponentId,
        sent: &SentSteps,
    ) -> Result<Option<Steps>, SnapshotError> {
        let Some(base) = reading.base.filter(|_| sent.is_difference && reading.is_present) else {
            return Ok(Some(sent.steps));
        };
        match self.entities.told(reading.id, component, base) {
            Some(told) => Ok(Some(told.plus(&sent.steps))),
            None if self.newest_tick.since(base) > BASELINE_AGE_MAX as i32 => Ok(None),
            None => Err(SnapshotError::Baseline),
        }
    }
}

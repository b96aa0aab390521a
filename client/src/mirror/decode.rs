//! Decodes a snapshot packet into the pending packet and resolves its references to baselines.

use throng_shared::limits::BASELINE_AGE_MAX;
use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::snapshot::{
    PoseCode, Presence, SectionHead, ShortId, SnapshotError, SnapshotReader,
};
use throng_shared::protocol::steps::{SentSteps, Steps};
use throng_shared::tick::Tick;

use super::entities::UpdateTarget;
use super::observer::ShownPose;
use super::pending::{PendingComponents, PendingValue};
use super::typed::TypedMirror;

/// Context for reading one entity's components.
#[derive(Clone, Copy, Debug)]
struct ComponentReading {
    id: ShortId,
    tick: Tick,
    /// Tick of the baseline to which its update refers; `None` without one.
    base: Option<Tick>,
    /// Whether the entity is in view, so that the values are used.
    is_present: bool,
}

impl<M> TypedMirror<M>
where
    M: PoseCode,
    M::Pose: ShownPose,
{
    /// Decodes one section into the pending packet. Returns false when it refers to baselines that are no
    /// longer held.
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
        while let Some(enter) = reader.enter(&self.motion)? {
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
        let is_complete = if is_plain {
            self.read_differences(head, sequence, &mut presence, reader)?
        } else {
            self.read_updates(head, sequence, &mut presence, packet, reader)?
        };
        self.pending.updates.push((head.tick, presence));
        Ok(is_complete)
    }

    /// Decodes updates that all have the section's baseline and no components: the usual case. Returns false
    /// when a baseline is no longer held.
    fn read_differences(
        &mut self,
        head: SectionHead,
        sequence: u64,
        presence: &mut Presence,
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        let base_tick = head.tick - u32::from(head.age);
        let is_gone = self.baselines.is_gone(base_tick);
        // Stands in for a missing baseline: the difference is decoded only to skip its bytes.
        let no_baseline = M::Pose::default();
        let (bases, output) = self.baselines.pair(base_tick, head.tick, presence);
        let mut is_complete = true;
        for (group, output) in output.iter_mut().enumerate().take(presence.words().len()) {
            // The lowest bit of `left` gives the next id; `left & (left - 1)` clears it.
            let mut left = presence.words()[group];
            let bases = bases.get(group);
            if self.entities.are_present(group, left, sequence)
                && let Some(bases) = bases.and_then(|bases| bases.all(left))
            {
                while left != 0 {
                    let bit = left.trailing_zeros() as usize;
                    left &= left - 1;
                    output.poses[bit] = reader.difference(&self.motion, &bases[bit], head.age)?;
                }
                continue;
            }
            // Slow path: an entity has left since, never entered, or has no baseline.
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                let id = ShortId((group * 64 + bit) as u16);
                let base = bases.and_then(|bases| bases.get(bit));
                let pose = reader.difference(&self.motion, base.unwrap_or(&no_baseline), head.age)?;
                match self.entities.target(id, sequence) {
                    UpdateTarget::Present if base.is_some() => output.poses[bit] = pose,
                    UpdateTarget::Present if is_gone => is_complete = false,
                    UpdateTarget::Present => return Err(SnapshotError::Baseline),
                    UpdateTarget::Past => presence.remove(id),
                    UpdateTarget::Unknown => return Err(SnapshotError::Entity),
                }
            }
        }
        Ok(is_complete)
    }

    /// Decodes updates of any kind. Returns false when a baseline is no longer held.
    fn read_updates(
        &mut self,
        head: SectionHead,
        sequence: u64,
        presence: &mut Presence,
        packet: &[u8],
        reader: &mut SnapshotReader<'_>,
    ) -> Result<bool, SnapshotError> {
        let mut is_complete = true;
        for group in 0..presence.words().len() {
            // The lowest bit of `left` gives the next id; `left & (left - 1)` clears it.
            let mut left = presence.words()[group];
            while left != 0 {
                let id = ShortId((group * 64) as u16 + left.trailing_zeros() as u16);
                left &= left - 1;
                let target = self.entities.target(id, sequence);
                let age = reader.age()?;
                let pose = if age == 0 {
                    reader.absolute(&self.motion)?
                } else {
                    let base_tick = head.tick - u32::from(age);
                    let base = self.baselines.get(base_tick, id);
                    if base.is_none() && target == UpdateTarget::Present {
                        is_complete = false;
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
                    is_present: target == UpdateTarget::Present,
                };
                is_complete &= self.read_components(reading, packet, reader)?;
                match target {
                    UpdateTarget::Present => self.baselines.put(head.tick, id, pose),
                    UpdateTarget::Past => presence.remove(id),
                    UpdateTarget::Unknown => return Err(SnapshotError::Entity),
                }
            }
        }
        Ok(is_complete)
    }

    /// Decodes an entity's components, if the packet has any for it. Returns false when one is encoded as a
    /// difference from a value that is no longer held.
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
        let (mut left, mut is_complete) = (head.included, true);
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
                is_complete &= steps.is_some();
                let (steps, start) = (steps.unwrap_or_default(), self.pending.bytes.len());
                steps
                    .encode(&mut self.pending.bytes)
                    .map_err(|_| SnapshotError::Components)?;
                let end = self.pending.bytes.len();
                PendingValue::Steps { steps, start, end }
            };
            self.pending.values.push(value);
        }
        Ok(is_complete)
    }

    /// Returns the component's numbers with the baseline's added; `None` when the baseline is no longer held.
    fn resolve(
        &self,
        reading: ComponentReading,
        component: ComponentId,
        sent: &SentSteps,
    ) -> Result<Option<Steps>, SnapshotError> {
        let Some(base) = reading.base.filter(|_| sent.is_difference && reading.is_present) else {
            return Ok(Some(sent.steps));
        };
        match self.entities.numbers_at(reading.id, component, base) {
            Some(numbers) => Ok(Some(numbers.plus(&sent.steps))),
            None if self.newest_tick.since(base) > BASELINE_AGE_MAX as i32 => Ok(None),
            None => Err(SnapshotError::Baseline),
        }
    }
}

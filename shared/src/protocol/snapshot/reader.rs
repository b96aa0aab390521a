//! Reads a snapshot packet, part by part.

use super::{
    BASELINE_AGE_BITS, COMPONENT_LENGTH_BITS, ComponentsHead, Enter, GLOBAL_WIDTHS, INPUT_AGE_NONE,
    KIND_BITS, MARGIN_BITS, NEWEST_AHEAD_NONE, OwnerBlock, PART_BITS, PoseCode, Presence, SECTION_AGE_BITS,
    SHORT_ID_BITS_MIN, SectionHead, ShortId, SnapshotError, SnapshotHeader,
};
use crate::limits::COMPONENT_BYTES_MAX;
use crate::protocol::PayloadKind;
use crate::protocol::bits::BitReader;
use crate::protocol::ids::{GlobalId, SimulationId};
use crate::protocol::steps::{SentSteps, Steps};
use crate::tick::Tick;

/// A reader of one packet. Its functions are called in the order of the layout.
#[derive(Clone, Debug)]
pub struct SnapshotReader<'a> {
    bits: BitReader<'a>,
    id_bits: u32,
    tick: Tick,
    head: SectionHead,
}

impl<'a> SnapshotReader<'a> {
    /// Reads the header and the owner block. `reference` is a recent tick, to unwrap the packet's.
    ///
    /// # Errors
    /// [`SnapshotError::Kind`], or [`SnapshotError::Bits`] when the packet ends too early.
    #[inline]
    pub fn new(
        bytes: &'a [u8],
        reference: Tick,
    ) -> Result<(Self, SnapshotHeader, Option<OwnerBlock>), SnapshotError> {
        let mut bits = BitReader::new(bytes);
        let head = bits.read(KIND_BITS + 32 + PART_BITS + 2)?;
        if head as u8 != PayloadKind::SNAPSHOT {
            return Err(SnapshotError::Kind);
        }
        let header = SnapshotHeader {
            sequence: (head >> 8) as u16,
            tick: Tick::unwrap_near((head >> 24) as u16, reference),
            part: (head >> 40 & 31) as u8,
            id_bits: SHORT_ID_BITS_MIN + (head >> 45) as u32,
        };
        let owner = if bits.read_bool()? {
            let age = bits.read(8)?;
            let ahead = bits.read(8)? as i8;
            let margin = bits.read(MARGIN_BITS)? as i16;
            Some(OwnerBlock {
                last_input: (age != INPUT_AGE_NONE).then(|| header.tick - age as u32),
                newest_input: (ahead != NEWEST_AHEAD_NONE)
                    .then(|| Tick(header.tick.0.wrapping_add_signed(ahead.into()))),
                // Sign extension of the 12 bits.
                margin_16: margin << (16 - MARGIN_BITS) >> (16 - MARGIN_BITS),
                own: if bits.read_bool()? {
                    Some(ShortId(bits.read(header.id_bits)? as u16))
                } else {
                    None
                },
            })
        } else {
            None
        };
        let reader = Self {
            bits,
            id_bits: header.id_bits,
            tick: header.tick,
            head: SectionHead::default(),
        };
        Ok((reader, header, owner))
    }

    /// Reads the head of the next section; `None` at the end of the packet.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early.
    #[inline]
    pub fn section(&mut self) -> Result<Option<SectionHead>, SnapshotError> {
        if !self.bits.read_bool()? {
            return Ok(None);
        }
        let simulation = if self.bits.read_bool()? {
            self.bits.read(8)? as u8
        } else {
            0
        };
        let older = if self.bits.read_bool()? {
            self.bits.read(SECTION_AGE_BITS)? as u32
        } else {
            0
        };
        let rest = self.bits.read(BASELINE_AGE_BITS + 2)?;
        self.head = SectionHead {
            simulation: SimulationId(simulation),
            tick: self.tick - older,
            age: (rest & 31) as u8,
            has_exceptions: rest >> 5 & 1 == 1,
            has_components: rest >> 6 == 1,
        };
        Ok(Some(self.head))
    }

    /// Reads the next id that left; `None` at the end of the leaves.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early.
    #[inline]
    pub fn leave(&mut self) -> Result<Option<ShortId>, SnapshotError> {
        if !self.bits.read_bool()? {
            return Ok(None);
        }
        Ok(Some(ShortId(self.bits.read(self.id_bits)? as u16)))
    }

    /// Reads the next entity that entered; `None` at the end of the enters.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early.
    #[inline]
    pub fn enter<M: PoseCode>(&mut self, motion: &M) -> Result<Option<Enter<M::Pose>>, SnapshotError> {
        let Some(id) = self.leave()? else {
            return Ok(None);
        };
        let width = GLOBAL_WIDTHS[self.bits.read(2)? as usize];
        let low = self.bits.read(width.min(32))?;
        let high = self.bits.read(width.saturating_sub(32))?;
        Ok(Some(Enter {
            id,
            global: GlobalId(low | high << 32),
            pose: motion.read_absolute(&mut self.bits)?,
        }))
    }

    /// Reads which ids have an update in this section.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early, [`SnapshotError::Presence`].
    #[inline]
    pub fn presence(&mut self) -> Result<Presence, SnapshotError> {
        Presence::read(&mut self.bits, self.id_bits)
    }

    /// Reads the age of the next update's baseline in ticks, 0..=31; 0 means that there is none.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early.
    #[inline(always)]
    pub fn age(&mut self) -> Result<u8, SnapshotError> {
        if self.head.has_exceptions && self.bits.read_bool()? {
            return Ok(self.bits.read(BASELINE_AGE_BITS)? as u8);
        }
        Ok(self.head.age)
    }

    /// Reads the next update's pose as a difference to its baseline.
    ///
    /// # Errors
    /// [`SnapshotError::Delta`] when the bits are not a pose.
    #[inline(always)]
    pub fn difference<M: PoseCode>(
        &mut self,
        motion: &M,
        base: &M::Pose,
        age: u8,
    ) -> Result<M::Pose, SnapshotError> {
        Ok(motion.read(base, age.into(), &mut self.bits)?)
    }

    /// Reads the next update's pose where it has no baseline.
    ///
    /// # Errors
    /// [`SnapshotError::Delta`] when the bits are not a pose.
    #[inline]
    pub fn absolute<M: PoseCode>(&mut self, motion: &M) -> Result<M::Pose, SnapshotError> {
        Ok(motion.read_absolute(&mut self.bits)?)
    }

    /// Reads which components the last entity has, if it has any here; `count` are registered.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early, [`SnapshotError::Components`].
    #[inline(always)]
    pub fn components(&mut self, count: u32) -> Result<Option<ComponentsHead>, SnapshotError> {
        if !self.head.has_components || !self.bits.read_bool()? {
            return Ok(None);
        }
        let mut masks = [0; 2];
        for mask in &mut masks {
            let low = self.bits.read(count.min(32))?;
            *mask = low | self.bits.read(count.saturating_sub(32))? << 32;
        }
        let [present, included] = masks;
        if included & !present != 0 {
            return Err(SnapshotError::Components);
        }
        Ok(Some(ComponentsHead { present, included }))
    }

    /// Reads the next included component's value, if it is `numbers` numbers; `has_baseline` says whether the
    /// entity is in an update that refers to a baseline.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early.
    pub fn steps(&mut self, numbers: usize, has_baseline: bool) -> Result<SentSteps, SnapshotError> {
        Ok(SentSteps {
            is_difference: has_baseline && self.bits.read_bool()?,
            steps: Steps::read(&mut self.bits, numbers)?,
        })
    }

    /// Reads the next included component's value, if it is bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Bits`] when the packet ends too early, [`SnapshotError::Components`].
    pub fn component(&mut self) -> Result<&'a [u8], SnapshotError> {
        let bytes = self.bits.read(COMPONENT_LENGTH_BITS)? as usize;
        if bytes > COMPONENT_BYTES_MAX {
            return Err(SnapshotError::Components);
        }
        Ok(self.bits.read_slice(bytes)?)
    }
}

//! Writes a snapshot packet, part by part.

use super::{
    BASELINE_AGE_BITS, COMPONENT_LENGTH_BITS, ComponentsHead, EXCEPTION_BITS, Enter, GLOBAL_WIDTHS,
    INPUT_AGE_NONE, KIND_BITS, MARGIN_BITS, MARGIN_MAX, NEWEST_AHEAD_NONE, OwnerBlock, PART_BITS, PoseCode,
    Presence, SECTION_AGE_BITS, SECTION_AGE_MAX, SHORT_ID_BITS_MIN, SectionHead, ShortId, SnapshotHeader,
    global_class,
};
use crate::protocol::PayloadKind;
use crate::protocol::bits::{BitWriter, FIELD_BITS_MAX};
use crate::protocol::delta::DeltaBits;
use crate::protocol::steps::SentSteps;

/// A writer of one packet. Its functions are called in the order of the layout.
///
/// A packet that runs out of room is recorded as such, and [`Self::finish`] returns `None`. The caller checks
/// sizes beforehand.
#[derive(Debug)]
pub struct SnapshotWriter<'a> {
    bits: BitWriter<'a>,
    header: SnapshotHeader,
    head: SectionHead,
}

impl<'a> SnapshotWriter<'a> {
    /// Starts a packet in `buffer`. `header.id_bits` and `header.part` must be in range.
    // Inlined: a call would read the header's small fields as one word before their stores complete: 0.1 us.
    #[inline(always)]
    #[must_use]
    pub fn new(buffer: &'a mut [u8], header: SnapshotHeader, owner: Option<&OwnerBlock>) -> Self {
        let mut bits = BitWriter::new(buffer);
        let width = u64::from(header.id_bits - SHORT_ID_BITS_MIN);
        let head = u64::from(PayloadKind::SNAPSHOT)
            | u64::from(header.sequence) << 8
            | u64::from(header.tick.wire()) << 24;
        bits.write(
            head | u64::from(header.part) << 40 | width << 45,
            KIND_BITS + 32 + PART_BITS + 2,
        );
        bits.write_bool(owner.is_some());
        if let Some(owner) = owner {
            let age = owner.last_input.map_or(-1, |tick| header.tick.since(tick));
            bits.write(
                u64::try_from(age).unwrap_or(INPUT_AGE_NONE).min(INPUT_AGE_NONE),
                8,
            );
            let ahead = owner.newest_input.map(|tick| tick.since(header.tick));
            let ahead = ahead.and_then(|ahead| i8::try_from(ahead).ok());
            bits.write(u64::from(ahead.unwrap_or(NEWEST_AHEAD_NONE) as u8), 8);
            bits.write(owner.margin_16.clamp(-MARGIN_MAX, MARGIN_MAX) as u64, MARGIN_BITS);
            bits.write_bool(owner.own.is_some());
            if let Some(own) = owner.own {
                bits.write(own.0.into(), header.id_bits);
            }
        }
        Self {
            bits,
            header,
            head: SectionHead::default(),
        }
    }

    /// Starts a section; its leaves come next.
    #[inline]
    pub fn section(&mut self, head: SectionHead) {
        self.bits.write_bool(true);
        let simulation = u64::from(head.simulation.0);
        self.bits.write(
            u64::from(simulation != 0) | simulation << 1,
            if simulation == 0 { 1 } else { 9 },
        );
        let older = self.header.tick.since(head.tick).clamp(0, SECTION_AGE_MAX as i32) as u64;
        let older_bits = if older == 0 { 1 } else { 1 + SECTION_AGE_BITS };
        self.bits.write(u64::from(older != 0) | older << 1, older_bits);
        let flags = u64::from(head.has_exceptions) << 5 | u64::from(head.has_components) << 6;
        self.bits
            .write(u64::from(head.age) | flags, BASELINE_AGE_BITS + 2);
        self.head = head;
    }

    /// Writes that `id` has left.
    #[inline]
    pub fn leave(&mut self, id: ShortId) {
        self.bits.write(1 | u64::from(id.0) << 1, 1 + self.header.id_bits);
    }

    /// Ends the leaves or the enters.
    #[inline]
    pub fn end_list(&mut self) {
        self.bits.write_bool(false);
    }

    /// Writes an enter; its components come next where the section has some.
    #[inline]
    pub fn enter<M: PoseCode>(&mut self, enter: &Enter<M::Pose>, motion: &M) {
        self.bits
            .write(1 | u64::from(enter.id.0) << 1, 1 + self.header.id_bits);
        let class = global_class(enter.global);
        self.bits.write(class as u64, 2);
        let width = GLOBAL_WIDTHS[class];
        self.bits.write(enter.global.0 & 0xffff_ffff, width.min(32));
        self.bits.write(enter.global.0 >> 32, width.saturating_sub(32));
        motion.write_absolute(&enter.pose, &mut self.bits);
    }

    /// Writes which ids have an update in this section; the updates come next.
    #[inline]
    pub fn presence(&mut self, presence: &Presence) {
        presence.write(&mut self.bits, self.header.id_bits);
    }

    /// Writes an update as the difference to the state `age` ticks ago.
    ///
    /// An age that is not the section's is allowed only where the section has exceptions.
    #[inline(always)]
    pub fn difference(&mut self, age: u8, delta: DeltaBits) {
        if self.head.has_exceptions {
            let is_other = age != self.head.age;
            let exception_bits = if is_other { EXCEPTION_BITS as u32 } else { 1 };
            self.bits
                .write(u64::from(is_other) | u64::from(age) << 1, exception_bits);
        }
        self.bits.write_long(delta.bits, delta.len.into());
    }

    /// Writes updates that all have the section's baseline, in a section that has neither exceptions nor
    /// components. No difference is longer than 56 bits, as on the plane.
    #[inline(always)]
    pub fn differences(&mut self, deltas: impl Iterator<Item = DeltaBits>) {
        // Joins several short differences into one field, for one write.
        let mut field = DeltaBits::default();
        for delta in deltas {
            if u32::from(field.len + delta.len) > FIELD_BITS_MAX {
                self.bits.write(field.bits, field.len.into());
                field = DeltaBits::default();
            }
            field.bits |= delta.bits << field.len;
            field.len += delta.len;
        }
        self.bits.write(field.bits, field.len.into());
    }

    /// Writes updates as [`differences`](Self::differences) does, of up to 64 bits each.
    pub fn long_differences(&mut self, deltas: impl Iterator<Item = DeltaBits>) {
        for delta in deltas {
            self.bits.write_long(delta.bits, delta.len.into());
        }
    }

    /// Writes an update without a baseline. Allowed where the section has exceptions or its age is 0.
    #[inline]
    pub fn absolute<M: PoseCode>(&mut self, pose: &M::Pose, motion: &M) {
        if self.head.has_exceptions {
            self.bits.write(
                u64::from(self.head.age != 0),
                if self.head.age == 0 {
                    1
                } else {
                    EXCEPTION_BITS as u32
                },
            );
        }
        motion.write_absolute(pose, &mut self.bits);
    }

    /// Writes that the last entity has no components here. Only in sections that have components.
    #[inline]
    pub fn no_components(&mut self) {
        self.bits.write_bool(false);
    }

    /// Writes which components the last entity has, of `count` registered ones.
    #[inline]
    pub fn components(&mut self, head: ComponentsHead, count: u32) {
        self.bits.write_bool(true);
        for mask in [head.present, head.included] {
            self.bits.write(mask & 0xffff_ffff, count.min(32));
            self.bits.write(mask >> 32, count.saturating_sub(32));
        }
    }

    /// Writes the next included component's value, if it is numbers; `has_baseline` says whether the entity
    /// is in an update that refers to a baseline. Without a baseline the value must not be a difference.
    #[inline]
    pub fn steps(&mut self, value: &SentSteps, has_baseline: bool) {
        debug_assert!(
            has_baseline || !value.is_difference,
            "a difference without a baseline"
        );
        if has_baseline {
            self.bits.write_bool(value.is_difference);
        }
        value.steps.write(&mut self.bits);
    }

    /// Writes the next included component's value, if it is bytes, at most [`COMPONENT_BYTES_MAX`](crate::limits::COMPONENT_BYTES_MAX) bytes.
    #[inline]
    pub fn component(&mut self, value: &[u8]) {
        self.bits.write(value.len() as u64, COMPONENT_LENGTH_BITS);
        self.bits.align();
        self.bits.write_bytes(value);
    }

    /// Returns the number of bits that can still be written.
    #[inline]
    #[must_use]
    pub fn bits_left(&self) -> usize {
        self.bits.bits_left()
    }

    /// Ends the packet and returns its number of bytes; `None` when something did not fit.
    #[inline]
    #[must_use]
    pub fn finish(mut self) -> Option<usize> {
        self.bits.write_bool(false);
        let is_complete = !self.bits.overflowed();
        let bytes = self.bits.finish();
        is_complete.then_some(bytes)
    }
}

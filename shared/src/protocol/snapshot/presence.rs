//! The short ids that a section updates: a bitmap in two levels, about one bit for each id in use.

use super::{SHORT_IDS_MAX, ShortId, SnapshotError};
use crate::protocol::bits::{BitReader, BitWriter};

const GROUP: usize = 8;
/// Groups whose bits are written as one field.
const GROUPS_PER_FIELD: usize = 32;

/// A set of short ids as a bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    words: [u64; SHORT_IDS_MAX / 64],
    /// Number of groups of 8 ids up to the highest id.
    groups: usize,
}

impl Default for Presence {
    #[inline]
    fn default() -> Self {
        Self {
            words: [0; SHORT_IDS_MAX / 64],
            groups: 0,
        }
    }
}

impl Presence {
    /// Adds `id`, which is below [`SHORT_IDS_MAX`].
    #[inline(always)]
    pub fn insert(&mut self, id: ShortId) {
        self.words[id.index() / 64 % (SHORT_IDS_MAX / 64)] |= 1 << (id.index() % 64);
        self.groups = self.groups.max(id.index() / GROUP + 1);
    }

    /// Adds 64 ids at once: bit `i` of `word` is id `index * 64 + i`. Ignores those beyond [`SHORT_IDS_MAX`].
    #[inline(always)]
    pub fn insert_word(&mut self, index: usize, word: u64) {
        if let Some(ids) = self.words.get_mut(index)
            && word != 0
        {
            *ids |= word;
            let highest = index * 64 + word.ilog2() as usize;
            self.groups = self.groups.max(highest / GROUP + 1);
        }
    }

    /// Returns the bits that the set takes in a packet with short ids of this width.
    #[inline]
    #[must_use]
    pub fn bits(&self, id_bits: u32) -> usize {
        let used: u32 = self
            .words()
            .iter()
            .map(|&word| used_groups(word).count_ones())
            .sum();
        count_bits(id_bits) as usize + self.groups + used as usize * GROUP
    }

    /// Removes `id`, if the set contains it.
    #[inline]
    pub fn remove(&mut self, id: ShortId) {
        self.words[id.index() / 64 % (SHORT_IDS_MAX / 64)] &= !(1 << (id.index() % 64));
    }

    /// Removes all ids from the set.
    #[inline]
    pub fn clear(&mut self) {
        self.words[..self.groups.div_ceil(64 / GROUP)].fill(0);
        self.groups = 0;
    }

    /// Returns the set as 64-bit words, up to the one with the highest id.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words[..self.groups.div_ceil(64 / GROUP)]
    }

    /// Returns the ids in ascending order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = ShortId> + '_ {
        self.words().iter().enumerate().flat_map(|(index, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                // `left & (left - 1)` clears the lowest bit that is set; an empty word has 64 trailing zeros.
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < 64).then_some(ShortId((index * 64) as u16 + bit as u16))
            })
        })
    }

    pub(super) fn write(&self, writer: &mut BitWriter<'_>, id_bits: u32) {
        writer.write(self.groups as u64, count_bits(id_bits));
        let mut group = 0;
        while group < self.groups {
            let count = GROUPS_PER_FIELD.min(self.groups - group);
            let words = &self.words[group * GROUP / 64..];
            let mut field = 0u64;
            for (index, &word) in words.iter().take(GROUPS_PER_FIELD * GROUP / 64).enumerate() {
                field |= used_groups(word) << (index * (64 / GROUP));
            }
            writer.write(field, count as u32);
            group += count;
        }
        for &word in self.words() {
            let mut used = used_groups(word);
            while used != 0 {
                writer.write(word >> (used.trailing_zeros() as usize * GROUP), GROUP as u32);
                used &= used - 1;
            }
        }
    }

    pub(super) fn read(reader: &mut BitReader<'_>, id_bits: u32) -> Result<Self, SnapshotError> {
        let mut presence = Self::default();
        let groups = reader.read(count_bits(id_bits))? as usize;
        if groups * GROUP > 1 << id_bits {
            return Err(SnapshotError::Presence);
        }
        let mut used = [0u64; SHORT_IDS_MAX / GROUP / GROUPS_PER_FIELD];
        for (index, field) in used
            .iter_mut()
            .enumerate()
            .take(groups.div_ceil(GROUPS_PER_FIELD))
        {
            *field = reader.read(GROUPS_PER_FIELD.min(groups - index * GROUPS_PER_FIELD) as u32)?;
        }
        for (index, field) in used.iter_mut().enumerate() {
            while *field != 0 {
                let group = index * GROUPS_PER_FIELD + field.trailing_zeros() as usize;
                presence.words[group * GROUP / 64] |= reader.read(GROUP as u32)? << (group * GROUP % 64);
                *field &= *field - 1;
            }
        }
        presence.groups = groups;
        Ok(presence)
    }
}

/// Counts the bits that a [`Presence`] will take while its ids are being chosen.
#[derive(Clone, Copy, Debug)]
pub struct PresenceSize {
    bits: usize,
    groups: usize,
}

impl PresenceSize {
    /// Starts with the size of an empty set.
    #[inline]
    #[must_use]
    pub fn new(id_bits: u32) -> Self {
        Self {
            bits: count_bits(id_bits) as usize,
            groups: 0,
        }
    }

    /// Adds an id that is higher than all before.
    #[inline(always)]
    pub fn push(&mut self, id: ShortId) {
        let groups = id.index() / GROUP + 1;
        if groups > self.groups {
            self.bits += groups - self.groups + GROUP;
            self.groups = groups;
        }
    }

    /// Returns the number of bits so far.
    #[inline]
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }
}

/// Returns the width in bits of the number of groups, which is at least 0 and at most the number of all groups.
fn count_bits(id_bits: u32) -> u32 {
    id_bits - GROUP.trailing_zeros() + 1
}

/// Returns one bit for each of the 8 groups (bytes) of `word`, set if the group is not empty.
#[inline]
fn used_groups(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // Folds each byte into its lowest bit: the shifts add up to 7, so no bit of the byte above reaches it.
    let mut any = word | word >> 4;
    any |= any >> 2;
    any |= any >> 1;
    // Gathers the lowest bits of the eight bytes into the highest byte: the factor moves the bit of byte `i`
    // to bit `56 + i`. No two of the partial products meet, so nothing carries.
    (any & LOW).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn used_groups_has_one_bit_for_each_group() {
        for group in 0..8 {
            for bit in 0..8 {
                assert_eq!(used_groups(1 << (group * 8 + bit)), 1 << group);
            }
        }
        assert_eq!((used_groups(u64::MAX), used_groups(0)), (0xff, 0));
    }

    #[test]
    fn a_dense_set_takes_little_more_than_one_bit_for_each_id() {
        let mut size = PresenceSize::new(9);
        (0..72).for_each(|id| size.push(ShortId(id)));
        assert_eq!(size.bits(), 7 + 9 + 72);
    }

    proptest! {
        #[test]
        fn presence_round_trips(id_bits in 8u32..=11, ids in prop::collection::btree_set(0u16..2_048, 0..300)) {
            let ids: BTreeSet<ShortId> = ids.into_iter().filter(|id| id >> id_bits == 0).map(ShortId).collect();
            let (mut presence, mut size) = (Presence::default(), PresenceSize::new(id_bits));
            presence.insert(ShortId(2_047));
            presence.clear();
            for &id in &ids {
                presence.insert(id);
                size.push(id);
            }
            let mut bytes = [0; 400];
            let mut writer = BitWriter::new(&mut bytes);
            presence.write(&mut writer, id_bits);
            prop_assert_eq!(writer.bits_written(), size.bits());
            prop_assert_eq!(presence.bits(id_bits), size.bits());
            let mut by_word = Presence::default();
            presence.words().iter().enumerate().for_each(|(index, &word)| by_word.insert_word(index, word));
            prop_assert_eq!(by_word, presence);
            let len = writer.finish();
            let read = Presence::read(&mut BitReader::new(&bytes[..len]), id_bits).unwrap();
            prop_assert!(read.iter().eq(ids.iter().copied()));
            prop_assert_eq!(read, presence);
            for end in 0..len {
                prop_assert!(Presence::read(&mut BitReader::new(&bytes[..end]), id_bits).is_err());
            }
        }

        #[test]
        fn random_bytes_give_no_id_beyond_the_width(id_bits in 8u32..=11, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(presence) = Presence::read(&mut BitReader::new(&bytes), id_bits) {
                prop_assert!(presence.iter().all(|id| id.0 >> id_bits == 0));
            }
        }
    }
}

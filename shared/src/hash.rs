//! Hashes that never change: their values are sent, stored in files and compared between builds.
//!
//! Owns the two stable hashes of the workspace, [`Fnv1a`] for bytes and [`Mixer`] for integers, and the multiplier
//! [`GOLDEN`].
//! Guarantees that equal input gives the same value on every machine and in every release. None resists a peer that
//! chooses the input: the tables of [`netcode`](crate::netcode) hash with secrets of their own.

/// FNV-1a, 64 bits: the protocol's hash, and the digest that protects checkpoints and recordings against damage.
///
/// It detects every single changed byte of a block and nearly every other damage. The hash is no signature: a program that
/// can write the file can also write the digest.
#[derive(Clone, Debug)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// Adds bytes to the hashed data. Two calls are the same as one call with both.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds bytes and then their number, so that `"ab", "c"` and `"a", "bc"` differ.
    pub fn field(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
        self.bytes(&(bytes.len() as u64).to_le_bytes());
    }

    /// Returns the hash of all bytes.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the [`Fnv1a`] hash of `bytes`.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = Fnv1a::default();
    hash.bytes(bytes);
    hash.finish()
}

/// 2^64 divided by the golden ratio. It is odd, so a wrapping multiplication by it is a bijection; it carries every bit
/// upwards, so consecutive numbers get high bits that are far apart (Fibonacci hashing).
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A multiply-and-rotate digest of integers, used for the checksum of a frame: several times faster than
/// [`Fnv1a`], since it takes eight bytes at once. It depends on the order of the values.
#[derive(Clone, Debug, Default)]
pub struct Mixer(u64);

impl Mixer {
    /// Starts a digest; those of other seeds differ.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Mixes a value into the state.
    #[inline]
    pub fn mix(&mut self, value: u64) {
        // The multiplication carries each bit upwards, the shift brings the high bits back down.
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(GOLDEN);
        self.0 ^= self.0 >> 29;
    }

    /// Returns the digest of all values.
    #[inline]
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_1a_equals_the_published_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_field_is_hashed_with_its_length() {
        let mut hash = Fnv1a::default();
        hash.field(b"");
        // FNV-1a of eight zero bytes.
        assert_eq!(hash.finish(), 0xa8c7_f832_281a_39c5);
    }

    #[test]
    fn hashed_fields_do_not_run_together() {
        let hash = |fields: &[&str]| {
            let mut hash = Fnv1a::default();
            fields.iter().for_each(|field| hash.field(field.as_bytes()));
            hash.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["ab", ""]), hash(&["ab"]));
    }

    #[test]
    fn the_digest_of_integers_never_changes_and_depends_on_their_order() {
        let digest = |values: &[u64]| {
            let mut mixer = Mixer::default();
            values.iter().for_each(|&value| mixer.mix(value));
            mixer.finish()
        };
        assert_eq!(digest(&[1, 2]), 0x006d_43a5_3ab3_53bf);
        assert_ne!(digest(&[1, 2]), digest(&[2, 1]));
    }
}

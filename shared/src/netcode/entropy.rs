//! A source of secret bytes: from the operating system in production, from a seed in the simulator.
//!
//! Guarantees that earlier output cannot be computed from the present state (fast key erasure: each request
//! replaces the key by keystream that is never output). Never blocks, and never fails once it has been
//! created.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct EntropyError;

/// A cryptographic generator of random bytes: the `ChaCha20` keystream of a 32-byte seed.
pub struct Entropy {
    key: [u8; 32],
}

impl Entropy {
    /// Creates a generator that is seeded by the operating system.
    ///
    /// # Errors
    /// [`EntropyError`] if the operating system provides no random bytes.
    pub fn from_os() -> Result<Self, EntropyError> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(|_| EntropyError)?;
        Ok(Self { key })
    }

    /// Creates a generator for simulations: the same seed gives the same bytes. As secret as `seed` is.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { key: seed }
    }

    /// Overwrites `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        // The first 32 bytes of keystream become the next key, and only later ones are output.
        let mut stream = ChaCha20::new(&self.key.into(), &[0; 12].into());
        let mut next_key = [0; 32];
        stream.apply_keystream(&mut next_key);
        out.fill(0);
        stream.apply_keystream(out);
        self.key = next_key;
    }

    /// Returns an array of random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_entropy_repeats_and_system_entropy_does_not() {
        let mut first = Entropy::from_seed([7; 32]);
        let mut second = Entropy::from_seed([7; 32]);
        let once: [u8; 40] = first.bytes();
        assert_eq!(once, second.bytes::<40>());
        assert_ne!(once, first.bytes::<40>());
        let system: [u8; 32] = Entropy::from_os().unwrap().bytes();
        assert_ne!(system, Entropy::from_os().unwrap().bytes::<32>());
    }
}

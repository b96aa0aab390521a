//! ChaCha20-Poly1305 by `ring`, and its form with a 24-byte nonce for connect tokens.
//!
//! Guarantees that nothing is read from a body before its tag was checked. Does not choose nonces: the
//! callers' state machines guarantee that no number is used twice under one key.

use core::ops::Range;

use chacha20::cipher::consts::U10;
use chacha20::hchacha;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Length of every key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes at the start of `ring`'s form of a key that hold a key of this cipher (measured with version 0.17).
const KEY_HEAD_BYTES: usize = KEY_BYTES + 16;

/// A key of 32 bytes, not yet expanded. `ring`'s form of it ([`Cipher`]) is 544 bytes long, since it has room for
/// every cipher, and takes 30 ns to make (measured with `netcode_cost`). A server keeps that form for its
/// sessions; a client keeps the short one, since thousands of clients share a process.
#[derive(Clone)]
pub(crate) struct Key([u8; KEY_BYTES]);

impl Key {
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(*bytes)
    }

    /// Returns the key in `ring`'s form.
    pub(crate) fn cipher(&self) -> Cipher {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0).expect("the key has the cipher's length");
        Cipher(LessSafeKey::new(key))
    }

    /// Returns the cipher and the short nonce that `XChaCha20` derives from a nonce of 24 bytes: `HChaCha20`
    /// of the first 16 bytes gives the cipher's key, and the last 8 bytes follow 4 zeros in the short nonce.
    fn extend(&self, nonce: &[u8; 24]) -> (Cipher, Nonce) {
        let (for_key, tail) = nonce.split_at(16);
        let mut short = [0; 12];
        short[4..].copy_from_slice(tail);
        let key = hchacha::<U10>(&self.0.into(), for_key.into());
        (Self(key.into()).cipher(), Nonce::assume_unique_for_key(short))
    }

    /// Encrypts as [`Cipher::seal`] does, with a random nonce of 24 bytes.
    pub(crate) fn seal_extended(&self, nonce: &[u8; 24], aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let (cipher, nonce) = self.extend(nonce);
        cipher.seal_with(nonce, aad, body)
    }

    /// Decrypts as [`Cipher::open`] does, with a nonce of 24 bytes.
    pub(crate) fn open_extended(&self, nonce: &[u8; 24], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let (cipher, nonce) = self.extend(nonce);
        cipher.open_with(nonce, aad, sealed)
    }
}

/// A key in `ring`'s form, ready for use.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    /// Encrypts `body` in place and returns its tag. `number` must be new under this key.
    pub(crate) fn seal(&self, number: u64, aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        self.seal_with(nonce(number), aad, body)
    }

    /// Decrypts `sealed` (body and tag) in place. Returns the body's length, or `None` if not authentic.
    pub(crate) fn open(&self, number: u64, aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        self.open_with(nonce(number), aad, sealed)
    }

    /// Returns the byte ranges of a cipher that its use reads: `ring` leaves most of its room to larger keys.
    #[inline]
    pub(crate) fn read_parts() -> impl Iterator<Item = Range<usize>> {
        let end = size_of::<Self>();
        [0..KEY_HEAD_BYTES, end - size_of::<usize>()..end].into_iter()
    }

    fn seal_with(&self, nonce: Nonce, aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
            .expect("a packet is far shorter than the cipher's limit of 256 GiB");
        let mut bytes = [0; TAG_BYTES];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    fn open_with(&self, nonce: Nonce, aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let body = self.0.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
        Some(body.len())
    }
}

/// Returns the nonce of a packet: four zeros, then its number in little endian.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

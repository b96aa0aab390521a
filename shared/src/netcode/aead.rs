//! ChaCha20-Poly1305 by `ring`, and its form with a 24-byte nonce for connect tokens.
//!
//! Guarantees that nothing is read from a body before its tag was checked. Does not choose nonces:
//! that no number is used twice under one key is the state machines' promise.

use chacha20::cipher::consts::U10;
use chacha20::hchacha;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::wire::KEY_BYTES;

/// Length of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;

/// One 32-byte key. `ring`'s own key type is 15 times larger, since it has room for every cipher, and is
/// made from the bytes in a few nanoseconds; so sessions hold the bytes.
#[derive(Clone)]
pub(crate) struct Key([u8; KEY_BYTES]);

impl Key {
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(*bytes)
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }

    /// Encrypts `body` in place and returns its tag. `number` must be new under this key.
    pub(crate) fn seal(&self, number: u64, aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        seal_with(&self.cipher(), nonce(number), aad, body)
    }

    /// Decrypts `sealed` (body and tag) in place; the length of the body, or `None` if it is not authentic.
    pub(crate) fn open(&self, number: u64, aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let body = self
            .cipher()
            .open_in_place(nonce(number), Aad::from(aad), sealed)
            .ok()?;
        Some(body.len())
    }

    /// The key and the nonce under which `XChaCha20` works for a nonce of 24 bytes.
    fn extend(&self, nonce: &[u8; 24]) -> (Self, Nonce) {
        let (for_key, tail) = nonce.split_at(16);
        let mut short = [0; 12];
        short[4..].copy_from_slice(tail);
        let key = hchacha::<U10>(&self.0.into(), for_key.into());
        (Self(key.into()), Nonce::assume_unique_for_key(short))
    }

    /// [`Self::seal`] with a random nonce of 24 bytes.
    pub(crate) fn seal_extended(&self, nonce: &[u8; 24], aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
        let (key, nonce) = self.extend(nonce);
        seal_with(&key.cipher(), nonce, aad, body)
    }

    /// [`Self::open`] with a nonce of 24 bytes.
    pub(crate) fn open_extended(&self, nonce: &[u8; 24], aad: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let (key, nonce) = self.extend(nonce);
        let body = key.cipher().open_in_place(nonce, Aad::from(aad), sealed).ok()?;
        Some(body.len())
    }
}

fn seal_with(cipher: &LessSafeKey, nonce: Nonce, aad: &[u8], body: &mut [u8]) -> [u8; TAG_BYTES] {
    let tag = cipher
        .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
        .expect("a packet is far shorter than the cipher's limit of 256 GiB");
    let mut bytes = [0; TAG_BYTES];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

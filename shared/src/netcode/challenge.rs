//! The challenge: proof that a client receives what is sent to its address.
//!
//! Sealed under a key that only this server has, and opaque to the client. It carries the tag of the
//! connect token for which it was made, so that a challenge received at one address opens no session
//! for a token that was sent from another address.

use super::USER_DATA_BYTES;
use super::aead::{Cipher, TAG_BYTES};
use super::fields::{FieldReader, FieldWriter};

/// Length of a sealed challenge.
pub(crate) const CHALLENGE_BYTES: usize = 300;
/// The tag of a connect token's private section, which identifies the token.
pub(crate) type TokenTag = [u8; TAG_BYTES];

/// The contents of a challenge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge<'a> {
    pub(crate) client_id: u64,
    pub(crate) user_data: &'a [u8; USER_DATA_BYTES],
    pub(crate) token: TokenTag,
}

impl<'a> Challenge<'a> {
    /// Seals the challenge under `sequence`, which must be new for `key`.
    pub(crate) fn seal(&self, sequence: u64, key: &Cipher) -> [u8; CHALLENGE_BYTES] {
        let mut bytes = [0; CHALLENGE_BYTES];
        let (body, tag) = bytes.split_at_mut(CHALLENGE_BYTES - TAG_BYTES);
        let mut writer = FieldWriter::new(body);
        writer.put(&self.client_id.to_le_bytes());
        writer.put(self.user_data);
        writer.put(&self.token);
        tag.copy_from_slice(&key.seal(sequence, &[], body));
        bytes
    }

    /// Opens a challenge in place. Returns `None` if it was not sealed with `key` under `sequence`.
    pub(crate) fn open(sequence: u64, key: &Cipher, sealed: &'a mut [u8]) -> Option<Self> {
        let body_bytes = key.open(sequence, &[], sealed)?;
        let mut reader = FieldReader::new(&sealed[..body_bytes]);
        Some(Self {
            client_id: reader.u64()?,
            user_data: reader.array()?,
            token: *reader.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netcode::aead::Key;

    #[test]
    fn a_challenge_opens_only_under_its_key_and_sequence() {
        let key = Key::new(&[1; 32]).cipher();
        let challenge = Challenge {
            client_id: 9,
            user_data: &[7; USER_DATA_BYTES],
            token: [3; TAG_BYTES],
        };
        let sealed = challenge.seal(5, &key);
        assert_eq!(Challenge::open(5, &key, &mut sealed.clone()), Some(challenge));
        assert_eq!(Challenge::open(6, &key, &mut sealed.clone()), None);
        assert_eq!(
            Challenge::open(5, &Key::new(&[2; 32]).cipher(), &mut sealed.clone()),
            None
        );
    }
}

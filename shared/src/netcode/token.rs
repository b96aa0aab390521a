//! Connect tokens: a client receives one over HTTPS and sends it to a server to open one session.
//!
//! Owns the public form, in the layout of `renetcode` 2.0.0 (which puts the client id before the
//! standard's fields), padded with zeroes to 2,048 bytes. Guarantees that reading refuses anything that
//! writing does not produce, except the missing padding of stock tokens. Does not decide which client
//! may have a token.

use core::net::SocketAddr;

use super::aead::KEY_BYTES;
use super::fields::{FieldReader, FieldWriter};
use super::private_token::{
    PRIVATE_TOKEN_BYTES, PrivateToken, TOKEN_NONCE_BYTES, read_addresses, write_addresses,
};
use super::token_error::TokenError;
use super::wire::{REQUEST_BYTES, VERSION};
use super::{Entropy, TOKEN_BYTES, USER_DATA_BYTES};

/// The contents of a new token.
pub struct TokenRequest<'a> {
    /// The protocol id of both ends; see [`PROTOCOL_ID`](super::PROTOCOL_ID).
    pub protocol_id: u64,
    /// Identifies the client. Two sessions of one id never exist at the same time.
    pub client_id: u64,
    /// Servers to try in this order, 1 to 32.
    pub addresses: &'a [SocketAddr],
    /// Seconds from now until which the handshake must be completed.
    pub expire_s: u64,
    /// Seconds without a packet after which either end gives up; 0 or less means never.
    pub timeout_s: i32,
    /// Passed to the server when the client connects; the first eight bytes are the session number.
    pub user_data: &'a [u8; USER_DATA_BYTES],
    /// The secret that the issuer of tokens shares with the server.
    pub private_key: &'a [u8; KEY_BYTES],
}

/// A connect token as the client holds it. It contains the session's keys: never send it unencrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectToken {
    pub(crate) client_id: u64,
    pub(crate) protocol_id: u64,
    pub(crate) create_unix_s: u64,
    pub(crate) expire_unix_s: u64,
    pub(crate) nonce: [u8; TOKEN_NONCE_BYTES],
    pub(crate) private: Box<[u8; PRIVATE_TOKEN_BYTES]>,
    pub(crate) timeout_s: i32,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) client_to_server: [u8; KEY_BYTES],
    pub(crate) server_to_client: [u8; KEY_BYTES],
}

impl ConnectToken {
    /// Makes a token at `now_unix_s`, seconds since 1970.
    ///
    /// # Errors
    /// [`TokenError::AddressCount`] unless it names 1 to 32 servers.
    pub fn generate(
        now_unix_s: u64,
        request: &TokenRequest<'_>,
        entropy: &mut Entropy,
    ) -> Result<Self, TokenError> {
        let expire_unix_s = now_unix_s.saturating_add(request.expire_s);
        let nonce = entropy.bytes();
        let private = PrivateToken {
            client_id: request.client_id,
            timeout_s: request.timeout_s,
            client_to_server: entropy.bytes(),
            server_to_client: entropy.bytes(),
            user_data: request.user_data,
        };
        let sealed = private.seal(
            request.addresses,
            request.protocol_id,
            expire_unix_s,
            &nonce,
            request.private_key,
        )?;
        Ok(Self {
            client_id: request.client_id,
            protocol_id: request.protocol_id,
            create_unix_s: now_unix_s,
            expire_unix_s,
            nonce,
            private: sealed,
            timeout_s: request.timeout_s,
            addresses: request.addresses.to_vec(),
            client_to_server: private.client_to_server,
            server_to_client: private.server_to_client,
        })
    }

    /// Returns the token in the form that `renetcode::ConnectToken::read` reads, padded with zeroes.
    pub fn to_bytes(&self) -> Box<[u8; TOKEN_BYTES]> {
        let mut bytes = Box::new([0; TOKEN_BYTES]);
        let mut writer = FieldWriter::new(&mut bytes[..]);
        writer.put(&self.client_id.to_le_bytes());
        writer.put(VERSION);
        writer.put(&self.protocol_id.to_le_bytes());
        writer.put(&self.create_unix_s.to_le_bytes());
        writer.put(&self.expire_unix_s.to_le_bytes());
        writer.put(&self.nonce);
        writer.put(&self.private[..]);
        writer.put(&self.timeout_s.to_le_bytes());
        write_addresses(&mut writer, &self.addresses);
        writer.put(&self.client_to_server);
        writer.put(&self.server_to_client);
        bytes
    }

    /// Reads a token that [`Self::to_bytes`] or `renetcode::ConnectToken::write` wrote. Bytes after the
    /// token are ignored.
    ///
    /// # Errors
    /// A [`TokenError`] that says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() > TOKEN_BYTES {
            return Err(TokenError::TooLong(bytes.len()));
        }
        let mut reader = FieldReader::new(bytes);
        let mut addresses = Vec::new();
        let client_id = reader.u64().ok_or(TokenError::Truncated)?;
        if reader.array().ok_or(TokenError::Truncated)? != VERSION {
            return Err(TokenError::Version);
        }
        let token = Self {
            client_id,
            protocol_id: reader.u64().ok_or(TokenError::Truncated)?,
            create_unix_s: reader.u64().ok_or(TokenError::Truncated)?,
            expire_unix_s: reader.u64().ok_or(TokenError::Truncated)?,
            nonce: *reader.array().ok_or(TokenError::Truncated)?,
            private: Box::new(*reader.array().ok_or(TokenError::Truncated)?),
            timeout_s: reader.u32().ok_or(TokenError::Truncated)?.cast_signed(),
            addresses: {
                read_addresses(&mut reader, |address| addresses.push(address))?;
                addresses
            },
            client_to_server: *reader.array().ok_or(TokenError::Truncated)?,
            server_to_client: *reader.array().ok_or(TokenError::Truncated)?,
        };
        if token.expire_unix_s < token.create_unix_s {
            return Err(TokenError::Lifetime);
        }
        Ok(token)
    }

    /// Returns the id of the client.
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Returns the servers to try, in this order; never empty.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns the time from which on the token opens no session, in seconds since 1970.
    pub fn expire_unix_s(&self) -> u64 {
        self.expire_unix_s
    }

    /// Returns the connection request that presents this token to a server.
    pub(crate) fn request(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        let mut writer = FieldWriter::new(&mut bytes[1..]);
        writer.put(VERSION);
        writer.put(&self.protocol_id.to_le_bytes());
        writer.put(&self.expire_unix_s.to_le_bytes());
        writer.put(&self.nonce);
        writer.put(&self.private[..]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::netcode::aead::Key;
    use crate::netcode::counters::DropReason;

    const KEY: [u8; KEY_BYTES] = [9; KEY_BYTES];

    fn generate(
        addresses: &[SocketAddr],
        user_data: &[u8; USER_DATA_BYTES],
    ) -> Result<ConnectToken, TokenError> {
        let request = TokenRequest {
            protocol_id: 1,
            client_id: 2,
            addresses,
            expire_s: 30,
            timeout_s: -4,
            user_data,
            private_key: &KEY,
        };
        ConnectToken::generate(1_000, &request, &mut Entropy::from_seed([3; 32]))
    }

    fn token() -> ConnectToken {
        generate(
            &["127.0.0.1:5000".parse().unwrap(), "[::1]:5001".parse().unwrap()],
            &[5; 256],
        )
        .unwrap()
    }

    /// Client id, time-out, user data and addresses of a private section.
    type Opened = (u64, i32, [u8; USER_DATA_BYTES], Vec<SocketAddr>);

    fn open(token: &ConnectToken, key: &[u8; KEY_BYTES]) -> Result<Opened, DropReason> {
        let mut section = token.private.clone();
        let mut addresses = Vec::new();
        let (protocol_id, expiry) = (token.protocol_id, token.expire_unix_s);
        let private = PrivateToken::open(
            &mut section[..],
            protocol_id,
            expiry,
            &token.nonce,
            &Key::new(key),
            |address| {
                addresses.push(address);
            },
        )?;
        Ok((
            private.client_id,
            private.timeout_s,
            *private.user_data,
            addresses,
        ))
    }

    #[test]
    fn a_token_contains_what_was_requested() {
        let token = token();
        assert_eq!(
            open(&token, &KEY),
            Ok((2, -4, [5; 256], token.addresses().to_vec()))
        );
        assert_eq!((token.client_id(), token.expire_unix_s()), (2, 1_030));
        assert_eq!(open(&token, &[8; KEY_BYTES]), Err(DropReason::TokenForged));
    }

    #[test]
    fn a_token_names_one_to_32_servers() {
        let many: Vec<SocketAddr> = (0..33)
            .map(|port| SocketAddr::new([0xFFFF; 8].into(), port))
            .collect();
        let full = generate(&many[..32], &[1; 256]).unwrap();
        assert_eq!(open(&full, &KEY).unwrap().3, many[..32]);
        let read = ConnectToken::from_bytes(&full.to_bytes()[..]).unwrap();
        assert!(read == full);
        assert_eq!(
            generate(&many, &[1; 256]).err(),
            Some(TokenError::AddressCount(33))
        );
        assert_eq!(generate(&[], &[1; 256]).err(), Some(TokenError::AddressCount(0)));
    }

    #[test]
    fn a_token_is_refused_when_truncated_at_any_byte() {
        let token = token();
        let bytes = token.to_bytes();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        for length in 0..used {
            assert!(
                ConnectToken::from_bytes(&bytes[..length]).is_err(),
                "{length} of {used} bytes"
            );
        }
        assert!(ConnectToken::from_bytes(&bytes[..used]).is_ok_and(|read| read == token));
        assert_eq!(
            ConnectToken::from_bytes(&[0; TOKEN_BYTES + 1]).err(),
            Some(TokenError::TooLong(TOKEN_BYTES + 1))
        );
    }

    #[test]
    fn each_invalid_token_field_has_its_own_error() {
        let good = token().to_bytes();
        let with = |index: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[index] = byte;
            ConnectToken::from_bytes(&bytes[..]).err()
        };
        assert_eq!(with(8 + 11, b'3'), Some(TokenError::Version));
        assert_eq!(with(8 + 13 + 8 + 1, 0xFF), Some(TokenError::Lifetime));
        let addresses = 8 + 13 + 8 + 8 + 8 + TOKEN_NONCE_BYTES + PRIVATE_TOKEN_BYTES + 4;
        assert_eq!(with(addresses, 0), Some(TokenError::AddressCount(0)));
        assert_eq!(with(addresses, 33), Some(TokenError::AddressCount(33)));
        assert_eq!(with(addresses + 4, 3), Some(TokenError::AddressType(3)));
    }

    proptest! {
        #[test]
        fn tokens_round_trip(
            client_id in any::<u64>(),
            timeout_s in any::<i32>(),
            expire_s in any::<u64>(),
            now in any::<u64>(),
            ips in proptest::collection::vec((any::<core::net::IpAddr>(), any::<u16>()), 1..=32),
            seed in any::<[u8; 32]>(),
        ) {
            let addresses: Vec<_> = ips.into_iter().map(SocketAddr::from).collect();
            let user_data = Entropy::from_seed(seed).bytes();
            let request = TokenRequest {
                protocol_id: client_id ^ now,
                client_id,
                addresses: &addresses,
                expire_s,
                timeout_s,
                user_data: &user_data,
                private_key: &seed,
            };
            let token = ConnectToken::generate(now, &request, &mut Entropy::from_seed(seed)).unwrap();
            let read = ConnectToken::from_bytes(&token.to_bytes()[..]).unwrap();
            prop_assert!(read == token);
            prop_assert_eq!(open(&read, &seed), Ok((client_id, timeout_s, user_data, addresses)));
        }

        #[test]
        fn a_flipped_bit_in_the_private_section_is_refused(index in any::<proptest::sample::Index>()) {
            let mut token = token();
            let bit = index.index(PRIVATE_TOKEN_BYTES * 8);
            token.private[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&token, &KEY).err(), Some(DropReason::TokenForged));
        }

        #[test]
        fn damaged_tokens_that_still_read_round_trip(
            noise in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
            length in 0..=TOKEN_BYTES,
        ) {
            let mut bytes = token().to_bytes();
            for (index, byte) in noise {
                bytes[index.index(TOKEN_BYTES)] = byte;
            }
            if let Ok(token) = ConnectToken::from_bytes(&bytes[..length]) {
                let again = ConnectToken::from_bytes(&token.to_bytes()[..]).unwrap();
                prop_assert!(again == token);
            }
        }

        #[test]
        fn random_bytes_are_not_a_token(bytes in proptest::collection::vec(any::<u8>(), 0..2_100)) {
            prop_assert!(ConnectToken::from_bytes(&bytes).is_err());
        }
    }
}

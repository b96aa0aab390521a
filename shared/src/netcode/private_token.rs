//! The private section of a connect token: made by the issuer, read by the server, opaque to the client.
//!
//! Sealed with XChaCha20-Poly1305 over version, protocol id and expiry. Guarantees that opening neither
//! allocates nor copies: the user data stays in the datagram.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::USER_DATA_BYTES;
use super::aead::{KEY_BYTES, Key, TAG_BYTES};
use super::counters::DropReason;
use super::fields::{FieldReader, FieldWriter};
use super::token_error::TokenError;
use super::wire::VERSION;

/// Length of the section's nonce.
pub(crate) const TOKEN_NONCE_BYTES: usize = 24;
/// Length of the sealed section, tag included.
pub(crate) const PRIVATE_TOKEN_BYTES: usize = 1_024;
/// A token names at most this many servers.
const ADDRESSES_MAX: usize = 32;
const TYPE_IPV4: u8 = 1;
const TYPE_IPV6: u8 = 2;

/// What a token's issuer declares to the server about a client.
pub(crate) struct PrivateToken<'a> {
    pub(crate) client_id: u64,
    pub(crate) timeout_s: i32,
    pub(crate) client_to_server: [u8; KEY_BYTES],
    pub(crate) server_to_client: [u8; KEY_BYTES],
    pub(crate) user_data: &'a [u8; USER_DATA_BYTES],
}

impl<'a> PrivateToken<'a> {
    pub(crate) fn seal(
        &self,
        addresses: &[SocketAddr],
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; TOKEN_NONCE_BYTES],
        private_key: &[u8; KEY_BYTES],
    ) -> Result<Box<[u8; PRIVATE_TOKEN_BYTES]>, TokenError> {
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(TokenError::AddressCount(addresses.len()));
        }
        let mut section = Box::new([0; PRIVATE_TOKEN_BYTES]);
        let (body, tag) = section.split_at_mut(PRIVATE_TOKEN_BYTES - TAG_BYTES);
        let mut writer = FieldWriter::new(body);
        writer.put(&self.client_id.to_le_bytes());
        writer.put(&self.timeout_s.to_le_bytes());
        write_addresses(&mut writer, addresses);
        writer.put(&self.client_to_server);
        writer.put(&self.server_to_client);
        writer.put(self.user_data);
        let aad = additional_data(protocol_id, expire_unix_s);
        tag.copy_from_slice(&Key::new(private_key).seal_extended(nonce, &aad, body));
        Ok(section)
    }

    /// Opens a section in place and passes every server address in it to `each_address`.
    pub(crate) fn open(
        section: &'a mut [u8],
        protocol_id: u64,
        expire_unix_s: u64,
        nonce: &[u8; TOKEN_NONCE_BYTES],
        private_key: &Key,
        each_address: impl FnMut(SocketAddr),
    ) -> Result<Self, DropReason> {
        let aad = additional_data(protocol_id, expire_unix_s);
        let body_bytes = private_key
            .open_extended(nonce, &aad, section)
            .ok_or(DropReason::TokenForged)?;
        Self::read(&section[..body_bytes], each_address).ok_or(DropReason::TokenMalformed)
    }

    fn read(body: &'a [u8], each_address: impl FnMut(SocketAddr)) -> Option<Self> {
        let mut reader = FieldReader::new(body);
        let client_id = reader.u64()?;
        let timeout_s = reader.u32()?.cast_signed();
        read_addresses(&mut reader, each_address).ok()?;
        Some(Self {
            client_id,
            timeout_s,
            client_to_server: *reader.array()?,
            server_to_client: *reader.array()?,
            user_data: reader.array()?,
        })
    }
}

/// Returns version, protocol id and expiry. They are authenticated with the private section, but sent unencrypted.
fn additional_data(protocol_id: u64, expire_unix_s: u64) -> [u8; 29] {
    let mut bytes = [0; 29];
    let mut writer = FieldWriter::new(&mut bytes);
    writer.put(VERSION);
    writer.put(&protocol_id.to_le_bytes());
    writer.put(&expire_unix_s.to_le_bytes());
    bytes
}

/// Writes the number of addresses, then each address.
pub(crate) fn write_addresses(writer: &mut FieldWriter<'_>, addresses: &[SocketAddr]) {
    writer.put(&(addresses.len() as u32).to_le_bytes());
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => {
                writer.put(&[TYPE_IPV4]);
                writer.put(&ip.octets());
            }
            IpAddr::V6(ip) => {
                writer.put(&[TYPE_IPV6]);
                writer.put(&ip.octets());
            }
        }
        writer.put(&address.port().to_le_bytes());
    }
}

/// Reads addresses that [`write_addresses`] wrote and passes each one to `each`.
pub(crate) fn read_addresses(
    reader: &mut FieldReader<'_>,
    mut each: impl FnMut(SocketAddr),
) -> Result<(), TokenError> {
    let count = reader.u32().ok_or(TokenError::Truncated)? as usize;
    if count == 0 || count > ADDRESSES_MAX {
        return Err(TokenError::AddressCount(count));
    }
    for _ in 0..count {
        let ip = match reader.u8().ok_or(TokenError::Truncated)? {
            TYPE_IPV4 => IpAddr::V4(Ipv4Addr::from(*reader.array::<4>().ok_or(TokenError::Truncated)?)),
            TYPE_IPV6 => IpAddr::V6(Ipv6Addr::from(
                *reader.array::<16>().ok_or(TokenError::Truncated)?,
            )),
            unknown => return Err(TokenError::AddressType(unknown)),
        };
        each(SocketAddr::new(ip, reader.u16().ok_or(TokenError::Truncated)?));
    }
    Ok(())
}

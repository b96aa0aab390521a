//! The packet format of netcode 1.02: prefix byte, sequence number, sealed body.
//!
//! Owns sizes, packet kinds, and the sealing and opening of packets in place. A packet is
//! `type | width << 4`, then the sequence number in `width` bytes (little endian), then the body and its
//! 16-byte tag; the version, the protocol id and the prefix are authenticated with it. Knows nothing of
//! sessions: the state machines decide which packets are valid when.

use core::ops::Range;

use super::aead::{Cipher, TAG_BYTES};
use super::challenge::CHALLENGE_BYTES;
use super::counters::DropReason;
use super::{PAYLOAD_BYTES_MAX, SEAL_HEAD_BYTES, SEAL_TAIL_BYTES, SealError};

/// Text at the start of every connection request and of the data that is authenticated with a packet.
pub(crate) const VERSION: &[u8; 13] = b"NETCODE 1.02\0";
/// Bytes of a connection request, exactly: prefix, version, protocol id, expiry, nonce, private section.
pub const REQUEST_BYTES: usize = 1 + 13 + 8 + 8 + 24 + 1024;
/// Bytes of the shortest packet: prefix, sequence 0 in no bytes (as `renetcode` writes it), empty body, tag.
pub(crate) const PACKET_BYTES_MIN: usize = 1 + TAG_BYTES;
/// Bytes of a keep-alive's body: the client's index and the server's capacity.
pub(crate) const KEEP_ALIVE_BYTES: usize = 8;
/// Bytes of the body of a challenge and of its response: a sequence number and the sealed challenge.
pub(crate) const CHALLENGE_BODY_BYTES: usize = 8 + CHALLENGE_BYTES;
/// Bytes of the longest sealed packet of the handshake.
pub(crate) const CONTROL_BYTES_MAX: usize = SEAL_HEAD_BYTES + CHALLENGE_BODY_BYTES + SEAL_TAIL_BYTES;

const AAD_BYTES: usize = VERSION.len() + 8 + 1;

/// The kinds of packets, with their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PacketKind {
    Request = 0,
    Denied = 1,
    Challenge = 2,
    Response = 3,
    KeepAlive = 4,
    Payload = 5,
    Disconnect = 6,
}

impl PacketKind {
    const ALL: [Self; 7] = [
        Self::Request,
        Self::Denied,
        Self::Challenge,
        Self::Response,
        Self::KeepAlive,
        Self::Payload,
        Self::Disconnect,
    ];

    /// Returns whether packets of this kind belong to a session and pass its replay window. Those of the
    /// handshake are repeated, and do not.
    pub(crate) fn in_session(self) -> bool {
        self as u8 >= Self::KeepAlive as u8
    }
}

/// The part of a packet that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PacketHeader {
    pub(crate) kind: PacketKind,
    /// The packet's number; 0 for requests, which have none.
    pub(crate) sequence: u64,
    /// Index of the sealed body's first byte.
    pub(crate) body_start: usize,
    prefix: u8,
}

impl PacketHeader {
    /// Reads the header of a datagram and checks its length against the limits of its kind.
    pub(crate) fn read(datagram: &[u8]) -> Result<Self, DropReason> {
        if datagram.len() < PACKET_BYTES_MIN {
            return Err(DropReason::TooShort);
        }
        if datagram.len() > super::PACKET_BYTES_MAX {
            return Err(DropReason::TooLong);
        }
        let prefix = datagram[0];
        let width = usize::from(prefix >> 4);
        let Some(&kind) = PacketKind::ALL.get(usize::from(prefix & 0xF)) else {
            return Err(DropReason::UnknownType);
        };
        if width > 8 || kind == PacketKind::Request && width > 0 {
            return Err(DropReason::UnknownType);
        }
        if kind == PacketKind::Request {
            if datagram.len() != REQUEST_BYTES {
                return Err(DropReason::RequestLength);
            }
            return Ok(Self {
                kind,
                sequence: 0,
                body_start: 1,
                prefix,
            });
        }
        if datagram.len() < PACKET_BYTES_MIN + width {
            return Err(DropReason::TooShort);
        }
        // Reads eight bytes and masks off those beyond the width: cheaper than a loop over a variable width.
        // Even the shortest packet has eight bytes after its prefix.
        let mut raw = [0; 8];
        raw.copy_from_slice(&datagram[1..9]);
        let sequence = if width == 0 {
            0
        } else {
            u64::from_le_bytes(raw) & (u64::MAX >> (64 - 8 * width))
        };
        Ok(Self {
            kind,
            sequence,
            body_start: 1 + width,
            prefix,
        })
    }
}

/// Seals and opens the packets of one protocol id.
#[derive(Clone)]
pub(crate) struct PacketCipher {
    aad: [u8; AAD_BYTES],
}

impl PacketCipher {
    pub(crate) fn new(protocol_id: u64) -> Self {
        let mut aad = [0; AAD_BYTES];
        aad[..VERSION.len()].copy_from_slice(VERSION);
        aad[VERSION.len()..AAD_BYTES - 1].copy_from_slice(&protocol_id.to_le_bytes());
        Self { aad }
    }

    fn aad(&self, prefix: u8) -> [u8; AAD_BYTES] {
        let mut aad = self.aad;
        aad[AAD_BYTES - 1] = prefix;
        aad
    }

    /// Opens the body in place and returns the range of its plain text. After a failure the datagram's
    /// bytes are undefined.
    pub(crate) fn open(
        &self,
        header: PacketHeader,
        key: &Cipher,
        datagram: &mut [u8],
    ) -> Result<Range<usize>, DropReason> {
        let sealed = &mut datagram[header.body_start..];
        let plain_bytes = key
            .open(header.sequence, &self.aad(header.prefix), sealed)
            .ok_or(DropReason::Unauthentic)?;
        Ok(header.body_start..header.body_start + plain_bytes)
    }

    /// Seals `body` of `buf` in place, with the header before and the tag behind it, and returns the
    /// range of the whole packet.
    pub(crate) fn seal(
        &self,
        kind: PacketKind,
        sequence: u64,
        key: &Cipher,
        buf: &mut [u8],
        body: Range<usize>,
    ) -> Result<Range<usize>, SealError> {
        if body.start > body.end
            || body.start < SEAL_HEAD_BYTES
            || buf.len().saturating_sub(body.end) < SEAL_TAIL_BYTES
        {
            return Err(SealError::NoRoom);
        }
        if body.len() > PAYLOAD_BYTES_MAX {
            return Err(SealError::TooLong(body.len()));
        }
        // At least one byte, as the standard says; `renetcode` refuses a packet of 17 bytes as too short.
        let width = (8 - sequence.leading_zeros() as usize / 8).max(1);
        let prefix = kind as u8 | (width as u8) << 4;
        let start = body.start - width - 1;
        buf[start] = prefix;
        buf[start + 1..body.start].copy_from_slice(&sequence.to_le_bytes()[..width]);
        let tag = key.seal(sequence, &self.aad(prefix), &mut buf[body.clone()]);
        buf[body.end..body.end + TAG_BYTES].copy_from_slice(&tag);
        Ok(start..body.end + TAG_BYTES)
    }

    /// Seals a small packet of the handshake or of a session without payload.
    pub(crate) fn control(
        &self,
        kind: PacketKind,
        sequence: u64,
        key: &Cipher,
        body: &[u8],
    ) -> ControlPacket {
        let mut bytes = [0; CONTROL_BYTES_MAX];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + body.len();
        bytes[range.clone()].copy_from_slice(body);
        let range = self
            .seal(kind, sequence, key, &mut bytes, range)
            .expect("the buffer has room for the longest control packet");
        ControlPacket { bytes, range }
    }
}

/// A sealed packet without payload, on the stack.
pub(crate) struct ControlPacket {
    bytes: [u8; CONTROL_BYTES_MAX],
    range: Range<usize>,
}

impl ControlPacket {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::netcode::aead::{KEY_BYTES, Key};

    const KEY: [u8; KEY_BYTES] = *b"an example very very secret key.";

    fn sealed(kind: PacketKind, sequence: u64, body: &[u8]) -> Vec<u8> {
        let mut buf = vec![0; SEAL_HEAD_BYTES + body.len() + SEAL_TAIL_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + body.len();
        buf[range.clone()].copy_from_slice(body);
        let range = PacketCipher::new(7)
            .seal(kind, sequence, &Key::new(&KEY).cipher(), &mut buf, range)
            .unwrap();
        buf[range].to_vec()
    }

    fn opened(datagram: &[u8]) -> Result<(PacketKind, u64, Vec<u8>), DropReason> {
        let mut datagram = datagram.to_vec();
        let header = PacketHeader::read(&datagram)?;
        let body = PacketCipher::new(7).open(header, &Key::new(&KEY).cipher(), &mut datagram)?;
        Ok((header.kind, header.sequence, datagram[body].to_vec()))
    }

    #[test]
    fn packets_of_every_sequence_width_open() {
        for width in 0..8 {
            for sequence in [
                1u64 << (8 * width),
                (1u64 << (8 * width)) - 1,
                u64::MAX >> (56 - 8 * width),
            ] {
                let datagram = sealed(PacketKind::Payload, sequence, b"body");
                let bytes = (64 - sequence.leading_zeros() as usize).div_ceil(8).max(1);
                assert_eq!(datagram.len(), 1 + bytes + 4 + TAG_BYTES);
                assert_eq!(
                    opened(&datagram),
                    Ok((PacketKind::Payload, sequence, b"body".to_vec()))
                );
            }
        }
    }

    #[test]
    fn a_sequence_in_zero_bytes_opens_as_renetcode_writes_it() {
        let cipher = PacketCipher::new(7);
        let mut datagram = vec![PacketKind::Denied as u8];
        datagram.extend(Key::new(&KEY).cipher().seal(0, &cipher.aad(datagram[0]), &mut []));
        assert_eq!(opened(&datagram), Ok((PacketKind::Denied, 0, vec![])));
    }

    #[test]
    fn each_invalid_size_or_prefix_has_its_own_drop_reason() {
        assert_eq!(opened(&[]), Err(DropReason::TooShort));
        assert_eq!(opened(&[0x05; PACKET_BYTES_MIN - 1]), Err(DropReason::TooShort));
        assert_eq!(opened(&[0x85; PACKET_BYTES_MIN + 7]), Err(DropReason::TooShort));
        assert_eq!(
            opened(&[0x85; PACKET_BYTES_MIN + 8]),
            Err(DropReason::Unauthentic)
        );
        assert_eq!(opened(&[0x95; 100]), Err(DropReason::UnknownType));
        assert_eq!(opened(&[0x17; 100]), Err(DropReason::UnknownType));
        assert_eq!(
            opened(&[0x15; super::super::PACKET_BYTES_MAX + 1]),
            Err(DropReason::TooLong)
        );
        assert_eq!(opened(&[0x10; REQUEST_BYTES]), Err(DropReason::UnknownType));
        assert_eq!(opened(&[0x00; REQUEST_BYTES - 1]), Err(DropReason::RequestLength));
        assert_eq!(opened(&[0x00; REQUEST_BYTES + 1]), Err(DropReason::RequestLength));
    }

    #[test]
    fn sealing_without_room_is_refused_and_changes_nothing() {
        let seal = |buf: &mut [u8], body: Range<usize>| {
            PacketCipher::new(7).seal(PacketKind::Payload, 1, &Key::new(&KEY).cipher(), buf, body)
        };
        let mut buf = [1; 2_000];
        assert_eq!(seal(&mut buf, 8..20), Err(SealError::NoRoom));
        assert_eq!(seal(&mut buf, 9..1_985), Err(SealError::NoRoom));
        assert_eq!(seal(&mut buf, 9..usize::MAX), Err(SealError::NoRoom));
        let reversed = Range { start: 30, end: 20 };
        assert_eq!(seal(&mut buf, reversed), Err(SealError::NoRoom));
        assert_eq!(
            seal(&mut buf, 9..9 + PAYLOAD_BYTES_MAX + 1),
            Err(SealError::TooLong(PAYLOAD_BYTES_MAX + 1))
        );
        assert_eq!(buf, [1; 2_000]);
        assert_eq!(
            seal(&mut buf, 9..9 + PAYLOAD_BYTES_MAX),
            Ok(7..9 + PAYLOAD_BYTES_MAX + TAG_BYTES)
        );
    }

    fn any_kind() -> impl Strategy<Value = PacketKind> {
        (1..PacketKind::ALL.len()).prop_map(|index| PacketKind::ALL[index])
    }

    proptest! {
        #[test]
        fn sealed_packets_open(
            kind in any_kind(),
            sequence in any::<u64>(),
            body in proptest::collection::vec(any::<u8>(), 0..PAYLOAD_BYTES_MAX),
        ) {
            prop_assert_eq!(opened(&sealed(kind, sequence, &body)), Ok((kind, sequence, body)));
        }

        #[test]
        fn a_packet_with_a_flipped_bit_is_refused(
            kind in any_kind(),
            sequence in any::<u64>(),
            body in proptest::collection::vec(any::<u8>(), 0..80),
            index in any::<proptest::sample::Index>(),
        ) {
            let mut datagram = sealed(kind, sequence, &body);
            let bit = index.index(datagram.len() * 8);
            datagram[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opened(&datagram).is_err());
        }

        #[test]
        fn a_truncated_packet_is_refused(
            kind in any_kind(),
            sequence in any::<u64>(),
            body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let datagram = sealed(kind, sequence, &body);
            for length in 0..datagram.len() {
                prop_assert!(opened(&datagram[..length]).is_err());
            }
        }

        #[test]
        fn random_bytes_are_refused(datagram in proptest::collection::vec(any::<u8>(), 0..1_500)) {
            // Connection requests have no sealed body of this kind.
            prop_assume!(datagram.first().is_none_or(|prefix| prefix & 0xF != 0));
            prop_assert!(opened(&datagram).is_err());
        }
    }
}

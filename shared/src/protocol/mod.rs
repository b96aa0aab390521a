//! The protocol: what is replicated, how it is packed, and the packets that carry it.
//!
//! Owns identifiers, quantization, bit packing, the one use of bincode, the registry of replicated types
//! and the packets that travel beside renet's. Guarantees that bytes from a peer result in a value or a
//! typed error, without a panic and without allocating beyond a stated bound. Knows nothing of sockets,
//! sessions or time: bytes come in, values go out.

pub mod active;
pub mod bits;
pub mod codec;
pub mod delta;
pub mod delta3d;
pub mod guest;
pub mod hello;
pub mod ids;
pub mod input;
pub mod kick_text;
pub mod pose;
pub mod pose3d;
pub mod registry;
pub mod rotation;
mod shape;
pub mod snapshot;
pub mod steps;
pub mod version;

/// Version of all packet layouts in this crate together; incremented when one of them changes.
pub const WIRE_VERSION: u32 = 5;

/// A probe, by which a client asks the server for a reply, and the reply, which is as long. A net worker replies at once,
/// without a tick, so a reply shows that datagrams pass in both directions.
pub const PROBE_PACKET: [u8; 1] = [PayloadKind::PROBE];

/// The kind of a netcode payload, given by its first byte.
///
/// The server sends kinds other than [`PayloadKind::Renet`] only to a session that has sent one of them itself.
/// So a stock renet peer, which would disconnect on them, never receives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// One of renet's packets: first byte 0 to 4.
    Renet,
    /// A snapshot, server to client.
    Snapshot,
    /// Inputs and an acknowledgement of snapshots, client to server.
    Input,
    /// A hello, client to server; a welcome, server to client.
    Hello,
    /// A goodbye: the reason why the server ends the session.
    Goodbye,
    /// A probe, client to server, and its reply, server to client: [`PROBE_PACKET`] in both directions.
    Probe,
}

impl PayloadKind {
    /// First byte of a snapshot packet.
    pub const SNAPSHOT: u8 = 0x80;
    /// First byte of an input packet.
    pub const INPUT: u8 = 0x81;
    /// First byte of a hello or welcome packet.
    pub const HELLO: u8 = 0x82;
    /// First byte of a goodbye packet.
    pub const GOODBYE: u8 = 0x83;
    /// First byte of a probe and of its reply.
    pub const PROBE: u8 = 0x84;

    /// Returns the kind of `payload`; `None` for an empty payload or an unknown first byte.
    #[inline]
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        match *payload.first()? {
            0..=4 => Some(Self::Renet),
            Self::SNAPSHOT => Some(Self::Snapshot),
            Self::INPUT => Some(Self::Input),
            Self::HELLO => Some(Self::Hello),
            Self::GOODBYE => Some(Self::Goodbye),
            Self::PROBE => Some(Self::Probe),
            _ => None,
        }
    }
}

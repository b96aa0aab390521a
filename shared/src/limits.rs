//! Every bound that both ends share, one constant each, with what happens when it is reached.
//!
//! Bounds of one end alone stand beside what they bound.

// Datagrams.

/// UDP payload bytes of the largest datagram we send, everything included.
///
/// Whoever builds a packet stops before it; the rest waits for the next packet.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;

/// UDP payload bytes of the largest datagram we read. A larger one is dropped and counted.
///
/// Larger than what we send, because a stock renet peer fills 1,200 bytes before netcode's own.
pub const DATAGRAM_RECEIVE_BYTES_MAX: usize = 1_400;

/// Bytes that netcode adds around a payload at most: prefix, 8-byte sequence, 16-byte tag.
pub const NETCODE_OVERHEAD_BYTES_MAX: usize = 25;

/// Payload bytes of one netcode packet that still fits [`DATAGRAM_BYTES_MAX`].
pub const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - NETCODE_OVERHEAD_BYTES_MAX;

// Frames and snapshots.

/// Frames kept by every reader. An older one is gone: deltas against it become absolute.
pub const HISTORY_TICKS: usize = 64;

/// Entities that one client holds unless configured otherwise. The nearest are kept.
pub const KNOWN_DEFAULT: usize = 255;

/// Entities that one client can be configured to hold. More is a configuration error.
pub const KNOWN_MAX: usize = 1_023;

/// Ticks between an update and its baseline at most. An older baseline means an absolute state.
pub const BASELINE_AGE_MAX: u32 = 31;

/// Slots in one frame chunk.
pub const CHUNK_SLOTS: usize = 256;

// Inputs.

/// Encoded bytes of one input. A longer one is an error where it is encoded, and refused on arrival.
pub const INPUT_BYTES_MAX: usize = 24;

/// Inputs in one packet: the newest and its repeats. Older ones are not sent again.
pub const INPUTS_PER_PACKET: usize = 4;

// Protocol.

/// Registered components at most: one bit each in a mask. One more panics when the app is built.
pub const COMPONENTS_MAX: usize = 64;

/// Registered message types at most. One more panics when the app is built.
pub const MESSAGES_MAX: usize = 1_024;

/// Encoded bytes of one replicated component. A longer value is not sent, and refused on arrival.
pub const COMPONENT_BYTES_MAX: usize = 512;

/// Numbers of one component that is sent by its differences. One with more is sent as bytes.
pub const COMPONENT_NUMBERS_MAX: usize = 8;

/// Bytes of an entity's components that are sent by their differences, at most. The components registered when
/// it is reached are sent as bytes.
pub const STEPS_BYTES_MAX: usize = 300;

/// Bytes of the release in a hello or goodbye. A longer one does not compile, and is refused on
/// arrival.
pub const VERSION_BYTES_MAX: usize = 32;

/// Bytes of a player's name in UTF-8. A longer one is refused when joining.
pub const PLAYER_NAME_BYTES_MAX: usize = 32;

// Reliable messages.

/// Encoded bytes of one message. A longer one is an error where it is sent.
///
/// It is below the size at which renet would cut a message into slices of 1,200 bytes, which do
/// not fit our datagram: of two such messages each takes a packet of its own.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// Slices of one message that a (stock) peer may send. More ends the session.
pub const MESSAGE_SLICES_MAX: usize = 8;

/// Bytes of received messages of one channel that wait for an earlier one. More ends the session.
pub const RELIABLE_RECEIVE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of received messages that their reader did not take. More ends the session; a reader that
/// takes them after every packet, or every few, never gets there.
pub const RELIABLE_UNTAKEN_BYTES_MAX: usize = 64 * 1024;

/// Bytes of messages of one channel that wait to be sent. More is an error where they are sent, which
/// ends the session unless the channel may lose messages.
pub const RELIABLE_SEND_BYTES_MAX: usize = 64 * 1024;

/// How far a reliable message's id may be ahead of the oldest that is missing. Further ends the session.
pub const RELIABLE_WINDOW_MESSAGES: u64 = 256;

/// Ranges of acknowledged packets in one packet, and that we remember of a peer's packets. A packet
/// with more ends the session; packets that would make us remember more are ignored.
pub const ACK_RANGES_MAX: usize = 128;

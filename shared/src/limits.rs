//! Every bound that both ends share, one constant each, with what happens when it is reached.
//!
//! A bound of one end alone is defined beside what it bounds.

// Datagrams.

/// UDP payload bytes of the largest datagram we send, everything included.
///
/// A packet is complete before it exceeds this; the rest waits for the next packet.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;

/// UDP payload bytes of the largest datagram we read. A larger one is dropped and counted.
///
/// Larger than what we send: a stock renet peer fills 1,200 bytes, and netcode then adds its header and tag.
pub const DATAGRAM_RECEIVE_BYTES_MAX: usize = 1_400;

/// Largest number of bytes that netcode adds around a payload: prefix, 8-byte sequence, 16-byte tag.
pub const NETCODE_OVERHEAD_BYTES_MAX: usize = 25;

/// Payload bytes of one netcode packet that still fits [`DATAGRAM_BYTES_MAX`].
pub const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - NETCODE_OVERHEAD_BYTES_MAX;

// Frames and snapshots.

/// Frames that every reader keeps. An update against an older frame is sent as an absolute state.
pub const HISTORY_TICKS: usize = 64;

/// Entities that one client holds unless configured otherwise. Of more, the nearest are chosen.
pub const KNOWN_DEFAULT: usize = 255;

/// Entities that one client can be configured to hold. More is a configuration error.
pub const KNOWN_MAX: usize = 1_023;

/// Largest number of ticks between an update and its baseline. Without a newer baseline an absolute state is sent.
pub const BASELINE_AGE_MAX: u32 = 31;

/// Slots of a frame that form one chunk.
pub const CHUNK_SLOTS: usize = 256;

// Inputs.

/// Encoded bytes of one input. A longer one is refused where it is encoded and where it is received.
pub const INPUT_BYTES_MAX: usize = 24;

/// Ticks that an input may be ahead of the server's next tick. One that is further ahead is refused.
pub const INPUT_TICKS_AHEAD_MAX: u32 = 32;

/// Inputs in one packet: the newest and those before it, as repeats. Older ones are not sent again.
pub const INPUTS_PER_PACKET: usize = 4;

// Protocol.

/// Largest number of registered components: each has one bit of a mask. One more panics when the app is built.
pub const COMPONENTS_MAX: usize = 64;

/// Largest number of registered message types. One more panics when the app is built.
pub const MESSAGES_MAX: usize = 1_024;

/// Encoded bytes of one replicated component. A longer value is not sent, and refused when received.
pub const COMPONENT_BYTES_MAX: usize = 512;

/// Numbers of a component that is sent as differences. A component with more is sent as bytes.
pub const COMPONENT_NUMBERS_MAX: usize = 8;

/// Largest number of bytes of an entity's components that are sent as differences. Components that would exceed it,
/// in the order of registration, are sent as bytes.
pub const STEPS_BYTES_MAX: usize = 300;

/// Bytes of the release in a hello or goodbye. A longer one does not compile, and is refused when
/// received.
pub const VERSION_BYTES_MAX: usize = 32;

/// Bytes of a player's name in UTF-8. A longer one is refused when joining.
pub const PLAYER_NAME_BYTES_MAX: usize = 32;

/// Bytes of the text with which a game ends a player's session, in UTF-8. A longer one is cut where it is given.
pub const KICK_TEXT_BYTES_MAX: usize = 160;

// Reliable messages.

/// Encoded bytes of one value that is sent as a message, beside the two bytes of its type's id. A longer one is an error
/// where it is sent. A replicated resource has one byte less.
pub const MESSAGE_VALUE_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 2;

/// Bytes of one message with the id of its type. A longer one is an error where it is sent.
///
/// Below the size at which renet would cut a message into slices of 1,200 bytes, which do not fit our
/// datagram. Of two messages of this size, each takes a packet of its own.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// Slices that one message of a (stock) peer may have. More ends the session.
pub const MESSAGE_SLICES_MAX: usize = 8;

/// Bytes of received messages of one channel that wait for an earlier one. More ends the session.
pub const RELIABLE_RECEIVE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of received messages that were not taken. At this number further packets with messages count as lost, so that
/// the peer sends them again and is held back.
pub const RELIABLE_UNTAKEN_BYTES_MAX: usize = 64 * 1024;

/// Bytes of messages that wait to be sent at an end without a bound of its own: of those of both reliable channels
/// together, and of the unreliable ones. Each message counts 32 bytes more than it has. A message without room is an error
/// where it is sent, and is not queued.
pub const RELIABLE_SEND_BYTES_MAX: usize = 64 * 1024;

/// How far a reliable message's id may be ahead of the oldest missing one. Further ends the session.
pub const RELIABLE_WINDOW_MESSAGES: u64 = 256;

/// Ranges of acknowledged packets in one packet, and ranges of a peer's packets that we record. A packet
/// with more ends the session; a packet that would make us record more is ignored.
pub const ACK_RANGES_MAX: usize = 128;

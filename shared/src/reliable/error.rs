//! Why a message is not sent, and why a session must end.

use renet::DisconnectReason;

use crate::limits::MESSAGE_BYTES_MAX;
use crate::protocol::ids::Channel;

/// Why a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message has no bytes.
    #[error("a message must not be empty")]
    Empty,
    /// The message has more bytes than [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes is too long: it may have {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// The send queue has no room for the message now. Nothing was queued, and what was accepted before still arrives.
    #[error(
        "the send queue of channel {channel:?} has no room for a message of {bytes} bytes: one of {room} fits now"
    )]
    Full {
        /// The channel of the message.
        channel: Channel,
        /// Encoded bytes of the message.
        bytes: usize,
        /// Bytes of the longest message for which there is room.
        room: usize,
    },
}

/// Why a session must be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The packet ends in the middle of a field.
    #[error("the packet ends in the middle of a field")]
    Truncated,
    /// Bytes are left after the packet.
    #[error("{0} bytes left after the packet")]
    Trailing(usize),
    /// The first byte is not a kind of renet packet.
    #[error("unknown packet kind {0}")]
    UnknownKind(u8),
    /// No channel has this id and the guarantee of this kind of packet.
    #[error("unknown channel {0} for this kind of packet")]
    UnknownChannel(u8),
    /// The message has no bytes: renet would hold any number of such messages.
    #[error("a message is empty")]
    EmptyMessage,
    /// The message's id is too far ahead of the oldest message that is missing.
    #[error("the id of a message is too far ahead")]
    MessageTooFar,
    /// A small message and a sliced message have the same id.
    #[error("a small and a sliced message have the same id")]
    MixedMessage,
    /// The message has no slices, or more than [`MESSAGE_SLICES_MAX`](crate::limits::MESSAGE_SLICES_MAX).
    #[error("a message has {0} slices")]
    SliceCount(u64),
    /// The slice's index is not below the number of its message's slices.
    #[error("a message of {count} slices has a slice with the index {index}")]
    SliceIndex {
        /// The slice's index.
        index: u64,
        /// Slices of the message.
        count: u64,
    },
    /// Slices of one message give different numbers of slices.
    #[error("slices of one message give different numbers of slices")]
    SliceCountChanged,
    /// The slice's length does not fit its index: all but the last have 1,200 bytes.
    #[error("a slice has {0} bytes, which its index does not allow")]
    SliceBytes(usize),
    /// The packet has more ranges than [`ACK_RANGES_MAX`](crate::limits::ACK_RANGES_MAX).
    #[error("the packet has {0} ranges of acknowledgements")]
    AckRanges(u64),
    /// A range of acknowledgements begins below 0.
    #[error("a range of acknowledgements begins below 0")]
    AckRange,
    /// An acknowledgement of a packet that was never sent.
    #[error("packet {0} is acknowledged but was never sent")]
    AckOfUnsent(u64),
    /// A packet to send does not fit our datagram. Only acknowledging a hostile peer's packets makes one.
    #[error("a packet to send has {0} bytes")]
    Oversized(usize),
    /// renet itself disconnected the peer.
    #[error("renet: {0}")]
    Renet(DisconnectReason),
}

//! The room that is left in a session's send queues.
//!
//! A sender that knows the room refuses a message before it is queued anywhere, so that a message that was accepted is
//! never dropped for lack of room.

use bytes::Bytes;

use super::error::SendError;
use crate::limits::RELIABLE_SEND_BYTES_MAX;
use crate::protocol::ids::Channel;

/// Bytes of memory that a queued message takes besides its own bytes.
const QUEUED_OVERHEAD_BYTES: usize = size_of::<Bytes>();

/// The bytes that still fit the send queues of a session. Each message takes its own bytes and 32 more.
///
/// Both reliable channels share one room. Unreliable messages have a room of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendRoom {
    reliable: usize,
    unreliable: usize,
}

impl SendRoom {
    /// Creates the room of empty queues that hold `reliable` bytes of reliable messages.
    #[must_use]
    pub const fn new(reliable: usize) -> Self {
        Self {
            reliable,
            unreliable: RELIABLE_SEND_BYTES_MAX,
        }
    }

    /// Takes the room of one message of `bytes` bytes. Without room it changes nothing.
    ///
    /// # Errors
    /// [`SendError::Full`].
    pub fn take(&mut self, channel: Channel, bytes: usize) -> Result<(), SendError> {
        let room = if channel.is_reliable() {
            &mut self.reliable
        } else {
            &mut self.unreliable
        };
        match room.checked_sub(bytes + QUEUED_OVERHEAD_BYTES) {
            Some(left) => *room = left,
            None => {
                let room = room.saturating_sub(QUEUED_OVERHEAD_BYTES);
                return Err(SendError::Full { channel, bytes, room });
            }
        }
        Ok(())
    }

    /// Returns the room without the bytes that wait in the queues.
    pub(super) fn without(self, reliable: usize, unreliable: usize) -> Self {
        Self {
            reliable: self.reliable.saturating_sub(reliable),
            unreliable: self.unreliable.saturating_sub(unreliable),
        }
    }
}

impl Default for SendRoom {
    /// Returns the room of the empty queues of an end without a bound of its own.
    fn default() -> Self {
        Self::new(RELIABLE_SEND_BYTES_MAX)
    }
}

/// Returns the bytes of memory that a queued message holds.
#[must_use]
pub fn held_bytes(message: &Bytes) -> usize {
    message.len() + QUEUED_OVERHEAD_BYTES
}

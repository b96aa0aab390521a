//! Messages that wait to be sent or to be acknowledged, so that every packet of renet fits our datagram.
//!
//! renet fills packets up to 1,200 bytes and more, and packs everything that is due into as few as it can.
//! So it is given one *batch* of messages at a time, which fits a packet. Because renet resends by its
//! clock, the clock is stepped so that only one batch is due at any instant. A packet is then always a
//! batch, or the part of it that is not acknowledged. The window keeps to a Throng peer's limits: renet is
//! given no message that the peer's guard would refuse.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::error::SendError;
use super::packet::{SMALL_HEAD_BYTES_MAX, varint_bytes};
use super::room::{SendRoom, held_bytes};
use crate::limits::{
    MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, RELIABLE_RECEIVE_BYTES_MAX, RELIABLE_WINDOW_MESSAGES,
};
use crate::protocol::ids::Channel;

/// Time after which messages without acknowledgement are sent again: renet's default.
pub const RESEND_AFTER: Duration = Duration::from_millis(300);

/// Bytes of the messages in a batch, with the ids and lengths that renet puts before them.
const BATCH_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - SMALL_HEAD_BYTES_MAX;

/// Messages for which an empty queue keeps its memory.
const KEPT_MESSAGES: usize = 64;

/// The send queues of one session, and its batches under way.
#[derive(Debug)]
pub(super) struct ReliableSender {
    /// The room of the empty queues.
    room_max: SendRoom,
    queues: [ChannelQueue; Channel::ALL.len()],
    /// Batches without an acknowledgement, by ascending time of sending.
    under_way: VecDeque<Batch>,
    /// For each channel, the position of the batch that renet packs into its next packet.
    starting: [Option<MessageStart>; Channel::ALL.len()],
    /// Batches of reliable messages that were acknowledged so far.
    acknowledged: u64,
}

#[derive(Debug, Default)]
struct ChannelQueue {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The position in the stream of the message that is given to renet next.
    next: MessageStart,
}

/// A position in a reliable channel's stream, in messages and in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct MessageStart {
    message: u64,
    byte: u64,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    channel: Channel,
    start: MessageStart,
    /// renet's sequence of the last packet that carried the batch.
    sequence: u64,
    sent_at: Duration,
}

impl ReliableSender {
    /// Creates a sender with empty queues that have this room.
    pub(super) fn new(room_max: SendRoom) -> Self {
        Self {
            room_max,
            queues: Default::default(),
            under_way: VecDeque::new(),
            starting: Default::default(),
            acknowledged: 0,
        }
    }

    /// Returns the room that is left in the queues.
    pub(super) fn room(&self) -> SendRoom {
        let waiting = |is_reliable: bool| {
            let channels = Channel::ALL
                .into_iter()
                .filter(|channel| channel.is_reliable() == is_reliable);
            channels
                .map(|channel| self.queues[channel as usize].waiting_bytes)
                .sum()
        };
        self.room_max.without(waiting(true), waiting(false))
    }

    /// Appends a message to its channel's queue.
    pub(super) fn push(&mut self, channel: Channel, message: Bytes) -> Result<(), SendError> {
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(SendError::TooLong(message.len()));
        }
        self.room().take(channel, message.len())?;
        let queue = &mut self.queues[channel as usize];
        queue.waiting_bytes += held_bytes(&message);
        queue.waiting.push_back(message);
        Ok(())
    }

    /// Returns whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.queues.iter().all(|queue| queue.waiting.is_empty())
    }

    /// Returns the bytes of the messages that wait to be sent for the first time, or to be acknowledged.
    pub(super) fn undelivered_bytes(&self) -> usize {
        let of_channel = |channel: Channel| {
            let queue = &self.queues[channel as usize];
            let under_way = queue.next.byte - self.oldest_under_way(channel).byte;
            queue.waiting_bytes + under_way as usize
        };
        Channel::ALL.into_iter().map(of_channel).sum()
    }

    /// Returns the number of batches of reliable messages that were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns whether any batch waits for its acknowledgement.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Returns when renet resends next.
    pub(super) fn next_resend(&self) -> Option<Duration> {
        self.under_way.front().map(|batch| batch.sent_at + RESEND_AFTER)
    }

    /// Prepares the batches that renet resends at [`Self::next_resend`]: at most one per channel.
    pub(super) fn start_resend(&mut self) {
        let sent_at = self.under_way.front().map(|batch| batch.sent_at);
        while let Some(batch) = self
            .under_way
            .pop_front_if(|batch| Some(batch.sent_at) == sent_at)
        {
            self.starting[batch.channel as usize] = Some(batch.start);
        }
    }

    /// Passes the next batch of every channel to `send`, and returns whether there was any.
    pub(super) fn start_batches(&mut self, mut send: impl FnMut(Channel, Bytes)) -> bool {
        let mut any = false;
        for channel in Channel::ALL {
            let oldest = self.oldest_under_way(channel);
            let queue = &mut self.queues[channel as usize];
            let start = queue.next;
            let mut room = BATCH_BYTES_MAX;
            while let Some(message) = queue.pop_if(channel, &mut room, oldest) {
                self.starting[channel as usize] = Some(start);
                any = true;
                send(channel, message);
            }
        }
        any
    }

    /// Records that renet made a packet of the batch that was prepared for this channel.
    pub(super) fn note_sent(&mut self, channel: Channel, sequence: u64, sent_at: Duration) {
        if let Some(start) = self.starting[channel as usize].take() {
            self.under_way.push_back(Batch {
                channel,
                start,
                sequence,
                sent_at,
            });
        }
    }

    /// Drops the prepared batches that renet made no packet of, because all their messages were acknowledged.
    pub(super) fn finish(&mut self) {
        for channel in Channel::ALL {
            let was_acknowledged = self.starting[channel as usize].take().is_some() && channel.is_reliable();
            self.acknowledged += u64::from(was_acknowledged);
        }
    }

    /// Removes the batches whose packets were acknowledged.
    pub(super) fn acknowledge(&mut self, is_acknowledged: impl Fn(u64) -> bool) {
        let before = self.under_way.len();
        self.under_way.retain(|batch| !is_acknowledged(batch.sequence));
        self.acknowledged += (before - self.under_way.len()) as u64;
    }

    fn oldest_under_way(&self, channel: Channel) -> MessageStart {
        let batches = self.under_way.iter().filter(|batch| batch.channel == channel);
        let oldest = batches.map(|batch| batch.start).min_by_key(|start| start.message);
        oldest.unwrap_or(self.queues[channel as usize].next)
    }
}

impl ChannelQueue {
    /// Removes and returns the next message if it fits the batch, and the peer's window from `oldest` on.
    fn pop_if(&mut self, channel: Channel, room: &mut usize, oldest: MessageStart) -> Option<Bytes> {
        let bytes = self.waiting.front()?.len();
        let id_bytes = if channel.is_reliable() {
            varint_bytes(self.next.message)
        } else {
            0
        };
        let left = room.checked_sub(bytes + varint_bytes(bytes as u64) + id_bytes)?;
        if channel.is_reliable() {
            let next = MessageStart {
                message: self.next.message + 1,
                byte: self.next.byte + bytes as u64,
            };
            if next.message - oldest.message > RELIABLE_WINDOW_MESSAGES
                || next.byte - oldest.byte > RELIABLE_RECEIVE_BYTES_MAX as u64
            {
                return None;
            }
            self.next = next;
        }
        *room = left;
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= held_bytes(&message);
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_MESSAGES {
            self.waiting = VecDeque::new();
        }
        Some(message)
    }
}

//! Reliable and unreliable messages: renet behind a guard, for both ends of a session.
//!
//! renet 2.0.1 trusts its peer: a slice index out of range panics, empty messages pile up without
//! bound, and its packets may be larger than our datagram. [`Reliable`] owns one renet connection
//! and everything that makes it safe. It guarantees:
//!
//! - Bytes of a peer result in messages or a [`GuardError`], without a panic. After an error its session
//!   must be ended; other sessions are not affected.
//! - A reliable message that [`Reliable::send`] accepted arrives, unless the session ends before.
//! - Memory per session is bounded by the `RELIABLE_*` limits and by the bytes that may wait to be sent. A session that
//!   neither sends nor receives a message has no renet connection at all.
//! - A packet to send has at most [`PAYLOAD_BYTES_MAX`] bytes.
//! - The wire format is renet's: a stock `RenetClient` or `RenetServer` with its default channels is a
//!   valid peer, as long as it stays within the limits: messages of at most 9,600 bytes, 16 KiB and
//!   256 messages ahead of the oldest that is missing. Its unreliable messages above 1,200 bytes are dropped.
//! - Time and bytes come in as parameters; nothing here reads a clock or a socket.

mod ack_watch;
mod error;
mod guard;
mod packet;
mod room;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use renet::{ChannelConfig, ConnectionConfig, RenetClient, SendType};

use crate::limits::{
    PAYLOAD_BYTES_MAX, RELIABLE_RECEIVE_BYTES_MAX, RELIABLE_SEND_BYTES_MAX, RELIABLE_UNTAKEN_BYTES_MAX,
};
use crate::protocol::ids::{Channel, ChannelId};
use ack_watch::AckWatch;
use guard::{Guard, Verdict};
use packet::{Packet, PacketBody, SMALL_HEAD_BYTES_MAX};
use sender::ReliableSender;

pub use error::{GuardError, SendError};
pub use room::{SendRoom, held_bytes};
pub use sender::RESEND_AFTER;

/// Shortest time between two packets of acknowledgements.
const ACK_INTERVAL: Duration = Duration::from_millis(100);

/// We send one acknowledgement packet after this many acknowledgement packets of the peer.
///
/// renet acknowledges acknowledgements, so two idle peers would exchange them forever. If only every fourth one is
/// acknowledged, the exchange ends, and the peer can still discard what it has acknowledged.
const ACKS_PER_ACK: u32 = 4;

/// One end of a session's messages.
pub struct Reliable {
    connection: Option<Box<ReliableSession>>,
    /// Bytes of reliable messages that may wait to be sent.
    send_bytes_max: u32,
}

impl Reliable {
    /// Creates an end without a renet connection, until a message is sent or received. Reliable messages of
    /// [`RELIABLE_SEND_BYTES_MAX`] bytes may wait to be sent.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_send_bytes_max(RELIABLE_SEND_BYTES_MAX as u32)
    }

    /// Creates an end like [`Self::new`], at which reliable messages of `bytes` bytes may wait to be sent.
    #[must_use]
    pub const fn with_send_bytes_max(bytes: u32) -> Self {
        Self {
            connection: None,
            send_bytes_max: bytes,
        }
    }

    /// Processes a packet of the peer. [`Self::pop`] then returns the messages that it completed.
    ///
    /// # Errors
    /// A [`GuardError`]; the session must be ended then.
    pub fn receive(&mut self, packet: &[u8]) -> Result<(), GuardError> {
        let parsed = Packet::parse(packet)?;
        self.connection().receive(&parsed, packet)
    }

    /// Returns whether [`Self::pop`] has a message to return.
    #[inline]
    #[must_use]
    pub fn has_messages(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| !connection.received.is_empty())
    }

    /// Removes and returns the next received message, in the order of its channel.
    pub fn pop(&mut self) -> Option<(Channel, Bytes)> {
        let connection = self.connection.as_mut()?;
        let (channel, message) = connection.received.pop_front()?;
        connection.received_bytes -= held_bytes(&message);
        Some((channel, message))
    }

    /// Queues a message of 1 to [`MESSAGE_BYTES_MAX`](crate::limits::MESSAGE_BYTES_MAX) bytes. A reliable message that
    /// was queued arrives, unless the session ends before. The queue shares the message's memory.
    ///
    /// # Errors
    /// A [`SendError`]; the message was not queued then.
    pub fn send(&mut self, channel: Channel, message: Bytes) -> Result<(), SendError> {
        self.connection().sender.push(channel, message)
    }

    /// Returns the room that is left in the send queues.
    #[must_use]
    pub fn room(&self) -> SendRoom {
        let empty = || SendRoom::new(self.send_bytes_max as usize);
        let connection = self.connection.as_ref();
        connection.map_or_else(empty, |connection| connection.sender.room())
    }

    /// Passes the packets that are due at `now` to `emit`, until they have `bytes_max` bytes; the last
    /// one may exceed it. `now` must not run backwards. Costs nothing when nothing is due.
    ///
    /// # Errors
    /// A [`GuardError`]; the session must be ended then.
    pub fn poll(
        &mut self,
        now: Duration,
        bytes_max: usize,
        mut emit: impl FnMut(&[u8]),
    ) -> Result<(), GuardError> {
        match &mut self.connection {
            Some(connection) => connection.poll(now, bytes_max, &mut emit),
            None => Ok(()),
        }
    }

    /// Returns whether there is nothing to send, resend or acknowledge: [`Self::poll`] would do nothing,
    /// now and until something is sent or received.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let wants_nothing =
            |connection: &ReliableSession| connection.sender.is_idle() && !connection.acks.are_wanted();
        self.connection.as_deref().is_none_or(wants_nothing)
    }

    /// Returns whether the peer has acknowledged every message, and none waits to be sent.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        let connection = self.connection.as_deref();
        connection.is_none_or(|connection| connection.sender.is_idle())
    }

    /// Returns the bytes of messages that wait to be sent for the first time, or to be acknowledged.
    #[must_use]
    pub fn undelivered_bytes(&self) -> usize {
        let connection = self.connection.as_deref();
        connection.map_or(0, |connection| connection.sender.undelivered_bytes())
    }

    /// Returns the number of packets of reliable messages that the peer has acknowledged so far.
    #[must_use]
    pub fn acknowledged_packets(&self) -> u64 {
        let connection = self.connection.as_deref();
        connection.map_or(0, |connection| connection.sender.acknowledged())
    }

    /// Returns for how long the peer has acknowledged nothing while reliable messages were under way to it. Only time in
    /// which packets of it arrived counts. Call it regularly, with the time at which its last packet arrived.
    #[inline]
    pub fn unacknowledged_for(&mut self, heard_at: impl FnOnce() -> Duration) -> Duration {
        let Some(connection) = &mut self.connection else {
            return Duration::ZERO;
        };
        let sender = &connection.sender;
        let (acknowledged, is_waiting) = (sender.acknowledged(), sender.is_under_way());
        connection.ack_watch.update(acknowledged, is_waiting, heard_at())
    }

    fn connection(&mut self) -> &mut ReliableSession {
        let room = SendRoom::new(self.send_bytes_max as usize);
        self.connection
            .get_or_insert_with(|| Box::new(ReliableSession::new(room)))
    }
}

impl Default for Reliable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Reliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reliable")
            .field("connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

/// State that a session has from its first message on.
struct ReliableSession {
    renet: RenetClient,
    guard: Guard,
    sender: ReliableSender,
    acks: Acks,
    ack_watch: AckWatch,
    received: VecDeque<(Channel, Bytes)>,
    received_bytes: usize,
    /// The present in renet's time.
    clock: Duration,
    /// How far renet's time is behind ours.
    behind: Duration,
    /// Sequence of the next packet that renet makes.
    next_sequence: u64,
}

impl ReliableSession {
    fn new(room: SendRoom) -> Self {
        let channels: Vec<_> = Channel::ALL.into_iter().map(channel_config).collect();
        Self {
            renet: RenetClient::new(ConnectionConfig {
                // The sender keeps to the budget; renet would skip messages beyond it again and again.
                available_bytes_per_tick: u64::MAX,
                server_channels_config: channels.clone(),
                client_channels_config: channels,
            }),
            guard: Guard::default(),
            sender: ReliableSender::new(room),
            acks: Acks::default(),
            ack_watch: AckWatch::default(),
            received: VecDeque::new(),
            received_bytes: 0,
            clock: Duration::ZERO,
            behind: Duration::ZERO,
            next_sequence: 0,
        }
    }

    fn receive(&mut self, parsed: &Packet<'_>, packet: &[u8]) -> Result<(), GuardError> {
        let has_messages = !matches!(parsed.body, PacketBody::Ack { .. });
        if has_messages && self.received_bytes > RELIABLE_UNTAKEN_BYTES_MAX {
            // As if it had been lost: it is not acknowledged, so the peer sends it again and is held back.
            return Ok(());
        }
        match self.guard.admit(parsed, self.next_sequence)? {
            Verdict::Ignore => return Ok(()),
            Verdict::Process => self.renet.process_packet(packet),
            Verdict::AcknowledgeOnly(channel) => {
                let mut emptied = [0; SMALL_HEAD_BYTES_MAX];
                let length = parsed.emptied(channel, &mut emptied);
                self.renet.process_packet(&emptied[..length]);
            }
        }
        if let PacketBody::Ack { ranges } = &parsed.body {
            self.acks.peer_acks += 1;
            for range in ranges.clone() {
                self.sender.acknowledge(|sequence| range.contains(&sequence));
            }
        } else {
            self.acks.peer_messages = true;
        }
        self.take_messages();
        self.check_renet()
    }

    /// Moves messages out of renet at once, so that renet holds only messages that are not complete or
    /// that wait for an earlier one.
    fn take_messages(&mut self) {
        for channel in Channel::ALL {
            while let Some(message) = self.renet.receive_message(channel.id().0) {
                self.received_bytes += held_bytes(&message);
                self.received.push_back((channel, message));
            }
        }
    }

    fn poll(
        &mut self,
        now: Duration,
        bytes_max: usize,
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), GuardError> {
        let acks_are_due = self.acks.are_due(now);
        // After a pause, renet's time continues where it stopped: otherwise every resend of the pause
        // would be sent now.
        self.behind = self.behind.max(now.saturating_sub(self.clock + RESEND_AFTER));
        let renet_now = now.saturating_sub(self.behind);
        let mut output = Output {
            left: bytes_max,
            acks_are_due,
            emit,
        };
        while let Some(due) = self.sender.next_resend().filter(|&due| due <= renet_now) {
            if output.left == 0 {
                break;
            }
            self.sender.start_resend();
            self.flush(due, &mut output)?;
        }
        while output.left > 0 {
            // Every batch has its own instant, before that of the next resend.
            let instant = renet_now.max(self.clock + Duration::from_nanos(1));
            if self.sender.next_resend().is_some_and(|due| due <= instant) {
                break;
            }
            let renet = &mut self.renet;
            let any = self
                .sender
                .start_batches(|channel, message| renet.send_message(channel.id().0, message));
            if !any && !output.acks_are_due {
                break;
            }
            self.flush(instant, &mut output)?;
        }
        if acks_are_due && !output.acks_are_due {
            self.acks = Acks {
                sent_at: Some(now),
                ..Acks::default()
            };
        }
        Ok(())
    }

    /// Lets renet make packets at `instant` of its time.
    fn flush(&mut self, instant: Duration, output: &mut Output<'_>) -> Result<(), GuardError> {
        self.renet.update(instant.saturating_sub(self.clock));
        self.clock = instant;
        for packet in self.renet.get_packets_to_send() {
            if packet.len() > PAYLOAD_BYTES_MAX {
                return Err(GuardError::Oversized(packet.len()));
            }
            let Packet { sequence, body, .. } = Packet::parse(&packet)?;
            self.next_sequence = sequence + 1;
            match body {
                PacketBody::SmallReliable { channel, .. } => {
                    if let Some(channel) = Channel::from_id(ChannelId(channel)) {
                        self.sender.note_sent(channel, sequence, instant);
                    }
                }
                PacketBody::Ack { ranges } => {
                    self.guard.note_ack_ranges(ranges.count());
                    // renet adds acknowledgements to everything that it sends; one per interval is enough.
                    if !output.acks_are_due {
                        continue;
                    }
                }
                PacketBody::SmallUnreliable { .. }
                | PacketBody::ReliableSlice { .. }
                | PacketBody::UnreliableSlice { .. } => {}
            }
            output.left = output.left.saturating_sub(packet.len());
            (output.emit)(&packet);
        }
        self.sender.finish();
        output.acks_are_due = false;
        self.check_renet()
    }

    fn check_renet(&self) -> Result<(), GuardError> {
        self.renet
            .disconnect_reason()
            .map_or(Ok(()), |reason| Err(GuardError::Renet(reason)))
    }
}

/// The budget and the receiver of one poll's packets.
struct Output<'a> {
    left: usize,
    acks_are_due: bool,
    emit: &'a mut dyn FnMut(&[u8]),
}

/// Whether the peer waits for acknowledgements.
#[derive(Debug, Default)]
struct Acks {
    /// The peer has sent messages since our last acknowledgement.
    peer_messages: bool,
    /// Acknowledgement packets that the peer has sent since our last one.
    peer_acks: u32,
    sent_at: Option<Duration>,
}

impl Acks {
    fn are_wanted(&self) -> bool {
        self.peer_messages || self.peer_acks >= ACKS_PER_ACK
    }

    fn are_due(&self, now: Duration) -> bool {
        self.are_wanted() && self.sent_at.is_none_or(|sent_at| now >= sent_at + ACK_INTERVAL)
    }
}

fn channel_config(channel: Channel) -> ChannelConfig {
    let resend_time = RESEND_AFTER;
    let (send_type, max_memory_usage_bytes) = match channel {
        // renet has one limit for sending and receiving; the sender's own limit is reached first.
        Channel::Unreliable => (SendType::Unreliable, RELIABLE_SEND_BYTES_MAX),
        Channel::ReliableUnordered => (
            SendType::ReliableUnordered { resend_time },
            RELIABLE_RECEIVE_BYTES_MAX,
        ),
        Channel::ReliableOrdered => (
            SendType::ReliableOrdered { resend_time },
            RELIABLE_RECEIVE_BYTES_MAX,
        ),
    };
    ChannelConfig {
        channel_id: channel.id().0,
        max_memory_usage_bytes,
        send_type,
    }
}

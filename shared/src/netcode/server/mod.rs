//! The server half: many sessions behind one socket.
//!
//! Owns its sessions and the pending handshakes, and shares the tokens in use with the other servers of its key. A
//! datagram from a session's address costs one look-up and one opening. Connection requests are opened at a bounded
//! rate, and leave state only if their token is valid. Does not decide which player may join: the issuer of tokens does.

mod handshake;
mod pending;
mod sessions;
mod tokens;

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

use self::pending::PendingTable;
pub use self::sessions::SessionId;
use self::sessions::{PacketDirection, SessionTable};
pub use self::tokens::UsedTokens;
use super::aead::{Cipher, KEY_BYTES, Key};
use super::counters::{DropReason, NetcodeCounters};
use super::rate::RateLimit;
use super::wire::{ControlPacket, KEEP_ALIVE_BYTES, PacketCipher, PacketHeader, PacketKind};
use super::{DISCONNECT_PACKETS, Entropy, PROTOCOL_ID, SealError, USER_DATA_BYTES};

/// Unexpired tokens that the table of a single server records; a further one removes the one that expires first.
pub const TOKENS_MAX: u32 = 65_536;

/// Configuration and limits of a [`ServerNetcode`].
#[derive(Clone)]
pub struct ServerNetcodeConfig {
    /// Tokens for another protocol id are refused.
    pub protocol_id: u64,
    /// The secret shared with the issuer of tokens. Random for each process: a token of an earlier process
    /// must not open a session whose nonces were used before.
    pub private_key: [u8; KEY_BYTES],
    /// The server's addresses as tokens name them; a token that names none of them is refused.
    pub addresses: Vec<SocketAddr>,
    /// Sessions at one time; further clients are denied.
    pub sessions_max: u32,
    /// Pending handshakes at one time; a further one takes the place of one of the oldest.
    pub pending_max: u32,
    /// The table of used tokens, which all servers with this private key must share. `None` creates one for this server
    /// alone, for [`TOKENS_MAX`] tokens.
    pub used_tokens: Option<Arc<UsedTokens>>,
    /// Connection requests opened a second (about 1 us each), a tenth of them at once; further ones are dropped.
    pub requests_per_s_max: u32,
    /// Time without a sent packet after which a session is sent a keep-alive; or a third of its token's
    /// time-out, where that is shorter.
    pub keep_alive: Duration,
    /// Time without a request after which a pending handshake ends.
    pub pending_timeout: Duration,
}

impl ServerNetcodeConfig {
    /// Returns a configuration with Throng's protocol id and defaults for one net worker.
    pub fn new(private_key: [u8; KEY_BYTES], addresses: Vec<SocketAddr>) -> Self {
        Self {
            protocol_id: PROTOCOL_ID,
            private_key,
            addresses,
            sessions_max: 16_384,
            pending_max: 4_096,
            used_tokens: None,
            requests_per_s_max: 100_000,
            keep_alive: Duration::from_secs(5),
            pending_timeout: Duration::from_secs(10),
        }
    }
}

/// The reply to one datagram, on the caller's stack. Send it to the datagram's sender.
#[derive(Default)]
pub struct Reply(Option<ControlPacket>);

impl Reply {
    /// Returns an empty reply, to pass to [`ServerNetcode::receive`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes to send; empty if there is nothing to send.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], ControlPacket::as_slice)
    }

    /// Returns whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// The meaning of a received datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerReceived<'a> {
    /// A payload from a session's client, decrypted in place.
    Payload {
        /// The session that it belongs to.
        session: SessionId,
        /// The packet's number. Each is received at most once, in any order.
        sequence: u64,
        /// The decrypted bytes, at least one.
        payload: &'a [u8],
    },
    /// A client finished its handshake.
    Connected {
        /// The new session. Payloads can be sealed for it at once.
        session: SessionId,
        /// The client id from the token.
        client_id: u64,
        /// The user data from the token.
        user_data: &'a [u8; USER_DATA_BYTES],
        /// An older session of this client, whose datagrams are no longer accepted. Payloads can be sealed
        /// for it until the caller ends it by [`ServerNetcode::disconnect`]. If the caller does not,
        /// [`ServerNetcode::update`] ends it after one keep-alive interval.
        replaced: Option<SessionId>,
    },
    /// The client ended its session.
    Disconnected {
        /// The session that has ended.
        session: SessionId,
    },
    /// A step of a handshake. There may be a reply.
    Handshake,
    /// A keep-alive: a session's client has no payload to send.
    KeepAlive,
    /// The datagram was dropped and counted. There is a reply if the client was denied.
    Dropped(DropReason),
}

/// The server half of netcode. One for each socket; only the table of used tokens can be shared, and only handshakes
/// use it.
pub struct ServerNetcode {
    config: ServerNetcodeConfig,
    cipher: PacketCipher,
    private_key: Key,
    challenge_key: Cipher,
    sessions: SessionTable,
    pending: PendingTable,
    tokens: Arc<UsedTokens>,
    requests: RateLimit,
    counters: NetcodeCounters,
}

impl ServerNetcode {
    /// Creates a server without sessions. `entropy` gives the keys of challenges and of hash tables.
    pub fn new(config: ServerNetcodeConfig, entropy: &mut Entropy) -> Self {
        Self {
            cipher: PacketCipher::new(config.protocol_id),
            private_key: Key::new(&config.private_key),
            challenge_key: Key::new(&entropy.bytes()).cipher(),
            sessions: SessionTable::new(entropy),
            pending: PendingTable::new(entropy),
            tokens: config
                .used_tokens
                .clone()
                .unwrap_or_else(|| Arc::new(UsedTokens::new(TOKENS_MAX, entropy))),
            requests: RateLimit::new(config.requests_per_s_max),
            counters: NetcodeCounters::default(),
            config,
        }
    }

    /// Processes one datagram that arrived from `from`. `now` counts from any fixed origin. `unix_s` counts from
    /// 1970 and is compared with the expiry of tokens. `reply` is overwritten: it holds at most one packet, for
    /// `from`, which is never larger than `datagram`. Only handshakes with a valid token allocate.
    pub fn receive<'a>(
        &mut self,
        now: Duration,
        unix_s: u64,
        from: SocketAddr,
        datagram: &'a mut [u8],
        reply: &mut Reply,
    ) -> ServerReceived<'a> {
        reply.0 = None;
        let received = PacketHeader::read(datagram).and_then(|header| match header.kind {
            PacketKind::Payload | PacketKind::KeepAlive | PacketKind::Disconnect => {
                self.session_packet(now, from, header, datagram)
            }
            PacketKind::Request => self.request(now, unix_s, from, datagram, reply),
            PacketKind::Response => self.response(now, from, header, datagram, reply),
            PacketKind::Denied | PacketKind::Challenge => Err(DropReason::Unexpected),
        });
        received.unwrap_or_else(|reason| {
            self.counters.count_drop(reason);
            ServerReceived::Dropped(reason)
        })
    }

    fn session_packet<'a>(
        &mut self,
        now: Duration,
        from: SocketAddr,
        header: PacketHeader,
        datagram: &'a mut [u8],
    ) -> Result<ServerReceived<'a>, DropReason> {
        let (id, session) = self.sessions.at_address(from).ok_or(DropReason::UnknownAddress)?;
        if session.replay.refuses(header.sequence) {
            return Err(DropReason::Replayed);
        }
        let body = self.cipher.open(header, &session.receive_key, datagram)?;
        session.replay.accept(header.sequence);
        session.received_at = session.received_at.max(now);
        session.confirmed = true;
        match (header.kind, body.len()) {
            (PacketKind::Payload, 1..) => Ok(ServerReceived::Payload {
                session: id,
                sequence: header.sequence,
                payload: &datagram[body],
            }),
            (PacketKind::KeepAlive, KEEP_ALIVE_BYTES) => Ok(ServerReceived::KeepAlive),
            (PacketKind::Disconnect, 0) => {
                self.sessions.remove(id);
                self.counters.disconnected += 1;
                Ok(ServerReceived::Disconnected { session: id })
            }
            _ => Err(DropReason::Malformed),
        }
    }

    /// Seals `payload` of `buf` in place for `session` and returns the range of the datagram, which ends
    /// [`SEAL_TAIL_BYTES`](super::SEAL_TAIL_BYTES) behind the payload and begins at most
    /// [`SEAL_HEAD_BYTES`](super::SEAL_HEAD_BYTES) before it. Send it to [`Self::address`].
    ///
    /// # Errors
    /// [`SealError`] if the session has ended or the payload does not fit; `buf` is unchanged then.
    pub fn seal(
        &mut self,
        session: SessionId,
        now: Duration,
        buf: &mut [u8],
        payload: Range<usize>,
    ) -> Result<Range<usize>, SealError> {
        let session = self.sessions.get_mut(session).ok_or(SealError::NotConnected)?;
        let key = &session.send_key;
        let range = self
            .cipher
            .seal(PacketKind::Payload, session.next_sequence, key, buf, payload)?;
        session.next_sequence += 1;
        session.sent_at = now;
        Ok(range)
    }

    /// Returns the address of a session's client; `None` if the session has ended.
    pub fn address(&self, session: SessionId) -> Option<SocketAddr> {
        self.sessions.get(session).map(|session| session.address)
    }

    /// Returns the time at which the last packet of a session arrived; `None` if the session has ended.
    pub fn received_at(&self, session: SessionId) -> Option<Duration> {
        self.sessions.get(session).map(|session| session.received_at)
    }

    /// Returns the index of the session whose datagrams come from `address`.
    #[inline]
    pub fn index_of(&self, address: SocketAddr) -> Option<u32> {
        self.sessions.index_of(address)
    }

    /// Prefetches the memory that is read to seal a payload for the session with this index.
    #[inline]
    pub fn prefetch_seal(&self, index: u32) {
        self.sessions.prefetch(index, PacketDirection::Send);
    }

    /// Prefetches the memory that is read to receive a datagram of the session with this index.
    #[inline]
    pub fn prefetch_receive(&self, index: u32) {
        self.sessions.prefetch(index, PacketDirection::Receive);
    }

    /// Ends a session: passes ten redundant disconnect packets to `out` and frees its index. Does nothing
    /// if it has ended already.
    pub fn disconnect(&mut self, session: SessionId, out: &mut impl FnMut(SocketAddr, &[u8])) {
        let Some(mut ended) = self.sessions.remove(session) else {
            return;
        };
        for _ in 0..DISCONNECT_PACKETS {
            let packet = ended.control(&self.cipher, PacketKind::Disconnect, &[]);
            out(ended.address, packet.as_slice());
        }
    }

    /// Passes the keep-alives that are due to `out`. Ends silent sessions and passes them to `events`. Visits
    /// only sessions that may be due; call it every few milliseconds.
    pub fn update(
        &mut self,
        now: Duration,
        out: &mut impl FnMut(SocketAddr, &[u8]),
        events: &mut impl FnMut(SessionId),
    ) {
        while let Some((id, session)) = self.sessions.pop_due(now) {
            if session.ends_at().is_some_and(|end| now >= end) {
                if !session.replaced {
                    self.counters.timed_out += 1;
                    let packet = session.control(&self.cipher, PacketKind::Disconnect, &[]);
                    out(session.address, packet.as_slice());
                }
                self.sessions.remove(id);
                events(id);
                continue;
            }
            if now >= session.keep_alive_at() {
                let body = keep_alive_body(id, self.config.sessions_max);
                let packet = session.control(&self.cipher, PacketKind::KeepAlive, &body);
                session.sent_at = now;
                self.counters.keep_alives += 1;
                out(session.address, packet.as_slice());
            }
            self.sessions.watch(id, now);
        }
        self.pending.expire(now);
    }

    /// Returns every session that has not ended, in the order of their indices.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.ids()
    }

    /// Returns the number of connected sessions, replaced ones not counted.
    pub fn connected(&self) -> usize {
        self.sessions.connected()
    }

    /// Returns everything that could grow: sessions, handshakes, tokens, and the room reserved for them.
    #[cfg(test)]
    pub(crate) fn footprint(&self) -> [usize; 6] {
        let ([sessions, session_room], [pending, pending_room], [tokens, token_room]) = (
            self.sessions.footprint(),
            self.pending.footprint(),
            self.tokens.footprint(),
        );
        [sessions, session_room, pending, pending_room, tokens, token_room]
    }

    /// Returns the counts of drops and other events.
    pub fn counters(&self) -> &NetcodeCounters {
        &self.counters
    }
}

/// Returns the body of a keep-alive: the client's index and the server's capacity.
fn keep_alive_body(session: SessionId, sessions_max: u32) -> [u8; KEEP_ALIVE_BYTES] {
    let mut body = [0; KEEP_ALIVE_BYTES];
    body[..4].copy_from_slice(&session.index.to_le_bytes());
    body[4..].copy_from_slice(&sessions_max.to_le_bytes());
    body
}

//! From a connection request to a session: request, challenge, response.
//!
//! The checks are ordered by cost: first length and unencrypted fields, then tokens known to be refused,
//! then the rate limit, and only then cryptography. State is created last, for a valid token.

use core::net::SocketAddr;
use core::time::Duration;

use super::pending::PendingHandshake;
use super::sessions::NetcodeSession;
use super::{Reply, ServerNetcode, ServerReceived, SessionId, keep_alive_body};
use crate::netcode::aead::{Cipher, Key, TAG_BYTES};
use crate::netcode::challenge::{CHALLENGE_BYTES, Challenge, TokenTag};
use crate::netcode::counters::DropReason;
use crate::netcode::fields::FieldReader;
use crate::netcode::private_token::{PRIVATE_TOKEN_BYTES, PrivateToken, TOKEN_NONCE_BYTES};
use crate::netcode::replay::ReplayWindow;
use crate::netcode::wire::{CHALLENGE_BODY_BYTES, PacketHeader, PacketKind, REQUEST_BYTES, VERSION};

impl ServerNetcode {
    /// Handles a connection request of [`REQUEST_BYTES`]: replies with a challenge if its token is valid.
    pub(super) fn request<'a>(
        &mut self,
        now: Duration,
        unix_s: u64,
        from: SocketAddr,
        datagram: &'a mut [u8],
        reply: &mut Reply,
    ) -> Result<ServerReceived<'a>, DropReason> {
        let (clear, section) = datagram.split_at_mut(REQUEST_BYTES - PRIVATE_TOKEN_BYTES);
        let fields = RequestFields::read(&clear[1..]).ok_or(DropReason::RequestLength)?;
        let token = self.admit(now, unix_s, from, &fields, section)?;
        let addresses = &self.config.addresses;
        let mut names_this_server = false;
        let private = PrivateToken::open(
            section,
            self.config.protocol_id,
            fields.expire_unix_s,
            fields.nonce,
            &self.private_key,
            |address| names_this_server |= addresses.contains(&address),
        )?;
        if !names_this_server {
            return Err(DropReason::WrongServer);
        }
        let number = session_number(private.user_data);
        let takes_over = self.check_conflicts(private.client_id, number, from)?.is_some();
        let send_key = Key::new(&private.server_to_client).cipher();
        if !takes_over && self.is_full() {
            self.deny(&send_key, reply);
            return Err(DropReason::ServerFull);
        }
        match self.pending.at_address(from) {
            Some(present) if present.client_id == private.client_id && present.number > number => {
                return Err(DropReason::RequestOutdated);
            }
            present => {
                let is_new = present.is_none();
                self.tokens.record(token, from, fields.expire_unix_s, unix_s)?;
                if is_new && self.pending.len() >= self.config.pending_max as usize {
                    self.pending.evict_oldest();
                    self.counters.handshakes_evicted += 1;
                }
            }
        }
        let challenge = Challenge {
            client_id: private.client_id,
            user_data: private.user_data,
            token,
        };
        self.challenge(&challenge, &send_key, reply);
        let pending = PendingHandshake {
            address: from,
            client_id: private.client_id,
            number,
            token,
            timeout_s: private.timeout_s,
            send_key,
            receive_key: Key::new(&private.client_to_server).cipher(),
            ends_at: now.saturating_add(self.config.pending_timeout),
        };
        self.pending.insert(pending, now);
        Ok(ServerReceived::Handshake)
    }

    /// Makes all checks of a request that need not open its token. Returns the token's tag.
    fn admit(
        &mut self,
        now: Duration,
        unix_s: u64,
        from: SocketAddr,
        fields: &RequestFields<'_>,
        section: &[u8],
    ) -> Result<TokenTag, DropReason> {
        if fields.version != VERSION {
            return Err(DropReason::Version);
        }
        if fields.protocol_id != self.config.protocol_id {
            return Err(DropReason::ProtocolId);
        }
        if fields.expire_unix_s <= unix_s {
            return Err(DropReason::TokenExpired);
        }
        let mut token = [0; TAG_BYTES];
        token.copy_from_slice(&section[PRIVATE_TOKEN_BYTES - TAG_BYTES..]);
        self.tokens.check(&token, from, fields.expire_unix_s)?;
        if self.requests.take(now) {
            Ok(token)
        } else {
            Err(DropReason::RateLimited)
        }
    }

    /// Returns the session that a client at `from` would take over, or the reason why it may open none.
    fn check_conflicts(
        &mut self,
        client_id: u64,
        number: u64,
        from: SocketAddr,
    ) -> Result<Option<SessionId>, DropReason> {
        let old = match self.sessions.of_client(client_id) {
            Some((_, session)) if session.number >= number => return Err(DropReason::ClientConnected),
            Some((id, _)) => Some(id),
            None => None,
        };
        match self.sessions.at_address(from) {
            Some((id, _)) if old != Some(id) => Err(DropReason::AddressConnected),
            _ => Ok(old),
        }
    }

    fn is_full(&self) -> bool {
        self.sessions.connected() >= self.config.sessions_max as usize
    }

    fn deny(&mut self, key: &Cipher, reply: &mut Reply) {
        let sequence = self.tokens.next_handshake_number();
        reply.0 = Some(self.cipher.control(PacketKind::Denied, sequence, key, &[]));
        self.counters.denials += 1;
    }

    fn challenge(&mut self, challenge: &Challenge<'_>, key: &Cipher, reply: &mut Reply) {
        let sequence = self.tokens.next_handshake_number();
        let mut body = [0; CHALLENGE_BODY_BYTES];
        body[..8].copy_from_slice(&sequence.to_le_bytes());
        body[8..].copy_from_slice(&challenge.seal(sequence, &self.challenge_key));
        reply.0 = Some(self.cipher.control(PacketKind::Challenge, sequence, key, &body));
        self.counters.challenges += 1;
    }

    /// Handles a response to a challenge: opens the session. A client repeats it until it is confirmed.
    pub(super) fn response<'a>(
        &mut self,
        now: Duration,
        from: SocketAddr,
        header: PacketHeader,
        datagram: &'a mut [u8],
        reply: &mut Reply,
    ) -> Result<ServerReceived<'a>, DropReason> {
        // Every response has this length. A shorter one must not cause a keep-alive longer than itself.
        if datagram.len() != header.body_start + CHALLENGE_BODY_BYTES + TAG_BYTES {
            return Err(DropReason::Malformed);
        }
        let Some(pending) = self.pending.at_address(from) else {
            return self.repeated_response(now, from, header, datagram, reply);
        };
        let body = self.cipher.open(header, &pending.receive_key, datagram)?;
        let (sequence, sealed) = read_response(&mut datagram[body]).ok_or(DropReason::Malformed)?;
        let challenge = Challenge::open(sequence, &self.challenge_key, sealed)
            .filter(|challenge| challenge.token == pending.token)
            .ok_or(DropReason::ChallengeForged)?;
        let pending = self.pending.remove(from).ok_or(DropReason::UnknownAddress)?;
        let replaced = self.check_conflicts(pending.client_id, pending.number, from)?;
        if replaced.is_none() && self.is_full() {
            self.deny(&pending.send_key, reply);
            return Err(DropReason::ServerFull);
        }
        self.tokens.spend(&pending.token)?;
        if let Some(old) = replaced {
            self.sessions.replace(old, now);
            self.counters.replaced += 1;
        }
        let client_id = pending.client_id;
        let session = self.open_session(pending, now);
        self.confirm(session, now, reply);
        self.counters.connected += 1;
        Ok(ServerReceived::Connected {
            session,
            client_id,
            user_data: challenge.user_data,
            replaced,
        })
    }

    fn open_session(&mut self, pending: PendingHandshake, now: Duration) -> SessionId {
        let timeout_s = u64::try_from(pending.timeout_s)
            .ok()
            .filter(|&seconds| seconds > 0);
        let timeout = timeout_s.map(Duration::from_secs);
        let session = NetcodeSession {
            address: pending.address,
            client_id: pending.client_id,
            number: pending.number,
            send_key: pending.send_key,
            receive_key: pending.receive_key,
            next_sequence: 0,
            replay: ReplayWindow::default(),
            received_at: now,
            sent_at: now,
            timeout,
            keep_alive: timeout.map_or(self.config.keep_alive, |timeout| {
                self.config.keep_alive.min(timeout / 3)
            }),
            confirmed: false,
            replaced: false,
        };
        self.sessions.insert(session, now)
    }

    /// Replies with the first keep-alive, which confirms to a client that it is connected.
    fn confirm(&mut self, id: SessionId, now: Duration, reply: &mut Reply) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let body = keep_alive_body(id, self.config.sessions_max);
        reply.0 = Some(session.control(&self.cipher, PacketKind::KeepAlive, &body));
        session.sent_at = now;
        self.counters.keep_alives += 1;
    }

    /// Handles a response of a client that is connected but may not know it, since the reply can be lost.
    fn repeated_response<'a>(
        &mut self,
        now: Duration,
        from: SocketAddr,
        header: PacketHeader,
        datagram: &'a mut [u8],
        reply: &mut Reply,
    ) -> Result<ServerReceived<'a>, DropReason> {
        let (id, session) = self.sessions.at_address(from).ok_or(DropReason::UnknownAddress)?;
        if session.confirmed {
            return Err(DropReason::Unexpected);
        }
        // The response does not count as received: no replay window covers responses, so it may be a copy.
        self.cipher.open(header, &session.receive_key, datagram)?;
        self.confirm(id, now, reply);
        Ok(ServerReceived::Handshake)
    }
}

/// The unencrypted fields of a connection request.
struct RequestFields<'a> {
    version: &'a [u8; VERSION.len()],
    protocol_id: u64,
    expire_unix_s: u64,
    nonce: &'a [u8; TOKEN_NONCE_BYTES],
}

impl<'a> RequestFields<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = FieldReader::new(bytes);
        Some(Self {
            version: reader.array()?,
            protocol_id: reader.u64()?,
            expire_unix_s: reader.u64()?,
            nonce: reader.array()?,
        })
    }
}

/// Returns the number and the sealed challenge of a response.
fn read_response(body: &mut [u8]) -> Option<(u64, &mut [u8])> {
    let (sequence, sealed) = body.split_first_chunk_mut::<8>()?;
    (sealed.len() == CHALLENGE_BYTES).then_some((u64::from_le_bytes(*sequence), sealed))
}

/// Returns the session number of a token: the first eight bytes of its user data.
fn session_number(user_data: &[u8]) -> u64 {
    user_data
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

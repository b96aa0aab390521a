//! The client half: one session, from a connect token.
//!
//! Owns the session, and the handshake with one of the token's servers after the other. Small: about 250
//! bytes once it is connected, since thousands of bots share a process. Does not reconnect: a token opens
//! one session, and a new token comes over HTTPS.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;

use super::aead::Key;
use super::counters::DropReason;
use super::replay::ReplayWindow;
use super::token::ConnectToken;
use super::wire::{
    CHALLENGE_BODY_BYTES, KEEP_ALIVE_BYTES, PacketCipher, PacketHeader, PacketKind, REQUEST_BYTES,
};
use super::{DISCONNECT_PACKETS, SealError};

/// Interval at which a request or a response is repeated.
const REPEAT: Duration = Duration::from_millis(250);
/// Time without a sent packet after which a keep-alive is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Why a client is no longer connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The token expired before a server replied.
    TokenExpired,
    /// No server replied to the request.
    RequestTimedOut,
    /// A server replied to the request, but not to the response.
    ResponseTimedOut,
    /// The server denied the session, since it is full.
    Denied,
    /// Nothing was received from the server for the token's time-out.
    TimedOut,
    /// The server ended the session.
    ByServer,
    /// The client ended the session by [`ClientNetcode::disconnect`].
    ByClient,
}

impl core::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TokenExpired => "the connect token expired before a server replied",
            Self::RequestTimedOut => "no server replied to the connection request",
            Self::ResponseTimedOut => "the server did not finish the handshake",
            Self::Denied => "the server is full",
            Self::TimedOut => "nothing was received from the server",
            Self::ByServer => "the server ended the session",
            Self::ByClient => "the client ended the session",
        })
    }
}

/// The state of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// The client repeats its connection request.
    Requesting,
    /// The client repeats its response to the server's challenge.
    Responding,
    /// Payloads can be sent and received.
    Connected,
    /// The session has ended, and no other will follow.
    Disconnected(DisconnectReason),
}

/// The meaning of a received datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientReceived<'a> {
    /// A payload from the server, decrypted in place.
    Payload {
        /// The packet's number. Each is received at most once, in any order.
        sequence: u64,
        /// The decrypted bytes, at least one.
        payload: &'a [u8],
    },
    /// The handshake is complete: the client is connected.
    Connected,
    /// A step of the handshake: call [`ClientNetcode::update`] to respond at once.
    Handshake,
    /// A keep-alive: the server has no payload to send.
    KeepAlive,
    /// The server ended or denied the session.
    Disconnected(DisconnectReason),
    /// The datagram was dropped for this reason.
    Dropped(DropReason),
}

/// An event that is caused by the passing of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetcodeEvent {
    /// The client gave up for this reason.
    Disconnected(DisconnectReason),
}

/// State that is needed only until the client is connected.
struct Handshake {
    request: [u8; REQUEST_BYTES],
    response: [u8; CHALLENGE_BODY_BYTES],
    /// The servers that were not tried yet, the next one last.
    remaining: Vec<SocketAddr>,
    expires_at: Duration,
}

/// The client half of netcode: one session.
pub struct ClientNetcode {
    state: ClientState,
    server: SocketAddr,
    client_id: u64,
    cipher: PacketCipher,
    send_key: Key,
    receive_key: Key,
    next_sequence: u64,
    replay: ReplayWindow,
    /// Time without a packet after which the session ends; `None` never ends it.
    timeout: Option<Duration>,
    received_at: Duration,
    /// `None` before the first packet of this state.
    sent_at: Option<Duration>,
    handshake: Option<Box<Handshake>>,
}

impl ClientNetcode {
    /// Begins to connect to the first server of `token`. `now` counts from any fixed origin. The first
    /// packet is sent by [`Self::update`].
    pub fn new(now: Duration, token: &ConnectToken) -> Self {
        let lifetime = Duration::from_secs(token.expire_unix_s.saturating_sub(token.create_unix_s));
        let mut remaining = token.addresses.clone();
        remaining.reverse();
        let server = remaining.pop().expect("a token names at least one server");
        let timeout = u64::try_from(token.timeout_s).ok().filter(|&seconds| seconds > 0);
        Self {
            state: ClientState::Requesting,
            server,
            client_id: token.client_id,
            cipher: PacketCipher::new(token.protocol_id),
            send_key: Key::new(&token.client_to_server),
            receive_key: Key::new(&token.server_to_client),
            next_sequence: 0,
            replay: ReplayWindow::default(),
            timeout: timeout.map(Duration::from_secs),
            received_at: now,
            sent_at: None,
            handshake: Some(Box::new(Handshake {
                request: token.request(),
                response: [0; CHALLENGE_BODY_BYTES],
                remaining,
                expires_at: now.saturating_add(lifetime),
            })),
        }
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// Returns whether payloads can be sent and received.
    pub fn is_connected(&self) -> bool {
        self.state == ClientState::Connected
    }

    /// Returns the server that is being tried or used: the destination of all datagrams.
    pub fn server_address(&self) -> SocketAddr {
        self.server
    }

    /// Returns the client id that the token contains.
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Processes one datagram from [`Self::server_address`]; one from another address fails authentication.
    pub fn receive<'a>(&mut self, now: Duration, datagram: &'a mut [u8]) -> ClientReceived<'a> {
        self.open(now, datagram).unwrap_or_else(ClientReceived::Dropped)
    }

    fn open<'a>(&mut self, now: Duration, datagram: &'a mut [u8]) -> Result<ClientReceived<'a>, DropReason> {
        let header = PacketHeader::read(datagram)?;
        if !self.expects(header.kind) {
            return Err(DropReason::Unexpected);
        }
        if header.kind.in_session() && self.replay.refuses(header.sequence) {
            return Err(DropReason::Replayed);
        }
        let body = self.cipher.open(header, &self.receive_key.cipher(), datagram)?;
        if header.kind.in_session() {
            self.replay.accept(header.sequence);
        }
        self.received_at = self.received_at.max(now);
        let body = &datagram[body];
        match header.kind {
            PacketKind::Payload if !body.is_empty() => Ok(ClientReceived::Payload {
                sequence: header.sequence,
                payload: body,
            }),
            PacketKind::KeepAlive if body.len() == KEEP_ALIVE_BYTES => Ok(self.receive_keep_alive()),
            PacketKind::Challenge if body.len() == CHALLENGE_BODY_BYTES => {
                if let Some(handshake) = &mut self.handshake {
                    handshake.response.copy_from_slice(body);
                }
                self.enter(ClientState::Responding);
                Ok(ClientReceived::Handshake)
            }
            PacketKind::Denied if body.is_empty() => Ok(self.disconnected(DisconnectReason::Denied)),
            PacketKind::Disconnect if body.is_empty() => Ok(self.disconnected(DisconnectReason::ByServer)),
            _ => Err(DropReason::Malformed),
        }
    }

    /// Returns whether a packet of this kind is valid now. Called before the packet is opened, so that a
    /// packet that is refused here does not use up a number of the replay window.
    fn expects(&self, kind: PacketKind) -> bool {
        match self.state {
            ClientState::Requesting => matches!(kind, PacketKind::Challenge | PacketKind::Denied),
            ClientState::Responding => {
                matches!(
                    kind,
                    PacketKind::KeepAlive | PacketKind::Denied | PacketKind::Disconnect
                )
            }
            ClientState::Connected => kind.in_session(),
            ClientState::Disconnected(_) => false,
        }
    }

    fn receive_keep_alive<'a>(&mut self) -> ClientReceived<'a> {
        if self.state == ClientState::Connected {
            return ClientReceived::KeepAlive;
        }
        self.enter(ClientState::Connected);
        self.handshake = None;
        ClientReceived::Connected
    }

    fn disconnected<'a>(&mut self, reason: DisconnectReason) -> ClientReceived<'a> {
        self.end(reason);
        ClientReceived::Disconnected(reason)
    }

    fn end(&mut self, reason: DisconnectReason) {
        self.enter(ClientState::Disconnected(reason));
        self.handshake = None;
    }

    fn enter(&mut self, state: ClientState) {
        self.state = state;
        self.sent_at = None;
    }

    /// Passes the packet that is due to `out`: a request, a response or a keep-alive. Gives up on a silent
    /// server, and returns an event when the token lists no other.
    pub fn update(&mut self, now: Duration, out: &mut impl FnMut(SocketAddr, &[u8])) -> Option<NetcodeEvent> {
        if let Some(reason) = self.overdue(now) {
            self.end(reason);
            return Some(NetcodeEvent::Disconnected(reason));
        }
        let connected = self.is_connected();
        let interval = if connected { self.keep_alive() } else { REPEAT };
        if self
            .sent_at
            .is_some_and(|sent_at| now < sent_at.saturating_add(interval))
        {
            return None;
        }
        match (&self.handshake, self.state) {
            (_, ClientState::Connected) => {
                let packet = self.cipher.control(
                    PacketKind::KeepAlive,
                    self.next_sequence,
                    &self.send_key.cipher(),
                    &[0; KEEP_ALIVE_BYTES],
                );
                out(self.server, packet.as_slice());
            }
            (Some(handshake), ClientState::Requesting) => out(self.server, &handshake.request),
            (Some(handshake), ClientState::Responding) => {
                let packet = self.cipher.control(
                    PacketKind::Response,
                    self.next_sequence,
                    &self.send_key.cipher(),
                    &handshake.response,
                );
                out(self.server, packet.as_slice());
            }
            _ => return None,
        }
        self.next_sequence += 1;
        self.sent_at = Some(now);
        None
    }

    /// Returns the reason when the client gives up. Moves on to the token's next server before that.
    fn overdue(&mut self, now: Duration) -> Option<DisconnectReason> {
        let silent = self
            .timeout
            .is_some_and(|timeout| now >= self.received_at.saturating_add(timeout));
        let reason = match self.state {
            ClientState::Disconnected(_) => return None,
            ClientState::Connected => return silent.then_some(DisconnectReason::TimedOut),
            ClientState::Requesting => DisconnectReason::RequestTimedOut,
            ClientState::Responding => DisconnectReason::ResponseTimedOut,
        };
        let handshake = self.handshake.as_mut()?;
        if now >= handshake.expires_at {
            return Some(DisconnectReason::TokenExpired);
        }
        if !silent {
            return None;
        }
        let Some(server) = handshake.remaining.pop() else {
            return Some(reason);
        };
        // Our own numbers continue, since the keys stay the same; the next server begins at its own.
        self.server = server;
        self.replay = ReplayWindow::default();
        self.received_at = now;
        self.enter(ClientState::Requesting);
        None
    }

    fn keep_alive(&self) -> Duration {
        self.timeout
            .map_or(KEEP_ALIVE, |timeout| KEEP_ALIVE.min(timeout / 3))
    }

    /// Seals `payload` of `buf` in place and returns the range of the datagram; see
    /// [`ServerNetcode::seal`](super::ServerNetcode::seal).
    ///
    /// # Errors
    /// [`SealError`] if the client is not connected or the payload does not fit; `buf` is unchanged then.
    pub fn seal(
        &mut self,
        now: Duration,
        buf: &mut [u8],
        payload: Range<usize>,
    ) -> Result<Range<usize>, SealError> {
        if !self.is_connected() {
            return Err(SealError::NotConnected);
        }
        let range = self.cipher.seal(
            PacketKind::Payload,
            self.next_sequence,
            &self.send_key.cipher(),
            buf,
            payload,
        )?;
        self.next_sequence += 1;
        self.sent_at = Some(now);
        Ok(range)
    }

    /// Ends the session, and passes ten disconnect packets to `out`, since none is acknowledged.
    pub fn disconnect(&mut self, out: &mut impl FnMut(SocketAddr, &[u8])) {
        if matches!(self.state, ClientState::Disconnected(_)) {
            return;
        }
        // During the handshake a server drops these, and the handshake times out.
        for _ in 0..DISCONNECT_PACKETS {
            let packet = self.cipher.control(
                PacketKind::Disconnect,
                self.next_sequence,
                &self.send_key.cipher(),
                &[],
            );
            self.next_sequence += 1;
            out(self.server, packet.as_slice());
        }
        self.end(DisconnectReason::ByClient);
    }
}

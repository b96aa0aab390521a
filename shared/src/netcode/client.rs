//! The client half: one session, from a connect token.
//!
//! Owns the handshake with one server after the other, as the token lists them, and the session. Small:
//! about 250 bytes once it is connected, since thousands of bots live in one process. Does not reconnect:
//! a token opens one session, and a new one comes over HTTPS.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;

use super::aead::Key;
use super::counters::DropReason;
use super::replay::ReplayWindow;
use super::token::ConnectToken;
use super::wire::{CHALLENGE_BODY_BYTES, Header, KEEP_ALIVE_BYTES, PacketCipher, PacketKind, REQUEST_BYTES};
use super::{DISCONNECT_PACKETS, SealError};

/// How often a request or a response is repeated.
const REPEAT: Duration = Duration::from_millis(250);
/// A server to which nothing was sent for so long is sent a keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Why a client is not connected any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The token expired before a server answered.
    TokenExpired,
    /// No server answered the request.
    RequestTimedOut,
    /// A server answered the request, and none the response.
    ResponseTimedOut,
    /// The server is full.
    Denied,
    /// Nothing was heard of the server for the token's time-out.
    TimedOut,
    /// The server said good-bye.
    ByServer,
    /// [`ClientNetcode::disconnect`] was called.
    ByClient,
}

impl core::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TokenExpired => "the connect token expired before a server answered",
            Self::RequestTimedOut => "no server answered the connection request",
            Self::ResponseTimedOut => "the server did not finish the handshake",
            Self::Denied => "the server is full",
            Self::TimedOut => "nothing was heard of the server",
            Self::ByServer => "the server ended the session",
            Self::ByClient => "the client ended the session",
        })
    }
}

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Shows its token.
    Requesting,
    /// Answers the server's challenge.
    Responding,
    /// Payloads flow.
    Connected,
    /// For good.
    Disconnected(DisconnectReason),
}

/// What a datagram meant.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientReceived<'a> {
    /// A payload of the server, decrypted in place.
    Payload {
        /// The packet's number; each passes once, in any order.
        sequence: u64,
        /// One byte at least.
        payload: &'a [u8],
    },
    /// The handshake is done.
    Connected,
    /// A step of the handshake: call [`ClientNetcode::update`] to answer at once.
    Handshake,
    /// The server is alive and has nothing to say.
    KeepAlive,
    /// The server ended or denied the session.
    Disconnected(DisconnectReason),
    /// Not for us, not authentic or not now.
    Dropped(DropReason),
}

/// What happened because time passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// The client gave up.
    Disconnected(DisconnectReason),
}

/// What is needed until the client is connected, and not after it.
struct Handshake {
    request: [u8; REQUEST_BYTES],
    response: [u8; CHALLENGE_BODY_BYTES],
    /// The servers yet to try, the next one last.
    later: Vec<SocketAddr>,
    expires_at: Duration,
}

/// The client half of netcode.
pub struct ClientNetcode {
    state: ClientState,
    server: SocketAddr,
    client_id: u64,
    cipher: PacketCipher,
    send_key: Key,
    receive_key: Key,
    next_sequence: u64,
    replay: ReplayWindow,
    /// `None` never times out.
    timeout: Option<Duration>,
    received_at: Duration,
    /// `None` before the first packet of this state.
    sent_at: Option<Duration>,
    handshake: Option<Box<Handshake>>,
}

impl ClientNetcode {
    /// Begins to connect to the first server of `token`. `now` counts from any fixed origin. The first
    /// packet leaves with [`Self::update`].
    pub fn new(now: Duration, token: &ConnectToken) -> Self {
        let lifetime = Duration::from_secs(token.expire_unix_s.saturating_sub(token.create_unix_s));
        let mut later = token.addresses.clone();
        later.reverse();
        let server = later.pop().expect("a token names at least one server");
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
                later,
                expires_at: now.saturating_add(lifetime),
            })),
        }
    }

    /// How far the client is.
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// Whether payloads flow.
    pub fn is_connected(&self) -> bool {
        self.state == ClientState::Connected
    }

    /// The server that is being tried or used: where all datagrams go.
    pub fn server_address(&self) -> SocketAddr {
        self.server
    }

    /// Who the token says that we are.
    pub fn client_id(&self) -> u64 {
        self.client_id
    }

    /// When the last authentic packet came; when the attempt began before the first.
    pub fn received_at(&self) -> Duration {
        self.received_at
    }

    /// Takes one datagram from [`Self::server_address`]; one from elsewhere is dropped as not authentic.
    pub fn receive<'a>(&mut self, now: Duration, datagram: &'a mut [u8]) -> ClientReceived<'a> {
        self.open(now, datagram).unwrap_or_else(ClientReceived::Dropped)
    }

    fn open<'a>(&mut self, now: Duration, datagram: &'a mut [u8]) -> Result<ClientReceived<'a>, DropReason> {
        let header = Header::read(datagram)?;
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
            PacketKind::KeepAlive if body.len() == KEEP_ALIVE_BYTES => Ok(self.kept_alive()),
            PacketKind::Challenge if body.len() == CHALLENGE_BODY_BYTES => {
                if let Some(handshake) = &mut self.handshake {
                    handshake.response.copy_from_slice(body);
                }
                self.enter(ClientState::Responding);
                Ok(ClientReceived::Handshake)
            }
            PacketKind::Denied if body.is_empty() => Ok(self.ended(DisconnectReason::Denied)),
            PacketKind::Disconnect if body.is_empty() => Ok(self.ended(DisconnectReason::ByServer)),
            _ => Err(DropReason::Malformed),
        }
    }

    /// Whether a packet of this kind makes sense now. Asked before it is opened, so that nothing that is
    /// refused here uses up a number of the replay window.
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

    fn kept_alive<'a>(&mut self) -> ClientReceived<'a> {
        if self.state == ClientState::Connected {
            return ClientReceived::KeepAlive;
        }
        self.enter(ClientState::Connected);
        self.handshake = None;
        ClientReceived::Connected
    }

    fn ended<'a>(&mut self, reason: DisconnectReason) -> ClientReceived<'a> {
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

    /// Gives the packet that is due to `out`: a request, a response or a keep-alive. Gives up on a silent
    /// server, and tells when there is no other.
    pub fn update(&mut self, now: Duration, out: &mut impl FnMut(SocketAddr, &[u8])) -> Option<ClientEvent> {
        if let Some(reason) = self.overdue(now) {
            self.end(reason);
            return Some(ClientEvent::Disconnected(reason));
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

    /// Why the client gives up now, if it does. Moves on to the token's next server before that.
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
        let Some(server) = handshake.later.pop() else {
            return Some(reason);
        };
        // Our own numbers go on, since the keys stay; the next server begins its own.
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

    /// Ends the session and tells the server, ten times over, since nothing is acknowledged.
    pub fn disconnect(&mut self, out: &mut impl FnMut(SocketAddr, &[u8])) {
        if matches!(self.state, ClientState::Disconnected(_)) {
            return;
        }
        // A server in the middle of the handshake drops these and forgets us by itself.
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

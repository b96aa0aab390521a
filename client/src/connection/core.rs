//! The state machine of one session: handshake, hello, inputs, snapshots and messages.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use throng_shared::limits::DATAGRAM_BYTES_MAX;
use throng_shared::netcode::{
    ClientNetcode, ClientReceived, ClientState, ConnectToken, DisconnectReason, NetcodeEvent,
    SEAL_HEAD_BYTES, SEAL_TAIL_BYTES,
};
use throng_shared::protocol::hello::{Goodbye, HELLO_BYTES_MAX, Hello, HelloError, Welcome};
use throng_shared::protocol::ids::{Channel, PlayerId};
use throng_shared::protocol::input::{INPUT_PACKET_BYTES_MAX, InputBytes, InputPacket, Restarts, ViewTick};
use throng_shared::protocol::pose3d::Quanta3d;
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::OwnerBlock;
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::protocol::version::ProtocolVersion;
use throng_shared::protocol::{PROBE_PACKET, PayloadKind};
use throng_shared::reliable::{GuardError, Reliable, SendError, SendRoom};
use throng_shared::tick::Tick;

use super::events::{ClientEvent, EndReason};
use super::inputs::SentInputs;
use super::silence::Silence;
use crate::mirror::{Mirror, MirrorConfig, MirrorObserver, Received};
use crate::time::{ClockConfig, ConnectionClock};

/// Time between two hellos until the welcome arrives.
const HELLO_EVERY: Duration = Duration::from_millis(100);

/// Bytes of reliable messages that are sent in one update; the rest waits for the next. At 20 updates a second
/// this stays below the 24 KB/s that the server grants in the other direction.
const RELIABLE_BYTES_PER_UPDATE: usize = 1_200;

/// What a core needs besides its token; the same for every session of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClientConfig {
    /// The protocol hash and release of this client.
    pub version: ProtocolVersion,
    /// The formats of the components registered in the protocol.
    pub components: ComponentFormats,
    /// The steps of poses in a game in three dimensions.
    pub quanta_3d: Option<Quanta3d>,
    /// Tuning of the clock.
    pub clock: ClockConfig,
}

impl ClientConfig {
    /// Creates the config of clients that speak `protocol`.
    pub fn new(protocol: &Protocol) -> Self {
        Self {
            version: protocol.version(),
            components: protocol.formats(),
            quanta_3d: protocol.quanta_3d(),
            clock: ClockConfig::default(),
        }
    }
}

/// The state that exists once the server has sent its welcome.
#[derive(Debug)]
struct ClientSession {
    player: PlayerId,
    clock: ConnectionClock,
    mirror: Mirror,
    inputs: SentInputs,
    view: Option<ViewTick>,
    /// The newest input of which a snapshot has shown that the server applied it.
    applied_input: Option<Tick>,
}

/// The state machine of one session, from the connect token to the end. Times are `Duration`s since any fixed
/// origin.
pub struct ClientCore {
    config: ClientConfig,
    netcode: ClientNetcode,
    /// When the first and the last hello were sent.
    greeted: Option<(Duration, Duration)>,
    session: Option<ClientSession>,
    reliable: Reliable,
    silence: Silence,
    ended: Option<EndReason>,
}

impl ClientCore {
    /// Begins the session that `token` opens. The first datagram is sent by [`ClientCore::update`].
    pub fn new(now: Duration, token: &ConnectToken, config: ClientConfig) -> Self {
        Self {
            config,
            netcode: ClientNetcode::new(now, token),
            greeted: None,
            session: None,
            reliable: Reliable::new(),
            silence: Silence::new(now),
            ended: None,
        }
    }

    /// Returns the address to which all datagrams are sent. Only datagrams from it may be passed in.
    pub fn server_address(&self) -> SocketAddr {
        self.netcode.server_address()
    }

    /// Returns why the session ended; `None` while it is alive.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Returns how long nothing has come back from the server, once that is long enough to be reported
    /// ([`ClientEvent::Silent`]); `None` while the server replies.
    pub fn silent_for(&self, now: Duration) -> Option<Duration> {
        let is_silent = self.silence.is_alarmed() && self.ended.is_none();
        is_silent.then(|| now.saturating_sub(self.silence.heard_at()))
    }

    /// Records that the system found no program at the server's address. The server is asked for a reply at once, and
    /// reported as silent sooner.
    pub fn refused(&mut self, now: Duration) {
        self.silence.refused(now);
    }

    /// Returns whether the system has found no program at the server's address since the last sign of life.
    pub(crate) fn is_refused(&self) -> bool {
        self.silence.is_refused()
    }

    /// Returns whether the server may have opened the session, although this client need not know that yet.
    pub(crate) fn may_be_open(&self) -> bool {
        matches!(
            self.netcode.state(),
            ClientState::Responding | ClientState::Connected
        )
    }

    /// Returns the id of this client's player, once welcomed.
    pub fn player(&self) -> Option<PlayerId> {
        self.session.as_ref().map(|session| session.player)
    }

    /// Returns the mirror of the entities in view, once welcomed.
    pub fn mirror(&self) -> Option<&Mirror> {
        self.session.as_ref().map(|session| &session.mirror)
    }

    /// Returns the time between two ticks of the server, once welcomed.
    pub fn tick_length(&self) -> Option<Duration> {
        self.session
            .as_ref()
            .map(|session| Duration::from_secs_f64(session.clock.tick_rate_hz().recip()))
    }

    /// Returns the newest owner block (the server's data about this session), once welcomed.
    pub fn owner(&self) -> Option<&OwnerBlock> {
        self.session.as_ref().map(|session| session.mirror.owner())
    }

    /// Returns the session's clock, once welcomed.
    pub(crate) fn clock(&mut self) -> Option<&mut ConnectionClock> {
        self.session.as_mut().map(|session| &mut session.clock)
    }

    /// Sets the moment that the player is shown, which is sent to the server for lag compensation. Without it
    /// the newest snapshot's tick is sent.
    pub fn set_view(&mut self, view: ViewTick) {
        if let Some(session) = &mut self.session {
            session.view = Some(view);
        }
    }

    /// Queues a message, which is sent from the next [`ClientCore::update`] on. The registry encodes typed messages. A
    /// reliable message that was queued arrives, unless the session ends before.
    ///
    /// # Errors
    /// A [`SendError`]; the message was not queued then. After [`SendError::Full`] there is room again when the server has
    /// acknowledged some of what waits.
    pub fn send_message(&mut self, channel: Channel, message: Bytes) -> Result<(), SendError> {
        self.reliable.send(channel, message)
    }

    /// Returns the room that is left for messages to the server.
    pub(crate) fn room(&self) -> SendRoom {
        self.reliable.room()
    }

    /// Returns the server's next message, in the order of its channel. The registry decodes typed messages.
    pub fn next_message(&mut self) -> Option<(Channel, Bytes)> {
        self.reliable.pop()
    }

    /// Processes one datagram, which is decrypted in place. `observer` receives the changes of a snapshot.
    pub fn receive_datagram(
        &mut self,
        now: Duration,
        datagram: &mut [u8],
        observer: &mut impl MirrorObserver,
    ) -> Option<ClientEvent> {
        if self.ended.is_some() {
            return None;
        }
        match self.netcode.receive(now, datagram) {
            ClientReceived::Payload { payload, .. } => match PayloadKind::of(payload)? {
                PayloadKind::Snapshot => {
                    let session = self.session.as_mut()?;
                    let event = receive_snapshot(session, now, payload, observer);
                    let applied = session.mirror.owner().last_input;
                    if applied.is_some() && applied != session.applied_input {
                        session.applied_input = applied;
                        self.silence.heard(now);
                    }
                    event
                }
                PayloadKind::Hello => {
                    self.silence.heard(now);
                    let welcome = Welcome::read(payload);
                    self.welcomed(now, welcome)
                }
                PayloadKind::Probe => {
                    self.silence.heard(now);
                    None
                }
                PayloadKind::Goodbye => match Goodbye::read(payload) {
                    Ok(goodbye) => Some(self.end(EndReason::Goodbye(goodbye))),
                    Err(error) => Some(ClientEvent::Unreadable(error)),
                },
                PayloadKind::Renet => match self.reliable.receive(payload) {
                    Ok(()) => Some(ClientEvent::Messages),
                    Err(error) => Some(self.end(EndReason::Refused(error))),
                },
                PayloadKind::Input => None,
            },
            ClientReceived::Connected => {
                self.silence.heard(now);
                Some(ClientEvent::Connected)
            }
            ClientReceived::Disconnected(reason) => Some(self.end(EndReason::Transport(reason))),
            ClientReceived::Handshake => {
                self.silence.heard(now);
                None
            }
            ClientReceived::KeepAlive | ClientReceived::Dropped(_) => None,
        }
    }

    /// Sends what is due: handshake, hello, inputs and messages. `input` is called once for the input of each
    /// tick; `out` is called with each datagram. Call this when [`ClientCore::until_update`] has passed, and
    /// after every datagram received before the welcome.
    pub fn update(
        &mut self,
        now: Duration,
        mut input: impl FnMut(Tick) -> InputBytes,
        mut out: impl FnMut(&[u8]),
    ) -> Option<ClientEvent> {
        if self.ended.is_some() {
            return None;
        }
        let silence = self.silence.poll(now, self.greeted.is_some());
        if self.netcode.is_connected() {
            // The backlog of a server that was stopped is not filled with inputs whose ticks have passed.
            if !self.silence.is_alarmed() {
                self.send_inputs(now, &mut input, &mut out);
            }
            self.send_hello(now, &mut out);
            if silence.probe {
                send(&mut self.netcode, now, &PROBE_PACKET, &mut out);
            }
            if let Err(error) = self.send_messages(now, &mut out) {
                return Some(self.end(EndReason::Refused(error)));
            }
        }
        // Last, so that a keep-alive is sent only when nothing else was.
        if let Some(NetcodeEvent::Disconnected(reason)) =
            self.netcode.update(now, &mut |_, datagram| out(datagram))
        {
            return Some(self.end(EndReason::Transport(reason)));
        }
        silence.alarm.map(|is_raised| match is_raised {
            true => ClientEvent::Silent,
            false => ClientEvent::Recovered,
        })
    }

    /// Returns how long after `now` the next [`ClientCore::update`] is due, at most.
    pub fn until_update(&self, now: Duration) -> Duration {
        let until_probe = self.silence.until_due(now);
        match &self.session {
            Some(_) if self.silence.is_alarmed() => until_probe,
            Some(session) => session.clock.until_input(now).min(until_probe),
            None => HELLO_EVERY,
        }
    }

    /// Ends the session and notifies the server.
    pub fn disconnect(&mut self, mut out: impl FnMut(&[u8])) {
        self.netcode.disconnect(&mut |_, datagram| out(datagram));
        self.end(EndReason::Transport(DisconnectReason::ByClient));
    }

    fn welcomed(&mut self, now: Duration, welcome: Result<Welcome, HelloError>) -> Option<ClientEvent> {
        let welcome = match welcome {
            Ok(welcome) => welcome,
            Err(error) => return Some(ClientEvent::Unreadable(error)),
        };
        // The server repeats its welcome until a snapshot is acknowledged; the first one is enough.
        if self.session.is_some() {
            return None;
        }
        let round_trip = self
            .greeted
            .map_or(Duration::ZERO, |(first, _)| now.saturating_sub(first));
        let rate = f64::from(welcome.tick_rate_hz);
        self.session = Some(ClientSession {
            player: welcome.player,
            clock: ConnectionClock::new(self.config.clock, now, welcome.tick, rate, round_trip),
            mirror: Mirror::new(&MirrorConfig {
                tick_rate: welcome.tick_rate_hz,
                components: self.config.components,
                quanta_3d: self.config.quanta_3d,
                tick: welcome.tick,
            }),
            inputs: SentInputs::default(),
            view: None,
            applied_input: None,
        });
        Some(ClientEvent::Welcomed(welcome))
    }

    fn end(&mut self, reason: EndReason) -> ClientEvent {
        let reason = *self.ended.get_or_insert(reason);
        ClientEvent::Ended(reason)
    }

    fn send_hello(&mut self, now: Duration, out: &mut impl FnMut(&[u8])) {
        let due = self.greeted.is_none_or(|(_, last)| now >= last + HELLO_EVERY);
        if self.session.is_some() || !due {
            return;
        }
        self.greeted = Some((self.greeted.map_or(now, |(first, _)| first), now));
        let hello = Hello {
            version: self.config.version,
        };
        let mut packet = [0; HELLO_BYTES_MAX];
        let length = hello.write(&mut packet);
        send(&mut self.netcode, now, &packet[..length], out);
    }

    fn send_inputs(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        out: &mut impl FnMut(&[u8]),
    ) {
        let Some(session) = &mut self.session else { return };
        let mut due = false;
        while let Some(tick) = session.clock.due_input(now) {
            session.inputs.push(tick, input(tick));
            due = true;
        }
        if !due {
            return;
        }
        // Several inputs due at once share one packet, because each packet repeats the earlier inputs anyway.
        let shown = session
            .view
            .unwrap_or_else(|| ViewTick::new(session.mirror.newest_tick(), 0));
        let packet = InputPacket {
            ack: session.mirror.ack(),
            newest_tick: session.inputs.newest_tick().wire(),
            restarts: Restarts::new(session.clock.restarts()),
            view: Some(shown),
            inputs: session.inputs.list(),
        };
        let mut buffer = [0; INPUT_PACKET_BYTES_MAX];
        let length = packet.write(&mut buffer);
        send(&mut self.netcode, now, &buffer[..length], out);
    }

    fn send_messages(&mut self, now: Duration, out: &mut impl FnMut(&[u8])) -> Result<(), GuardError> {
        let Self {
            reliable, netcode, ..
        } = self;
        reliable.poll(now, RELIABLE_BYTES_PER_UPDATE, |packet| {
            send(netcode, now, packet, out);
        })
    }
}

/// Seals one payload and passes the datagram to `out`.
fn send(netcode: &mut ClientNetcode, now: Duration, payload: &[u8], out: &mut impl FnMut(&[u8])) {
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
    debug_assert!(
        range.end + SEAL_TAIL_BYTES <= datagram.len(),
        "every payload of a client fits a datagram"
    );
    datagram[range.clone()].copy_from_slice(payload);
    if let Ok(sealed) = netcode.seal(now, &mut datagram, range) {
        out(&datagram[sealed]);
    }
}

fn receive_snapshot(
    session: &mut ClientSession,
    now: Duration,
    payload: &[u8],
    observer: &mut impl MirrorObserver,
) -> Option<ClientEvent> {
    let applied = match session.mirror.receive_snapshot(payload, observer) {
        Ok(Received::Applied(applied)) => applied,
        Ok(Received::Duplicate | Received::Stale) => return None,
        Err(error) => return Some(ClientEvent::Undecodable(error)),
    };
    if applied.is_newest {
        session.clock.observe_snapshot(now, applied.tick);
        let owner = session.mirror.owner();
        // Only part 0 has an owner block.
        if applied.part == 0
            && let Some(input) = owner.newest_input
        {
            let margin = f64::from(owner.margin_16) / 16.0;
            session.clock.observe_margin(now, applied.tick, input, margin);
        }
    }
    Some(ClientEvent::Snapshot(applied))
}

#[cfg(test)]
mod tests;

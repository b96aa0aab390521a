//! One bot: a socket, a client core and a source of inputs, which is random steering or a pilot of Skirmish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::UdpSocket;
use throng_client::connection::{ClientConfig, ClientCore, ClientEvent, EndReason};
use throng_client::join::Retry;
use throng_client::link::{is_passing, is_refusal};
use throng_client::mirror::{Applied, Mirror};
use throng_shared::limits::{DATAGRAM_BYTES_MAX, DATAGRAM_RECEIVE_BYTES_MAX};
use throng_shared::netcode::{ClientNetcode, ClientReceived, ConnectToken, NetcodeEvent};
use throng_shared::prefetch::prefetch;
use throng_shared::random::{Random, mix};

use super::ages::SampledInputs;
use super::audit::AuditLog;
use super::conditions::LineDirection;
use super::rejoin::Comeback;
use super::report::BotTotals;
use super::socket::{open_socket, transmit};
use super::state::SwarmState;
use super::steering::{BotSteering, play, steer};
use crate::pilots::{BotPilot, PilotCounts};

/// Time between updates of a silent session, which sends a keep-alive every few seconds only.
const IDLE_UPDATE_EVERY: Duration = Duration::from_millis(250);
/// A bot that stops reading at the newest snapshot reads to the end once in this many of its updates. Otherwise it
/// would go unnoticed if all bots were a tick behind.
const READ_ALL_EVERY: u32 = 16;
/// A snapshot datagram shorter than this is the last of its tick: one that has a successor is nearly full.
const FULL_DATAGRAM_BYTES: usize = DATAGRAM_BYTES_MAX / 2;
/// Time between updates of a bot that has no session and waits for another one.
const WAITING_UPDATE_EVERY: Duration = Duration::from_millis(20);
/// Each bot searches its oldest visible value once in this many of its updates.
const OLDEST_EVERY: u32 = 20;

/// Space for the largest datagram.
pub type Buffer = [u8; DATAGRAM_RECEIVE_BYTES_MAX];

/// The state of a bot's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BotState {
    /// In the handshake, waiting for the first snapshot, or about to join again.
    Connecting,
    /// Receives snapshots. An idle bot is connected.
    Playing,
    /// Connected, but the server does not reply.
    Silent,
    /// The session ended, and the bot does not come back.
    Ended,
}

/// How much of a socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every datagram that has arrived.
    Everything,
    /// Datagrams up to the newest tick's last snapshot.
    NewestTick,
}

/// The session of a playing or of an idle bot.
enum BotSession {
    Playing(Box<ClientCore>),
    /// Connected and silent.
    Idle(Box<ClientNetcode>),
}

impl BotSession {
    fn server(&self) -> SocketAddr {
        match self {
            Self::Playing(core) => core.server_address(),
            Self::Idle(netcode) => netcode.server_address(),
        }
    }
}

/// A client of the swarm with its socket.
pub struct Bot {
    index: u32,
    socket: UdpSocket,
    session: BotSession,
    state: BotState,
    steering: BotSteering,
    updates: u32,
    audit: Option<Box<AuditLog>>,
    comeback: Option<Box<Comeback>>,
    sampled: Option<Box<SampledInputs>>,
}

/// Options for a new bot.
#[derive(Debug, Clone, Copy)]
pub struct BotKind {
    /// Whether the bot stays silent once it is connected.
    pub is_idle: bool,
    /// Whether the bot records its mirror for audits.
    pub audits: bool,
    /// Whether the bot plays Skirmish.
    pub is_pilot: bool,
    /// Whether the ages of the bot's inputs are recorded.
    pub records_ages: bool,
    /// Seed of the steering, common to all bots.
    pub seed: u64,
}

impl Bot {
    /// Opens the bot's socket and starts its session.
    ///
    /// # Errors
    /// If the system has no port or no file left.
    pub fn new(
        index: u32,
        now: Duration,
        token: &ConnectToken,
        config: ClientConfig,
        kind: BotKind,
    ) -> io::Result<Self> {
        let session = if kind.is_idle {
            BotSession::Idle(Box::new(ClientNetcode::new(now, token)))
        } else {
            BotSession::Playing(Box::new(ClientCore::new(now, token, config)))
        };
        let socket = open_socket(session.server())?;
        // Mixed, so that no bot draws the numbers of another one later.
        let seed = mix(mix(kind.seed) ^ u64::from(index));
        let steering = if kind.is_pilot {
            BotSteering::Pilot(Box::new(BotPilot::new(seed)))
        } else {
            BotSteering::Random(Random::new(seed))
        };
        Ok(Self {
            index,
            socket,
            session,
            state: BotState::Connecting,
            steering,
            updates: 0,
            audit: kind.audits.then(Box::default),
            comeback: None,
            sampled: kind.records_ages.then(Box::default),
        })
    }

    /// Lets the bot join again when its server is silent or ends its session.
    #[must_use]
    pub fn with_comeback(mut self, comeback: Comeback) -> Self {
        self.comeback = Some(Box::new(comeback));
        self
    }

    /// Returns the rules by which the bot joins again, if it does.
    pub fn comeback(&mut self) -> Option<&mut Comeback> {
        self.comeback.as_deref_mut()
    }

    /// Gives the bot another session, with a socket of its own.
    ///
    /// # Errors
    /// If the system has no port or no file left.
    pub fn reopen(
        &mut self,
        now: Duration,
        token: &ConnectToken,
        config: ClientConfig,
        shared: &mut SwarmState,
    ) -> io::Result<()> {
        self.session = BotSession::Playing(Box::new(ClientCore::new(now, token, config)));
        self.socket = open_socket(self.session.server())?;
        self.state = BotState::Connecting;
        // The ticks of a server that was restarted begin anew.
        shared.newest_tick = None;
        if let Some(log) = &mut self.audit {
            **log = AuditLog::default();
        }
        Ok(())
    }

    /// Returns the state of the bot's session.
    pub fn state(&self) -> BotState {
        self.state
    }

    /// Returns the bot's counts in Skirmish, or `None` if it steers at random.
    pub fn counts(&self) -> Option<&PilotCounts> {
        match &self.steering {
            BotSteering::Random(_) => None,
            BotSteering::Pilot(pilot) => Some(pilot.counts()),
        }
    }

    /// Returns the bot's recorded mirrors, if it is audited.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_deref()
    }

    /// Prefetches the session for a bot that reads or sends soon.
    #[inline]
    pub fn prefetch_session(&self) {
        if let BotSession::Playing(core) = &self.session {
            prefetch(&**core);
        }
    }

    /// Returns the socket, for registration with epoll.
    pub fn socket(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Returns the address from which the server sends to the bot.
    pub fn server(&self) -> SocketAddr {
        self.session.server()
    }

    /// Returns the time between two snapshots, or `None` for a bot that does not receive any (yet).
    pub fn tick_length(&self) -> Option<Duration> {
        match &self.session {
            BotSession::Playing(core) if self.state == BotState::Playing => core.tick_length(),
            _ => None,
        }
    }

    /// Reads the datagrams that have arrived. Returns when the last one was read, if there was any. `now` is called for
    /// every datagram, because its age is measured.
    ///
    /// Reading everything takes one call more than there are datagrams: the kernel's batched receive costs as much
    /// as two plain ones.
    pub fn drain(
        &mut self,
        extent: Extent,
        now: impl Fn() -> Duration,
        shared: &mut SwarmState,
        buffer: &mut Buffer,
    ) -> Option<Duration> {
        let mut received_at = None;
        loop {
            let length = match self.socket.recv(buffer) {
                Ok(length) => length,
                // No socket is bound at the server's address at the moment. The session decides when that is an end.
                Err(error) if is_refusal(&error) => {
                    if let BotSession::Playing(core) = &mut self.session {
                        core.refused(now());
                    }
                    continue;
                }
                Err(error) if is_passing(&error) => return received_at,
                Err(error) => {
                    self.lost(now(), shared, &error.to_string(), Retry::Worthwhile);
                    return received_at;
                }
            };
            let snapshots = shared.totals.snapshots;
            shared.totals.down_bytes += length as u64;
            shared.totals.down_datagrams += 1;
            let now = now();
            received_at = Some(now);
            match &mut shared.line {
                Some(line) => line.send(now, self.index, LineDirection::Down, &buffer[..length]),
                None => self.receive(now, &mut buffer[..length], shared),
            }
            // All other datagrams of a tick come before its snapshot.
            let is_last = length < FULL_DATAGRAM_BYTES && shared.totals.snapshots > snapshots;
            if extent == Extent::NewestTick && is_last && self.is_up_to_date(shared) {
                return received_at;
            }
        }
    }

    /// Returns whether no bot has a newer snapshot. Returns false in one update of [`READ_ALL_EVERY`], so that the
    /// socket is then read to its end.
    fn is_up_to_date(&self, shared: &SwarmState) -> bool {
        let BotSession::Playing(core) = &self.session else {
            return false;
        };
        let newest = core.mirror().map(Mirror::newest_tick);
        newest == shared.newest_tick && !self.is_turn(READ_ALL_EVERY)
    }

    /// Returns whether periodic work that is due in one of `every` updates is due in this one. The turns of different
    /// bots are spread over the updates.
    fn is_turn(&self, every: u32) -> bool {
        self.updates % every == self.index % every
    }

    /// Processes one datagram of the server.
    pub fn receive(&mut self, now: Duration, datagram: &mut [u8], shared: &mut SwarmState) {
        let event = match &mut self.session {
            BotSession::Playing(core) => core.receive_datagram(now, datagram, &mut ()),
            BotSession::Idle(netcode) => match netcode.receive(now, datagram) {
                ClientReceived::Connected => {
                    self.state = BotState::Playing;
                    None
                }
                ClientReceived::Disconnected(reason) => {
                    return self.lost(now, shared, &reason.to_string(), Retry::Pointless);
                }
                _ => None,
            },
        };
        match event {
            Some(ClientEvent::Snapshot(applied)) => self.decoded(now, &applied, shared),
            Some(ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_)) => {
                shared.totals.decode_errors += 1;
            }
            Some(ClientEvent::Ended(reason)) => self.lost(now, shared, &reason.to_string(), reason.retry()),
            _ => {}
        }
        self.take_messages(shared);
        // The handshake and the greeting continue at once. Afterwards the wheel sets the pace.
        if self.state == BotState::Connecting {
            self.update(now, shared);
        }
    }

    /// Reads the server's messages, also where they are not used, so that they do not pile up.
    fn take_messages(&mut self, shared: &SwarmState) {
        let BotSession::Playing(core) = &mut self.session else {
            return;
        };
        while let Some((_, message)) = core.next_message() {
            if let (BotSteering::Pilot(pilot), Some(senses)) = (&mut self.steering, &shared.senses) {
                pilot.receive(senses, &message);
            }
        }
    }

    /// Counts a snapshot that was applied.
    fn decoded(&mut self, now: Duration, applied: &Applied, shared: &mut SwarmState) {
        let BotSession::Playing(core) = &self.session else {
            return;
        };
        let Some(mirror) = core.mirror() else { return };
        if self.state == BotState::Connecting {
            self.state = BotState::Playing;
        }
        shared.totals.snapshots += 1;
        shared.totals.visible += mirror.len() as u64;
        shared.totals.updates += u64::from(applied.updated);
        if shared
            .newest_tick
            .is_none_or(|newest| applied.tick.is_after(newest))
        {
            shared.newest_tick = Some(applied.tick);
            shared.ticks_seen += 1;
        }
        if let (Some(sampled), Some(ages)) = (&mut self.sampled, &shared.ages)
            && applied.part == 0
            && let Some(age) = sampled.age(mirror.owner().last_input, now)
        {
            ages.record(age);
        }
        shared.arrivals.arrived(applied.tick.0, now.as_nanos() as u64);
        if let Some(log) = &mut self.audit {
            log.record(applied.tick, mirror);
        }
        if let Some(comeback) = &mut self.comeback
            && mirror.owner().last_input.is_some()
            && core.silent_for(now).is_none()
        {
            shared.outages.extend(comeback.acted(now));
        }
    }

    /// Sends the datagrams that are due.
    pub fn update(&mut self, now: Duration, shared: &mut SwarmState) {
        let SwarmState {
            totals,
            line,
            protocol,
            senses,
            ..
        } = shared;
        let (index, socket, steering) = (self.index, &self.socket, &mut self.steering);
        let out = |datagram: &[u8]| match line {
            Some(line) => line.send(now, index, LineDirection::Up, datagram),
            None => transmit(socket, totals, datagram),
        };
        let event = match &mut self.session {
            BotSession::Playing(core) => {
                let decided = match (&mut *steering, senses) {
                    (BotSteering::Pilot(pilot), Some(senses)) => play(senses, pilot, core),
                    _ => None,
                };
                let mut sampled = self.sampled.as_deref_mut();
                let input = |tick| {
                    if let Some(sampled) = &mut sampled {
                        sampled.record(tick, now);
                    }
                    match steering {
                        BotSteering::Random(steering) => steer(protocol, steering),
                        BotSteering::Pilot(_) => decided.unwrap_or_else(|| protocol.neutral_input()),
                    }
                };
                core.update(now, input, out)
            }
            BotSession::Idle(netcode) => {
                let mut out = out;
                let event = netcode.update(now, &mut |_, datagram| out(datagram));
                event.map(|NetcodeEvent::Disconnected(reason)| {
                    ClientEvent::Ended(EndReason::Transport(reason))
                })
            }
        };
        match event {
            Some(ClientEvent::Ended(reason)) => {
                return self.lost(now, shared, &reason.to_string(), reason.retry());
            }
            Some(ClientEvent::Silent) => self.silent(now),
            Some(ClientEvent::Recovered) if self.state == BotState::Silent => self.state = BotState::Playing,
            _ => {}
        }
        self.updates += 1;
        if self.is_turn(OLDEST_EVERY) {
            self.measure_oldest(shared);
        }
    }

    /// Returns the time from `now` to the bot's next update.
    pub fn until_update(&self, now: Duration) -> Duration {
        match &self.session {
            BotSession::Playing(core) if core.ended().is_some() => WAITING_UPDATE_EVERY,
            BotSession::Playing(core) => core.until_update(now),
            BotSession::Idle(_) => IDLE_UPDATE_EVERY,
        }
    }

    /// Sends a datagram that was under way on the emulated line.
    pub fn transmit(&self, datagram: &[u8], totals: &mut BotTotals) {
        transmit(&self.socket, totals, datagram);
    }

    /// Disconnects from the server without waiting.
    pub fn disconnect(&mut self) {
        let socket = &self.socket;
        // The disconnect is sent in redundant packets: a lost one does no harm.
        let out = |datagram: &[u8]| drop(socket.send(datagram));
        match &mut self.session {
            BotSession::Playing(core) => core.disconnect(out),
            BotSession::Idle(netcode) => netcode.disconnect(&mut |_, datagram| out(datagram)),
        }
    }

    /// Records the age of the oldest value that the player sees, as of the newest snapshot. Entities at rest are not
    /// sent again and count as new.
    fn measure_oldest(&self, shared: &SwarmState) {
        let BotSession::Playing(core) = &self.session else {
            return;
        };
        let (Some(mirror), Some(tick_length)) = (core.mirror(), core.tick_length()) else {
            return;
        };
        let newest = mirror.newest_tick();
        let moving = mirror.entities().filter(|entity| match entity.pose_3d {
            None => (entity.pose.vx, entity.pose.vy) != (0, 0),
            Some(pose) => pose.velocity != [0; 3],
        });
        if let Some(ticks) = moving.map(|entity| newest.since(entity.tick)).max() {
            shared
                .oldest
                .record(tick_length * ticks.max(0) as u32 + shared.arrivals.recent_mean());
        }
    }

    /// Records that the server does not reply.
    fn silent(&mut self, now: Duration) {
        let BotSession::Playing(core) = &self.session else {
            return;
        };
        if self.state == BotState::Playing {
            self.state = BotState::Silent;
        }
        if let Some(comeback) = &mut self.comeback {
            let silent_for = core.silent_for(now).unwrap_or_default();
            comeback.silent(now, now.saturating_sub(silent_for));
        }
    }

    /// Ends the bot's session, with the reason if it is the swarm's first loss.
    fn lost(&mut self, now: Duration, shared: &mut SwarmState, reason: &str, retry: Retry) {
        if let Some(comeback) = &mut self.comeback
            && comeback.ended(now, retry)
        {
            self.state = BotState::Connecting;
        } else if self.state != BotState::Ended {
            self.state = BotState::Ended;
            shared
                .first_loss
                .get_or_insert_with(|| format!("bot {}: {reason}", self.index + 1));
        }
    }
}

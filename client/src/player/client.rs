//! Drives one player's session: the thread that joins, the socket, the core and the reconnection machine.

use std::io;
use std::iter;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::events::PlayerEvent;
use super::settings::ClientSettings;
use super::status::ConnectionStatus;
use crate::connection::{ClientConfig, ClientCore};
use crate::join::{JoinError, Joined, Joiner, Reconnect, ReconnectState, Retry};
use crate::link::{LinkConditions, SimulatedSocket, Traffic};
use crate::mirror::MirrorObserver;

/// Datagrams received in one poll at most; the others wait for the next.
const DATAGRAMS_PER_POLL: usize = 64;

/// A session's core and its socket.
struct ActiveSession {
    socket: SimulatedSocket,
    core: ClientCore,
}

/// The client of one player, from joining to reconnecting.
pub struct Client {
    settings: ClientSettings,
    config: ClientConfig,
    joiner: Joiner,
    reconnect: Reconnect,
    resume: Option<String>,
    joining: Option<JoinHandle<Result<Joined, JoinError>>>,
    session: Option<ActiveSession>,
    /// Messages of the session that ended, which arrived before its end.
    last_messages: Vec<(Channel, Bytes)>,
    conditions: LinkConditions,
    traffic: Traffic,
    server_version: String,
    /// The reason of the last failure, in words for players.
    why: String,
    has_left: bool,
    origin: Instant,
}

impl Client {
    /// Creates a client and begins to join.
    pub fn new(settings: ClientSettings, protocol: &Protocol) -> Self {
        let mut client = Self {
            config: ClientConfig::new(protocol),
            joiner: Joiner::new(&settings.server, settings.join_timeout)
                .with_credential_file(settings.credential_file.clone()),
            reconnect: Reconnect::new(settings.reconnect.clone(), settings.seed),
            settings,
            resume: None,
            joining: None,
            session: None,
            last_messages: Vec::new(),
            conditions: LinkConditions::PERFECT,
            traffic: Traffic::default(),
            server_version: String::new(),
            why: String::new(),
            has_left: false,
            origin: start_clock(),
        };
        client.begin_join();
        client
    }

    /// Returns the session, while there is one.
    pub fn core(&self) -> Option<&ClientCore> {
        self.session.as_ref().map(|session| &session.core)
    }

    /// Returns the session for sending messages, while there is one.
    pub fn core_mut(&mut self) -> Option<&mut ClientCore> {
        self.session.as_mut().map(|session| &mut session.core)
    }

    /// Returns the time since the client was made, which its session's times count from.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Returns the state of the connection, for players.
    pub fn status(&self) -> ConnectionStatus {
        if self.has_left {
            return ConnectionStatus::Idle;
        }
        let failures = self.reconnect.failures();
        let why = || self.why.clone();
        match (self.reconnect.state(), &self.session) {
            (ReconnectState::GivenUp, _) => ConnectionStatus::Failed { why: why() },
            (ReconnectState::Waiting { until }, _) => ConnectionStatus::Waiting {
                failures,
                remaining: until.saturating_sub(self.now()),
                why: why(),
            },
            (_, None) => ConnectionStatus::Joining { failures },
            (_, Some(session)) if session.core.player().is_some() => ConnectionStatus::Playing {
                server_version: self.server_version.clone(),
            },
            (_, Some(_)) => ConnectionStatus::Connecting,
        }
    }

    /// Sets the simulated network conditions in both directions, from now on.
    pub fn set_line(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
        if let Some(session) = &mut self.session {
            session.socket.set_conditions(conditions);
        }
    }

    /// Returns the simulated network conditions.
    pub fn line(&self) -> LinkConditions {
        self.conditions
    }

    /// Returns the traffic of the client's sockets so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Receives and decodes datagrams, sends what is due, and joins again when that is due. Never blocks.
    pub fn poll(
        &mut self,
        mut input: impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) {
        let now = self.origin.elapsed();
        if self.reconnect.poll(now) {
            self.begin_join();
        }
        if self.joining.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.joining.take()
        {
            // A panic of the thread is a defect of this library; it must not end the game.
            match thread.join() {
                Ok(outcome) => self.finish_join(now, outcome, events),
                Err(_) => self.lost(now, Retry::Worthwhile, events),
            }
        }
        let Some(session) = &mut self.session else { return };
        let pumped = session.pump(now, &mut input, observer, events);
        self.traffic.add(session.socket.take_traffic());
        let retry = match (pumped, session.core.ended()) {
            (Ok(()), None) => {
                if session.core.player().is_some() && self.reconnect.state() == ReconnectState::Joining {
                    self.reconnect.connected(now);
                }
                return;
            }
            (Ok(()), Some(reason)) => {
                self.why = format!("the connection to {} ended: {reason}", self.settings.server);
                reason.retry()
            }
            (Err(error), _) => {
                self.why = format!("the network failed: {error}");
                events.push(PlayerEvent::SocketFailed(error));
                Retry::Worthwhile
            }
        };
        let core = self.session.take().map(|session| session.core);
        self.last_messages.extend(
            core.into_iter()
                .flat_map(|mut core| iter::from_fn(move || core.next_message())),
        );
        self.lost(now, retry, events);
    }

    /// Takes the messages that arrived before the end of a session and were not read from it.
    pub(crate) fn take_last_messages(&mut self) -> Vec<(Channel, Bytes)> {
        std::mem::take(&mut self.last_messages)
    }

    /// Ends the session for good and notifies the server.
    pub fn disconnect(&mut self) {
        if let Some(ActiveSession { mut socket, mut core }) = self.session.take() {
            socket.set_conditions(LinkConditions::PERFECT);
            let now = self.origin.elapsed();
            // Disconnect packets are redundant: a lost one does no harm.
            core.disconnect(|datagram| drop(socket.send(now, datagram)));
        }
        self.has_left = true;
        self.joining = None;
        self.reconnect.lost(self.origin.elapsed(), Retry::Pointless);
    }

    fn begin_join(&mut self) {
        let (joiner, name) = (self.joiner.clone(), self.settings.name.clone());
        let (version, resume) = (self.config.version, self.resume.clone());
        self.joining = Some(thread::spawn(move || {
            joiner.join(&name, &version, resume.as_deref())
        }));
    }

    fn finish_join(
        &mut self,
        now: Duration,
        outcome: Result<Joined, JoinError>,
        events: &mut Vec<PlayerEvent>,
    ) {
        let joined = match outcome {
            Ok(joined) => joined,
            Err(error) => {
                // A restarted server refuses the resume proof of the earlier one: then join as a new client.
                let stale = matches!(error, JoinError::Refused { .. }) && self.resume.take().is_some();
                let retry = if stale { Retry::Worthwhile } else { error.retry() };
                self.why = error.to_string();
                events.push(PlayerEvent::JoinFailed(error));
                return self.lost(now, retry, events);
            }
        };
        let problem = joined.credential_problem;
        events.extend(problem.map(PlayerEvent::CredentialFailed));
        let core = ClientCore::new(now, &joined.token, self.config);
        match SimulatedSocket::connect(core.server_address(), self.conditions, self.settings.seed) {
            Ok(socket) => {
                self.resume = Some(joined.resume);
                self.server_version.clone_from(&joined.server_version);
                self.session = Some(ActiveSession { socket, core });
                events.push(PlayerEvent::Joined {
                    server_version: joined.server_version,
                });
            }
            Err(error) => {
                self.why = format!("no socket: {error}");
                events.push(PlayerEvent::SocketFailed(error));
                self.lost(now, Retry::Worthwhile, events);
            }
        }
    }

    fn lost(&mut self, now: Duration, retry: Retry, events: &mut Vec<PlayerEvent>) {
        events.push(match self.reconnect.lost(now, retry) {
            Some(until) => PlayerEvent::Retrying {
                after: until.saturating_sub(now),
            },
            None => PlayerEvent::GivenUp,
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver of real sockets reads the time"
)]
fn start_clock() -> Instant {
    Instant::now()
}

impl Drop for Client {
    /// Notifies the server, so that the player's entity does not remain there.
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl ActiveSession {
    fn pump(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) -> io::Result<()> {
        for _ in 0..DATAGRAMS_PER_POLL {
            let Some(datagram) = self.socket.receive_datagram(now)? else {
                break;
            };
            let event = self.core.receive_datagram(now, datagram, observer);
            events.extend(event.map(PlayerEvent::Session));
        }
        let Self { socket, core } = self;
        let mut sent = Ok(());
        let event = core.update(now, input, |datagram| {
            if sent.is_ok() {
                sent = socket.send(now, datagram);
            }
        });
        events.extend(event.map(PlayerEvent::Session));
        // The core has moved on to the token's next server because the earlier one did not respond.
        if core.ended().is_none() && core.server_address() != socket.server() {
            socket.connect_to(core.server_address())?;
        }
        sent
    }
}

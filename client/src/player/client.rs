//! Drives one player's sessions: the thread that joins, the sockets, the cores and the rules of succession.

use std::iter;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_shared::protocol::hello::Goodbye;
use throng_shared::protocol::ids::Channel;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::events::PlayerEvent;
use super::session::ActiveSession;
use super::settings::ClientSettings;
use super::status::ConnectionStatus;
use super::succession::{NextStep, Succession};
use crate::connection::{ClientConfig, ClientCore, ClientEvent, EndReason};
use crate::join::{JoinError, Joined, Joiner, ReconnectState, Retry};
use crate::link::{LinkConditions, Traffic};
use crate::mirror::MirrorObserver;

/// Time for the connection of every other request for a token.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The client of one player, from joining to reconnecting.
pub struct Client {
    settings: ClientSettings,
    config: ClientConfig,
    joiner: Joiner,
    succession: Succession,
    resume: Option<String>,
    /// The request for a token. When its outcome is no longer wanted, it is left to end by itself.
    joining: Option<JoinHandle<Result<Joined, JoinError>>>,
    /// The session that the player plays, welcomed by the server.
    session: Option<ActiveSession>,
    /// Messages of the session that ended, which arrived before its end.
    last_messages: Vec<(Channel, Bytes)>,
    /// The session whose handshake is under way.
    attempt: Option<ActiveSession>,
    /// Number of sessions so far that the server has welcomed.
    sessions: u64,
    conditions: LinkConditions,
    traffic: Traffic,
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
                .with_credential_file(settings.credential_file.clone())
                .with_parts(protocol.parts()),
            succession: Succession::new(settings.reconnect.clone(), settings.seed),
            settings,
            resume: None,
            joining: None,
            session: None,
            last_messages: Vec::new(),
            attempt: None,
            sessions: 0,
            conditions: LinkConditions::PERFECT,
            traffic: Traffic::default(),
            why: String::new(),
            has_left: false,
            origin: start_clock(),
        };
        client.begin_join();
        client
    }

    /// Returns the session, once the server has welcomed the player and until the session ends.
    pub fn core(&self) -> Option<&ClientCore> {
        self.session.as_ref().map(|session| &session.core)
    }

    /// Returns the session for sending messages, once the server has welcomed the player and until the session ends.
    pub fn core_mut(&mut self) -> Option<&mut ClientCore> {
        self.session.as_mut().map(|session| &mut session.core)
    }

    /// Returns the number of sessions so far that the server has welcomed. When it has grown, the mirror is empty:
    /// entities of the earlier session are gone.
    pub fn sessions(&self) -> u64 {
        self.sessions
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
        let failures = self.succession.failures();
        let why = || self.why.clone();
        match (self.succession.state(), &self.session) {
            (ReconnectState::GivenUp, _) => ConnectionStatus::Failed { why: why() },
            (_, Some(session)) => match session.core.silent_for(self.now()) {
                Some(silent_for) => ConnectionStatus::Silent {
                    silent_for,
                    failures,
                    why: why(),
                },
                None => ConnectionStatus::Playing {
                    server_version: session.server_version.clone(),
                },
            },
            (ReconnectState::Waiting { until }, None) => ConnectionStatus::Waiting {
                failures,
                remaining: until.saturating_sub(self.now()),
                why: why(),
            },
            (_, None) if self.attempt.is_some() => ConnectionStatus::Connecting,
            (_, None) => ConnectionStatus::Joining { failures },
        }
    }

    /// Sets the simulated network conditions in both directions, from now on.
    pub fn set_line(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
        for session in self.session.iter_mut().chain(&mut self.attempt) {
            session.set_conditions(conditions);
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
    ///
    /// A session that follows another one begins with an empty mirror: `observer` must forget all entities when
    /// [`Client::sessions`] has grown.
    pub fn poll(
        &mut self,
        mut input: impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) {
        let now = self.origin.elapsed();
        self.poll_session(now, &mut input, observer, events);
        if self.succession.poll(now) {
            self.begin_join();
        }
        self.poll_join(now, events);
        self.poll_attempt(now, events);
    }

    /// Sends the delayed datagrams that are due, and returns whether one waits for [`Client::poll`]. Costs much less than a
    /// poll.
    pub(crate) fn has_work(&mut self) -> bool {
        let now = self.origin.elapsed();
        let mut sessions = self.session.iter_mut().chain(&mut self.attempt);
        sessions.any(|session| session.has_work(now))
    }

    /// Takes the messages that arrived before the end of a session and were not read from it.
    pub(crate) fn take_last_messages(&mut self) -> Vec<(Channel, Bytes)> {
        std::mem::take(&mut self.last_messages)
    }

    /// Ends the session for good and notifies the server.
    pub fn disconnect(&mut self) {
        let now = self.origin.elapsed();
        for session in self.session.take().into_iter().chain(self.attempt.take()) {
            session.disconnect(now);
        }
        self.has_left = true;
        self.joining = None;
        self.succession.stop();
    }

    fn poll_session(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) {
        let Some(session) = &mut self.session else { return };
        let earlier = events.len();
        let pumped = session.pump(now, input, observer, events);
        self.traffic.add(session.take_traffic());
        let ended = session.core.ended();
        for event in &events[earlier..] {
            match event {
                PlayerEvent::Session(ClientEvent::Silent) => {
                    self.why.clear();
                    self.succession.silent(now);
                }
                PlayerEvent::Session(ClientEvent::Recovered) if self.succession.recovered(now) => {
                    self.attempt = None;
                }
                _ => {}
            }
        }
        let next = match (pumped, ended) {
            (Ok(()), None) => return,
            (Ok(()), Some(reason)) => {
                self.why = self.end_in_words(reason);
                let next = self.succession.ended(now, Some(reason));
                if reason == EndReason::Goodbye(Goodbye::Replaced) && next == NextStep::GoOn {
                    // Replaced by the attempt: the player plays on.
                    events.truncate(earlier);
                }
                next
            }
            (Err(error), _) => {
                self.why = format!("the network failed: {error}");
                events.push(PlayerEvent::SocketFailed(error));
                self.succession.ended(now, None)
            }
        };
        self.keep_last_messages();
        self.session = None;
        self.follow(now, next, events);
    }

    /// Keeps the messages of the session that ends, which the player has not read yet.
    fn keep_last_messages(&mut self) {
        if let Some(session) = &mut self.session {
            let unread = iter::from_fn(|| session.core.next_message());
            self.last_messages.extend(unread);
        }
    }

    fn poll_join(&mut self, now: Duration, events: &mut Vec<PlayerEvent>) {
        if self.joining.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.joining.take()
            && self.succession.wants_token()
        {
            // A panic of the thread is a defect of this library; it must not end the game.
            match thread.join() {
                Ok(outcome) => self.finish_join(now, outcome, events),
                Err(_) => self.fail(now, Retry::Worthwhile, events),
            }
        }
    }

    /// Requests a token. An earlier request that still waits for its response is used instead of another one.
    fn begin_join(&mut self) {
        if self.joining.is_some() {
            return;
        }
        let mut joiner = self.joiner.clone();
        // A connection that is begun while a network is down, or from an address that is gone, is not completed when the
        // network is back. So every other attempt waits for it only shortly, and the others serve slow networks.
        if self.succession.failures().is_multiple_of(2) {
            joiner = joiner.connecting_within(CONNECT_WITHIN);
        }
        let name = self.settings.name.clone();
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
            Err(error) => return self.refused(now, error, events),
        };
        let problem = joined.credential_problem;
        events.extend(problem.map(PlayerEvent::CredentialFailed));
        self.resume = Some(joined.resume);
        let line = (self.conditions, self.settings.seed);
        let version = joined.server_version.clone();
        match ActiveSession::open(now, &joined.token, version, self.config, line) {
            Ok(attempt) => {
                self.attempt = Some(attempt);
                self.succession.handshake_begun();
                events.push(PlayerEvent::Joined {
                    server_version: joined.server_version,
                });
            }
            Err(error) => {
                self.why = format!("no socket: {error}");
                events.push(PlayerEvent::SocketFailed(error));
                self.fail(now, Retry::Worthwhile, events);
            }
        }
    }

    fn refused(&mut self, now: Duration, error: JoinError, events: &mut Vec<PlayerEvent>) {
        let is_stale = matches!(error, JoinError::Refused { .. }) && self.resume.take().is_some();
        let retry = match &error {
            // A server on which the player has played is there no longer: the response may be that of a hotel's network.
            JoinError::BadAnswer { .. } if self.sessions > 0 => Retry::Worthwhile,
            error => error.retry(),
        };
        self.why = error.to_string();
        events.push(PlayerEvent::JoinFailed(error));
        if is_stale {
            // The server refuses the resume proof of an earlier process: join as a new client, at once.
            self.begin_join();
        } else {
            self.fail(now, retry, events);
        }
    }

    /// Continues the handshake of the attempt, and plays its session once the server has welcomed the player.
    fn poll_attempt(&mut self, now: Duration, events: &mut Vec<PlayerEvent>) {
        let Some(attempt) = &mut self.attempt else { return };
        let earlier = events.len();
        let pumped = attempt.pump_until_welcome(now, events);
        self.traffic.add(attempt.take_traffic());
        let is_beside = self.session.is_some();
        // Of these the player is told by the session that it plays.
        let is_shown = |event: &PlayerEvent| match event {
            PlayerEvent::Session(ClientEvent::Silent | ClientEvent::Recovered) => false,
            PlayerEvent::Session(ClientEvent::Ended(_)) => !is_beside,
            _ => true,
        };
        let own = events.split_off(earlier);
        events.extend(own.into_iter().filter(is_shown));
        self.succession.handshake_may_be_open(attempt.core.may_be_open());
        let silent_for = attempt.core.silent_for(now);
        let is_waiting = silent_for.is_none_or(|silent_for| {
            self.succession
                .awaits_handshake(silent_for, attempt.core.is_refused())
        });
        let retry = match (pumped, attempt.core.ended()) {
            (Ok(()), None) if attempt.core.player().is_some() => {
                self.keep_last_messages();
                self.session = self.attempt.take();
                self.sessions += 1;
                self.succession.welcomed(now);
                return;
            }
            (Ok(()), None) if is_waiting => return,
            (Ok(()), None) => {
                let address = attempt.server();
                self.why = format!(
                    "{} let this player in, but {address} does not reply over UDP",
                    self.settings.server
                );
                Retry::Worthwhile
            }
            (Ok(()), Some(reason)) => {
                self.why = self.end_in_words(reason);
                reason.retry()
            }
            (Err(error), _) => {
                self.why = format!("the network failed: {error}");
                events.push(PlayerEvent::SocketFailed(error));
                Retry::Worthwhile
            }
        };
        self.fail(now, retry, events);
    }

    /// Ends the attempt, at the request or in the handshake.
    fn fail(&mut self, now: Duration, retry: Retry, events: &mut Vec<PlayerEvent>) {
        self.attempt = None;
        let next = self.succession.attempt_failed(now, retry);
        self.follow(now, next, events);
    }

    fn follow(&mut self, now: Duration, next: NextStep, events: &mut Vec<PlayerEvent>) {
        match next {
            NextStep::GoOn => {}
            NextStep::Wait(after) => events.push(PlayerEvent::Retrying { after }),
            NextStep::Stop => {
                for session in self.session.take().into_iter().chain(self.attempt.take()) {
                    session.disconnect(now);
                }
                events.push(PlayerEvent::GivenUp);
            }
        }
    }

    fn end_in_words(&self, reason: EndReason) -> String {
        format!("the connection to {} ended: {reason}", self.settings.server)
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

//! One player's client over real sockets: joins, plays, and joins again when the connection is lost.
//!
//! Owns the HTTP thread, the socket, the core and the reconnection machine, and drives them from one
//! non-blocking [`Client::poll`] that a game calls once a frame. The newest join's `resume` proof is shown at
//! the next one, so that the player comes back as the same client: the server gives the new session a newer
//! number and lets it take the old one's place.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::connection::{ClientConfig, ClientCore, ClientEvent};
use crate::join::{JoinError, Joined, Joiner};
use crate::mirror::MirrorObserver;
use crate::reconnect::{Reconnect, ReconnectConfig, ReconnectState, Retry};
use crate::socket::ClientSocket;

/// Datagrams taken in one poll at most; the others wait for the next.
const DATAGRAMS_PER_POLL: usize = 64;

/// Who plays where.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// The server's HTTP address: `ADDRESS:PORT` or a URL.
    pub server: String,
    /// The player's name.
    pub name: String,
    /// How long a join may take.
    pub join_timeout: Duration,
    /// When to try again.
    pub reconnect: ReconnectConfig,
    /// Spreads the attempts of many players over time.
    pub seed: u64,
}

impl ClientSettings {
    /// Settings for a player called `name`; the seed follows from the name.
    pub fn new(server: &str, name: &str) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self {
            server: server.to_owned(),
            name: name.to_owned(),
            join_timeout: Duration::from_secs(5),
            reconnect: ReconnectConfig::default(),
            seed,
        }
    }
}

/// What happened since the last poll.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlayerEvent {
    /// A token was given; the session begins.
    Joined {
        /// The server's version.
        server_version: String,
    },
    /// Something happened in the session.
    Session(ClientEvent),
    /// Joining failed.
    JoinFailed(JoinError),
    /// The socket failed.
    SocketFailed(io::Error),
    /// The next attempt begins after this long.
    Retrying {
        /// Time until then.
        after: Duration,
    },
    /// There will be no further attempt.
    GivenUp,
}

/// A session and its socket.
struct Link {
    socket: ClientSocket,
    core: ClientCore,
}

/// The client of one player.
pub struct Client {
    settings: ClientSettings,
    config: ClientConfig,
    joiner: Joiner,
    reconnect: Reconnect,
    resume: Option<String>,
    joining: Option<JoinHandle<Result<Joined, JoinError>>>,
    link: Option<Link>,
    origin: Instant,
}

impl Client {
    /// Begins to join.
    pub fn new(settings: ClientSettings, protocol: &Protocol) -> Self {
        let mut client = Self {
            config: ClientConfig::new(protocol),
            joiner: Joiner::new(&settings.server, settings.join_timeout),
            reconnect: Reconnect::new(settings.reconnect.clone(), settings.seed),
            settings,
            resume: None,
            joining: None,
            link: None,
            origin: start_clock(),
        };
        client.begin_join();
        client
    }

    /// The session, while there is one.
    pub fn core(&self) -> Option<&ClientCore> {
        self.link.as_ref().map(|link| &link.core)
    }

    /// The session, to send messages through.
    pub fn core_mut(&mut self) -> Option<&mut ClientCore> {
        self.link.as_mut().map(|link| &mut link.core)
    }

    /// Time since the client was made: what its session counts by.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Where the reconnection stands.
    pub fn state(&self) -> ReconnectState {
        self.reconnect.state()
    }

    /// Receives, decodes, sends what is due, and joins again when that is due. Never blocks.
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
            // A thread that panicked is a defect of ours; it must not take the game with it.
            match thread.join() {
                Ok(outcome) => self.finish_join(now, outcome, events),
                Err(_) => self.lost(now, Retry::Worthwhile, events),
            }
        }
        let Some(link) = &mut self.link else { return };
        let pumped = link.pump(now, &mut input, observer, events);
        let retry = match (pumped, link.core.ended()) {
            (Ok(()), None) => {
                if link.core.player().is_some() && self.reconnect.state() == ReconnectState::Joining {
                    self.reconnect.connected(now);
                }
                return;
            }
            (Ok(()), Some(reason)) => reason.retry(),
            (Err(error), _) => {
                events.push(PlayerEvent::SocketFailed(error));
                Retry::Worthwhile
            }
        };
        self.link = None;
        self.lost(now, retry, events);
    }

    /// Ends the session for good and tells the server.
    pub fn disconnect(&mut self) {
        if let Some(Link { socket, mut core }) = self.link.take() {
            // Redundant packets of a farewell: a lost one does no harm.
            core.disconnect(|datagram| drop(socket.send(datagram)));
        }
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
                // A restarted server refuses the proof of the one before it: then come as somebody new.
                let stale = matches!(error, JoinError::Refused { .. }) && self.resume.take().is_some();
                let retry = if stale { Retry::Worthwhile } else { error.retry() };
                events.push(PlayerEvent::JoinFailed(error));
                return self.lost(now, retry, events);
            }
        };
        let core = ClientCore::new(now, &joined.token, self.config);
        match ClientSocket::connect(core.server_address()) {
            Ok(socket) => {
                self.resume = Some(joined.resume);
                self.link = Some(Link { socket, core });
                events.push(PlayerEvent::Joined {
                    server_version: joined.server_version,
                });
            }
            Err(error) => {
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
    reason = "the driver of real sockets is where time comes in"
)]
fn start_clock() -> Instant {
    Instant::now()
}

impl Link {
    fn pump(
        &mut self,
        now: Duration,
        input: &mut impl FnMut(Tick) -> InputBytes,
        observer: &mut impl MirrorObserver,
        events: &mut Vec<PlayerEvent>,
    ) -> io::Result<()> {
        for _ in 0..DATAGRAMS_PER_POLL {
            let Some(datagram) = self.socket.receive()? else {
                break;
            };
            let event = self.core.receive(now, datagram, observer);
            events.extend(event.map(PlayerEvent::Session));
        }
        let Self { socket, core } = self;
        let mut sent = Ok(());
        let event = core.update(now, input, |datagram| {
            if sent.is_ok() {
                sent = socket.send(datagram);
            }
        });
        events.extend(event.map(PlayerEvent::Session));
        // The token's next server, when the first one does not answer.
        if core.ended().is_none() && core.server_address() != socket.server() {
            *socket = ClientSocket::connect(core.server_address())?;
        }
        sent
    }
}

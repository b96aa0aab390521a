//! A simulated client: the real client core on a link instead of a socket, whose packets are audited.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use throng_client::{
    connection::{ClientConfig, ClientCore, ClientEvent, EndReason},
    mirror::Mirror,
};
use throng_shared::{
    netcode::{ConnectToken, DisconnectReason},
    protocol::{
        ids::{Channel, PlayerId},
        input::InputBytes,
        registry::Protocol,
    },
    random::Random,
    tick::Tick,
};

use super::{
    arena::Steer,
    audit::{Audit, AuditTally, FrameLog},
};

/// The most events that are kept: enough for every test that reads them.
const EVENTS_MAX: usize = 256;

/// The most datagrams that wait for a client's next frame.
const UNREAD_MAX: usize = 4_096;

/// Returns the client's input for a tick.
type InputGenerator = Box<dyn FnMut(Tick) -> InputBytes>;

/// A client with its audit, events and counters.
pub struct SimClient {
    address: SocketAddr,
    core: ClientCore,
    pilot: InputGenerator,
    audit: Audit,
    events: VecDeque<ClientEvent>,
    tally: ClientTally,
    /// Time between two frames; the client does nothing in between.
    frame_every: Duration,
    next_frame: Duration,
    /// Datagrams that wait in the socket for the next frame.
    unread: VecDeque<Vec<u8>>,
}

/// Counters of one client since its creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientTally {
    /// Snapshot packets applied.
    pub snapshots: u64,
    /// Entities whose state became newer.
    pub updates: u64,
    /// Snapshot packets that were authentic but could not be decoded. This is always a defect.
    pub undecodable: u64,
    /// Longest time between two applied snapshots.
    pub gap_max: Duration,
    last: Option<Duration>,
}

/// Returns a generator of random inputs from `seed`.
fn wandering_pilot(protocol: &Protocol, seed: u64) -> InputGenerator {
    let protocol = protocol.clone();
    let mut dice = Random::new(seed);
    Box::new(move |_| {
        let steer = Steer {
            turn: dice.signed_unit(),
            thrust: dice.unit() as f32,
        };
        protocol
            .encode_input(&steer)
            .expect("the arena's input is registered")
    })
}

impl SimClient {
    /// Creates a client that connects with `token`.
    #[must_use]
    pub fn new(
        now: Duration,
        address: SocketAddr,
        token: &ConnectToken,
        config: ClientConfig,
        protocol: &Protocol,
        seed: u64,
    ) -> Self {
        Self {
            address,
            core: ClientCore::new(now, token, config),
            pilot: wandering_pilot(protocol, seed),
            audit: Audit::default(),
            events: VecDeque::new(),
            tally: ClientTally::default(),
            frame_every: Duration::ZERO,
            next_frame: Duration::ZERO,
            unread: VecDeque::new(),
        }
    }

    /// Makes the client read and send only once in this time, as one that draws few frames.
    pub fn set_frame_every(&mut self, time: Duration) {
        self.frame_every = time;
    }

    /// Stops the client until `until`. Datagrams for it wait.
    pub fn stop(&mut self, until: Duration) {
        self.next_frame = until;
    }

    /// Returns the address from which the client sends.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address to which the client sends.
    #[must_use]
    pub fn server_address(&self) -> SocketAddr {
        self.core.server_address()
    }

    /// Returns the client core for inspection.
    #[must_use]
    pub fn core(&self) -> &ClientCore {
        &self.core
    }

    /// Returns the client core, which can be changed.
    pub fn core_mut(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    /// Replaces the generator of the client's inputs.
    pub fn set_pilot(&mut self, pilot: impl FnMut(Tick) -> InputBytes + 'static) {
        self.pilot = Box::new(pilot);
    }

    /// Returns the client's player, once the server has welcomed it.
    #[must_use]
    pub fn player(&self) -> Option<PlayerId> {
        self.core.player()
    }

    /// Returns the client's mirror of the world.
    ///
    /// # Panics
    /// If the server has not welcomed the client.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        self.core.mirror().expect("the client was welcomed")
    }

    /// Returns whether the server has welcomed the client and its session has not ended.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.core.player().is_some() && self.core.ended().is_none()
    }

    /// Returns whether the client has disconnected itself.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.core.ended() == Some(EndReason::Transport(DisconnectReason::ByClient))
    }

    /// Returns why the session ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.core.ended()
    }

    /// Returns the counters since the client's creation.
    #[must_use]
    pub fn tally(&self) -> ClientTally {
        self.tally
    }

    /// Returns the counters of the client's audit.
    #[must_use]
    pub fn audit_tally(&self) -> AuditTally {
        self.audit.tally()
    }

    /// Returns the errors that the client's audit found.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        self.audit.complaints()
    }

    /// Returns the last events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &ClientEvent> {
        self.events.iter()
    }

    /// Queues a message to the server.
    ///
    /// # Panics
    /// If the message is refused.
    pub fn send_message(&mut self, channel: Channel, message: Bytes) {
        self.core
            .send_message(channel, message)
            .expect("the message is accepted");
    }

    /// Reads a datagram from the server. Between two frames it waits, or is discarded if too many wait.
    pub(super) fn receive(
        &mut self,
        now: Duration,
        datagram: Vec<u8>,
        frames: &FrameLog,
        protocol: &Protocol,
    ) {
        if now >= self.next_frame && self.frame_every.is_zero() {
            self.read(now, datagram, frames, protocol);
        } else if self.unread.len() < UNREAD_MAX {
            self.unread.push_back(datagram);
        }
    }

    /// Processes a datagram from the server, and checks a snapshot.
    fn read(&mut self, now: Duration, mut datagram: Vec<u8>, frames: &FrameLog, protocol: &Protocol) {
        let Some(event) = self.core.receive_datagram(now, &mut datagram, &mut self.audit) else {
            return;
        };
        match event {
            ClientEvent::Snapshot(applied) => {
                self.tally.snapshots += 1;
                self.tally.updates += u64::from(applied.updated);
                let gap = self.tally.last.map_or(Duration::ZERO, |last| now - last);
                self.tally.gap_max = self.tally.gap_max.max(gap);
                self.tally.last = Some(now);
                let player = self.core.player().expect("snapshots come after the welcome");
                let mirror = self.core.mirror().expect("snapshots come after the welcome");
                self.audit.check(&applied, mirror, player, frames, protocol);
                return;
            }
            ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_) => self.tally.undecodable += 1,
            _ => {}
        }
        self.note(event);
    }

    /// Runs a frame of the client if one is due at `now`: reads what has arrived, and updates it. `out` receives the
    /// datagrams for the server.
    pub(super) fn update(
        &mut self,
        now: Duration,
        frames: &FrameLog,
        protocol: &Protocol,
        out: impl FnMut(&[u8]),
    ) {
        if now < self.next_frame {
            return;
        }
        self.next_frame = now + self.frame_every;
        while let Some(datagram) = self.unread.pop_front() {
            self.read(now, datagram, frames, protocol);
        }
        if let Some(event) = self.core.update(now, &mut self.pilot, out) {
            self.note(event);
        }
    }

    fn note(&mut self, event: ClientEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

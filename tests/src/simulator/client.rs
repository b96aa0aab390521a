//! One simulated client: the real client core, on a link instead of a socket, audited.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use throng_client::{
    connection::{ClientConfig, ClientCore, ClientEvent, EndReason},
    mirror::Mirror,
    seeded::Seeded,
};
use throng_shared::{
    netcode::{ConnectToken, DisconnectReason},
    protocol::{
        ids::{Channel, PlayerId},
        input::InputBytes,
        registry::Protocol,
    },
    tick::Tick,
};

use super::{
    arena::Steer,
    audit::{Audit, AuditTally, FrameLog},
};

/// Events kept: enough for every test that reads them.
const EVENTS_MAX: usize = 256;

/// What a client puts into each tick's input.
type InputGenerator = Box<dyn FnMut(Tick) -> InputBytes>;

/// A client and everything it experienced.
pub struct SimClient {
    address: SocketAddr,
    core: ClientCore,
    pilot: InputGenerator,
    audit: Audit,
    events: VecDeque<ClientEvent>,
    tally: ClientTally,
}

/// Figures of one client since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientTally {
    /// Snapshot packets applied.
    pub snapshots: u64,
    /// Entities whose state became newer.
    pub updates: u64,
    /// Snapshot packets that were authentic and did not decode: always a defect.
    pub undecodable: u64,
    /// Longest time between two applied snapshots.
    pub gap_max: Duration,
    last: Option<Duration>,
}

/// A pilot that turns and goes as `seed` says.
fn wandering_pilot(protocol: &Protocol, seed: u64) -> InputGenerator {
    let protocol = protocol.clone();
    let mut dice = Seeded::new(seed);
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
    /// A client that is about to use `token`.
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
        }
    }

    /// Where it lives.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its datagrams go.
    #[must_use]
    pub fn server_address(&self) -> SocketAddr {
        self.core.server_address()
    }

    /// The core itself.
    #[must_use]
    pub fn core(&self) -> &ClientCore {
        &self.core
    }

    /// The core itself.
    pub fn core_mut(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    /// Replaces what the client does with its controls.
    pub fn set_pilot(&mut self, pilot: impl FnMut(Tick) -> InputBytes + 'static) {
        self.pilot = Box::new(pilot);
    }

    /// Who it is, once welcomed.
    #[must_use]
    pub fn player(&self) -> Option<PlayerId> {
        self.core.player()
    }

    /// Its mirror.
    ///
    /// # Panics
    /// Before the client was welcomed.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        self.core.mirror().expect("the client was welcomed")
    }

    /// Whether it was welcomed and its session lives.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.core.player().is_some() && self.core.ended().is_none()
    }

    /// Whether it said good-bye.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.core.ended() == Some(EndReason::Transport(DisconnectReason::ByClient))
    }

    /// Why its session ended.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.core.ended()
    }

    /// Figures since it was made.
    #[must_use]
    pub fn tally(&self) -> ClientTally {
        self.tally
    }

    /// What its audits have seen.
    #[must_use]
    pub fn audit_tally(&self) -> AuditTally {
        self.audit.tally()
    }

    /// What its audits found wrong.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        self.audit.complaints()
    }

    /// The last events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &ClientEvent> {
        self.events.iter()
    }

    /// Queues a message.
    ///
    /// # Panics
    /// When the message is refused.
    pub fn send_message(&mut self, channel: Channel, message: Bytes) {
        self.core
            .send_message(channel, message)
            .expect("the message is accepted");
    }

    /// Takes a datagram from the server.
    pub(super) fn receive(
        &mut self,
        now: Duration,
        mut datagram: Vec<u8>,
        frames: &FrameLog,
        protocol: &Protocol,
    ) {
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
                self.audit.judge(&applied, mirror, player, frames, protocol);
                return;
            }
            ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_) => self.tally.undecodable += 1,
            _ => {}
        }
        self.note(event);
    }

    /// Lets time pass; `out` takes the datagrams for the server.
    pub(super) fn update(&mut self, now: Duration, out: impl FnMut(&[u8])) {
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

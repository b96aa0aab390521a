//! Tests of a worker's core with clients that consist only of netcode and simulations that consist only of links.

mod closing;
mod hello;
mod inputs;
mod pacing;
mod probes;
mod serving;
mod silent;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bevy_app::App;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::netcode::{
    ClientNetcode, ClientReceived, ConnectToken, Entropy, PROTOCOL_ID, SEAL_HEAD_BYTES, ServerNetcodeConfig,
    TokenRequest,
};
use throng_shared::protocol::PayloadKind;
use throng_shared::protocol::hello::{Goodbye, HELLO_BYTES_MAX, Hello};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::input::{
    INPUT_PACKET_BYTES_MAX, InputBytes, InputPacket, PlayerInput, SnapshotAck,
};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::registry::{Protocol, ProtocolAppExt};
use throng_shared::tick::Tick;

use super::{ReceivedKind, WorkerCore, WorkerCoreConfig, WorkerShared};
use crate::boundary::address_group::AddressGroup;
use crate::boundary::claims::{PlayerName, SessionClaims};
use crate::boundary::directory::Directory;
use crate::boundary::frame::{FrameWriter, Identity, PlayerRow, Upright};
use crate::boundary::link::{
    LeaveReason, LinkConfig, PeerKind, SessionKey, SimulationLink, ToSimulation, link,
};
use crate::net::assign::WorkerLoad;
use crate::net::places::Places;
use crate::net::stats::WorkerStats;
use crate::net::transmit::{Collected, DATAGRAM_BUFFER_BYTES};
use crate::observe::WorkerReport;
use crate::replication::ReplicationConfig;

const UNIX_S: u64 = 1_800_000_000;
const TICK: Duration = Duration::from_millis(50);
const KEY: [u8; 32] = [7; 32];

/// An input whose validation refuses [`INVALID`] and panics on [`FATAL`], which stands for a defect of ours.
#[derive(Serialize, Deserialize, Clone, Default)]
struct Thrust(u8);

const INVALID: u8 = 254;
const FATAL: u8 = 255;

impl PlayerInput for Thrust {
    fn validate(&self) -> Result<(), &'static str> {
        match self.0 {
            INVALID => Err("invalid"),
            FATAL => panic!("a defect in one session's processing"),
            _ => Ok(()),
        }
    }
}

fn protocol() -> Protocol {
    let mut app = App::empty();
    app.input::<Thrust>();
    app.world().resource::<Protocol>().clone()
}

/// A client that consists only of netcode.
struct Peer {
    netcode: ClientNetcode,
    address: SocketAddr,
    /// Received payloads that the test has not read.
    inbox: Vec<Vec<u8>>,
    is_ended: bool,
}

impl Peer {
    /// Returns the first byte of each received payload.
    fn kinds(&self) -> Vec<u8> {
        self.inbox.iter().map(|payload| payload[0]).collect()
    }

    fn goodbye(&self) -> Option<Goodbye> {
        self.inbox.iter().find_map(|payload| Goodbye::read(payload).ok())
    }

    fn count(&self, kind: u8) -> usize {
        self.kinds().iter().filter(|&&other| other == kind).count()
    }
}

/// A simulation's end of the link with the writer of its frames.
struct Simulation {
    link: SimulationLink,
    writer: FrameWriter,
    tick: Tick,
    /// Sessions whose players this simulation runs, each with an entity.
    players: Vec<SessionKey>,
    /// Sessions of other simulations' players that see a part of this one.
    watchers: Vec<SessionKey>,
    /// Whether every player has a new input in each tick, so that each tick has something to send.
    has_inputs: bool,
}

impl Simulation {
    /// Returns the values received since the last call, and applies arrivals and departures.
    fn drain(&mut self) -> Vec<ToSimulation> {
        let values: Vec<_> = self.link.drain().collect();
        for value in &values {
            match value {
                ToSimulation::Joined {
                    key,
                    kind: PeerKind::Throng,
                    ..
                } => self.join(*key),
                ToSimulation::Left { key, .. } => self.players.retain(|other| other != key),
                _ => {}
            }
        }
        values
    }

    fn join(&mut self, key: SessionKey) {
        self.players.push(key);
        let slot = Slot(key.session.index);
        let identity = Identity {
            global: GlobalId(u64::from(slot.0) + 1),
            owner: PlayerId(slot.0 + 1),
            team: TeamId::NONE,
            importance: 1,
            room: Default::default(),
        };
        if self.writer.row(slot).is_none() {
            self.writer
                .insert(slot, identity, Pose::default(), self.tick.next());
        }
    }

    fn publish(&mut self, now: Duration) {
        self.tick = self.tick.next();
        let mut table = self.writer.spare_players();
        let players = self.players.iter().map(|key| (key, true));
        let watchers = self.watchers.iter().map(|key| (key, false));
        for (key, is_local) in players.chain(watchers) {
            let row = PlayerRow {
                generation: 0,
                player: PlayerId(key.session.index + 1),
                is_local,
                entity: is_local.then_some(Slot(key.session.index)),
                eye: Vec2::ZERO,
                radius: 10.0,
                upright: Upright::default(),
                team: TeamId::NONE,
                room: Default::default(),
                last_input: if self.has_inputs { self.tick } else { Tick(0) },
                newest_ahead: i8::MIN,
                margin_16: 0,
                area: Arc::default(),
            };
            table.insert(key.worker, key.session, row);
        }
        let index = self.writer.spare_index();
        let frame = self.writer.publish(self.tick, now, index, table);
        self.link.publish(&frame);
    }
}

struct Bench {
    core: WorkerCore,
    simulations: Vec<Simulation>,
    shared: WorkerShared,
    out: Collected,
    entropy: Entropy,
    now: Duration,
    tokens: u64,
    /// Address to which tokens are issued.
    issued_to: AddressGroup,
}

impl Bench {
    fn new() -> Self {
        Self::with(1, &LinkConfig::default())
    }

    fn with(simulations: u8, config: &LinkConfig) -> Self {
        let wake = Arc::new(|| {});
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..simulations)
            .map(|simulation| link(SimulationId(simulation), 0, config, wake.clone()))
            .unzip();
        let load: Arc<[WorkerLoad]> = [WorkerLoad::default()].into_iter().collect();
        let counters = ours.iter().map(|link| Arc::clone(link.counters())).collect();
        let shared = WorkerShared {
            protocol: Arc::new(protocol()),
            directory: Arc::new(Directory::new(2, 64, 64)),
            stats: Arc::new(WorkerStats::new(0, load, counters)),
            places: Arc::new(Places::unlimited(1)),
        };
        let mut entropy = Entropy::from_seed([1; 32]);
        let core = core(0, theirs, &shared, &mut entropy);
        let simulations = ours
            .into_iter()
            .enumerate()
            .map(|(simulation, link)| Simulation {
                link,
                writer: FrameWriter::new(SimulationId(simulation as u8)),
                tick: Tick(1_000),
                players: Vec::new(),
                watchers: Vec::new(),
                has_inputs: false,
            })
            .collect();
        Self {
            core,
            simulations,
            shared,
            out: Collected::default(),
            entropy,
            now: Duration::from_secs(10),
            tokens: 0,
            issued_to: AddressGroup::UNKNOWN,
        }
    }

    fn simulation(&mut self) -> &mut Simulation {
        &mut self.simulations[0]
    }

    fn token(&mut self, client_id: u64) -> ConnectToken {
        self.tokens += 1;
        let claims = SessionClaims {
            session_number: self.tokens,
            name: PlayerName::new("tester").unwrap(),
        };
        let mut user_data = claims.to_user_data();
        self.issued_to.write(&mut user_data);
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses: &[address(0)],
            expire_s: 30,
            timeout_s: 5,
            user_data: &user_data,
            private_key: &KEY,
        };
        ConnectToken::generate(UNIX_S + self.now.as_secs(), &request, &mut self.entropy).unwrap()
    }

    /// Connects a client and returns it after its handshake.
    fn connect(&mut self, client_id: u64) -> Peer {
        let peer = self.attempt(client_id);
        assert!(peer.netcode.is_connected());
        peer
    }

    /// Returns a client after its handshake, whether that succeeded or not.
    fn attempt(&mut self, client_id: u64) -> Peer {
        let token = self.token(client_id);
        let mut peer = Peer {
            netcode: ClientNetcode::new(self.now, &token),
            address: address(1_000 + self.tokens as u16),
            inbox: Vec::new(),
            is_ended: false,
        };
        for _ in 0..4 {
            self.exchange(&mut peer);
            self.now += Duration::from_millis(1);
        }
        peer
    }

    /// Connects a client and returns it after it received its welcome and first snapshot.
    fn join(&mut self, client_id: u64) -> Peer {
        let mut peer = self.connect(client_id);
        self.hello(&mut peer);
        self.simulation().drain();
        self.tick();
        self.exchange(&mut peer);
        assert_eq!(peer.kinds(), [PayloadKind::HELLO, PayloadKind::SNAPSHOT]);
        peer.inbox.clear();
        peer
    }

    /// Exchanges the waiting datagrams of both ends, without new payloads.
    fn exchange(&mut self, peer: &mut Peer) {
        let mut up = Vec::new();
        let event = peer
            .netcode
            .update(self.now, &mut |_, datagram| up.push(datagram.to_vec()));
        peer.is_ended |= event.is_some();
        for mut datagram in up {
            self.core
                .receive_datagram(self.now, peer.address, &mut datagram, &mut self.out);
        }
        let mine = self.out.sent.extract_if(.., |(to, _)| *to == peer.address);
        for (_, mut datagram) in mine.collect::<Vec<_>>() {
            match peer.netcode.receive(self.now, &mut datagram) {
                ClientReceived::Payload { payload, .. } => peer.inbox.push(payload.to_vec()),
                ClientReceived::Disconnected(_) => peer.is_ended = true,
                _ => {}
            }
        }
    }

    fn send(&mut self, peer: &mut Peer, payload: &[u8]) -> ReceivedKind {
        let mut buffer = [0; DATAGRAM_BUFFER_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
        buffer[range.clone()].copy_from_slice(payload);
        let sealed = peer.netcode.seal(self.now, &mut buffer, range).unwrap();
        self.core
            .receive_datagram(self.now, peer.address, &mut buffer[sealed], &mut self.out)
    }

    fn hello(&mut self, peer: &mut Peer) {
        let mut packet = [0; HELLO_BYTES_MAX];
        let length = Hello {
            version: self.shared.protocol.version(),
        }
        .write(&mut packet);
        self.send(peer, &packet[..length]);
    }

    /// Sends inputs for the tick `newest` and the ticks before it.
    fn inputs(&mut self, peer: &mut Peer, newest: u32, values: &[u8]) -> ReceivedKind {
        self.inputs_with(peer, newest, values, None)
    }

    /// Sends inputs like [`Bench::inputs`], with an acknowledgement of snapshots.
    fn inputs_with(
        &mut self,
        peer: &mut Peer,
        newest: u32,
        values: &[u8],
        ack: Option<SnapshotAck>,
    ) -> ReceivedKind {
        let mut packet = InputPacket {
            newest_tick: Tick(newest).wire(),
            ack,
            ..InputPacket::default()
        };
        for &value in values {
            packet.inputs.push_older(InputBytes::new(&[value]).unwrap());
        }
        let mut bytes = [0; INPUT_PACKET_BYTES_MAX];
        let length = packet.write(&mut bytes);
        self.send(peer, &bytes[..length])
    }

    /// Runs a tick of all simulations and serves it.
    fn tick(&mut self) {
        self.now += TICK;
        for simulation in &mut self.simulations {
            simulation.publish(self.now);
        }
        self.core.publish(self.now, &mut self.out);
        self.core.update(self.now, &mut self.out);
    }

    fn figure(&self, name: &str) -> u64 {
        self.core.measure();
        let figures = self.shared.stats.figures();
        figures
            .iter()
            .find(|(other, _)| *other == name)
            .map(|&(_, value)| value)
            .unwrap()
    }
}

fn core(
    worker: u8,
    links: Vec<crate::boundary::link::WorkerLink>,
    shared: &WorkerShared,
    entropy: &mut Entropy,
) -> WorkerCore {
    let config = WorkerCoreConfig {
        worker,
        netcode: ServerNetcodeConfig::new(KEY, vec![address(0)]),
        replication: ReplicationConfig::default(),
        unix_origin_s: UNIX_S,
    };
    WorkerCore::new(config, entropy, links, shared.clone())
}

fn address(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], 5_000 + port).into()
}

/// Returns the kinds of arrivals and the reasons of departures among `values`, in order.
fn arrivals(values: &[ToSimulation]) -> Vec<Result<PeerKind, LeaveReason>> {
    values
        .iter()
        .filter_map(|value| match value {
            ToSimulation::Joined { kind, .. } => Some(Ok(*kind)),
            ToSimulation::Left { reason, .. } => Some(Err(*reason)),
            _ => None,
        })
        .collect()
}

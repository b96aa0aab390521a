//! Tests the core against the server half of netcode, in memory and in virtual time.

mod silence;

use proptest::prelude::*;
use throng_shared::netcode::{
    Entropy, PROTOCOL_ID, Reply, ServerNetcode, ServerNetcodeConfig, ServerReceived, SessionId, TokenRequest,
};
use throng_shared::protocol::delta::MotionModel;
use throng_shared::protocol::hello::GOODBYE_BYTES_MAX;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::kick_text::KickText;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{
    Enter, OwnerBlock, Presence, SectionHead, ShortId, SnapshotHeader, SnapshotWriter,
};
use throng_shared::protocol::steps::ComponentFormats;
use throng_shared::protocol::version::{ProtocolHash, Release};

use super::*;
use crate::join::Retry;

const STEP: Duration = Duration::from_millis(5);
const RATE_HZ: u16 = 20;
const KEY: [u8; 32] = [7; 32];
const VERSION: ProtocolVersion = ProtocolVersion {
    hash: ProtocolHash(0x1f2e),
    release: Release::CURRENT,
};

fn server_address() -> SocketAddr {
    "127.0.0.1:5000".parse().unwrap()
}

fn client_address() -> SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

/// Both ends of one session, and the packets and events so far.
struct Pair {
    now: Duration,
    core: ClientCore,
    server: ServerNetcode,
    session: Option<SessionId>,
    reliable: Reliable,
    hellos: Vec<Hello>,
    inputs: Vec<InputPacket>,
    events: Vec<ClientEvent>,
    /// Times at which the server received probes. It replies to each.
    probes: Vec<Duration>,
    /// Whether the client's datagrams are lost from now on.
    is_cut: bool,
}

impl Pair {
    fn new() -> Self {
        let mut entropy = Entropy::from_seed([3; 32]);
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id: 42,
            addresses: &[server_address()],
            expire_s: 30,
            timeout_s: 20,
            user_data: &[0; 256],
            private_key: &KEY,
        };
        let token = ConnectToken::generate(1_000, &request, &mut entropy).unwrap();
        let server = ServerNetcode::new(
            ServerNetcodeConfig::new(KEY, vec![server_address()]),
            &mut entropy,
        );
        let config = ClientConfig {
            version: VERSION,
            quanta_3d: None,
            components: ComponentFormats::default(),
            clock: ClockConfig::default(),
        };
        Self {
            now: Duration::from_secs(1),
            core: ClientCore::new(Duration::from_secs(1), &token, config),
            server,
            session: None,
            reliable: Reliable::new(),
            hellos: Vec::new(),
            inputs: Vec::new(),
            events: Vec::new(),
            probes: Vec::new(),
            is_cut: false,
        }
    }

    fn welcomed() -> Self {
        let mut pair = Self::new();
        pair.run(Duration::from_millis(100));
        pair.welcome(Tick(500));
        pair
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.now += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let mut sent = Vec::new();
        let input = |tick: Tick| InputBytes::new(&[tick.0 as u8]).unwrap();
        let event = self
            .core
            .update(self.now, input, |datagram| sent.push(datagram.to_vec()));
        self.events.extend(event);
        let probed = self.probes.len();
        for mut datagram in sent.into_iter().filter(|_| !self.is_cut) {
            let mut reply = Reply::new();
            let received = self
                .server
                .receive(self.now, 1_000, client_address(), &mut datagram, &mut reply);
            match received {
                ServerReceived::Connected { session, .. } => self.session = Some(session),
                ServerReceived::Payload { payload, .. } => match PayloadKind::of(payload).unwrap() {
                    PayloadKind::Hello => self.hellos.push(Hello::read(payload).unwrap()),
                    PayloadKind::Input => self.inputs.push(InputPacket::read(payload).unwrap()),
                    PayloadKind::Renet => self.reliable.receive(payload).unwrap(),
                    PayloadKind::Probe => self.probes.push(self.now),
                    other => panic!("a client never sends {other:?}"),
                },
                _ => {}
            }
            if !reply.is_empty() {
                let mut reply = reply.as_slice().to_vec();
                self.events
                    .extend(self.core.receive_datagram(self.now, &mut reply, &mut ()));
            }
        }
        (probed..self.probes.len()).for_each(|_| self.send(&PROBE_PACKET));
        let mut packets = Vec::new();
        self.reliable
            .poll(self.now, 10_000, |packet| packets.push(packet.to_vec()))
            .unwrap();
        packets.iter().for_each(|packet| self.send(packet));
    }

    /// Sends a payload from the server to the client.
    fn send(&mut self, payload: &[u8]) {
        let mut buffer = vec![0; SEAL_HEAD_BYTES + payload.len() + SEAL_TAIL_BYTES];
        let range = SEAL_HEAD_BYTES..SEAL_HEAD_BYTES + payload.len();
        buffer[range.clone()].copy_from_slice(payload);
        let sealed = self
            .server
            .seal(self.session.unwrap(), self.now, &mut buffer, range)
            .unwrap();
        let event = self.core.receive_datagram(self.now, &mut buffer[sealed], &mut ());
        self.events.extend(event);
    }

    fn welcome(&mut self, tick: Tick) {
        let mut packet = [0; HELLO_BYTES_MAX];
        let length = Welcome {
            tick,
            tick_rate_hz: RATE_HZ,
            player: PlayerId(9),
        }
        .write(&mut packet);
        self.send(&packet[..length]);
    }

    fn goodbye(&mut self, goodbye: Goodbye) {
        let mut packet = [0; GOODBYE_BYTES_MAX];
        let length = goodbye.write(&mut packet);
        self.send(&packet[..length]);
    }

    /// Sends a snapshot with one entity that enters at `x`.
    fn snapshot(&mut self, sequence: u16, tick: Tick, x: i32, owner: OwnerBlock) {
        let mut buffer = [0; 200];
        let header = SnapshotHeader {
            sequence,
            tick,
            part: 0,
            id_bits: 8,
        };
        let mut writer = SnapshotWriter::new(&mut buffer, header, Some(&owner));
        writer.section(SectionHead {
            simulation: SimulationId(0),
            tick,
            ..SectionHead::default()
        });
        writer.end_list();
        writer.enter(
            &Enter {
                id: ShortId(1),
                global: GlobalId(77),
                pose: Pose { x, ..Pose::default() },
            },
            &MotionModel::new(20),
        );
        writer.end_list();
        writer.presence(&Presence::default());
        let length = writer.finish().unwrap();
        self.send(&buffer[..length]);
    }
}

#[test]
fn hello_repeats_until_welcome_then_every_input_is_sent_four_times() {
    let mut pair = Pair::new();
    pair.run(Duration::from_millis(350));
    assert_eq!(pair.events, [ClientEvent::Connected]);
    assert!(
        (3..=4).contains(&pair.hellos.len()),
        "every 100 ms: {}",
        pair.hellos.len()
    );
    assert!(pair.hellos.iter().all(|hello| hello.version == VERSION));
    assert!(pair.inputs.is_empty());

    pair.welcome(Tick(500));
    pair.welcome(Tick(501));
    let welcomed = |event: &&ClientEvent| matches!(event, ClientEvent::Welcomed(_));
    assert_eq!(
        pair.events.iter().filter(welcomed).count(),
        1,
        "one welcome is enough"
    );
    assert_eq!(pair.core.player(), Some(PlayerId(9)));
    let greeted = pair.hellos.len();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.hellos.len(), greeted);
    assert!(
        (19..=21).contains(&pair.inputs.len()),
        "{} packets in a second",
        pair.inputs.len()
    );
    for window in pair.inputs.windows(2) {
        assert_eq!(window[1].newest_tick, window[0].newest_tick.wrapping_add(1));
    }
    let last = pair.inputs.last().unwrap();
    let ticks: Vec<u8> = last
        .inputs
        .as_slice()
        .iter()
        .map(|input| input.as_slice()[0])
        .collect();
    let newest = last.newest_tick as u8;
    assert_eq!(ticks, [newest, newest - 1, newest - 2, newest - 3]);
    assert!(last.newest_tick > 500 && last.ack.is_none());
}

#[test]
fn snapshots_are_mirrored_and_acknowledged_and_set_the_clock() {
    let mut pair = Pair::welcomed();
    pair.snapshot(1, Tick(501), 10, OwnerBlock::default());
    let applied = |event: &&ClientEvent| matches!(event, ClientEvent::Snapshot(_));
    assert_eq!(pair.events.iter().filter(applied).count(), 1);
    let mirror = pair.core.mirror().unwrap();
    assert_eq!(
        mirror
            .entities()
            .map(|entity| (entity.global.0, entity.pose.x))
            .collect::<Vec<_>>(),
        [(77, 10)]
    );
    pair.run(Duration::from_millis(100));
    let last = pair.inputs.last().unwrap();
    assert_eq!(last.ack.unwrap().newest, 1);
    assert_eq!(last.view, Some(ViewTick::new(Tick(501), 0)));

    // A frame reports that its newest input came twelve ticks too late: from now on inputs lead by twelve more.
    pair.run(Duration::from_secs(1));
    let sent = Tick::unwrap_near(pair.inputs.last().unwrap().newest_tick, Tick(500));
    let late = OwnerBlock {
        last_input: Some(Tick(505)),
        newest_input: Some(sent),
        margin_16: -16 * 12,
        own: None,
    };
    pair.snapshot(2, sent + 4, 10, late);
    pair.run(Duration::from_millis(100));
    let next = Tick::unwrap_near(pair.inputs.last().unwrap().newest_tick, Tick(500));
    assert!(
        (14..=15).contains(&next.since(sent)),
        "two ticks later: from {sent} to {next}"
    );
}

#[test]
fn session_end_has_a_reason_and_a_retry_advice() {
    let other = ProtocolVersion {
        hash: ProtocolHash(2),
        release: Release::CURRENT,
    };
    let mismatch = Goodbye::ProtocolMismatch {
        server: other,
        client: VERSION,
    };
    for (goodbye, retry) in [
        (mismatch, Retry::Pointless),
        (Goodbye::Replaced, Retry::Pointless),
        (Goodbye::Kicked(KickText::new("no shouting")), Retry::Pointless),
        (Goodbye::Despawned, Retry::Pointless),
        (Goodbye::Shutdown, Retry::Worthwhile),
        (Goodbye::ServerFull, Retry::Later),
    ] {
        let mut pair = Pair::welcomed();
        pair.goodbye(goodbye);
        let reason = EndReason::Goodbye(goodbye);
        assert_eq!(pair.events.last(), Some(&ClientEvent::Ended(reason)));
        assert_eq!((pair.core.ended(), reason.retry()), (Some(reason), retry));
        assert_eq!(reason.to_string(), goodbye.to_string());
        let sent = pair.inputs.len();
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.inputs.len(), sent, "nothing is sent after the end");
    }
    let mut pair = Pair::welcomed();
    pair.is_cut = true;
    pair.run(Duration::from_secs(25));
    let timed_out = EndReason::Transport(DisconnectReason::TimedOut);
    assert_eq!(pair.events.last(), Some(&ClientEvent::Ended(timed_out)));
    assert_eq!(
        (pair.core.ended(), timed_out.retry()),
        (Some(timed_out), Retry::Worthwhile)
    );
}

#[test]
fn disconnect_notifies_the_server() {
    let mut pair = Pair::welcomed();
    let mut packets = Vec::new();
    pair.core.disconnect(|datagram| packets.push(datagram.to_vec()));
    let mut reply = Reply::new();
    let received = pair
        .server
        .receive(pair.now, 1_000, client_address(), &mut packets[3], &mut reply);
    assert!(
        matches!(received, ServerReceived::Disconnected { .. }),
        "any one of them is enough"
    );
    assert_eq!(
        pair.core.ended().map(|reason| reason.retry()),
        Some(Retry::Pointless)
    );
}

#[test]
fn messages_are_exchanged_in_both_directions() {
    let mut pair = Pair::welcomed();
    pair.core
        .send_message(Channel::ReliableOrdered, Bytes::from_static(b"hail"))
        .unwrap();
    pair.reliable
        .send(Channel::ReliableOrdered, Bytes::from_static(b"hello there"))
        .unwrap();
    pair.run(Duration::from_millis(200));
    assert_eq!(
        pair.reliable.pop(),
        Some((Channel::ReliableOrdered, Bytes::from_static(b"hail")))
    );
    assert!(pair.events.contains(&ClientEvent::Messages));
    assert_eq!(
        pair.core.next_message(),
        Some((Channel::ReliableOrdered, Bytes::from_static(b"hello there")))
    );
    assert_eq!(pair.core.next_message(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_payloads_of_the_server_do_not_panic(
        payloads in prop::collection::vec((0_usize..8, prop::collection::vec(any::<u8>(), 1..300)), 1..50),
    ) {
        const FIRST_BYTES: [u8; 8] = [0, 1, 2, 4, PayloadKind::SNAPSHOT, PayloadKind::HELLO, PayloadKind::GOODBYE, PayloadKind::PROBE];
        let mut pair = Pair::welcomed();
        for (kind, mut payload) in payloads {
            if pair.core.ended().is_some() {
                break;
            }
            payload[0] = FIRST_BYTES[kind];
            pair.send(&payload);
            pair.run(STEP);
        }
    }

    #[test]
    fn random_datagrams_are_ignored(mut datagram in prop::collection::vec(any::<u8>(), 0..1_400)) {
        let mut pair = Pair::welcomed();
        prop_assert_eq!(pair.core.receive_datagram(pair.now, &mut datagram, &mut ()), None);
        prop_assert_eq!(pair.core.ended(), None);
    }
}

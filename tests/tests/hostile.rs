//! Peers that break the rules: they lose at most their own session, and other clients are not affected.

use std::time::Duration;

use throng_server::{input::InputCounters, simulation::Players};
use throng_shared::random::Random;
use throng_shared::{
    netcode::ClientState,
    protocol::{
        hello::{HELLO_BYTES_MAX, Hello},
        ids::GlobalId,
        input::{
            INPUT_PACKET_BYTES_MAX, InputBytes, InputList, InputPacket, Restarts, SnapshotAck, ViewTick,
        },
    },
    tick::Tick,
};
use throng_tests::simulator::{
    ClientId, Simulator, SimulatorConfig,
    arena::{ArenaConfig, Steer},
    link::LinkTally,
    peer::RawPeer,
};

/// Number of the first hostile endpoint. It differs from all clients'.
const ABUSER: usize = 60_000;

fn playing(clients: usize) -> (Simulator, Vec<ClientId>) {
    let mut simulator = Simulator::new(SimulatorConfig::default());
    simulator.run(2);
    let ids = (0..clients).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(100));
    simulator.run(40);
    (simulator, ids)
}

/// Everything that the honest clients observed in a run.
#[derive(Debug, PartialEq)]
struct Figures {
    snapshots: Vec<u64>,
    updates: Vec<u64>,
    gaps: Vec<Duration>,
    links: Vec<LinkTally>,
    checksum: u64,
}

fn figures(simulator: &mut Simulator, ids: &[ClientId]) -> Figures {
    simulator.assert_sound();
    let tallies: Vec<_> = ids.iter().map(|&id| simulator.client(id).tally()).collect();
    let ends: Vec<_> = ids
        .iter()
        .map(|&id| {
            (
                simulator.client(id).server_address(),
                simulator.client(id).address(),
            )
        })
        .collect();
    Figures {
        snapshots: tallies.iter().map(|tally| tally.snapshots).collect(),
        updates: tallies.iter().map(|tally| tally.updates).collect(),
        gaps: tallies.iter().map(|tally| tally.gap_max).collect(),
        links: ends
            .iter()
            .map(|&(server, client)| simulator.network().tally(server, client))
            .collect(),
        checksum: simulator.frames().newest().checksum().0,
    }
}

/// Runs the same game with and without `abuse` in every tick. Asserts that everything that the honest clients received
/// and observed is equal to the byte.
fn assert_unaffected(mut abuse: impl FnMut(&mut Simulator, u32)) {
    let (mut quiet, ids) = playing(4);
    quiet.run(60);
    let (mut abused, _) = playing(4);
    let mut tick = 0;
    abused.run_with(60, |simulator| {
        abuse(simulator, tick);
        tick += 1;
    });
    assert_eq!(figures(&mut abused, &ids), figures(&mut quiet, &ids));
}

fn noise(dice: &mut Random, length_max: u64) -> Vec<u8> {
    let length = dice.bits() % (length_max + 1);
    (0..length).map(|_| dice.bits() as u8).collect()
}

#[test]
fn datagrams_from_unknown_addresses_change_nothing() {
    let mut dice = Random::new(1);
    assert_unaffected(|simulator, _| {
        let servers: Vec<_> = simulator.server().addresses().collect();
        for number in 0..200 {
            let from = Simulator::address(ABUSER + number);
            let mut datagram = noise(&mut dice, 1_408);
            // All kinds of netcode's packets, and unknown kinds.
            if let Some(first) = datagram.first_mut() {
                *first = number as u8;
            }
            simulator.send_raw(from, servers[number % servers.len()], &datagram);
        }
    });
}

#[test]
fn spoofed_addresses_of_clients_change_nothing() {
    let mut dice = Random::new(2);
    assert_unaffected(|simulator, _| {
        let ends: Vec<_> = simulator
            .clients()
            .iter()
            .map(|client| (client.address(), client.server_address()))
            .collect();
        for (client, server) in ends {
            for _ in 0..20 {
                simulator.inject(client, server, noise(&mut dice, 1_400));
                simulator.inject(server, client, noise(&mut dice, 1_400));
            }
        }
    });
}

#[test]
fn a_hundred_thousand_spoofed_requests_change_nothing() {
    let mut dice = Random::new(3);
    assert_unaffected(|simulator, tick| {
        let server = simulator.server().addresses().next().unwrap();
        // 100,000 a second are 5,000 in a tick of 50 ms; 20 ticks of it.
        for number in 0..if tick < 20 { 5_000_usize } else { 0 } {
            let mut request = [0x5a; 1_078];
            request[0] = 0;
            request[1..14].copy_from_slice(b"NETCODE 1.02\0");
            request[14..22].copy_from_slice(b"throng/1");
            request[22..30].copy_from_slice(&u64::MAX.to_le_bytes());
            request[30..54].fill_with(|| dice.bits() as u8);
            simulator.inject(Simulator::address(ABUSER + number), server, request.to_vec());
        }
    });
}

/// Returns renet packets of an authenticated peer that make a stock renet panic or use unbounded memory.
fn renet_abuse() -> [(&'static str, Vec<Vec<u8>>); 4] {
    // Kind, packet sequence, channel, then the message: see renet's `Packet::to_bytes`.
    let slice = |message: u8, index: u8, count: u8| {
        let mut packet = vec![1, 0, 2, message, index, count, 0x44, 0xb0];
        packet.resize(8 + 1_200, 7);
        packet
    };
    let empty = |sequence: u8| {
        let mut packet = vec![0, sequence, 2, 0, 200];
        for message in 0..200_u16 {
            packet.extend(octet_varint(u64::from(sequence) * 200 + u64::from(message)));
            packet.push(0);
        }
        packet
    };
    [
        ("a slice index that does not exist", vec![slice(0, 7, 2)]),
        (
            "slices that give different numbers of slices",
            vec![slice(0, 0, 3), slice(0, 1, 5)],
        ),
        ("empty messages", (0..60).map(empty).collect()),
        (
            "a message far ahead",
            vec![[vec![0, 0, 2, 0, 1], octet_varint(1 << 40), vec![1, 9]].concat()],
        ),
    ]
}

/// Encodes a QUIC variable-length integer, as renet does.
fn octet_varint(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

#[test]
fn a_hostile_renet_peer_costs_only_its_own_session() {
    for (what, packets) in renet_abuse() {
        let mut peer = None;
        assert_unaffected(|simulator, tick| {
            let peer = peer.get_or_insert_with(|| {
                let now = simulator.now();
                let token = simulator.server().issue_token(now, 666);
                RawPeer::new(simulator, Simulator::address(ABUSER), &token)
            });
            peer.step(simulator);
            match tick {
                20 => {
                    assert_eq!(peer.state(), ClientState::Connected);
                    packets.iter().for_each(|packet| peer.send(simulator, packet));
                }
                30 => assert!(
                    matches!(peer.state(), ClientState::Disconnected(_)),
                    "{what} is accepted"
                ),
                _ => {}
            }
        });
    }
}

/// Returns a peer that has sent its hello and is served like a client.
fn served_peer(simulator: &mut Simulator) -> RawPeer {
    let mut peer = RawPeer::connected(simulator, Simulator::address(ABUSER), 666);
    let mut hello = [0; HELLO_BYTES_MAX];
    let length = Hello {
        version: simulator.protocol().version(),
    }
    .write(&mut hello);
    peer.send(simulator, &hello[..length]);
    simulator.run(4);
    peer.step(simulator);
    assert!(!peer.take_received().is_empty(), "no welcome");
    peer
}

fn send_input(simulator: &mut Simulator, peer: &mut RawPeer, tick: Tick, input: &[u8]) {
    let mut inputs = InputList::default();
    inputs.push_older(InputBytes::new(input).unwrap());
    let packet = InputPacket {
        ack: Some(SnapshotAck {
            newest: tick.wire(),
            bits: u64::MAX,
        }),
        newest_tick: tick.wire(),
        restarts: Restarts::default(),
        view: Some(ViewTick::new(tick, 255)),
        inputs,
    };
    let mut out = [0; INPUT_PACKET_BYTES_MAX];
    let length = packet.write(&mut out);
    peer.send(simulator, &out[..length]);
}

fn pose_of(simulator: &Simulator, global: GlobalId) -> throng_shared::protocol::pose::Pose {
    let frame = simulator.frames().newest();
    let found = frame
        .rows()
        .find(|(slot, _)| frame.identity(*slot).global == global);
    found.map(|(_, row)| row.pose).expect("the entity exists")
}

/// Returns the bytes of a `Steer` with any values. The encoder accepts only valid ones.
fn raw_steer(turn: f32, thrust: f32) -> Vec<u8> {
    [turn.to_le_bytes(), thrust.to_le_bytes()].concat()
}

/// Returns a simulator with one peer that is served like a client, and the peer's entity.
fn lone_peer() -> (Simulator, RawPeer, GlobalId) {
    let arena = ArenaConfig {
        entities: 10,
        ..ArenaConfig::default()
    };
    let mut simulator = Simulator::new(SimulatorConfig {
        arena,
        ..SimulatorConfig::default()
    });
    simulator.run(2);
    let peer = served_peer(&mut simulator);
    let frame = simulator.frames().newest();
    let (_, row) = frame.players.iter().next().expect("the peer plays");
    let avatar = frame
        .identity(row.entity.expect("the player has an entity"))
        .global;
    (simulator, peer, avatar)
}

#[test]
fn inputs_that_are_not_finite_or_out_of_range_move_nothing() {
    let (mut simulator, mut peer, avatar) = lone_peer();
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.1, -7.0, f32::MAX];
    let before = pose_of(&simulator, avatar);
    for axis in bad {
        for input in [
            raw_steer(axis, 0.5),
            raw_steer(0.5, axis),
            vec![255; 24],
            Vec::new(),
            vec![0; 9],
        ] {
            let tick = simulator.frames().newest().tick + 3;
            send_input(&mut simulator, &mut peer, tick, &input);
            simulator.run(5);
            peer.step(&mut simulator);
            assert_eq!(pose_of(&simulator, avatar), before, "{input:?}");
        }
    }
    // A valid input of the same peer moves the entity. This shows that the link works.
    let good = simulator
        .protocol()
        .encode_input(&Steer {
            turn: 0.5,
            thrust: 0.5,
        })
        .unwrap();
    let tick = simulator.frames().newest().tick + 3;
    send_input(&mut simulator, &mut peer, tick, good.as_slice());
    simulator.run(5);
    assert_ne!(pose_of(&simulator, avatar), before);
}

#[test]
fn inputs_from_the_past_and_the_future_are_counted_and_do_nothing() {
    let (mut simulator, mut peer, avatar) = lone_peer();
    let before = pose_of(&simulator, avatar);
    let good = simulator
        .protocol()
        .encode_input(&Steer {
            turn: 1.0,
            thrust: 1.0,
        })
        .unwrap();
    let counted = |simulator: &mut Simulator| *simulator.server().world().resource::<InputCounters>();
    let counters = counted(&mut simulator);
    for ahead in [-1_000, -40, -10, 500, 2_000, 20_000] {
        let tick = Tick(simulator.frames().newest().tick.0.wrapping_add_signed(ahead));
        send_input(&mut simulator, &mut peer, tick, good.as_slice());
        simulator.run(3);
        peer.step(&mut simulator);
        assert_eq!(pose_of(&simulator, avatar), before, "{ahead} ticks ahead");
    }
    let after = counted(&mut simulator);
    assert!(
        after.late + after.early >= counters.late + counters.early + 4,
        "{after:?}"
    );
    assert_eq!(after.kept, counters.kept);
}

#[test]
fn a_thousand_inputs_a_second_apply_one_a_tick() {
    let (mut simulator, mut peer, _) = lone_peer();
    let good = simulator
        .protocol()
        .encode_input(&Steer {
            turn: 1.0,
            thrust: 1.0,
        })
        .unwrap();
    let before = *simulator.server().world().resource::<InputCounters>();
    for _ in 0..40 {
        // 50 inputs in a tick are 1,000 a second. Each is for a different tick in the future.
        for ahead in 0..50 {
            let tick = simulator.frames().newest().tick + 1 + ahead;
            send_input(&mut simulator, &mut peer, tick, good.as_slice());
        }
        simulator.run(1);
        peer.step(&mut simulator);
    }
    let after = *simulator.server().world().resource::<InputCounters>();
    assert!(after.kept - before.kept <= 40 + 50, "{after:?}");
    assert!(
        !matches!(peer.state(), ClientState::Connected)
            || simulator.server().world().resource::<Players>().len() == 1
    );
}

#[test]
fn a_flood_of_inputs_does_not_affect_other_clients() {
    let (mut simulator, ids) = playing(3);
    let mut peer = served_peer(&mut simulator);
    simulator.run(40);
    let rate = |simulator: &mut Simulator, flood: bool, peer: &mut RawPeer| {
        let before: Vec<_> = ids
            .iter()
            .map(|&id| simulator.client(id).tally().snapshots)
            .collect();
        for _ in 0..60 {
            for ahead in 0..if flood { 50 } else { 0 } {
                let tick = simulator.frames().newest().tick + ahead;
                send_input(simulator, peer, tick, &raw_steer(0.1, 0.1));
            }
            simulator.run(1);
            peer.step(simulator);
        }
        let after = ids.iter().map(|&id| simulator.client(id).tally().snapshots);
        after
            .zip(before)
            .map(|(after, before)| after - before)
            .collect::<Vec<_>>()
    };
    let before = rate(&mut simulator, false, &mut peer);
    let during = rate(&mut simulator, true, &mut peer);
    assert_eq!(before, during);
    assert_eq!(before, [60; 3]);
    simulator.assert_sound();
}

#[test]
fn authenticated_noise_costs_at_most_its_own_session() {
    for seed in 0..20 {
        let (mut simulator, ids) = playing(2);
        let mut peer = served_peer(&mut simulator);
        let mut dice = Random::new(seed);
        simulator.run_with(40, |simulator| {
            for kind in [0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xff] {
                let mut payload = noise(&mut dice, 200);
                payload.insert(0, kind);
                peer.send(simulator, &payload);
            }
            peer.step(simulator);
        });
        assert!(
            ids.iter().all(|&id| simulator.client(id).is_playing()),
            "seed {seed}"
        );
        simulator.freeze(true);
        simulator.run(30);
        simulator.assert_mirrors_match();
    }
}

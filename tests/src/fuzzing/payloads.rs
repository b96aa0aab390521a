//! Fuzz target for the payloads that an authenticated peer sends to a worker and the simulation behind it.

use throng_shared::protocol::hello::{HELLO_BYTES_MAX, Hello};

use super::packets;
use crate::simulator::{Simulator, SimulatorConfig, arena::ArenaConfig, peer::RawPeer};

/// Endpoint number of the peer.
const PEER: usize = 60_000;

/// Sends sealed payloads of an authenticated peer to a worker with a simulation behind it.
///
/// It must not panic (a worker counts a panic that ended only the session), and the worker serves the next client
/// normally. If the first byte is odd, the peer sends a hello first, so that it is served like a client.
pub fn payloads(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else {
        return;
    };
    let arena = ArenaConfig {
        entities: 4,
        half: 10.0,
        ..ArenaConfig::default()
    };
    let config = SimulatorConfig {
        workers: 1,
        arena,
        ..SimulatorConfig::default()
    };
    let mut simulator = Simulator::new(config);
    simulator.run(1);
    let mut peer = RawPeer::connected(&mut simulator, Simulator::address(PEER), 1);
    if first & 1 == 1 {
        let mut hello = [0; HELLO_BYTES_MAX];
        let length = Hello {
            version: simulator.protocol().version(),
        }
        .write(&mut hello);
        peer.send(&mut simulator, &hello[..length]);
        simulator.run(1);
    }
    for payload in packets(data) {
        peer.send(&mut simulator, payload);
        // Payloads arrive both within one tick and in different ticks.
        if payload.last().is_some_and(|last| last & 1 == 1) {
            simulator.run(1);
            peer.step(&mut simulator);
        }
    }
    simulator.run(3);
    assert_eq!(simulator.server().faults(), 0, "a panic ended a session");
    let next = simulator.connect();
    assert!(simulator.run_until_playing(20), "the worker serves no new client");
    simulator.run(2);
    assert!(!simulator.client(next).mirror().is_empty());
    simulator.assert_sound();
}

//! What an authenticated peer may say to a worker, and what the simulation behind it makes of it.

use throng_shared::protocol::hello::{HELLO_BYTES_MAX, Hello};

use super::packets;
use crate::simulator::{Simulator, SimulatorConfig, arena::ArenaConfig, peer::RawPeer};

/// Where the peer lives.
const PEER: usize = 60_000;

/// Payloads that an authenticated peer seals, to a worker with a simulation behind it: no panic (a worker that
/// survives one by ending the session counts it), and the worker serves the next peer as if nothing had been.
/// An odd first byte lets the peer say hello first, so that it is served like a client.
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
        // What arrives within a tick and what a tick separates are both tried.
        if payload.last().is_some_and(|last| last & 1 == 1) {
            simulator.run(1);
            peer.step(&mut simulator);
        }
    }
    simulator.run(3);
    assert_eq!(simulator.server().faults(), 0, "a panic ended a session");
    let next = simulator.connect();
    assert!(
        simulator.run_until_playing(20),
        "the worker serves nobody any more"
    );
    simulator.run(2);
    assert!(!simulator.client(next).mirror().is_empty());
    simulator.assert_sound();
}

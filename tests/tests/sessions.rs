//! Sessions begin, are taken over and end.

use throng_client::connection::{ClientConfig, EndReason};
use throng_server::simulation::{Players, Slots};
use throng_shared::{
    netcode::DisconnectReason,
    protocol::{hello::Goodbye, version::ProtocolHash},
};
use throng_tests::simulator::{
    ClientId, Simulator, SimulatorConfig,
    link::{Gate, LinkConditions},
    server::TIMEOUT_S,
};

/// Identity of the player that connects twice.
const TWICE: u64 = 4_711;

fn playing(config: SimulatorConfig, clients: usize) -> (Simulator, Vec<ClientId>) {
    let mut simulator = Simulator::new(config);
    simulator.run(2);
    let ids = (0..clients).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(100));
    (simulator, ids)
}

fn players(simulator: &mut Simulator) -> usize {
    simulator.server().world().resource::<Players>().len()
}

fn join_again(simulator: &mut Simulator, client_id: u64) -> ClientId {
    let config = ClientConfig::new(simulator.protocol());
    simulator.connect_as(client_id, config)
}

#[test]
fn another_protocol_is_refused_naming_both_versions() {
    let (mut simulator, ids) = playing(SimulatorConfig::default(), 2);
    let mut config = ClientConfig::new(simulator.protocol());
    let server = config.version;
    config.version.hash = ProtocolHash(config.version.hash.0 ^ 1);
    let odd = simulator.connect_as(9, config);
    simulator.run(20);
    let expected = Goodbye::ProtocolMismatch {
        server,
        client: config.version,
    };
    assert_eq!(simulator.client(odd).ended(), Some(EndReason::Goodbye(expected)));
    assert!(expected.to_string().contains(&server.to_string()), "{expected}");
    assert!(ids.iter().all(|&id| simulator.client(id).is_playing()));
    assert_eq!(players(&mut simulator), 2);
    simulator.assert_sound();
}

#[test]
fn a_newer_session_takes_over_on_any_worker() {
    for workers in [1, 2, 3] {
        let (mut simulator, _) = playing(
            SimulatorConfig {
                workers,
                ..SimulatorConfig::default()
            },
            1,
        );
        let first = join_again(&mut simulator, TWICE);
        assert!(simulator.run_until_playing(100));
        let old = simulator.client(first).player().unwrap();
        let avatar = simulator.avatar(old).unwrap();
        let second = join_again(&mut simulator, TWICE);
        simulator.run(40);
        assert!(simulator.client(second).is_playing(), "{workers} workers");
        let ended = simulator.client(first).ended();
        assert_eq!(
            ended,
            Some(EndReason::Goodbye(Goodbye::Replaced)),
            "{workers} workers"
        );
        assert_eq!(players(&mut simulator), 2, "{workers} workers");
        assert_eq!(simulator.client(second).player(), Some(old), "{workers} workers");
        assert_eq!(simulator.avatar(old), Some(avatar), "{workers} workers");
    }
}

#[test]
fn an_older_session_cannot_take_over() {
    let (mut simulator, _) = playing(
        SimulatorConfig {
            workers: 1,
            ..SimulatorConfig::default()
        },
        1,
    );
    let now = simulator.now();
    let config = ClientConfig::new(simulator.protocol());
    let older = simulator.server().issue_token(now, TWICE);
    let newer = simulator.server().issue_token(now, TWICE);
    let second = simulator.connect_with(&newer, config);
    assert!(simulator.run_until_playing(100));
    let first = simulator.connect_with(&older, config);
    simulator.run(60);
    assert!(simulator.client(second).is_playing());
    assert!(!simulator.client(first).is_playing());
    assert_eq!(players(&mut simulator), 2);
}

#[test]
fn a_client_that_leaves_is_removed_from_all_mirrors() {
    let (mut simulator, ids) = playing(SimulatorConfig::default(), 3);
    let leaver = simulator.client(ids[0]).player().unwrap();
    let avatar = simulator.avatar(leaver).unwrap();
    simulator.run(20);
    simulator.disconnect(ids[0]);
    simulator.run(20);
    assert_eq!(players(&mut simulator), 2);
    for &id in &ids[1..] {
        let mirror = simulator.client(id).mirror();
        assert!(mirror.entities().all(|entity| entity.global != avatar));
    }
    simulator.assert_mirrors_match();
}

#[test]
fn a_silent_client_times_out_on_both_ends() {
    let (mut simulator, ids) = playing(SimulatorConfig::default(), 2);
    simulator.set_gate(ids[0], Gate::Closed);
    let timeout_ticks = TIMEOUT_S as u32 * 20;
    simulator.run(timeout_ticks - 40);
    assert!(simulator.client(ids[0]).is_playing());
    assert_eq!(players(&mut simulator), 2);
    simulator.run(80);
    let ended = simulator.client(ids[0]).ended();
    assert_eq!(ended, Some(EndReason::Transport(DisconnectReason::TimedOut)));
    // The player lingers without a session.
    assert_eq!(players(&mut simulator), 2);
    assert_eq!(simulator.frames().newest().players.len(), 1);
    simulator.run(30 * 20);
    assert_eq!(players(&mut simulator), 1);
    assert!(simulator.client(ids[1]).is_playing());
}

#[test]
fn a_shutdown_is_announced_to_every_client() {
    let (mut simulator, ids) = playing(SimulatorConfig::default(), 5);
    simulator.shutdown();
    for id in ids {
        assert_eq!(
            simulator.client(id).ended(),
            Some(EndReason::Goodbye(Goodbye::Shutdown))
        );
    }
}

#[test]
fn clients_connect_through_bad_links() {
    for seed in 0..8 {
        let conditions = LinkConditions::lossy(0.4);
        let mut simulator = Simulator::new(SimulatorConfig {
            seed,
            conditions,
            ..SimulatorConfig::default()
        });
        simulator.run(2);
        for _ in 0..8 {
            simulator.connect();
        }
        assert!(simulator.run_until_playing(300), "seed {seed}");
        simulator.assert_sound();
    }
}

#[test]
fn short_sessions_leave_no_players_and_slots_behind() {
    let (mut simulator, _) = playing(SimulatorConfig::default(), 2);
    simulator.run(100);
    let entities = simulator.server().world().resource::<Slots>().len();
    for round in 0..60 {
        let ids: Vec<_> = (0..4).map(|_| simulator.connect()).collect();
        assert!(simulator.run_until_playing(20), "round {round}");
        simulator.run(5);
        ids.into_iter().for_each(|id| simulator.disconnect(id));
        simulator.run(3);
    }
    simulator.run(100);
    assert_eq!(players(&mut simulator), 2);
    assert_eq!(simulator.server().world().resource::<Slots>().len(), entities);
    // Slots are not reused at once, so the frame grows to a few times the number of entities and no further.
    let slots = simulator.frames().newest().slots();
    assert!(slots <= 4_096, "{slots} slots for {entities} entities");
    simulator.assert_sound();
}

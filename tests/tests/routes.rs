//! The process's directory during whole sessions: it contains an avatar, with its worker and session, for exactly as
//! long as its player plays.

use std::{collections::BTreeMap, net::SocketAddr};

use throng_client::connection::ClientConfig;
use throng_server::{
    internals::{Directory, EntityRoute, Routes, Routing},
    simulation::Player,
};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId};
use throng_tests::simulator::{ClientId, Simulator, SimulatorConfig, link::LinkConditions};

fn simulator(config: SimulatorConfig) -> Simulator {
    let mut simulator = Simulator::new(SimulatorConfig { workers: 3, ..config });
    simulator.run(2);
    simulator
}

/// Returns each player's expected route, from the simulation's players and the clients' tokens.
fn expected(simulator: &mut Simulator) -> BTreeMap<GlobalId, EntityRoute> {
    let workers: Vec<SocketAddr> = simulator.server().addresses().collect();
    let playing: Vec<(PlayerId, SocketAddr)> = simulator
        .clients()
        .iter()
        .filter(|client| client.is_playing())
        .map(|client| (client.player().unwrap(), client.server_address()))
        .collect();
    let world = simulator.server().world();
    let players: Vec<Player> = world.query::<&Player>().iter(world).copied().collect();
    let route = |(id, address)| {
        let player = players
            .iter()
            .find(|player| player.id == id)
            .expect("the frames contain the player");
        let worker = workers.iter().position(|&own| own == address).unwrap() as u8;
        assert_eq!(player.session.worker, worker);
        let route = EntityRoute {
            simulation: SimulationId(0),
            worker,
            session_index: player.session.session.index,
        };
        (simulator.avatar(id).expect("the player has an avatar"), route)
    };
    playing.into_iter().map(route).collect()
}

fn routed(simulator: &mut Simulator) -> u64 {
    let counters = simulator.server().world().resource::<Routing>().counters();
    assert_eq!(counters.refused, 0);
    counters.entered - counters.removed
}

fn entity(simulator: &mut Simulator, id: GlobalId) -> Option<EntityRoute> {
    let directory: &Directory = &simulator.server().world().resource::<Routes>().0;
    directory.entity(id)
}

/// Asserts that the directory contains exactly the playing avatars, and none of the others in `ever`.
fn assert_routes(simulator: &mut Simulator, ever: &mut BTreeMap<GlobalId, EntityRoute>) {
    let now = expected(simulator);
    assert!(!now.is_empty());
    ever.extend(now.iter());
    for &id in ever.keys() {
        assert_eq!(entity(simulator, id), now.get(&id).copied(), "{id:?}");
    }
    assert_eq!(routed(simulator), now.len() as u64);
}

#[test]
fn an_avatar_is_found_while_its_player_plays() {
    let mut simulator = simulator(SimulatorConfig::default());
    let ids: Vec<ClientId> = (0..9).map(|_| simulator.connect()).collect();
    assert!(simulator.run_until_playing(100));
    simulator.run(2);
    let mut ever = BTreeMap::new();
    assert_routes(&mut simulator, &mut ever);
    let workers = ever.values().map(|route| route.worker).collect::<Vec<_>>();
    assert!((0..3).all(|worker| workers.contains(&worker)), "{workers:?}");

    simulator.disconnect(ids[4]);
    simulator.run(10);
    assert_eq!(ever.len(), 9);
    assert_routes(&mut simulator, &mut ever);

    // The same player connects again, at another worker, and has the same avatar.
    for _ in 0..2 {
        let config = ClientConfig::new(simulator.protocol());
        simulator.connect_as(4_711, config);
        simulator.run(40);
        assert_routes(&mut simulator, &mut ever);
    }
    assert_eq!(ever.len(), 10);
    simulator.shutdown();
    simulator.run(2);
    assert_eq!(routed(&mut simulator), 0);
    for id in ever.into_keys() {
        assert_eq!(entity(&mut simulator, id), None, "{id:?}");
    }
}

#[test]
fn short_sessions_over_bad_links_leave_no_routes_behind() {
    for seed in 0..4 {
        let conditions = LinkConditions::lossy(0.2);
        let mut simulator = simulator(SimulatorConfig {
            seed,
            conditions,
            ..SimulatorConfig::default()
        });
        let mut ever = BTreeMap::new();
        simulator.connect();
        for _ in 0..20 {
            let ids: Vec<_> = (0..4).map(|_| simulator.connect()).collect();
            assert!(simulator.run_until_playing(300), "seed {seed}");
            simulator.run(5);
            assert_routes(&mut simulator, &mut ever);
            ids.into_iter().for_each(|id| simulator.disconnect(id));
            simulator.run(20);
        }
        // Sessions whose disconnect was lost end by the time-out.
        simulator.run(20 * 25);
        assert_routes(&mut simulator, &mut ever);
        assert_eq!(ever.len(), 81, "seed {seed}");
        assert_eq!(routed(&mut simulator), 1, "seed {seed}");
    }
}

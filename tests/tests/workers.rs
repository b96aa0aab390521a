//! Net workers on real sockets: every way to run them serves the same clients alike.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use bevy_app::App;
use throng_client::{
    connection::{ClientConfig, ClientCore, ClientEvent, EndReason},
    join::Joiner,
    mirror::MirrorObserver,
    socket::ClientSocket,
};
use throng_server::observe::StatsReport;
use throng_shared::{
    protocol::{hello::Goodbye, input::InputBytes, registry::Protocol, version::ProtocolVersion},
    scenes::{BenchProtocol, SteerInput},
};
use throng_tests::process::ServerProcess;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Nobody;

impl MirrorObserver for Nobody {}

struct Player {
    socket: ClientSocket,
    core: ClientCore,
    snapshots: u32,
    ended: Option<EndReason>,
}

/// A test's way to one server.
struct Door {
    server: ServerProcess,
    joiner: Joiner,
    protocol: Protocol,
    origin: Instant,
}

impl Door {
    fn open(flags: &[&str]) -> Self {
        let mut app = App::empty();
        app.add_plugins(BenchProtocol);
        let protocol = app.world().resource::<Protocol>().clone();
        let server = ServerProcess::start(flags).unwrap();
        let joiner = Joiner::new(&server.http().to_string(), PATIENCE);
        Self {
            server,
            joiner,
            protocol,
            origin: now(),
        }
    }

    fn version(&self) -> ProtocolVersion {
        self.protocol.version()
    }

    /// Begins a session; returns it with the proof by which the client comes back.
    fn join(&self, name: &str, resume: Option<&str>) -> (Player, String) {
        let joined = self.joiner.join(name, &self.version(), resume).unwrap();
        let core = ClientCore::new(
            self.origin.elapsed(),
            &joined.token,
            ClientConfig::new(&self.protocol),
        );
        let socket = ClientSocket::connect(core.server_address()).unwrap();
        (
            Player {
                socket,
                core,
                snapshots: 0,
                ended: None,
            },
            joined.resume,
        )
    }

    fn pump(&self, player: &mut Player) {
        let now = self.origin.elapsed();
        let steer = self
            .protocol
            .encode_input(&SteerInput {
                turn: 0.5,
                thrust: 1.0,
            })
            .unwrap();
        while let Some(datagram) = player.socket.receive().unwrap() {
            match player.core.receive(now, datagram, &mut Nobody) {
                Some(ClientEvent::Snapshot(_)) => player.snapshots += 1,
                Some(ClientEvent::Ended(reason)) => player.ended = Some(reason),
                Some(event @ (ClientEvent::Undecodable(_) | ClientEvent::Unreadable(_))) => {
                    panic!("{event:?}")
                }
                _ => {}
            }
        }
        let Player {
            socket, core, ended, ..
        } = player;
        let input = |_| -> InputBytes { steer };
        let event = core.update(now, input, |datagram| socket.send(datagram).unwrap());
        if let Some(ClientEvent::Ended(reason)) = event {
            *ended = Some(reason);
        }
    }

    fn pump_until(&self, players: &mut [Player], done: impl Fn(&[Player]) -> bool) {
        let begun = now();
        while !done(players) {
            assert!(
                begun.elapsed() < PATIENCE,
                "not done after {PATIENCE:?}:\n{}",
                self.server.output().unwrap()
            );
            players.iter_mut().for_each(|player| self.pump(player));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stats(&self) -> StatsReport {
        let url = format!("http://{}/v1/stats", self.server.http());
        ureq::get(url).call().unwrap().body_mut().read_json().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "real sockets take real time")]
fn now() -> Instant {
    Instant::now()
}

fn total(stats: &StatsReport, name: &str) -> u64 {
    stats.workers.iter().map(|worker| worker[name]).sum()
}

/// Twenty players play on a server with these flags until it stops.
fn play(flags: &[&str], workers: usize) {
    let door = Door::open(&[&["--entities", "100"], flags].concat());
    let mut players: Vec<Player> = (0..20)
        .map(|n| door.join(&format!("player {n}"), None).0)
        .collect();
    door.pump_until(&mut players, |players| {
        players.iter().all(|player| player.snapshots >= 30)
    });
    for player in &players {
        let own = player.core.mirror().unwrap().owner().own;
        assert!(own.is_some() && player.ended.is_none(), "{flags:?}");
    }
    let stats = door.stats();
    assert_eq!((stats.clients, stats.workers.len()), (20, workers), "{flags:?}");
    // Every tick's input arrives once, though each packet repeats three.
    let (packets, inputs) = (total(&stats, "input_packets"), total(&stats, "inputs_forwarded"));
    assert!(
        packets > 20 * 20 && inputs <= packets + 20 * 10,
        "{flags:?}: {inputs} inputs in {packets} packets"
    );
    for nothing in [
        "inputs_invalid",
        "send_failures",
        "datagrams_overflowed",
        "payloads_malformed",
        "unauthentic",
    ] {
        assert_eq!(total(&stats, nothing), 0, "{flags:?}: {nothing}");
    }
    assert!(
        stats.fan_out.count > 20 && stats.input_queue.count > 20 * 20,
        "{flags:?}"
    );
    let Door { server, origin, .. } = door;
    server.signal("TERM").unwrap();
    let mut server = server;
    assert_eq!(
        server.wait().unwrap().code(),
        Some(0),
        "{flags:?}:\n{}",
        server.output().unwrap()
    );
    for player in &mut players {
        while let Some(datagram) = player.socket.receive().unwrap() {
            if let Some(ClientEvent::Ended(reason)) =
                player.core.receive(origin.elapsed(), datagram, &mut Nobody)
            {
                player.ended.get_or_insert(reason);
            }
        }
        assert_eq!(
            player.ended,
            Some(EndReason::Goodbye(Goodbye::Shutdown)),
            "{flags:?}"
        );
    }
}

#[test]
fn two_workers_with_batched_io() {
    play(&["--workers", "2", "--io", "batched"], 2);
}

#[test]
fn two_workers_with_portable_io() {
    play(&["--workers", "2", "--io", "portable"], 2);
}

#[test]
fn inline_with_both_kinds_of_io() {
    play(&["--workers", "0", "--io", "batched"], 1);
    play(&["--workers", "0", "--io", "portable"], 1);
}

#[test]
fn three_workers_on_one_port() {
    play(&["--workers", "3", "--udp-shared"], 3);
}

#[test]
fn sixty_ticks_a_second() {
    play(&["--workers", "1", "--tick-rate", "60"], 1);
}

#[test]
fn a_pinned_worker_serves() {
    play(&["--workers", "2", "--affinity", "0"], 2);
}

#[test]
fn strategies_spread_clients_over_the_workers() {
    for (strategy, even) in [
        ("round-robin", true),
        ("least-loaded", true),
        ("client-hash", false),
    ] {
        let door = Door::open(&["--workers", "3", "--assign", strategy]);
        let mut players: Vec<Player> = (0..12)
            .map(|n| door.join(&format!("player {n}"), None).0)
            .collect();
        door.pump_until(&mut players, |players| {
            players.iter().all(|player| player.snapshots >= 1)
        });
        let sessions: Vec<u64> = door
            .stats()
            .workers
            .iter()
            .map(|worker| worker["sessions"])
            .collect();
        assert_eq!(sessions.iter().sum::<u64>(), 12, "{strategy}");
        assert!(!even || sessions == [4, 4, 4], "{strategy}: {sessions:?}");
    }
}

#[test]
fn client_hash_returns_a_client_to_its_worker() {
    let door = Door::open(&["--workers", "4", "--assign", "client-hash"]);
    let mut workers = BTreeMap::new();
    for n in 0..8 {
        let (first, resume) = door.join(&format!("player {n}"), None);
        for _ in 0..3 {
            let (again, _) = door.join(&format!("player {n}"), Some(&resume));
            assert_eq!(again.core.server_address(), first.core.server_address());
        }
        *workers.entry(first.core.server_address()).or_insert(0) += 1;
    }
    assert!(workers.len() > 1, "{workers:?}");
}

#[test]
fn on_a_shared_port_a_client_that_comes_back_takes_over_whatever_worker_it_reaches() {
    let door = Door::open(&["--workers", "4", "--udp-shared"]);
    let (first, mut resume) = door.join("wanderer", None);
    let mut sessions = vec![first];
    for _ in 0..8 {
        door.pump_until(&mut sessions, |sessions| sessions.last().unwrap().snapshots >= 1);
        let (next, proof) = door.join("wanderer", Some(&resume));
        resume = proof;
        sessions.push(next);
    }
    // Every session but the newest is told that it was replaced.
    door.pump_until(&mut sessions, |sessions| {
        let (newest, older) = sessions.split_last().unwrap();
        newest.snapshots >= 20 && older.iter().all(|session| session.ended.is_some())
    });
    let (newest, older) = sessions.split_last().unwrap();
    assert!(newest.ended.is_none());
    for session in older {
        assert_eq!(session.ended, Some(EndReason::Goodbye(Goodbye::Replaced)));
    }
    let stats = door.stats();
    assert_eq!(stats.clients, 1);
    let reached = stats
        .workers
        .iter()
        .filter(|worker| worker["challenges"] > 0)
        .count();
    assert!(
        reached > 1,
        "the kernel spread nine addresses over {reached} worker"
    );
}

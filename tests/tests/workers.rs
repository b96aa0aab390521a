//! Net workers on real sockets: every way to run them serves clients equally.

use std::collections::BTreeMap;

use throng_client::connection::{ClientEvent, EndReason};
use throng_shared::protocol::hello::Goodbye;

use super::test_server::{NoObserver, Player, TestServer, total};

/// Runs twenty players on a server with these flags until it stops.
fn play(flags: &[&str], workers: usize) {
    let test_server = TestServer::open(&[&["--entities", "100"], flags].concat());
    let mut players: Vec<Player> = (0..20)
        .map(|n| test_server.join(&format!("player {n}"), None).0)
        .collect();
    test_server.pump_until(&mut players, |players| {
        players.iter().all(|player| player.snapshots >= 30)
    });
    for player in &players {
        let own = player.core.mirror().unwrap().owner().own;
        assert!(own.is_some() && player.ended.is_none(), "{flags:?}");
    }
    let stats = test_server.stats();
    assert_eq!((stats.clients, stats.workers.len()), (20, workers), "{flags:?}");
    assert_eq!(stats.simulation["avatars_routed"], 20, "{flags:?}");
    assert_eq!(stats.simulation["avatars_unrouted"], 0, "{flags:?}");
    // Every tick's input is forwarded once, although each packet repeats three.
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
    assert!(stats.fan_out.count > 20, "{flags:?}");
    // Batched I/O records arrivals only in some intervals, which may all be before or after this run.
    if flags.contains(&"portable") {
        assert!(stats.input_queue.count > 20 * 20, "{flags:?}");
    }
    let TestServer { server, origin, .. } = test_server;
    server.signal("TERM").unwrap();
    let mut server = server;
    assert_eq!(
        server.wait().unwrap().code(),
        Some(0),
        "{flags:?}:\n{}",
        server.output().unwrap()
    );
    for player in &mut players {
        while let Some(datagram) = player.socket.receive_datagram().unwrap() {
            if let Some(ClientEvent::Ended(reason)) =
                player
                    .core
                    .receive_datagram(origin.elapsed(), datagram, &mut NoObserver)
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
        let test_server = TestServer::open(&["--workers", "3", "--assign", strategy]);
        let mut players: Vec<Player> = (0..12)
            .map(|n| test_server.join(&format!("player {n}"), None).0)
            .collect();
        test_server.pump_until(&mut players, |players| {
            players.iter().all(|player| player.snapshots >= 1)
        });
        let sessions: Vec<u64> = test_server
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
    let test_server = TestServer::open(&["--workers", "4", "--assign", "client-hash"]);
    let mut workers = BTreeMap::new();
    for n in 0..8 {
        let (first, resume) = test_server.join(&format!("player {n}"), None);
        for _ in 0..3 {
            let (again, _) = test_server.join(&format!("player {n}"), Some(&resume));
            assert_eq!(again.core.server_address(), first.core.server_address());
        }
        *workers.entry(first.core.server_address()).or_insert(0) += 1;
    }
    assert!(workers.len() > 1, "{workers:?}");
}

#[test]
fn a_returning_client_on_a_shared_port_takes_over_on_any_worker() {
    let test_server = TestServer::open(&["--workers", "4", "--udp-shared"]);
    let (first, mut resume) = test_server.join("wanderer", None);
    let mut sessions = vec![first];
    for _ in 0..8 {
        test_server.pump_until(&mut sessions, |sessions| sessions.last().unwrap().snapshots >= 1);
        let (next, proof) = test_server.join("wanderer", Some(&resume));
        resume = proof;
        sessions.push(next);
    }
    // Every session except the newest receives the goodbye of a replaced one.
    test_server.pump_until(&mut sessions, |sessions| {
        let (newest, older) = sessions.split_last().unwrap();
        newest.snapshots >= 20 && older.iter().all(|session| session.ended.is_some())
    });
    let (newest, older) = sessions.split_last().unwrap();
    assert!(newest.ended.is_none());
    for session in older {
        assert_eq!(session.ended, Some(EndReason::Goodbye(Goodbye::Replaced)));
    }
    let stats = test_server.stats();
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

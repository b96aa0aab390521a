//! The assignment of clients to workers, with real sessions that begin and end.

use std::net::SocketAddr;

use throng_shared::random::Random;

use super::test_server::{Player, TestServer};

/// Returns the number of sessions of each worker, by the workers' own counters.
fn sessions(server: &TestServer) -> Vec<u64> {
    let stats = server.stats();
    stats.workers.iter().map(|worker| worker["sessions"]).collect()
}

/// Adds new players and runs all players until each has received a snapshot.
fn play(server: &TestServer, players: &mut Vec<Player>, newcomers: impl Iterator<Item = Player>) {
    players.extend(newcomers);
    server.pump_until(players, |players| {
        players.iter().all(|player| player.snapshots >= 1)
    });
    assert!(players.iter().all(|player| player.ended.is_none()));
}

/// Disconnects the players for which `leaves` returns true, and waits until the workers have removed them.
fn leave(server: &TestServer, players: &mut Vec<Player>, mut leaves: impl FnMut(&Player) -> bool) {
    players.retain_mut(|player| {
        let stays = !leaves(player);
        if !stays {
            player.leave();
        }
        stays
    });
    let left = players.len() as u64;
    server.pump_until(players, |_| sessions(server).iter().sum::<u64>() == left);
}

fn worker(player: &Player) -> SocketAddr {
    player.core.server_address()
}

#[test]
fn least_loaded_evens_out_after_skewed_disconnects() {
    const WORKERS: usize = 4;
    const PLAYERS: usize = 80;
    for seed in 0..3 {
        let server = TestServer::open(&["--workers", "4", "--assign", "least-loaded"]);
        let mut random = Random::new(seed);
        let mut players = Vec::new();
        let mut named = 0;
        let mut newcomers = |server: &TestServer, count: usize| {
            let start = named;
            named += count;
            (start..named)
                .map(|number| server.join(&format!("player {number}"), None).0)
                .collect::<Vec<_>>()
        };
        let first = newcomers(&server, PLAYERS);
        play(&server, &mut players, first.into_iter());
        assert_eq!(sessions(&server), [20; WORKERS], "seed {seed}");

        for round in 0..2 {
            // All players of one worker leave, half of the next one's, and a few of the others'.
            let base = server.server.udp().port();
            let hit = random.bits() as usize % WORKERS;
            leave(&server, &mut players, |player| {
                let offset = (usize::from(worker(player).port() - base) + WORKERS - hit) % WORKERS;
                random.unit() < [1.0, 0.5, 0.1, 0.0][offset]
            });
            let skewed = sessions(&server);
            let spread = |sessions: &[u64]| sessions.iter().max().unwrap() - sessions.iter().min().unwrap();
            assert!(spread(&skewed) >= 18, "seed {seed}, round {round}: {skewed:?}");

            let missing = PLAYERS - players.len();
            let others = newcomers(&server, missing);
            play(&server, &mut players, others.into_iter());
            let even = sessions(&server);
            assert_eq!(even.iter().sum::<u64>(), PLAYERS as u64);
            // Within 10 % of the mean of 20.
            assert!(
                even.iter().all(|count| (18..=22).contains(count)),
                "seed {seed}, round {round}: {skewed:?} became {even:?}"
            );
        }
    }
}

#[test]
fn client_hash_returns_a_client_to_its_worker_after_a_leave_or_a_loss() {
    let server = TestServer::open(&["--workers", "4", "--assign", "client-hash"]);
    let mut proofs = Vec::new();
    let mut players = Vec::new();
    for number in 0..16 {
        let (player, proof) = server.join(&format!("player {number}"), None);
        players.push(player);
        proofs.push(proof);
    }
    play(&server, &mut players, std::iter::empty());
    let (served_by, counts): (Vec<_>, _) = (players.iter().map(worker).collect(), sessions(&server));
    assert!(
        counts.iter().filter(|&&count| count > 0).count() > 1,
        "{counts:?}"
    );

    // All players leave and join again in another order.
    leave(&server, &mut players, |_| true);
    assert_eq!(sessions(&server), [0; 4]);
    let back = proofs.iter().enumerate().rev().map(|(number, proof)| {
        let (player, _) = server.join(&format!("player {number}"), Some(proof));
        assert_eq!(worker(&player), served_by[number], "player {number}");
        player
    });
    play(&server, &mut players, back);
    assert_eq!(sessions(&server), counts);

    // All players vanish without a disconnect and join again: each takes over its own session.
    players.clear();
    let back = proofs.iter().enumerate().map(|(number, proof)| {
        let (player, _) = server.join(&format!("player {number}"), Some(proof));
        assert_eq!(worker(&player), served_by[number], "player {number}");
        player
    });
    play(&server, &mut players, back);
    server.pump_until(&mut players, |_| sessions(&server) == counts);
}

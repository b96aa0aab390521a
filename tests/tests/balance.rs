//! Who is served by which worker, with real sessions that come and go.

use std::net::SocketAddr;

use throng_client::seeded::Seeded;

use super::door::{Door, Player};

/// Sessions of each worker, as the workers themselves count them.
fn sessions(door: &Door) -> Vec<u64> {
    let stats = door.stats();
    stats.workers.iter().map(|worker| worker["sessions"]).collect()
}

/// Players that all play.
fn play(door: &Door, players: &mut Vec<Player>, newcomers: impl Iterator<Item = Player>) {
    players.extend(newcomers);
    door.pump_until(players, |players| {
        players.iter().all(|player| player.snapshots >= 1)
    });
    assert!(players.iter().all(|player| player.ended.is_none()));
}

/// Lets those go for whom `goes` says so, and waits until the workers know.
fn leave(door: &Door, players: &mut Vec<Player>, mut goes: impl FnMut(&Player) -> bool) {
    players.retain_mut(|player| {
        let stays = !goes(player);
        if !stays {
            player.leave();
        }
        stays
    });
    let left = players.len() as u64;
    door.pump_until(players, |_| sessions(door).iter().sum::<u64>() == left);
}

fn worker(player: &Player) -> SocketAddr {
    player.core.server_address()
}

#[test]
fn least_loaded_evens_out_after_skewed_disconnects() {
    const WORKERS: usize = 4;
    const PLAYERS: usize = 80;
    for seed in 0..3 {
        let door = Door::open(&["--workers", "4", "--assign", "least-loaded"]);
        let mut dice = Seeded::new(seed);
        let mut players = Vec::new();
        let mut named = 0;
        let mut newcomers = |door: &Door, count: usize| {
            let from = named;
            named += count;
            (from..named)
                .map(|number| door.join(&format!("player {number}"), None).0)
                .collect::<Vec<_>>()
        };
        let first = newcomers(&door, PLAYERS);
        play(&door, &mut players, first.into_iter());
        assert_eq!(sessions(&door), [20; WORKERS], "seed {seed}");

        for round in 0..2 {
            // Everybody of one worker, half of the next, a few of the others.
            let base = door.server.udp().port();
            let hit = dice.bits() as usize % WORKERS;
            leave(&door, &mut players, |player| {
                let place = (usize::from(worker(player).port() - base) + WORKERS - hit) % WORKERS;
                dice.unit() < [1.0, 0.5, 0.1, 0.0][place]
            });
            let skewed = sessions(&door);
            let spread = |sessions: &[u64]| sessions.iter().max().unwrap() - sessions.iter().min().unwrap();
            assert!(spread(&skewed) >= 18, "seed {seed}, round {round}: {skewed:?}");

            let missing = PLAYERS - players.len();
            let others = newcomers(&door, missing);
            play(&door, &mut players, others.into_iter());
            let even = sessions(&door);
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
fn client_hash_brings_a_client_back_to_its_worker_however_it_went() {
    let door = Door::open(&["--workers", "4", "--assign", "client-hash"]);
    let mut proofs = Vec::new();
    let mut players = Vec::new();
    for number in 0..16 {
        let (player, proof) = door.join(&format!("player {number}"), None);
        players.push(player);
        proofs.push(proof);
    }
    play(&door, &mut players, std::iter::empty());
    let (homes, counts): (Vec<_>, _) = (players.iter().map(worker).collect(), sessions(&door));
    assert!(
        counts.iter().filter(|&&count| count > 0).count() > 1,
        "{counts:?}"
    );

    // Everybody leaves and comes back in another order.
    leave(&door, &mut players, |_| true);
    assert_eq!(sessions(&door), [0; 4]);
    let back = proofs.iter().enumerate().rev().map(|(number, proof)| {
        let (player, _) = door.join(&format!("player {number}"), Some(proof));
        assert_eq!(worker(&player), homes[number], "player {number}");
        player
    });
    play(&door, &mut players, back);
    assert_eq!(sessions(&door), counts);

    // Everybody vanishes without a word and comes back: each takes its own session over.
    players.clear();
    let back = proofs.iter().enumerate().map(|(number, proof)| {
        let (player, _) = door.join(&format!("player {number}"), Some(proof));
        assert_eq!(worker(&player), homes[number], "player {number}");
        player
    });
    play(&door, &mut players, back);
    door.pump_until(&mut players, |_| sessions(&door) == counts);
}

//! Frames, a lossy link and a mirror, compared entity by entity and field by field in every tick.

mod components;
mod session;
mod steps;
mod world;

use std::collections::BTreeSet;

use throng_seeds::seeds;
use throng_shared::protocol::ids::{GlobalId, SimulationId};
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::tick::Tick;

use super::*;
use crate::boundary::frame::FrameHistory;
use session::{Session, Setting};
use world::World;

#[test]
fn without_loss_the_mirror_equals_the_frame() {
    for seed in 0..6 {
        let mut session = Session::new(Setting::new(seed));
        session.run(100);
        for client in &session.clients {
            assert_eq!(client.mirror.newest_tick(), session.world.tick);
            for entity in client.mirror.entities() {
                assert_eq!(entity.pose, session.world.entities[&entity.global].pose);
            }
            assert_eq!(client.mirror.len(), client.replication.known_count());
        }
        session.settle();
    }
}

/// Where little moves, the Verlet list decides which entities enter and leave, with the same result as
/// examining all.
#[test]
fn the_verlet_list_gives_the_same_known_set_as_examining_all() {
    for seed in seeds(0..12, 4) {
        let setting = Setting::new(seed).lossy([0.0, 0.2][seed as usize % 2], 1, 3);
        let mut session = Session::new(Setting {
            entities: 60,
            ..setting
        });
        session.world.pace = [0.05, 0.1, 0.3][seed as usize % 3];
        session.run(400);
        let counters = session.scratch.counters();
        let served = 400 * session.clients.len() as u64;
        assert!(
            counters.full_scans * 2 < served,
            "seed {seed}: {} of {served}",
            counters.full_scans
        );
        assert!(
            counters.enters > 100 && counters.leaves > 50,
            "seed {seed}: {counters:?}"
        );
        session.settle();
    }
}

#[test]
fn any_link_results_in_the_same_world() {
    for seed in seeds(0..24, 6) {
        let loss = [0.0, 0.05, 0.2, 0.4][seed as usize % 4];
        let mut session = Session::new(Setting::new(seed).lossy(loss, (seed % 5) as u32, seed % 7));
        session.run(250);
        session.settle();
        assert!(session.clients.iter().map(|client| client.updated).sum::<u32>() > 1_500);
    }
}

#[test]
fn replication_continues_across_wraps_of_ticks_and_packet_numbers() {
    for (seed, start) in [65_536 - 60, u32::MAX - 60, 0x7fff_ffff - 60]
        .into_iter()
        .enumerate()
    {
        let setting = Setting {
            start: Tick(start),
            ..Setting::new(seed as u64)
        };
        let mut session = Session::new(setting.lossy(0.1, 1, 3));
        for client in &mut session.clients {
            client.replication.sent.start_at(u16::MAX - 70);
        }
        session.run(200);
        session.settle();
        assert!(
            session
                .clients
                .iter()
                .all(|client| client.mirror.ack().unwrap().newest < 1_000)
        );
    }
}

#[test]
fn replication_recovers_after_a_stalled_link() {
    for seed in 0..6 {
        let mut session = Session::new(Setting::new(seed).lossy(0.02, 1, 1));
        session.run(60);
        for client in &mut session.clients {
            client.down.is_stalled = true;
            client.up.is_stalled = seed % 2 == 0;
        }
        session.run(40 + 50 * seed as u32);
        for client in &mut session.clients {
            (client.down.is_stalled, client.up.is_stalled) = (false, false);
        }
        session.run(60);
        session.settle();
    }
}

#[test]
fn replication_recovers_after_a_time_without_acknowledgements() {
    let mut session = Session::new(Setting::new(5));
    session.run(50);
    session
        .clients
        .iter_mut()
        .for_each(|client| client.up.is_stalled = true);
    session.run(150);
    session
        .clients
        .iter_mut()
        .for_each(|client| client.up.is_stalled = false);
    session.settle();
}

#[test]
fn the_known_set_of_a_crowd_is_its_nearest_part() {
    for (seed, known) in [(1, 1), (2, 2), (3, 8), (4, 30), (5, 100)] {
        let setting = Setting::new(seed);
        let config = ReplicationConfig {
            known,
            ..setting.config
        };
        let mut session = Session::new(
            Setting {
                config,
                entities: 250,
                ..setting
            }
            .lossy(0.1, 1, 2),
        );
        session.run(150);
        session.settle();
        for (at, client) in session.clients.iter().enumerate() {
            let row = &session.world.players[at].row;
            let distance = |global: &GlobalId| {
                let entity = &session.world.entities[global];
                if Some(entity.slot) == row.entity {
                    return 0.0;
                }
                let weight = [2.0, 1.0, 0.5][usize::from(entity.identity.importance)];
                (entity.pose.position().0 - row.eye).length() * weight
            };
            let near = session.world.within(at, 1.0);
            let held: BTreeSet<GlobalId> = client.mirror.entities().map(|entity| entity.global).collect();
            assert!(
                (known.min(near.len())..=known).contains(&held.len()),
                "seed {seed}"
            );
            let mut ranked: Vec<GlobalId> = near.into_iter().collect();
            ranked.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            // Only half of the nearest by weighted distance are checked: the order of cells leaves some of them out.
            let core = (known - known / 4).min(ranked.len()) / 2;
            assert!(
                ranked[..core].iter().all(|global| held.contains(global)),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_small_budget_is_kept_and_every_entity_is_sent() {
    for seed in 0..4 {
        let setting = Setting {
            radius: 80.0,
            ..Setting::new(seed)
        };
        let config = ReplicationConfig {
            bytes_per_second: 2_048,
            ..setting.config
        };
        let mut session = Session::new(Setting { config, ..setting });
        session.run(100);
        let before: Vec<usize> = session.clients.iter().map(|client| client.bytes).collect();
        session.run(200);
        for (client, before) in session.clients.iter().zip(before) {
            let rate = (client.bytes - before) / 10;
            assert!((1_500..=2_300).contains(&rate), "{rate} bytes a second");
            let oldest = client
                .mirror
                .entities()
                .filter(|entity| {
                    let now = session.world.entities.get(&entity.global);
                    // Entities of importance 0 wait for as long as any other change waits.
                    now.is_some_and(|now| now.pose != entity.pose && now.identity.importance > 0)
                })
                .map(|entity| session.world.tick.since(entity.tick))
                .max();
            assert!(oldest.unwrap_or(0) < 60, "{oldest:?}");
        }
        session.settle();
    }
}

#[test]
fn far_entities_are_sent_every_fourth_tick_if_configured() {
    let setting = Setting::new(3);
    let updated = |far_fraction| {
        let config = ReplicationConfig {
            far_fraction,
            ..setting.config
        };
        let mut session = Session::new(Setting { config, ..setting });
        session.run(150);
        session.settle();
        session.clients.iter().map(|client| client.updated).sum::<u32>()
    };
    let (all, half) = (updated(1.0), updated(0.5));
    assert!(half * 10 < all * 7, "{half} of {all}");
}

#[test]
fn a_client_without_changes_is_sent_a_negative_input_margin_at_once() {
    for seed in 0..4 {
        let mut session = Session::new(Setting {
            entities: 0,
            clients: 1,
            ..Setting::new(seed)
        });
        session.settle();
        session.world.takes_inputs = false;
        session.run(2);
        let sent = |session: &mut Session| {
            let before = session.clients[0].bytes;
            session.step();
            session.clients[0].bytes > before
        };
        assert!(!sent(&mut session), "seed {seed}: there is nothing to send");
        for late_16 in [-40, -24, -8] {
            session.world.players[0].row.margin_16 = late_16;
            assert!(sent(&mut session), "seed {seed}: {late_16}");
            assert_eq!(
                session.clients[0].mirror.owner().margin_16,
                late_16,
                "seed {seed}"
            );
            assert!(!sent(&mut session), "seed {seed}: {late_16} was sent already");
        }
    }
}

#[test]
fn false_acknowledgements_harm_only_their_own_client() {
    for seed in 0..4 {
        let mut session = Session::new(Setting::new(seed));
        for _ in 0..200 {
            let lie = SnapshotAck {
                newest: session.random.bits() as u16 & 0xff,
                bits: session.random.bits(),
            };
            session.clients[0].replication.acknowledge(lie);
            session.step += 1;
            let frame = session.world.step();
            session.history[0].push(frame);
            let histories = [std::mem::take(&mut session.history[0])];
            session.write(0, &histories);
            [session.history[0]] = histories;
            for at in 1..session.clients.len() {
                session.serve(at);
                session.compare(at);
            }
        }
    }
}

/// Two simulations in one session, the second some ticks behind the first.
#[test]
fn frames_of_two_simulations_are_merged_in_one_session() {
    let setting = Setting::new(7).lossy(0.1, 1, 2);
    let mut session = Session::new(setting);
    let mut second = World::other_simulation(SimulationId(5), &session.world, 60);
    let mut second_history = FrameHistory::default();
    let mut seen = [0, 0];
    for step in 0..260 {
        session.step += 1;
        if step == 200 {
            session.world.is_still = true;
            second.is_still = true;
            session
                .clients
                .iter_mut()
                .for_each(|client| (client.down.loss, client.up.loss) = (0.0, 0.0));
        }
        let frame = session.world.step();
        session.history[0].push(frame);
        // The second simulation lags by a changing number of ticks.
        while (session.world.tick - step / 8 % 5).is_after(second.tick) {
            for (there, here) in second.players.iter_mut().zip(&session.world.players) {
                (there.row.eye, there.row.team) = (here.row.eye, here.row.team);
            }
            second_history.push(second.step());
        }
        let histories = [
            std::mem::take(&mut session.history[0]),
            std::mem::take(&mut second_history),
        ];
        for at in 0..session.clients.len() {
            session.serve_with(at, &histories);
            for entity in session.clients[at].mirror.entities() {
                let worlds = [&session.world, &second];
                let found = worlds.map(|world| world.past.get(&entity.tick.0)?.entities.get(&entity.global));
                let then = found[0].or(found[1]).unwrap();
                assert_eq!(then.pose, entity.pose, "step {step}, {}", entity.global);
                seen[usize::from(found[0].is_none())] += 1;
            }
        }
        let [first, other] = histories;
        (session.history[0], second_history) = (first, other);
    }
    assert!(seen[0] > 1_000 && seen[1] > 1_000, "{seen:?}");
    for (at, client) in session.clients.iter().enumerate() {
        let mirrored: BTreeSet<GlobalId> = client.mirror.entities().map(|entity| entity.global).collect();
        for (world, player) in [(&session.world, at), (&second, at)] {
            assert!(world.within(player, 1.0).is_subset(&mirrored));
        }
        let reach = crate::space::REACH_FACTOR;
        let all: BTreeSet<GlobalId> = &session.world.within(at, reach) | &second.within(at, reach);
        assert!(mirrored.is_subset(&all));
    }
}

//! Components that are numbers, sent as differences.

use super::session::{Session, Setting};
use super::world;
use throng_seeds::seeds;

/// Returns the bytes per update that clients are sent while every entity's aim turns in every tick.
fn bytes_per_update(by_differences: bool) -> f64 {
    let setting = Setting::new(11).lossy(0.0, 1, 0);
    let mut session = Session::with_protocol(setting, world::protocol(by_differences));
    session.world.is_still = true;
    let sent = |session: &Session| {
        let clients = session.clients.iter();
        clients.fold((0, 0), |(bytes, updates), client| {
            (bytes + client.bytes, updates + client.updated)
        })
    };
    let turn = |session: &mut Session, ticks| {
        for _ in 0..ticks {
            session.world.turn_aims();
            session.run(1);
        }
    };
    turn(&mut session, 20);
    let before = sent(&session);
    turn(&mut session, 100);
    let after = sent(&session);
    (after.0 - before.0) as f64 / f64::from(after.1 - before.1)
}

#[test]
fn a_turning_aim_takes_little_more_than_half_of_the_bytes_as_differences() {
    let (whole, differences) = (bytes_per_update(false), bytes_per_update(true));
    // Four of these bytes are what every update of an entity with components takes.
    assert!(
        differences * 1.8 < whole,
        "{differences:.2} of {whole:.2} bytes an update"
    );
}

#[test]
fn differences_result_in_the_same_world_on_any_link() {
    for seed in seeds(0..10, 5) {
        let loss = [0.0, 0.1, 0.2, 0.3, 0.4][seed as usize % 5];
        let mut session = Session::new(Setting::new(seed).lossy(loss, (seed % 4) as u32, seed % 6));
        for _ in 0..80 {
            session.world.turn_aims();
            // Compares every mirrored component with the frame of its tick.
            session.run(1);
        }
        session.settle();
    }
}

//! The own ship is predicted at the position that the server computes later.

use bevy_ecs::prelude::*;
use throng_client::{
    blend::Shown,
    predict::{POSITION_SMOOTHING, PredictionErrors},
    world::Own,
};
use throng_seeds::seeds;
use throng_shared::protocol::pose::Position;

use super::flight::{FRAMES_PER_TICK, Flight, line};

/// The highest speed of a ship with boost, in units a second.
const SHIP_SPEED_MAX: f32 = 120.0;

/// Ticks after which clocks are stable.
const SETTLING: u32 = 60;

#[test]
fn the_predicted_own_ship_is_within_a_quantum_of_the_servers_frame() {
    for latency_ms in [0, 25, 75, 150] {
        for loss in [0.0, 0.05, 0.2] {
            for seed in seeds(1..=3, 1) {
                let case = format!("seed {seed}, {latency_ms} ms each way, loss {loss}");
                let mut flight = Flight::new(seed, 0, 0);
                flight.game.set_line(flight.pilot, line(latency_ms, loss));
                flight.fly(SETTLING, |_| {});
                flight.guesses.clear();
                flight.fly(300, |_| {});
                let errors = flight.errors();
                let worst = errors.iter().max_by_key(|(_, error)| **error);
                assert!(
                    worst.is_some_and(|(_, error)| *error <= 1),
                    "{case}: (tick, error) {worst:?}"
                );
                // Predictions whose inputs did not reach the server are not included.
                let least = if loss > 0.1 { 100 } else { 200 };
                assert!(
                    errors.len() >= least,
                    "{case}: only {} predictions compared",
                    errors.len()
                );
            }
        }
    }
}

/// Flies among drones and rocks, with many collisions, at 150 ms round trip time and 5 % loss.
fn collide(seed: u64, drawn: impl FnMut(&mut World)) -> Flight {
    let mut flight = Flight::new(seed, 400, 1_500);
    flight.game.set_line(flight.pilot, line(75, 0.05));
    flight.fly(SETTLING, |_| {});
    flight.fly(600, drawn);
    flight
}

#[test]
fn prediction_corrections_are_never_shown_as_a_jump() {
    let frame_s = 0.05 / FRAMES_PER_TICK as f32;
    let reach = (SHIP_SPEED_MAX + POSITION_SMOOTHING.speed_max) * frame_s;
    for seed in seeds(1..=3, 1) {
        let mut frames = Vec::new();
        let mut flight = collide(seed, |world| {
            let mut own = world.query_filtered::<(Entity, &Shown<Position>), With<Own>>();
            frames.extend(own.iter(world).map(|(entity, shown)| (entity, shown.0.0)));
        });
        assert!(frames.len() > 1_000, "seed {seed}: {} frames", frames.len());
        for pair in frames.windows(2) {
            // A new ship is a different entity.
            let moved = pair[0].1.distance(pair[1].1);
            assert!(
                pair[0].0 != pair[1].0 || moved <= reach,
                "seed {seed}: {moved} in a frame"
            );
        }
        let errors = flight.game.world(flight.pilot).resource::<PredictionErrors>();
        let of = |rank| errors.quantile(rank).unwrap();
        println!(
            "seed {seed}, 150 ms, 5 % loss, among drones and rocks: prediction error p50 {:.3}, p99 {:.3}, \
             greatest {:.3} units; {} of {} corrected",
            of(0.5),
            of(0.99),
            of(1.0),
            errors.corrected(),
            errors.compared(),
        );
        assert!(of(0.5) <= 0.011, "seed {seed}: {}", of(0.5));
    }
}

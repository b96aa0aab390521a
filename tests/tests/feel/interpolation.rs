//! Other entities are shown at their positions in the server's recent frames.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_client::{blend::Shown, predict::Predicted, time::FractionalTick, world::ClientClock};
use throng_seeds::seeds;
use throng_shared::{
    protocol::{ids::GlobalId, pose::Position},
    tick::Tick,
};

use super::flight::{FRAMES_PER_TICK, Flight, line};

/// The highest speed of any entity in the game, in units a second.
const SPEED_MAX: f32 = 120.0;
/// The highest speed of a correction, in units a second.
const CORRECTION_MAX: f32 = 60.0;
const FRAME_S: f32 = 0.05 / FRAMES_PER_TICK as f32;

/// A drawn frame: the shown time, and the positions of all other entities.
type Drawn = (FractionalTick, BTreeMap<GlobalId, Vec2>);

fn draw(world: &mut World) -> Option<Drawn> {
    let moment = world.resource::<ClientClock>().shown()?;
    let mut others = world.query_filtered::<(&GlobalId, &Shown<Position>), Without<Predicted>>();
    let positions = others.iter(world).map(|(id, shown)| (*id, shown.0.0));
    Some((moment, positions.collect()))
}

/// Returns the position of an entity on the server at a time, if it was moving.
fn truth(flight: &Flight, id: GlobalId, moment: FractionalTick) -> Option<Vec2> {
    let position = |tick: Tick| {
        let pose = flight.truths.get(&tick.0)?.poses.get(&id)?;
        (pose.velocity().0 != Vec2::ZERO).then(|| pose.position().0)
    };
    let (from, to) = (position(moment.tick)?, position(moment.tick.next())?);
    Some(from.lerp(to, moment.fraction))
}

/// Flies among drones. Returns every frame, and the sorted errors of all shown positions.
fn watch(seed: u64, latency_ms: u64, loss: f64) -> (Vec<Drawn>, Vec<f32>) {
    let mut flight = Flight::new(seed, 1_000, 100);
    flight.game.set_line(flight.pilot, line(latency_ms, loss));
    flight.fly(60, |_| {});
    let mut frames = Vec::new();
    flight.fly(200, |world| frames.extend(draw(world)));
    let mut errors = Vec::new();
    for (moment, positions) in &frames {
        for (&id, &position) in positions {
            errors.extend(truth(&flight, id, *moment).map(|truth| truth.distance(position)));
        }
    }
    errors.sort_unstable_by(f32::total_cmp);
    (frames, errors)
}

#[test]
fn interpolated_positions_match_past_frames_on_any_line() {
    // On the last two lines the server reduces its own sending rate.
    for (latency_ms, loss, p99_max, worst_max) in [
        // Two quanta of the position, and the rounding error of an `f32` a thousand units from the origin.
        (0, 0.0, 0.021, 0.1),
        (30, 0.0, 0.1, 1.0),
        (75, 0.05, 0.2, 2.0),
        (150, 0.05, 0.3, 3.0),
        (75, 0.2, 0.3, 2.0),
        (150, 0.2, 2.5, 7.0),
    ] {
        for seed in seeds(1..=3, 1) {
            let case = format!("seed {seed}, {latency_ms} ms each way, loss {loss}");
            let (_, errors) = watch(seed, latency_ms, loss);
            assert!(
                errors.len() > 2_000,
                "{case}: {} positions compared",
                errors.len()
            );
            let p99 = errors[errors.len() * 99 / 100];
            let worst = errors[errors.len() - 1];
            println!("{case}: p50 {} p99 {p99} worst {worst}", errors[errors.len() / 2]);
            assert!(
                p99 <= p99_max && worst <= worst_max,
                "{case}: p99 {p99}, worst {worst}"
            );
        }
    }
}

#[test]
fn the_interpolation_time_never_goes_back_and_no_entity_jumps() {
    for (latency_ms, loss) in [(0, 0.0), (75, 0.05), (150, 0.2)] {
        for seed in seeds(1..=3, 1) {
            let case = format!("seed {seed}, {latency_ms} ms each way, loss {loss}");
            let (frames, _) = watch(seed, latency_ms, loss);
            let mut followed = 0;
            for pair in frames.windows(2) {
                let [(before, was), (after, is)] = pair else {
                    unreachable!()
                };
                let passed = after.since(*before);
                assert!((0.0..1.0).contains(&passed), "{case}: {before:?} to {after:?}");
                for (id, position) in is {
                    let Some(former) = was.get(id) else { continue };
                    followed += 1;
                    let reach = SPEED_MAX * passed * 0.05 + CORRECTION_MAX * FRAME_S;
                    let moved = position.distance(*former);
                    assert!(moved <= reach, "{case}: {id:?} moved {moved} in {passed} ticks");
                }
            }
            assert!(followed > 2_000, "{case}: {followed}");
        }
    }
}

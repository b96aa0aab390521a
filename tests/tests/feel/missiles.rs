//! Missiles are predicted spawns: they appear at once, and the server's missile replaces them later.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::{components::Missile, input::PilotInput};
use throng_client::{
    blend::Shown,
    predict::{PredictedSpawn, SpawnOutcome},
    world::{Mirrored, Own},
};
use throng_seeds::seeds;
use throng_shared::protocol::pose::Position;

use super::flight::{FRAMES_PER_TICK, Flight, line};

/// Number of missiles in a new ship.
const MAGAZINE: usize = 4;
/// The highest speed of a missile with a margin for corrections, in units a second.
const SPEED_MAX: f32 = 120.0;
/// The most of a wrong prediction that one frame may correct if packets are lost, in units: the target of a missile is
/// seen late then.
const CORRECTION: f32 = 1.25;
/// Ticks after which clocks are stable.
const SETTLING: u32 = 160;
/// The greatest distance from its ship's centre at which a missile may appear, in units.
const BOW: f32 = 4.0;

/// A drawn frame: the ship's position, and the missiles in view, with whether the server has sent them.
struct Frame {
    ship: Vec2,
    missiles: BTreeMap<Entity, (Vec2, bool)>,
}

fn draw(world: &mut World) -> Option<Frame> {
    let mut own = world.query_filtered::<&Shown<Position>, With<Own>>();
    let ship = own.single(world).ok()?.0.0;
    let mut missiles = world.query_filtered::<(Entity, &Shown<Position>, Has<Mirrored>), With<Missile>>();
    let missiles = missiles.iter(world);
    let missiles = missiles.map(|(entity, shown, is_mirrored)| (entity, (shown.0.0, is_mirrored)));
    Some(Frame {
        ship,
        missiles: missiles.collect(),
    })
}

#[test]
fn predicted_missiles_appear_at_once_and_are_confirmed_without_a_jump() {
    for (latency_ms, loss) in [(0, 0.0), (75, 0.0), (75, 0.05), (150, 0.05)] {
        for seed in seeds(1..=6, 2) {
            let case = format!("seed {seed}, {latency_ms} ms each way, loss {loss}");
            let mut flight = Flight::new(seed, 0, 0);
            flight.game.set_line(flight.pilot, line(latency_ms, loss));
            flight.fly(SETTLING, |_| {});
            let mut frames = Vec::new();
            flight.fly(1, |world| frames.extend(draw(world)));
            flight.held = PilotInput::LAUNCH;
            let mut outcomes = flight
                .game
                .world(flight.pilot)
                .resource::<Messages<SpawnOutcome>>()
                .get_cursor_current();
            let (mut confirmed, mut refused) = (0, 0);
            flight.fly(160, |world| {
                for outcome in outcomes.read(world.resource::<Messages<SpawnOutcome>>()) {
                    match outcome {
                        SpawnOutcome::Confirmed { .. } => confirmed += 1,
                        SpawnOutcome::Refused { .. } => refused += 1,
                    }
                }
                frames.extend(draw(world));
            });
            assert_eq!((confirmed, refused), (MAGAZINE, 0), "{case}");
            let world = flight.game.world(flight.pilot);
            let waiting = world.query::<&PredictedSpawn>().iter(world).count();
            assert_eq!(waiting, 0, "{case}: the server has confirmed all");

            let correction = if loss > 0.0 { CORRECTION } else { 0.0 };
            let reach = SPEED_MAX / 20.0 / FRAMES_PER_TICK as f32 + correction;
            let mut launched = 0;
            for pair in frames.windows(2) {
                let [before, now] = pair else { unreachable!() };
                for (entity, (position, is_mirrored)) in &now.missiles {
                    let nearest = |(former, _): &(Vec2, bool)| former.distance(*position) <= reach;
                    if before.missiles.values().any(nearest) {
                        continue;
                    }
                    launched += 1;
                    assert!(
                        !before.missiles.contains_key(entity),
                        "{case}: {entity} jumped to {position}"
                    );
                    let from_ship = position.distance(now.ship);
                    assert!(
                        !is_mirrored && from_ship < BOW,
                        "{case}: began {from_ship} from the ship"
                    );
                }
            }
            assert_eq!(launched, MAGAZINE, "{case}: launches that were seen");
        }
    }
}

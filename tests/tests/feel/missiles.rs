//! Missiles are predicted spawns: there at once, and then the server's.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::{components::Missile, input::PilotInput};
use throng_client::{
    blend::Shown,
    predict::{PredictedSpawn, SpawnOutcome},
    world::{Mirrored, Own},
};
use throng_shared::protocol::pose::Position;

use super::flight::{FRAMES_PER_TICK, Flight, line};

/// The missiles of a new ship.
const MAGAZINE: usize = 4;
/// The fastest that one flies, and then some for being led, in units a second.
const SPEED_MAX: f32 = 120.0;
/// As much of a wrong prediction as one frame may put right where packets are lost, in units: what a missile homes on
/// is seen late then.
const CORRECTION: f32 = 1.25;
/// Ticks in which clocks settle.
const SETTLING: u32 = 160;
/// As far from the middle of its ship as a missile may begin to be seen, in units.
const BOW: f32 = 4.0;

/// One frame: the ship, and the missiles in sight, with whether the server has told of them.
struct Frame {
    ship: Vec2,
    missiles: BTreeMap<Entity, (Vec2, bool)>,
}

fn draw(world: &mut World) -> Option<Frame> {
    let mut own = world.query_filtered::<&Shown<Position>, With<Own>>();
    let ship = own.single(world).ok()?.0.0;
    let mut missiles = world.query_filtered::<(Entity, &Shown<Position>, Has<Mirrored>), With<Missile>>();
    let missiles = missiles.iter(world);
    let missiles = missiles.map(|(entity, shown, is_told)| (entity, (shown.0.0, is_told)));
    Some(Frame {
        ship,
        missiles: missiles.collect(),
    })
}

#[test]
fn missiles_leave_the_bow_at_once_and_become_the_servers_without_a_jump() {
    for (latency_ms, loss) in [(0, 0.0), (75, 0.0), (75, 0.05), (150, 0.05)] {
        for seed in 1..=6 {
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
            assert_eq!(waiting, 0, "{case}: all have become the server's");

            let correction = if loss > 0.0 { CORRECTION } else { 0.0 };
            let reach = SPEED_MAX / 20.0 / FRAMES_PER_TICK as f32 + correction;
            let mut launched = 0;
            for pair in frames.windows(2) {
                let [before, now] = pair else { unreachable!() };
                for (entity, (place, is_told)) in &now.missiles {
                    let nearest = |(former, _): &(Vec2, bool)| former.distance(*place) <= reach;
                    if before.missiles.values().any(nearest) {
                        continue;
                    }
                    launched += 1;
                    assert!(
                        !before.missiles.contains_key(entity),
                        "{case}: {entity} jumped to {place}"
                    );
                    let from_ship = place.distance(now.ship);
                    assert!(
                        !is_told && from_ship < BOW,
                        "{case}: began {from_ship} from the ship"
                    );
                }
            }
            assert_eq!(launched, MAGAZINE, "{case}: launches that were seen");
        }
    }
}

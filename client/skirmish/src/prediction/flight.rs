//! Prediction of the own ship's flight, by the same step that the server runs.

use bevy_ecs::prelude::*;
use skirmish_shared::components::{Boost, Ship};
use skirmish_shared::input::PilotInput;
use skirmish_shared::movement::{Motion, step};
use throng_client::predict::{PredictTime, PredictedInput, Present};
use throng_client::world::Own;
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use crate::content::KnownContent;

type Flown<'a> = (
    &'a Ship,
    &'a mut Present<Position>,
    &'a mut Present<Velocity>,
    &'a mut Present<Heading>,
    Option<&'a mut Present<Boost>>,
);

/// Moves the own ship by one tick. Without the content of its class, the ship stays at the server's newest
/// state.
pub(crate) fn fly(
    mut own: Query<Flown, With<Own>>,
    input: Res<PredictedInput<PilotInput>>,
    content: Res<KnownContent>,
    time: Res<PredictTime>,
) {
    let Some(space) = content.space() else { return };
    for (ship, mut position, mut velocity, mut heading, boost) in &mut own {
        let Some(class) = content.ship(ship.class) else {
            continue;
        };
        let mut motion = Motion {
            position: position.0.0,
            velocity: velocity.0.0,
            heading: heading.0.0,
            boost_ms: boost.as_ref().map_or(0, |boost| boost.0.0),
        };
        let tick_s = time.length.as_secs_f32();
        step(
            &mut motion,
            &class.handling,
            input.0.controls(),
            tick_s,
            space.half.get(),
        );
        position.0.0 = motion.position;
        velocity.0.0 = motion.velocity;
        heading.0.0 = motion.heading;
        if let Some(mut boost) = boost {
            boost.0.0 = motion.boost_ms;
        }
    }
}

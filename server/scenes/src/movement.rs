//! Movement of the entities of a scene.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_server::input::ActiveInput;
use throng_server::runner::TickTime;
use throng_server::simulation::{Avatar, Parallel, Replicated, Seed};
use throng_shared::protocol::pose::{Heading, Position, Velocity};

use crate::protocol::{SteerInput, step};
use crate::scene::RunningScene;

/// Entities per parallel task: some 40 us of work.
const CHUNK: usize = 1_024;

/// The input that steers an entity; without one it turns at random.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Steering {
    /// The input of the owner in this tick.
    pub input: Option<SteerInput>,
}

/// Copies the players' inputs to their avatars. Each player has one avatar and each avatar one player, so the order
/// does not matter.
pub(super) fn steer_avatars(
    players: Query<(&Avatar, &ActiveInput<SteerInput>)>,
    mut steerings: Query<&mut Steering>,
) {
    for (avatar, active) in &players {
        if let Ok(mut steering) = steerings.get_mut(avatar.0) {
            steering.input = Some(active.input);
        }
    }
}

/// Moves all entities by one tick.
pub(super) fn move_entities(
    mut entities: Query<(&Replicated, &Steering, &mut Position, &mut Velocity, &mut Heading)>,
    parallel: Res<Parallel>,
    world: Res<RunningScene>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) -> Result {
    let (tick, tick_s, side) = (time.tick, time.length.as_secs_f32(), world.side);
    for (replicated, steerings, mut positions, mut velocities, mut headings) in
        entities.contiguous_iter_mut()?
    {
        let still = replicated.chunks(CHUNK).zip(steerings.chunks(CHUNK));
        let moving = positions
            .chunks_mut(CHUNK)
            .zip(velocities.chunks_mut(CHUNK))
            .zip(headings.chunks_mut(CHUNK));
        parallel.for_each(
            still.zip(moving),
            |((replicated, steerings), ((positions, velocities), headings))| {
                let moving = positions.iter_mut().zip(velocities).zip(headings);
                for ((replicated, steering), ((position, velocity), heading)) in
                    replicated.iter().zip(steerings).zip(moving)
                {
                    let random_input = || SteerInput {
                        turn: seed.of(replicated.global(), tick).within(-1.0, 1.0),
                        thrust: 0.0,
                    };
                    step(
                        position,
                        velocity,
                        heading,
                        steering.input.unwrap_or_else(random_input),
                        tick_s,
                        side,
                    );
                }
            },
        );
    }
    Ok(())
}

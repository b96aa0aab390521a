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
    mut helms: Query<&mut Steering>,
) {
    for (avatar, active) in &players {
        if let Ok(mut helm) = helms.get_mut(avatar.0) {
            helm.input = Some(active.input);
        }
    }
}

/// Moves all entities by one tick.
pub(super) fn roam(
    mut entities: Query<(&Replicated, &Steering, &mut Position, &mut Velocity, &mut Heading)>,
    parallel: Res<Parallel>,
    world: Res<RunningScene>,
    seed: Res<Seed>,
    time: Res<TickTime>,
) -> Result {
    let (tick, tick_s, side) = (time.tick, time.length.as_secs_f32(), world.side);
    for (replicated, helms, mut positions, mut velocities, mut headings) in entities.contiguous_iter_mut()? {
        let still = replicated.chunks(CHUNK).zip(helms.chunks(CHUNK));
        let moving = positions
            .chunks_mut(CHUNK)
            .zip(velocities.chunks_mut(CHUNK))
            .zip(headings.chunks_mut(CHUNK));
        parallel.for_each(
            still.zip(moving),
            |((replicated, helms), ((positions, velocities), headings))| {
                let moving = positions.iter_mut().zip(velocities).zip(headings);
                for ((replicated, helm), ((position, velocity), heading)) in
                    replicated.iter().zip(helms).zip(moving)
                {
                    let chance = || SteerInput {
                        turn: seed.of(replicated.global(), tick).within(-1.0, 1.0),
                        thrust: 0.0,
                    };
                    step(
                        position,
                        velocity,
                        heading,
                        helm.input.unwrap_or_else(chance),
                        tick_s,
                        side,
                    );
                }
            },
        );
    }
    Ok(())
}

//! Mistakes of a game's code that would otherwise have no effect that is seen: each is logged once.
//!
//! Owns the checks that need the state of a tick, and the memory of what was logged. Guarantees that the memory is
//! bounded, that a check costs nothing in a tick in which nothing of its kind changed, or runs about once a second, and
//! that no check changes the state of the world. The checks of single values are beside the code that reads them:
//! components and messages in [`faults`](throng_shared::protocol::registry::ValueFault), poses in
//! [`poses`]; the order and the times of systems are checked in [`schedule`](crate::schedule).

mod inputs;
mod late_writes;
mod players;
pub(super) mod poses;
mod systems;

use bevy_app::{App, FixedFirst, FixedLast};
use bevy_ecs::prelude::*;

use super::players::Avatar;
use crate::schedule::build_tick;
use late_writes::LateWrites;
use players::PlayerChecks;
use poses::RemovedPoses;

/// What the checks remember.
#[derive(Resource, Default)]
struct Mistakes {
    players: PlayerChecks,
    removed_poses: RemovedPoses,
    late_writes: LateWrites,
}

/// Adds the checks. They run beside the phases of a tick: before the first one and after the last one.
pub(super) fn watch(app: &mut App) {
    app.init_resource::<Mistakes>()
        .add_observer(note_avatar)
        .add_systems(FixedFirst, before_tick.before(build_tick))
        .add_systems(FixedLast, after_tick);
}

/// Notes what is known once the app is complete.
pub(super) fn finish(world: &mut World) {
    world.resource_scope(|world, mut mistakes: Mut<Mistakes>| mistakes.late_writes.list_schedules(world));
}

/// Runs before the schedule of the first tick is built, which moves its systems to where they are not seen.
fn before_tick(world: &mut World, mut has_started: Local<bool>) {
    world.resource_scope(|world, mut mistakes: Mut<Mistakes>| {
        if std::mem::replace(&mut *has_started, true) {
            mistakes.late_writes.find(world);
        } else {
            inputs::find_unregistered(world);
            mistakes.late_writes.list_suspects(world);
        }
    });
}

fn after_tick(world: &mut World) {
    world.resource_scope(|world, mut mistakes: Mut<Mistakes>| {
        let Mistakes {
            players,
            removed_poses,
            late_writes,
        } = &mut *mistakes;
        players.check(world);
        removed_poses.check(world);
        late_writes.end_tick(world);
    });
}

fn note_avatar(event: On<Insert, Avatar>, mistakes: Option<ResMut<Mistakes>>) {
    // The resource is absent while a check runs, which inserts nothing.
    if let Some(mut mistakes) = mistakes {
        mistakes.players.note_avatar(event.entity);
    }
}

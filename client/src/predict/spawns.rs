//! Predicted spawns: an entity that the player causes appears at once, and is replaced by the server's entity
//! when that arrives.
//!
//! A game spawns an entity of its own with a [`PredictedSpawn`], usually in a system of
//! [`PredictTick`](crate::predict::PredictTick) while
//! [`PredictTime::is_new`](crate::predict::PredictTime::is_new). With [`Predicted`] it is predicted like the
//! player's own entity. When a matching entity of the server comes into view, it replaces the predicted one: it
//! is predicted from then on if the other was, and drawn from where the other was drawn. Guarantees that every
//! predicted spawn ends in one [`SpawnOutcome`]. Refuses to keep one that the server has not confirmed some
//! ticks after its tick.

use bevy_app::{App, PreUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemState;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::tick::Tick;

use super::drive::hand_over;
use super::predicted::Predicted;
use crate::schedule::{self, ClientSystems};
use crate::world::{ClientClock, Mirrored};

/// An entity that the server is expected to spawn in `tick`.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
pub struct PredictedSpawn {
    /// The tick whose input causes the spawn.
    pub tick: Tick,
}

/// The outcome of a [`PredictedSpawn`].
#[derive(Message, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpawnOutcome {
    /// The server's entity has arrived.
    Confirmed {
        /// The predicted entity, which is despawned.
        predicted: Entity,
        /// The entity that mirrors the server's.
        confirmed: Entity,
    },
    /// The server's entity did not arrive in time.
    Refused {
        /// The predicted entity, which is despawned.
        predicted: Entity,
    },
}

/// Returns whether two entities are the same: the predicted one first, the server's second.
pub type SpawnMatch = fn(&EntityRef, &EntityRef) -> bool;

/// Number of ticks after a prediction within which the server's entity may come into view. Longer than it takes to
/// detect a lost packet and to send its contents again.
const CONFIRM_TICKS_MAX: i32 = 12;

/// Registers components whose entities may be spawned before the server does.
pub trait PredictSpawnsAppExt {
    /// Matches new entities of the server that have a `T` with predicted spawns that have a `T`, the oldest
    /// first.
    ///
    /// ```
    /// use bevy_app::App;
    /// use bevy_ecs::prelude::*;
    /// use throng_client::predict::{PredictSpawnsAppExt, Present};
    /// use throng_shared::protocol::pose::Position;
    ///
    /// #[derive(Component)]
    /// struct Arrow;
    ///
    /// let mut app = App::new();
    /// app.predict_spawns::<Arrow>(|predicted, server| {
    ///     let here = predicted.get::<Present<Position>>().map(|present| present.0.0);
    ///     let there = server.get::<Position>().map(|position| position.0);
    ///     here.zip(there).is_some_and(|(here, there)| here.distance(there) < 5.0)
    /// });
    /// ```
    fn predict_spawns<T: Component>(&mut self, is_same: SpawnMatch) -> &mut Self;
}

impl PredictSpawnsAppExt for App {
    fn predict_spawns<T: Component>(&mut self, is_same: SpawnMatch) -> &mut Self {
        schedule::configure(self);
        if !self.world().contains_resource::<Messages<SpawnOutcome>>() {
            self.add_message::<SpawnOutcome>()
                .add_systems(PreUpdate, refuse_spawns.in_set(ClientSystems::Measure));
        }
        let confirm = move |world: &mut World, last_run: &mut SystemState<Fresh<'static, 'static, T>>| {
            confirm_spawns::<T>(world, last_run, is_same);
        };
        self.add_systems(
            PreUpdate,
            confirm
                .after(ClientSystems::Receive)
                .before(ClientSystems::Predict),
        )
    }
}

type Fresh<'w, 's, T> = Query<'w, 's, (Entity, &'static GlobalId), (With<Mirrored>, Added<T>)>;

fn confirm_spawns<T: Component>(
    world: &mut World,
    fresh: &mut SystemState<Fresh<'static, 'static, T>>,
    is_same: SpawnMatch,
) {
    let mut fresh: Vec<(GlobalId, Entity)> = match fresh.get(world) {
        Ok(fresh) => fresh.iter().map(|(entity, global)| (*global, entity)).collect(),
        Err(_) => return,
    };
    if fresh.is_empty() {
        return;
    }
    fresh.sort_unstable_by_key(|(global, _)| *global);
    let mut waiting = world.query_filtered::<(Entity, &PredictedSpawn), With<T>>();
    let mut waiting: Vec<(Tick, Entity)> = waiting
        .iter(world)
        .map(|(entity, spawn)| (spawn.tick, entity))
        .collect();
    waiting.sort_by_key(|(tick, _)| *tick);
    for (_, confirmed) in fresh {
        let server = world.entity(confirmed);
        let index = waiting
            .iter()
            .position(|(_, predicted)| is_same(&world.entity(*predicted), &server));
        let Some(index) = index else { continue };
        let (_, predicted) = waiting.remove(index);
        if world.entity(predicted).contains::<Predicted>() {
            world.entity_mut(confirmed).insert(Predicted::default());
            hand_over(world, predicted, confirmed);
        }
        world.despawn(predicted);
        world.write_message(SpawnOutcome::Confirmed { predicted, confirmed });
    }
}

/// Despawns predicted spawns that the server should have confirmed by now.
fn refuse_spawns(
    waiting: Query<(Entity, &PredictedSpawn)>,
    clock: Res<ClientClock>,
    mut outcomes: MessageWriter<SpawnOutcome>,
    mut commands: Commands,
) {
    let newest = clock.newest().map(|(tick, _)| tick);
    for (predicted, spawn) in &waiting {
        if newest.is_none_or(|newest| newest.since(spawn.tick) > CONFIRM_TICKS_MAX) {
            commands.entity(predicted).despawn();
            outcomes.write(SpawnOutcome::Refused { predicted });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::MirrorPlugin;
    use throng_shared::protocol::snapshot::ShortId;

    #[derive(Component, PartialEq)]
    struct Arrow(u8);

    fn app() -> App {
        let mut app = App::new();
        app.add_plugins(MirrorPlugin)
            .predict_spawns::<Arrow>(|predicted, server| predicted.get::<Arrow>() == server.get::<Arrow>());
        app
    }

    fn outcomes(app: &mut App) -> Vec<SpawnOutcome> {
        app.update();
        let mut outcomes = app.world_mut().resource_mut::<Messages<SpawnOutcome>>();
        outcomes.drain().collect()
    }

    fn predict(app: &mut App, tick: u32, arrow: u8) -> Entity {
        let spawn = PredictedSpawn { tick: Tick(tick) };
        app.world_mut().spawn((spawn, Arrow(arrow))).id()
    }

    fn show(app: &mut App, global: u64, arrow: u8) -> Entity {
        let mirrored = Mirrored {
            id: ShortId(global as u16),
            tick: Tick(9),
        };
        app.world_mut()
            .spawn((mirrored, GlobalId(global), Arrow(arrow)))
            .id()
    }

    #[test]
    fn server_entity_replaces_the_oldest_matching_predicted_spawn() {
        let mut app = app();
        let (late, early) = (predict(&mut app, 8, 1), predict(&mut app, 7, 1));
        let confirmed = show(&mut app, 1, 1);
        show(&mut app, 2, 2);
        let outcomes = outcomes(&mut app);
        let expected = SpawnOutcome::Confirmed {
            predicted: early,
            confirmed,
        };
        assert_eq!(outcomes[0], expected);
        // Without a session no further spawn can be confirmed.
        assert_eq!(outcomes[1..], [SpawnOutcome::Refused { predicted: late }]);
        app.update();
        assert!(app.world().get_entity(early).is_err() && app.world().get_entity(late).is_err());
        assert!(app.world().get_entity(confirmed).is_ok());
    }
}

//! Advances predictions by the ticks with inputs, and reconciles them with the server's states.

use bevy_ecs::prelude::*;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::errors::PredictionErrors;
use super::kinds::{PredictedKind, Predictions};
use super::predicted::{PredictTick, PredictTime, Predicted, Tracked};
use super::track::TRACK_TICKS;
use crate::world::{ClientClock, InputHistory, Mirrored, NextInput, Own, RecentPackets};

/// A predicted entity, and the server's newest state of it.
struct PredictedEntity {
    entity: Entity,
    /// The newest tick for which the server's state is known; `None` for an entity that the server has not
    /// sent.
    known: Option<Tick>,
    /// Whether that state differs from the prediction and replaces it.
    is_wrong: bool,
}

/// Marks the player's own entity as predicted, and unmarks a former one.
pub(super) fn update_own(
    mut commands: Commands,
    fresh: Query<Entity, (With<Own>, Without<Predicted>)>,
    mut former: RemovedComponents<Own>,
) {
    for entity in former.read() {
        if let Ok(mut entity) = commands.get_entity(entity) {
            entity.try_remove::<Predicted>();
        }
    }
    for entity in &fresh {
        commands.entity(entity).insert(Predicted::default());
    }
}

/// Reconciles with received states, predicts the ticks for which inputs were given, and predicts the next tick
/// tentatively.
pub(super) fn predict(world: &mut World) {
    world.resource_scope(|world, mut predictions: Mut<Predictions>| {
        untrack_unpredicted(world, &predictions.kinds);
        let newest = world
            .get_resource::<InputHistory>()
            .and_then(InputHistory::newest);
        let tick_length = world
            .get_resource::<ClientClock>()
            .and_then(ClientClock::tick_length);
        let (Some(newest), Some(length)) = (newest, tick_length) else {
            (predictions.present, predictions.furthest) = (None, None);
            return;
        };
        world.resource_mut::<PredictTime>().length = length;
        predictions.find_roundings(world.resource());
        let mut predicted_entities = predicted_entities(world);
        if predicted_entities.is_empty() {
            predictions.present = Some(newest);
            return;
        }
        let present = predictions.present.unwrap_or(newest);
        let furthest = predictions.furthest.filter(|furthest| furthest.is_after(present));
        let furthest = furthest.unwrap_or(present);
        save_spawned(world, &predictions.kinds, &predicted_entities, present);
        let mut from = compare(world, &mut predictions, &mut predicted_entities);
        if present.is_after(newest) && from.is_none_or(|from| from.is_after(newest)) {
            // The clock of inputs has jumped backward: the ticks after it are predicted again, with newer inputs.
            from = Some(newest);
        }
        if let Some(from) = from {
            restore_all(world, &predictions.kinds, &predicted_entities, from);
        }
        // More ticks than are remembered is a stall; the older ones are skipped.
        let oldest = newest - TRACK_TICKS as u32;
        let mut tick = from.unwrap_or(present);
        if oldest.is_after(tick) {
            tick = oldest;
        }
        while newest.is_after(tick) {
            tick = tick.next();
            step(world, &predictions, tick, tick.is_after(furthest));
            add_spawned(world, &mut predicted_entities);
            for target in &predicted_entities {
                let is_known = target.known.is_some_and(|known| known.since(tick) >= 0);
                save_tick(
                    world,
                    &predictions.kinds,
                    target,
                    tick,
                    is_known && target.is_wrong,
                );
            }
        }
        predictions.present = Some(newest);
        predictions.furthest = Some(if newest.is_after(furthest) {
            newest
        } else {
            furthest
        });
        look_ahead(world, &predictions, &predicted_entities, newest);
    });
}

/// Removes the components that prediction added from entities that are no longer predicted.
fn untrack_unpredicted(world: &mut World, kinds: &[PredictedKind]) {
    let mut former = world.query_filtered::<Entity, (With<Tracked>, Without<Predicted>)>();
    let former: Vec<Entity> = former.iter(world).collect();
    for entity in former {
        let mut entity = world.entity_mut(entity);
        kinds.iter().for_each(|kind| (kind.untrack)(&mut entity));
        entity.remove::<Tracked>();
    }
}

/// Transfers the shown values of `from` to `to`, so that `to` is drawn from where `from` was drawn.
pub(super) fn hand_over(world: &mut World, from: Entity, to: Entity) {
    let Some(predictions) = world.get_resource::<Predictions>() else {
        return;
    };
    for kind in predictions.kinds.clone() {
        (kind.hand_over)(world, from, to);
    }
}

/// Returns all predicted entities, in query order: the systems of a tick process them together.
fn predicted_entities(world: &mut World) -> Vec<PredictedEntity> {
    let own_known_at = world.resource::<RecentPackets>().own_known_at();
    let mut query = world.query_filtered::<(Entity, Option<&Mirrored>, Has<Own>), With<Predicted>>();
    let all = query
        .iter(world)
        .map(|(entity, mirrored, is_own)| PredictedEntity {
            entity,
            known: mirrored.map(|mirrored| match own_known_at {
                Some(known) if is_own && known.is_after(mirrored.tick) => known,
                _ => mirrored.tick,
            }),
            is_wrong: false,
        });
    all.collect()
}

/// Adds the entities that systems of the tick have spawned.
fn add_spawned(world: &mut World, all: &mut Vec<PredictedEntity>) {
    for target in predicted_entities(world) {
        if target.known.is_none() && all.iter().all(|other| other.entity != target.entity) {
            all.push(target);
        }
    }
}

/// Stores the initial state of entities that the client has spawned itself.
fn save_spawned(
    world: &mut World,
    kinds: &[PredictedKind],
    predicted_entities: &[PredictedEntity],
    present: Tick,
) {
    let spawned = predicted_entities.iter().filter(|target| target.known.is_none());
    for target in spawned {
        let mut entity = world.entity_mut(target.entity);
        for kind in kinds {
            if !(kind.is_tracked)(&entity) {
                (kind.save)(&mut entity, present);
            }
        }
    }
}

/// Compares newly received states with the predictions for their ticks. Returns the oldest tick that was wrong.
fn compare(
    world: &mut World,
    predictions: &mut Predictions,
    predicted_entities: &mut [PredictedEntity],
) -> Option<Tick> {
    let Predictions { kinds, watch, .. } = predictions;
    let mut oldest: Option<Tick> = None;
    for target in predicted_entities {
        let Some(known) = target.known else { continue };
        let mut entity = world.entity_mut(target.entity);
        let Some(mut predicted) = entity.get_mut::<Predicted>() else {
            continue;
        };
        let is_first = predicted.reconciled.is_none();
        if predicted.reconciled.replace(known) == Some(known) {
            continue;
        }
        target.is_wrong = kinds.iter().any(|kind| (kind.differs)(&entity, known));
        let error = kinds.iter().find_map(|kind| (kind.error)(&entity, known));
        let is_own = entity.contains::<Own>();
        let mut errors = world.resource_mut::<PredictionErrors>();
        if !is_first {
            errors.compared += 1;
            errors.corrected += u64::from(target.is_wrong);
            watch.note(target.is_wrong);
        }
        if let Some(error) = error.filter(|_| is_own && !is_first) {
            errors.note(error);
        }
        if target.is_wrong && oldest.is_none_or(|oldest| oldest.is_after(known)) {
            oldest = Some(known);
        }
    }
    oldest
}

/// Restores all predicted entities to their states of `tick`.
fn restore_all(
    world: &mut World,
    kinds: &[PredictedKind],
    predicted_entities: &[PredictedEntity],
    tick: Tick,
) {
    for target in predicted_entities {
        if is_unspawned(world, kinds, target, tick) {
            continue;
        }
        // An entity without a prediction for this tick starts with the server's state.
        let is_known = target.is_wrong || target.known.is_some_and(|known| known.since(tick) >= 0);
        let mut entity = world.entity_mut(target.entity);
        for kind in kinds {
            if (target.is_wrong && target.known == Some(tick))
                || (!(kind.restore)(&mut entity, tick) && is_known)
            {
                (kind.adopt)(&mut entity);
            }
            (kind.save)(&mut entity, tick);
        }
    }
}

/// Returns whether an entity that the client has spawned itself does not exist at `tick` yet. Such an entity is
/// reset to its initial state until then.
fn is_unspawned(world: &mut World, kinds: &[PredictedKind], target: &PredictedEntity, tick: Tick) -> bool {
    if target.known.is_some() {
        return false;
    }
    let Ok(mut entity) = world.get_entity_mut(target.entity) else {
        return true;
    };
    let mut is_unspawned = false;
    for kind in kinds {
        is_unspawned |= (kind.not_yet)(&mut entity, tick);
    }
    is_unspawned
}

/// Stores an entity's state after a tick, or replaces it with the server's state of that tick.
fn save_tick(world: &mut World, kinds: &[PredictedKind], target: &PredictedEntity, tick: Tick, adopts: bool) {
    if is_unspawned(world, kinds, target, tick) {
        return;
    }
    // Systems of the tick may have despawned it.
    let Ok(mut entity) = world.get_entity_mut(target.entity) else {
        return;
    };
    for kind in kinds {
        if adopts {
            (kind.adopt)(&mut entity);
        } else {
            kind.round(&mut entity);
        }
        (kind.save)(&mut entity, tick);
    }
}

/// Predicts the tick after `newest` with the current input, for values shown between ticks, and then restores
/// the present tick.
fn look_ahead(
    world: &mut World,
    predictions: &Predictions,
    predicted_entities: &[PredictedEntity],
    newest: Tick,
) {
    let next = world.resource::<NextInput>().0;
    run(world, predictions, newest.next(), next, false);
    for target in predicted_entities {
        if let Ok(mut entity) = world.get_entity_mut(target.entity) {
            for kind in &predictions.kinds {
                kind.round(&mut entity);
                (kind.look_ahead)(&mut entity);
                (kind.restore)(&mut entity, newest);
            }
        }
    }
}

fn step(world: &mut World, predictions: &Predictions, tick: Tick, is_new: bool) {
    let input = world.resource::<InputHistory>().at(tick);
    run(world, predictions, tick, input, is_new);
    world.resource_mut::<PredictionErrors>().steps += 1;
}

fn run(
    world: &mut World,
    predictions: &Predictions,
    tick: Tick,
    input: throng_shared::protocol::input::InputBytes,
    is_new: bool,
) {
    if let Some(load_input) = predictions.load_input {
        world.resource_scope(|world, protocol: Mut<Protocol>| load_input(world, &protocol, input));
    }
    let mut time = world.resource_mut::<PredictTime>();
    (time.tick, time.is_new) = (tick, is_new);
    world.run_schedule(PredictTick);
}

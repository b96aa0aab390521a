//! Carrying predictions on, and reconciling them with what the server says.

use bevy_ecs::prelude::*;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::errors::PredictionErrors;
use super::kinds::{PredictedKind, Predictions};
use super::predicted::{PredictTick, PredictTime, Predicted, Tracked};
use super::track::TRACK_TICKS;
use crate::world::{ClientClock, InputHistory, Mirrored, NextInput, Own, RecentPackets};

/// An entity that is predicted, and what the server said of it.
struct PredictedEntity {
    entity: Entity,
    /// The newest tick of which the server's state is known; `None` for what the server does not know.
    told: Option<Tick>,
    /// Whether that state is to be taken over.
    is_wrong: bool,
}

/// Marks what the player controls.
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

/// Reconciles, predicts the ticks for which inputs were given, and looks one tick ahead.
pub(super) fn predict(world: &mut World) {
    world.resource_scope(|world, mut predictions: Mut<Predictions>| {
        forget_others(world, &predictions.kinds);
        let newest = world
            .get_resource::<InputHistory>()
            .and_then(InputHistory::newest);
        let tick_length = world
            .get_resource::<ClientClock>()
            .and_then(ClientClock::tick_length);
        let (Some(newest), Some(length)) = (newest, tick_length) else {
            predictions.present = None;
            return;
        };
        world.resource_mut::<PredictTime>().length = length;
        let mut subjects = subjects(world);
        if subjects.is_empty() {
            predictions.present = Some(newest);
            return;
        }
        let present = predictions.present.unwrap_or(newest);
        begin_spawned(world, &predictions.kinds, &subjects, present);
        let from = compare(world, &predictions.kinds, &mut subjects);
        if let Some(from) = from {
            go_back(world, &predictions.kinds, &subjects, from);
        }
        // More than is remembered is a stall; nobody needs to see what happened in it.
        let oldest = newest - TRACK_TICKS as u32;
        let mut tick = from.unwrap_or(present);
        if oldest.is_after(tick) {
            tick = oldest;
        }
        while newest.is_after(tick) {
            tick = tick.next();
            step(world, &predictions, tick, tick.is_after(present));
            welcome_spawned(world, &mut subjects);
            for subject in &subjects {
                let is_told = subject.told.is_some_and(|told| told.since(tick) >= 0);
                settle(
                    world,
                    &predictions.kinds,
                    subject,
                    tick,
                    is_told && subject.is_wrong,
                );
            }
        }
        predictions.present = Some(newest);
        look_ahead(world, &predictions, &subjects, newest);
    });
}

/// Takes what prediction added from entities that are not predicted any more.
fn forget_others(world: &mut World, kinds: &[PredictedKind]) {
    let mut former = world.query_filtered::<Entity, (With<Tracked>, Without<Predicted>)>();
    let former: Vec<Entity> = former.iter(world).collect();
    for entity in former {
        let mut entity = world.entity_mut(entity);
        kinds.iter().for_each(|kind| (kind.forget)(&mut entity));
        entity.remove::<Tracked>();
    }
}

/// Lets what is drawn of `to` begin where `from` is drawn.
pub(super) fn hand_over(world: &mut World, from: Entity, to: Entity) {
    let Some(predictions) = world.get_resource::<Predictions>() else {
        return;
    };
    for kind in predictions.kinds.clone() {
        (kind.hand_over)(world, from, to);
    }
}

/// All that is predicted, in the order of entities: systems of a tick see them together, whatever that is.
fn subjects(world: &mut World) -> Vec<PredictedEntity> {
    let own_known_at = world.resource::<RecentPackets>().own_known_at();
    let mut query = world.query_filtered::<(Entity, Option<&Mirrored>, Has<Own>), With<Predicted>>();
    let all = query
        .iter(world)
        .map(|(entity, mirrored, is_own)| PredictedEntity {
            entity,
            told: mirrored.map(|mirrored| match own_known_at {
                Some(known) if is_own && known.is_after(mirrored.tick) => known,
                _ => mirrored.tick,
            }),
            is_wrong: false,
        });
    all.collect()
}

/// Takes in what systems of the tick have spawned.
fn welcome_spawned(world: &mut World, known: &mut Vec<PredictedEntity>) {
    for subject in subjects(world) {
        if subject.told.is_none() && known.iter().all(|known| known.entity != subject.entity) {
            known.push(subject);
        }
    }
}

/// Remembers how what the client has spawned by itself began.
fn begin_spawned(world: &mut World, kinds: &[PredictedKind], subjects: &[PredictedEntity], present: Tick) {
    let own_work = subjects.iter().filter(|subject| subject.told.is_none());
    for subject in own_work {
        let mut entity = world.entity_mut(subject.entity);
        for kind in kinds {
            if !(kind.is_tracked)(&entity) {
                (kind.save)(&mut entity, present);
            }
        }
    }
}

/// Compares what the server newly said with what was predicted; answers the oldest tick that was wrong.
fn compare(world: &mut World, kinds: &[PredictedKind], subjects: &mut [PredictedEntity]) -> Option<Tick> {
    let mut oldest: Option<Tick> = None;
    for subject in subjects {
        let Some(told) = subject.told else { continue };
        let mut entity = world.entity_mut(subject.entity);
        let Some(mut predicted) = entity.get_mut::<Predicted>() else {
            continue;
        };
        let is_first = predicted.reconciled.is_none();
        if predicted.reconciled.replace(told) == Some(told) {
            continue;
        }
        subject.is_wrong = kinds.iter().any(|kind| (kind.differs)(&entity, told));
        let error = kinds.iter().find_map(|kind| (kind.error)(&entity, told));
        let is_own = entity.contains::<Own>();
        let mut errors = world.resource_mut::<PredictionErrors>();
        if !is_first {
            errors.compared += 1;
            errors.corrected += u64::from(subject.is_wrong);
        }
        if let Some(error) = error.filter(|_| is_own && !is_first) {
            errors.note(error);
        }
        if subject.is_wrong && oldest.is_none_or(|oldest| oldest.is_after(told)) {
            oldest = Some(told);
        }
    }
    oldest
}

/// Brings everybody to the state of `tick`.
fn go_back(world: &mut World, kinds: &[PredictedKind], subjects: &[PredictedEntity], tick: Tick) {
    for subject in subjects {
        if waits(world, kinds, subject, tick) {
            continue;
        }
        // What was not there yet begins with what the server says.
        let is_told = subject.is_wrong || subject.told.is_some_and(|told| told.since(tick) >= 0);
        let mut entity = world.entity_mut(subject.entity);
        for kind in kinds {
            if (subject.is_wrong && subject.told == Some(tick))
                || (!(kind.restore)(&mut entity, tick) && is_told)
            {
                (kind.adopt)(&mut entity);
            }
            (kind.save)(&mut entity, tick);
        }
    }
}

/// Keeps what the client has spawned by itself as it began, until the tick in which that was.
fn waits(world: &mut World, kinds: &[PredictedKind], subject: &PredictedEntity, tick: Tick) -> bool {
    if subject.told.is_some() {
        return false;
    }
    let Ok(mut entity) = world.get_entity_mut(subject.entity) else {
        return true;
    };
    let mut waits = false;
    for kind in kinds {
        waits |= (kind.not_yet)(&mut entity, tick);
    }
    waits
}

/// Remembers what a tick brought, or takes over what the server says of it.
fn settle(world: &mut World, kinds: &[PredictedKind], subject: &PredictedEntity, tick: Tick, adopts: bool) {
    if waits(world, kinds, subject, tick) {
        return;
    }
    // Systems of the tick may have despawned it.
    let Ok(mut entity) = world.get_entity_mut(subject.entity) else {
        return;
    };
    for kind in kinds {
        if adopts {
            (kind.adopt)(&mut entity);
        }
        (kind.save)(&mut entity, tick);
    }
}

/// Notes what the next tick will bring with the controls as they are, and returns to the present.
fn look_ahead(world: &mut World, predictions: &Predictions, subjects: &[PredictedEntity], newest: Tick) {
    let next = world.resource::<NextInput>().0;
    run(world, predictions, newest.next(), next, false);
    for subject in subjects {
        if let Ok(mut entity) = world.get_entity_mut(subject.entity) {
            for kind in &predictions.kinds {
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

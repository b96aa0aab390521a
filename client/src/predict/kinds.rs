//! What is done with a predicted component of any type.

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::predicted::Present;
use super::show::Course;
use super::track::{Ahead, Track};
use crate::blend::{Blend, Shown};

/// What is predicted, and how far.
#[derive(Resource, Default)]
pub(super) struct Predictions {
    pub(super) kinds: Vec<PredictedKind>,
    pub(super) load_input: Option<fn(&mut World, &Protocol, InputBytes)>,
    /// The tick of all [`Present`] values.
    pub(super) present: Option<Tick>,
}

/// The functions for one type.
#[derive(Clone, Copy)]
pub(super) struct PredictedKind {
    /// Takes over the server's value.
    pub(super) adopt: fn(&mut EntityWorldMut),
    /// Whether the server's value is not the one predicted for this tick, or none was.
    pub(super) differs: fn(&EntityWorldMut, Tick) -> bool,
    /// Goes back to this tick; false when it is not remembered.
    pub(super) restore: fn(&mut EntityWorldMut, Tick) -> bool,
    /// Remembers the present value as that of this tick, and forgets later ones.
    pub(super) save: fn(&mut EntityWorldMut, Tick),
    /// Notes the present value as the next tick's.
    pub(super) look_ahead: fn(&mut EntityWorldMut),
    /// Whether anything is remembered.
    pub(super) is_tracked: fn(&EntityWorldMut) -> bool,
    /// Goes back to the oldest tick that is remembered, if that is after this one.
    pub(super) not_yet: fn(&mut EntityWorldMut, Tick) -> bool,
    /// Lets another entity be drawn from where the first one is drawn.
    pub(super) hand_over: fn(&mut World, Entity, Entity),
    /// Takes everything away that prediction added.
    pub(super) forget: fn(&mut EntityWorldMut),
    /// How far the server's value is from the one predicted for this tick; `None` where there are no distances.
    pub(super) error: fn(&EntityWorldMut, Tick) -> Option<f32>,
}

impl PredictedKind {
    pub(super) fn hidden<T>() -> Self
    where
        T: Component<Mutability = Mutable> + Clone + PartialEq,
    {
        Self {
            adopt: |entity| {
                let value = entity.get::<T>().cloned();
                put(entity, value);
            },
            differs: |entity, tick| match entity.get::<Track<T>>().and_then(|track| track.at(tick)) {
                Some(predicted) => predicted.as_ref() != entity.get::<T>(),
                None => true,
            },
            restore: |entity, tick| {
                let Some(value) = entity.get::<Track<T>>().and_then(|track| track.at(tick)) else {
                    return false;
                };
                let value = value.clone();
                put(entity, value);
                true
            },
            save: |entity, tick| {
                let value = entity.get::<Present<T>>().map(|present| present.0.clone());
                match entity.get_mut::<Track<T>>() {
                    Some(mut track) => track.push(tick, value),
                    None => {
                        entity.insert(Track::new(tick, value));
                    }
                }
            },
            look_ahead: |_| {},
            is_tracked: |entity| entity.contains::<Track<T>>(),
            not_yet: |entity, tick| {
                let first = entity.get::<Track<T>>().and_then(Track::first);
                let Some((_, value)) = first.filter(|(first, _)| first.is_after(tick)) else {
                    return false;
                };
                let value = value.clone();
                put(entity, value);
                true
            },
            hand_over: |_, _, _| {},
            forget: |entity| {
                entity.remove::<(Present<T>, Track<T>, Ahead<T>)>();
            },
            error: |_, _| None,
        }
    }

    pub(super) fn shown<T: Blend>() -> Self {
        Self {
            look_ahead: |entity| {
                let next = entity.get::<Present<T>>().map(|present| present.0.clone());
                match (next, entity.get_mut::<Ahead<T>>()) {
                    (Some(next), Some(mut ahead)) => ahead.0 = next,
                    (Some(next), None) => {
                        entity.insert(Ahead(next));
                    }
                    (None, _) => {
                        entity.remove::<Ahead<T>>();
                    }
                }
            },
            error: |entity, tick| {
                let predicted = entity.get::<Track<T>>()?.at(tick)?.as_ref()?;
                Some(predicted.distance(entity.get::<T>()?))
            },
            hand_over: |world, from, to| {
                let Ok(mut from) = world.get_entity_mut(from) else {
                    return;
                };
                let (course, shown) = (from.take::<Course<T>>(), from.take::<Shown<T>>());
                if let (Some(course), Some(shown), Ok(mut to)) = (course, shown, world.get_entity_mut(to)) {
                    to.insert((course, shown));
                }
            },
            forget: |entity| {
                entity.remove::<(Present<T>, Track<T>, Ahead<T>, Course<T>)>();
            },
            ..Self::hidden::<T>()
        }
    }
}

/// Makes `value` the present one.
fn put<T>(entity: &mut EntityWorldMut, value: Option<T>)
where
    T: Component<Mutability = Mutable>,
{
    match (value, entity.get_mut::<Present<T>>()) {
        (Some(value), Some(mut present)) => present.0 = value,
        (Some(value), None) => {
            entity.insert(Present(value));
        }
        (None, _) => {
            entity.remove::<Present<T>>();
        }
    }
}

//! The operations of prediction on a component of any type, as function pointers.

use std::any::type_name;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::{PredictedType, Protocol};
use throng_shared::tick::Tick;

use super::predicted::Present;
use super::show::Course;
use super::track::{Ahead, Track};
use super::watch::CorrectionWatch;
use crate::blend::{Blend, Shown};

/// The registered components, and the tick up to which they are predicted.
#[derive(Resource, Default)]
pub(super) struct Predictions {
    pub(super) kinds: Vec<PredictedKind>,
    has_roundings: bool,
    pub(super) load_input: Option<fn(&mut World, &Protocol, InputBytes)>,
    /// The tick of all [`Present`] values.
    pub(super) present: Option<Tick>,
    /// The newest tick that was ever predicted in this session. The clock of inputs may jump backward.
    pub(super) furthest: Option<Tick>,
    pub(super) watch: CorrectionWatch,
}

/// The operations for one component type.
#[derive(Clone)]
pub(super) struct PredictedKind {
    /// The rounding to what the server sends; `None` before the first prediction, and if the protocol does not list the
    /// component.
    pub(super) rounding: Option<PredictedType>,
    /// Returns the rounding by the protocol, and logs a component that needs one and has none: then the flag is set.
    find_rounding: fn(&Protocol, &mut bool) -> Option<PredictedType>,
    /// Rounds the present value.
    round: fn(&PredictedType, &mut EntityWorldMut),
    /// Sets the present value to the server's.
    pub(super) adopt: fn(&mut EntityWorldMut),
    /// Returns whether the server's value differs from the prediction for this tick, or there was no
    /// prediction.
    pub(super) differs: fn(&EntityWorldMut, Tick) -> bool,
    /// Restores the value of this tick; returns false when it is not remembered.
    pub(super) restore: fn(&mut EntityWorldMut, Tick) -> bool,
    /// Stores the present value for this tick, and discards later ones.
    pub(super) save: fn(&mut EntityWorldMut, Tick),
    /// Stores the present value as that of the next tick.
    pub(super) look_ahead: fn(&mut EntityWorldMut),
    /// Returns whether any value is stored.
    pub(super) is_tracked: fn(&EntityWorldMut) -> bool,
    /// Restores the oldest stored value if its tick is after this one; returns whether it is.
    pub(super) not_yet: fn(&mut EntityWorldMut, Tick) -> bool,
    /// Transfers the shown value from the first entity to the second.
    pub(super) hand_over: fn(&mut World, Entity, Entity),
    /// Removes all components that prediction added.
    pub(super) untrack: fn(&mut EntityWorldMut),
    /// Returns the distance between the server's value and the prediction for this tick; `None` if the
    /// component has no distance.
    pub(super) error: fn(&EntityWorldMut, Tick) -> Option<f32>,
}

impl PredictedKind {
    /// Returns the operations of a component that is predicted but not shown.
    pub(super) fn hidden<T>() -> Self
    where
        T: Component<Mutability = Mutable> + Clone + PartialEq,
    {
        Self {
            rounding: None,
            find_rounding: find_rounding::<T>,
            round: |rounding, entity| {
                if let Some(mut present) = entity.get_mut::<Present<T>>() {
                    rounding.round(&mut present.bypass_change_detection().0);
                }
            },
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
            untrack: |entity| {
                entity.remove::<(Present<T>, Track<T>, Ahead<T>)>();
            },
            error: |_, _| None,
        }
    }

    /// Returns the operations of a component that is predicted and shown.
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
            untrack: |entity| {
                entity.remove::<(Present<T>, Track<T>, Ahead<T>, Course<T>)>();
            },
            ..Self::hidden::<T>()
        }
    }
}

impl Predictions {
    /// Takes the roundings from the protocol, once, when the first tick is predicted.
    pub(super) fn find_roundings(&mut self, protocol: &Protocol) {
        if !std::mem::replace(&mut self.has_roundings, true) {
            for kind in &mut self.kinds {
                kind.rounding = (kind.find_rounding)(protocol, &mut self.watch.is_said);
            }
        }
    }
}

impl PredictedKind {
    /// Rounds the present value to the one that the server sends, as the server does at the end of a tick.
    pub(super) fn round(&self, entity: &mut EntityWorldMut) {
        if let Some(rounding) = &self.rounding {
            (self.round)(rounding, entity);
        }
    }
}

fn find_rounding<T: Component>(protocol: &Protocol, is_said: &mut bool) -> Option<PredictedType> {
    let rounding = protocol.predicted_of::<T>();
    if rounding.is_none() && protocol.loses_digits::<T>() {
        let component = type_name::<T>();
        *is_said = true;
        tracing::warn!(
            component,
            "a predicted component is sent with fewer digits than the server goes on with, so that most predictions are \
             corrected: write `app.predicted::<{component}>()` in the plugin that both ends add"
        );
    }
    rounding.cloned()
}

/// Sets the present value, or removes it for `None`.
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

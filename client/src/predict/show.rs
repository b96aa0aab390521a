//! Computes the values to draw of predicted components.

use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

use super::predicted::{Predicted, Present};
use super::track::{Ahead, Track};
use crate::blend::{Blend, Offset, Shown, Smoothing};
use crate::world::ClientClock;

/// The values between which the last frame was drawn, and the correction that is left.
#[derive(Component, Debug)]
pub(super) struct Course<T> {
    tick: Tick,
    present: T,
    ahead: T,
    offset: Offset<T>,
}

type PredictedData<'a, T> = (
    Entity,
    &'a Present<T>,
    &'a Ahead<T>,
    &'a Track<T>,
    Option<&'a mut Course<T>>,
    Option<&'a mut Shown<T>>,
);

/// Returns a system that shows every predicted `T` between its present tick and the next. A correction changes
/// the values between which it blends, but never makes the drawn value jump by itself: the difference is
/// smoothed out by `smoothing`.
pub(super) fn show_predicted<T: Blend>(
    smoothing: Smoothing,
) -> impl FnMut(Res<ClientClock>, Query<PredictedData<T>, With<Predicted>>, Commands) {
    move |clock, mut drawn, mut commands| {
        let Some(now) = clock.present() else { return };
        for (entity, present, ahead, track, course, shown) in &mut drawn {
            let (present, ahead) = (&present.0, &ahead.0);
            let value = present.blended(ahead, now.fraction);
            let Some(mut course) = course else {
                let course = Course {
                    tick: now.tick,
                    present: present.clone(),
                    ahead: ahead.clone(),
                    offset: Offset::default(),
                };
                commands.entity(entity).insert((course, Shown(value)));
                continue;
            };
            if now.tick.is_after(course.tick) {
                // Compares the value predicted for the tick with its actual value.
                let actual = track.at(course.tick.next()).and_then(Option::as_ref);
                let (predicted, actual) = (course.ahead.clone(), actual.unwrap_or(present));
                course.offset.correct(&predicted, actual, &smoothing);
            } else {
                let before = course.present.blended(&course.ahead, now.fraction);
                course.offset.correct(&before, &value, &smoothing);
            }
            course.offset.decay(clock.delta(), &smoothing);
            (course.tick, course.present, course.ahead) = (now.tick, present.clone(), ahead.clone());
            let value = Shown(course.offset.apply(&value));
            match shown {
                Some(mut shown) => {
                    shown.set_if_neq(value);
                }
                None => {
                    commands.entity(entity).insert(value);
                }
            }
        }
    }
}

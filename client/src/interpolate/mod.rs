//! Interpolation: entities that are not predicted are shown slightly in the past, between states that have
//! arrived.
//!
//! A game selects the components to interpolate. Their states are kept by tick as they arrive, and [`Shown<T>`]
//! is written for the moment [`ClientClock::shown`]. Where the next state is late, the motion is extrapolated
//! for a short while and then blended into the received states. Guarantees that the shown moment never goes
//! back, and that nothing jumps unless the server moved it further than is possible. Refuses to show a state
//! before its time: a new entity has no [`Shown<T>`] until the shown moment has reached its first state.

mod interpolation;
mod samples;

use bevy_app::{App, PreUpdate};
use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

use crate::blend::{Blend, Shown};
use crate::predict::Predicted;
use crate::schedule::{self, ClientSystems};
use crate::world::{ClientClock, WorldMirror, rests};
pub use interpolation::{HEADING_INTERPOLATION, Interpolation, POSITION_INTERPOLATION};
use samples::Samples;

/// Registers components to be interpolated between snapshots. Implemented by `App`.
///
/// ```
/// use bevy_app::App;
/// use throng_client::interpolate::{InterpolateAppExt, POSITION_INTERPOLATION};
/// use throng_client::world::MirrorPlugin;
/// use throng_shared::protocol::pose::Position;
///
/// let mut app = App::new();
/// app.add_plugins(MirrorPlugin)
///     .interpolate::<Position>(POSITION_INTERPOLATION);
/// ```
pub trait InterpolateAppExt {
    /// Writes [`Shown<T>`](Shown) for every mirrored entity that has a `T` and is not predicted.
    fn interpolate<T: Blend>(&mut self, interpolation: Interpolation) -> &mut Self;
}

impl InterpolateAppExt for App {
    fn interpolate<T: Blend>(&mut self, interpolation: Interpolation) -> &mut Self {
        schedule::configure(self);
        self.world_mut()
            .get_resource_or_init::<WorldMirror>()
            .tap(note_sample::<T>);
        let show = show_interpolated::<T>(interpolation);
        self.add_systems(PreUpdate, show.in_set(ClientSystems::Show))
    }
}

/// Stores the state of a component that has just arrived.
fn note_sample<T: Blend>(entity: &mut EntityWorldMut, tick: Tick, rested: bool) {
    let Some(value) = entity.get::<T>().cloned() else {
        return;
    };
    let moves = !rests(entity);
    if let Some(mut samples) = entity.get_mut::<Samples<T>>() {
        samples.push(tick, value, rested, moves);
    } else {
        entity.insert(Samples::new(tick, value, moves));
    }
}

type InterpolatedData<'a, T> = (Entity, &'a mut Samples<T>, Option<&'a mut Shown<T>>);

fn show_interpolated<T: Blend>(
    interpolation: Interpolation,
) -> impl FnMut(Res<ClientClock>, Query<InterpolatedData<T>, Without<Predicted>>, Commands) {
    move |clock, mut drawn, mut commands| {
        let (Some(moment), Some((newest, _))) = (clock.shown(), clock.newest()) else {
            return;
        };
        for (entity, mut samples, shown) in &mut drawn {
            let frame = samples::RenderFrame {
                moment,
                newest,
                elapsed: clock.delta(),
            };
            let Some(value) = samples.show(&frame, &interpolation) else {
                continue;
            };
            match shown {
                Some(mut shown) => {
                    shown.set_if_neq(Shown(value));
                }
                None => {
                    commands.entity(entity).insert(Shown(value));
                }
            }
        }
    }
}

//! Poses that clients see elsewhere than the game has them: values that do not fit, and components that are missing.

use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::lifecycle::RemovedComponentEntity;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Heading, POSITION_QUANTUM, Position, VELOCITY_QUANTUM, Velocity};

use super::super::replicated::Replicated;

/// The largest coordinate that clients are sent, in units.
const POSITION_MAX: f32 = i32::MAX as f32 * POSITION_QUANTUM;
/// The largest speed along an axis that clients are sent, in units a second.
const VELOCITY_MAX: f32 = i16::MAX as f32 * VELOCITY_QUANTUM;

/// The kinds of poses that were logged.
#[derive(Default)]
pub(in crate::simulation) struct PoseFaults {
    is_position_said: bool,
    is_velocity_said: bool,
    is_heading_said: bool,
}

impl PoseFaults {
    /// Checks a pose that has changed.
    #[inline]
    pub(in crate::simulation) fn check(
        &mut self,
        entity: &Replicated,
        position: &Position,
        velocity: &Velocity,
        heading: &Heading,
    ) {
        // One comparison for each component, which is false for NaN. A sum that is too large is looked at more closely.
        let (place, speed) = (position.0.abs(), velocity.0.abs());
        let fits = (place.x + place.y <= POSITION_MAX)
            & (speed.x + speed.y <= VELOCITY_MAX)
            & (heading.0.abs() <= f32::MAX);
        if !fits {
            self.say(entity.global(), position, velocity, heading);
        }
    }

    #[cold]
    #[inline(never)]
    fn say(&mut self, entity: GlobalId, position: &Position, velocity: &Velocity, heading: &Heading) {
        if !self.is_position_said && !position.0.is_finite() {
            self.is_position_said = true;
            let position = position.0;
            tracing::error!(
                %entity,
                "the `Position` of a replicated entity is not finite: {position}. Clients see it at 0 or at the end of the \
                 plane. Look for a division by zero, and for `normalize()` where `normalize_or_zero()` is meant"
            );
        }
        if !self.is_position_said && position.0.abs().max_element() > POSITION_MAX {
            self.is_position_said = true;
            let position = position.0;
            tracing::error!(
                %entity,
                "the `Position` of a replicated entity is beyond the end of the plane, at {POSITION_MAX} units: {position}. \
                 Clients see it at the end. Keep positions within it (`clamp`)"
            );
        }
        let is_too_fast = velocity.0.abs().max_element() > VELOCITY_MAX;
        if !self.is_velocity_said && (is_too_fast || !velocity.0.is_finite()) {
            self.is_velocity_said = true;
            let velocity = velocity.0;
            tracing::error!(
                %entity,
                "the `Velocity` of a replicated entity is sent as another: {velocity}. It has at most {VELOCITY_MAX} units a \
                 second along each axis (`clamp_length_max`)"
            );
        }
        if !self.is_heading_said && !heading.0.is_finite() {
            self.is_heading_said = true;
            let heading = heading.0;
            tracing::error!(
                %entity,
                "the `Heading` of a replicated entity is not finite: {heading}. Clients see 0"
            );
        }
    }
}

/// The removed components of poses that were read.
#[derive(Default)]
pub(super) struct RemovedPoses {
    watched: Vec<(
        &'static str,
        WorldComponentId,
        MessageCursor<RemovedComponentEntity>,
    )>,
    is_started: bool,
}

impl RemovedPoses {
    /// Logs the replicated entities from which the game removed a component of the pose.
    pub(super) fn check(&mut self, world: &mut World) {
        if !std::mem::replace(&mut self.is_started, true) {
            let watch = |name, component| (name, component, MessageCursor::default());
            self.watched = vec![
                watch("Position", world.register_component::<Position>()),
                watch("Velocity", world.register_component::<Velocity>()),
                watch("Heading", world.register_component::<Heading>()),
            ];
        }
        let world = &*world;
        self.watched.retain_mut(|(name, component, cursor)| {
            let Some(removed) = world.removed_components().get(*component) else {
                return true;
            };
            let is_missing = |entity: Entity| {
                let entity = world.get_entity(entity).ok()?;
                let replicated = entity.get::<Replicated>()?;
                (!entity.contains_id(*component)).then(|| replicated.global())
            };
            let removed = cursor.read(removed).map(|removed| Entity::from(removed.clone()));
            // The messages that are left are read too, so that none is read again.
            let Some(entity) = removed.filter_map(is_missing).last() else {
                return true;
            };
            tracing::error!(
                %entity,
                "a replicated entity has no `{name}` any more: clients see the last pose for ever. Insert it again, or remove \
                 `Replicated` too; to hide an entity insert `Disabled`"
            );
            false
        });
    }
}

//! Poses that clients see elsewhere than the game has them: values that do not fit, and components that are missing.

use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::lifecycle::RemovedComponentEntity;
use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use glam::Vec3;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Heading, POSITION_QUANTUM, Position, VELOCITY_QUANTUM, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::Protocol;

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

impl PoseFaults {
    /// Checks a pose in space that has changed.
    #[inline]
    pub(in crate::simulation) fn check_3d(
        &mut self,
        entity: &Replicated,
        quanta: &Quanta3d,
        position: &Position3d,
        velocity: &Velocity3d,
        rotation: &Rotation3d,
    ) {
        let place_max = i32::MAX as f32 * quanta.position().min(POSITION_QUANTUM);
        let speed_max = i16::MAX as f32 * quanta.velocity();
        // One comparison for each component, which is false for NaN.
        let fits = (position.0.abs().max_element() <= place_max)
            & (velocity.0.abs().max_element() <= speed_max)
            & (rotation.0.length_squared() > 0.0)
            & rotation.0.is_finite()
            & position.0.is_finite()
            & velocity.0.is_finite();
        if !fits {
            self.say_3d(
                entity.global(),
                (place_max, speed_max),
                position,
                velocity,
                rotation,
            );
        }
    }

    #[cold]
    #[inline(never)]
    fn say_3d(
        &mut self,
        entity: GlobalId,
        (place_max, speed_max): (f32, f32),
        position: &Position3d,
        velocity: &Velocity3d,
        rotation: &Rotation3d,
    ) {
        let is_bad = |vector: Vec3, max| !(vector.is_finite() && vector.abs().max_element() <= max);
        let (position, velocity, rotation) = (position.0, velocity.0, rotation.0);
        if is_bad(position, place_max) && !std::mem::replace(&mut self.is_position_said, true) {
            tracing::error!(
                %entity,
                "the `Position3d` of a replicated entity is not within {place_max} units: {position}. Clients see it at 0 \
                 or at that end. Look for a division by zero, for `normalize()` where `normalize_or_zero()` is meant, and \
                 keep positions within it (`clamp`)"
            );
        }
        if is_bad(velocity, speed_max) && !std::mem::replace(&mut self.is_velocity_said, true) {
            tracing::error!(
                %entity,
                "the `Velocity3d` of a replicated entity is sent as another: {velocity}. It has at most {speed_max} units a \
                 second along each axis (`clamp_length_max`)"
            );
        }
        let has_direction = rotation.is_finite() && rotation.length_squared() > 0.0;
        if !has_direction && !std::mem::replace(&mut self.is_heading_said, true) {
            tracing::error!(
                %entity,
                "the `Rotation3d` of a replicated entity is not a rotation: {rotation}. Clients see none"
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
            if world.resource::<Protocol>().quanta_3d().is_some() {
                self.watched.extend([
                    watch("Position3d", world.register_component::<Position3d>()),
                    watch("Velocity3d", world.register_component::<Velocity3d>()),
                    watch("Rotation3d", world.register_component::<Rotation3d>()),
                ]);
            }
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

//! The components that clients predict, and their rounding to what clients are sent.
//!
//! A server that goes on with more digits than it sends computes other states than its clients, who go on with what
//! they were sent. So both ends round a predicted component at the end of a tick. Owns the list of these components and
//! the operation. Guarantees that a rounded value is the one that a client decodes, to the bit; that -0 becomes 0; and
//! that rounding twice is the same as once. Does not know which entities are predicted: the ends do.

use std::any::{Any, TypeId, type_name};
use std::fmt;

use bevy_ecs::change_detection::DetectChangesMut;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::Component;
use bevy_ecs::world::EntityWorldMut;

use super::components::ComponentEntry;
use crate::protocol::pose::{Heading, Position, Velocity};
use crate::protocol::pose3d::{Position3d, Quanta3d, Rotation3d, Velocity3d};

/// A component that the protocol lists as predicted, and its rounding.
#[derive(Clone)]
pub struct PredictedType {
    name: &'static str,
    type_id: TypeId,
    rounding: Rounding,
    round_in: fn(&Self, &mut EntityWorldMut<'_>),
}

#[derive(Clone)]
enum Rounding {
    /// A part of the pose.
    Pose(fn(&mut dyn Any)),
    /// A part of the pose in space.
    Pose3d(Quanta3d, fn(&Quanta3d, &mut dyn Any)),
    /// Any other component, by its codec.
    Codec(ComponentEntry),
}

impl PredictedType {
    /// Returns the rounding of `T`: a component of the pose, in a game with these quanta in three dimensions or on the plane,
    /// or the one that `entry` replicates.
    pub(super) fn of<T: Component<Mutability = Mutable>>(
        quanta_3d: Option<Quanta3d>,
        entry: Option<&ComponentEntry>,
    ) -> Option<Self> {
        let type_id = TypeId::of::<T>();
        let rounding = match (quanta_3d, pose_rounding(type_id), pose_3d_rounding(type_id)) {
            (None, Some(round), _) => Rounding::Pose(round),
            (Some(quanta), _, Some(round)) => Rounding::Pose3d(quanta, round),
            _ => Rounding::Codec(entry?.clone()),
        };
        Some(Self {
            name: type_name::<T>(),
            type_id,
            rounding,
            round_in: |rounding, entity| {
                if let Some(mut value) = entity.get_mut::<T>() {
                    // Clients are sent the same for both values, so this is no change for them.
                    rounding.round(value.bypass_change_detection());
                }
            },
        })
    }

    /// Returns the path of the component's type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Rounds a value of the component. A value that cannot be sent, and one with a NaN in the pose, stays as it is.
    pub fn round(&self, value: &mut dyn Any) {
        match &self.rounding {
            Rounding::Pose(round) => round(value),
            Rounding::Pose3d(quanta, round) => round(quanta, value),
            Rounding::Codec(entry) => entry.round(value),
        }
    }

    /// Rounds the entity's component, if it has it. Does not count as a change.
    pub fn round_in(&self, entity: &mut EntityWorldMut<'_>) {
        (self.round_in)(self, entity);
    }

    pub(super) fn is_of(&self, type_id: TypeId) -> bool {
        self.type_id == type_id
    }
}

impl fmt::Debug for PredictedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PredictedType").field(&self.name).finish()
    }
}

/// Returns whether the type is a component of the pose, on the plane or in space.
pub(super) fn is_of_pose(type_id: TypeId) -> bool {
    pose_rounding(type_id).is_some() || pose_3d_rounding(type_id).is_some()
}

/// Returns the rounding of a component of the pose on the plane. NaN stays, so that it is not hidden.
fn pose_rounding(type_id: TypeId) -> Option<fn(&mut dyn Any)> {
    if type_id == TypeId::of::<Position>() {
        Some(|value| in_place::<Position>(value, |position| position.0.is_nan(), Position::rounded))
    } else if type_id == TypeId::of::<Velocity>() {
        Some(|value| in_place::<Velocity>(value, |velocity| velocity.0.is_nan(), Velocity::rounded))
    } else if type_id == TypeId::of::<Heading>() {
        Some(|value| in_place::<Heading>(value, |heading| heading.0.is_nan(), Heading::rounded))
    } else {
        None
    }
}

/// Returns the rounding of a component of the pose in space. NaN stays, so that it is not hidden.
fn pose_3d_rounding(type_id: TypeId) -> Option<fn(&Quanta3d, &mut dyn Any)> {
    if type_id == TypeId::of::<Position3d>() {
        Some(|quanta, value| {
            let round = |position| {
                quanta
                    .rounded(position, Velocity3d::default(), Rotation3d::default())
                    .0
            };
            in_place::<Position3d>(value, |position| position.0.is_nan(), round);
        })
    } else if type_id == TypeId::of::<Velocity3d>() {
        Some(|quanta, value| {
            let round = |velocity| {
                quanta
                    .rounded(Position3d::default(), velocity, Rotation3d::default())
                    .1
            };
            in_place::<Velocity3d>(value, |velocity| velocity.0.is_nan(), round);
        })
    } else if type_id == TypeId::of::<Rotation3d>() {
        Some(|quanta, value| {
            let round = |rotation| {
                quanta
                    .rounded(Position3d::default(), Velocity3d::default(), rotation)
                    .2
            };
            in_place::<Rotation3d>(value, |rotation| rotation.0.is_nan(), round);
        })
    } else {
        None
    }
}

fn in_place<T: Component + Copy>(value: &mut dyn Any, is_nan: fn(&T) -> bool, rounded: impl Fn(T) -> T) {
    if let Some(value) = value.downcast_mut::<T>().filter(|value| !is_nan(value)) {
        *value = rounded(*value);
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::{PI, TAU};

    use bevy_app::App;
    use glam::Vec2;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::protocol::pose::Pose;
    use crate::protocol::registry::{Custom, Delta, Protocol, ProtocolAppExt};

    #[derive(Component, Clone, Copy, Debug, PartialEq)]
    struct Turret([f32; 2]);

    impl From<&Turret> for [f32; 2] {
        fn from(turret: &Turret) -> Self {
            turret.0
        }
    }

    impl From<[f32; 2]> for Turret {
        fn from(numbers: [f32; 2]) -> Self {
            Self(numbers)
        }
    }

    #[derive(Component, Clone, Debug, PartialEq)]
    struct Heat(f32);

    #[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Fuel(f32);

    fn protocol() -> Protocol {
        let mut app = App::new();
        app.replicate_with::<Turret>(Delta::<2>::quantized(0.01));
        app.replicate_with(Custom {
            name: "percent",
            encode: |heat: &Heat, out| out.push((heat.0.clamp(0.0, 1.0) * 100.0) as u8),
            decode: |bytes| Some(Heat(f32::from(*bytes.first()?) / 100.0)),
        });
        app.replicate::<Fuel>();
        app.predicted::<Position>()
            .predicted::<Velocity>()
            .predicted::<Heading>()
            .predicted::<Turret>()
            .predicted::<Heat>()
            .predicted::<Fuel>();
        app.world().resource::<Protocol>().clone()
    }

    fn rounded<T: Component + Clone>(protocol: &Protocol, value: T) -> T {
        let mut rounded = value;
        protocol.predicted_of::<T>().unwrap().round(&mut rounded);
        rounded
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|number| number.to_bits()).collect()
    }

    #[test]
    fn every_kind_of_component_is_rounded_to_what_is_sent() {
        let protocol = protocol();
        let position = rounded(&protocol, Position(Vec2::new(1.234_567, -0.004)));
        assert_eq!(bits(&position.0.to_array()), bits(&[1.23, 0.0]));
        let velocity = rounded(&protocol, Velocity(Vec2::new(-0.0, 0.026)));
        assert_eq!(bits(&velocity.0.to_array()), bits(&[0.0, 0.05]));
        assert_eq!(rounded(&protocol, Heading(PI)), rounded(&protocol, Heading(-PI)));
        let turned = rounded(&protocol, Heading(1.0 + 3.0 * TAU));
        assert_eq!(turned, rounded(&protocol, Heading(1.0)));
        let turret = rounded(&protocol, Turret([0.014, -0.0]));
        assert_eq!(bits(&turret.0), bits(&[0.01, 0.0]));
        assert_eq!(rounded(&protocol, Heat(0.509)), Heat(0.5));
        assert_eq!(rounded(&protocol, Fuel(0.123_456_7)), Fuel(0.123_456_7));
    }

    #[test]
    fn a_format_that_cuts_off_digits_is_rounded_to_a_value_that_it_keeps() {
        let protocol = protocol();
        let entry = protocol.component_of::<Heat>().unwrap();
        let mut moved = 0;
        for percent in 0..=100u8 {
            let decoded = Heat(f32::from(percent) / 100.0);
            let held = rounded(&protocol, decoded.clone());
            let mut sent = Vec::new();
            entry.encode(&held, &mut sent).unwrap();
            let arrived = entry.decode(&sent).unwrap();
            assert_eq!(arrived.downcast_ref::<Heat>(), Some(&held), "{percent}");
            moved += usize::from(held != decoded);
        }
        assert!(moved > 0, "no value shows that the format cuts off digits");
    }

    #[test]
    fn values_out_of_range_are_rounded_to_the_ends_of_the_range_and_nan_stays() {
        let protocol = protocol();
        let far = rounded(&protocol, Position(Vec2::new(1e30, f32::NEG_INFINITY)));
        let pose = Pose {
            x: i32::MAX,
            y: i32::MIN,
            ..Pose::default()
        };
        assert_eq!(far, pose.position());
        let fast = rounded(&protocol, Velocity(Vec2::new(2_000.0, -2_000.0)));
        assert_eq!(fast.0, Vec2::new(1_638.35, -1_638.4));
        assert!(rounded(&protocol, Position(Vec2::new(f32::NAN, 1.0))).0.is_nan());
        assert!(rounded(&protocol, Heading(f32::NAN)).0.is_nan());
        assert_eq!(rounded(&protocol, Heading(f32::INFINITY)), Heading(0.0));
    }

    #[test]
    fn only_the_pose_and_components_whose_codec_rounds_lose_digits() {
        let protocol = protocol();
        assert!(protocol.loses_digits::<Position>() && protocol.loses_digits::<Heading>());
        assert!(protocol.loses_digits::<Turret>() && protocol.loses_digits::<Heat>());
        assert!(!protocol.loses_digits::<Fuel>());
    }

    #[test]
    #[should_panic(expected = "Turret is neither part of the pose nor replicated")]
    fn a_component_that_is_not_replicated_cannot_be_predicted() {
        App::new().predicted::<Turret>();
    }

    #[test]
    #[should_panic(expected = "Position3d is not part of the pose")]
    fn a_game_on_the_plane_predicts_no_pose_in_space() {
        App::new().predicted::<Position3d>();
    }

    #[test]
    #[should_panic(expected = "Position is not part of the pose")]
    fn a_game_in_three_dimensions_predicts_no_pose_on_the_plane() {
        let mut app = App::new();
        app.poses_3d(Quanta3d::default());
        app.predicted::<Position>();
    }

    #[test]
    fn a_rounded_pose_in_space_is_what_a_client_decodes() {
        let quanta = Quanta3d::new(0.25, 0.5, 8);
        let mut app = App::new();
        app.poses_3d(quanta);
        app.predicted::<Position3d>()
            .predicted::<Velocity3d>()
            .predicted::<Rotation3d>();
        let protocol = app.world().resource::<Protocol>().clone();
        let turned = Rotation3d(glam::Quat::from_rotation_x(1.0));
        let (position, velocity) = (
            Position3d(glam::Vec3::splat(0.3)),
            Velocity3d(glam::Vec3::splat(-0.7)),
        );
        let sent = quanta.components(&quanta.quantize(&position, &velocity, &turned));
        assert_eq!(rounded(&protocol, position), sent.0);
        assert_eq!(rounded(&protocol, velocity), sent.1);
        assert_eq!(rounded(&protocol, turned), sent.2);
        assert_ne!((position, velocity, turned), sent);
        assert!(rounded(&protocol, Position3d(glam::Vec3::NAN)).0.is_nan());
        let plain = self::protocol();
        assert_ne!(plain.hash(), protocol.hash());
    }

    #[test]
    #[should_panic(expected = "Position is listed as predicted twice")]
    fn a_component_is_listed_as_predicted_once() {
        App::new().predicted::<Position>().predicted::<Position>();
    }

    #[test]
    fn listing_a_component_as_predicted_changes_the_hash() {
        let (mut plain, mut listed) = (App::new(), App::new());
        plain.world_mut().init_resource::<Protocol>();
        listed.predicted::<Position>();
        let hash = |app: &App| app.world().resource::<Protocol>().hash();
        assert_ne!(hash(&plain), hash(&listed));
    }

    proptest! {
        #[test]
        fn a_rounded_value_is_what_a_client_decodes_and_stays_so(x: u32, y: u32) {
            let protocol = protocol();
            let any = Vec2::new(f32::from_bits(x), f32::from_bits(y));
            prop_assume!(!any.is_nan());
            let (position, velocity, heading) = (
                rounded(&protocol, Position(any)), rounded(&protocol, Velocity(any)), rounded(&protocol, Heading(any.x)),
            );
            let sent = Pose::quantize(&position, &velocity, &heading);
            prop_assert_eq!(bits(&position.0.to_array()), bits(&sent.position().0.to_array()));
            prop_assert_eq!(bits(&velocity.0.to_array()), bits(&sent.velocity().0.to_array()));
            prop_assert_eq!(heading.0.to_bits(), sent.heading().0.to_bits());
            let turret = rounded(&protocol, Turret(any.to_array()));
            prop_assert_eq!(bits(&turret.0), bits(&rounded(&protocol, turret).0));
        }
    }
}

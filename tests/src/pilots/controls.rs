//! Flying: the input for a course and a speed.

use std::f32::consts::TAU;

use glam::Vec2;
use skirmish_shared::input::{AXIS_MAX, PilotInput};
use skirmish_shared::movement::wrap;
use throng_shared::protocol::pose::YAW_STEPS;

use super::view::OwnShip;

/// Seconds in which a turn is completed. It is some ticks, as the mirror's heading is that many ticks old.
const TURN_S: f32 = 0.15;
/// Speed of approach to a stop, in units a second for every unit of distance.
pub const APPROACH_PER_S: f32 = 0.8;

/// A pilot's controls in one tick.
#[derive(Debug, Clone, Copy, Default)]
pub struct PilotControls {
    /// Direction to which the bow turns. Zero keeps the heading.
    pub course: Vec2,
    /// Thrust, -1 to 1. Values beyond are clamped.
    pub thrust: f32,
    /// Direction of the guns, in radians.
    pub aim: f32,
    /// Whether to fire the laser.
    pub fires: bool,
    /// Whether to launch a missile.
    pub launches: bool,
    /// Whether to mine.
    pub mines: bool,
    /// Whether to boost.
    pub boosts: bool,
}

impl PilotControls {
    /// Returns controls that keep the heading without thrust.
    #[must_use]
    pub fn drift(own: &OwnShip) -> Self {
        Self {
            course: Vec2::from_angle(own.heading),
            aim: own.heading,
            ..Self::default()
        }
    }

    /// Returns the input for a ship that turns by `turn` radians a second at most.
    #[must_use]
    pub fn input(&self, own: &OwnShip, turn: f32) -> PilotInput {
        let off = if self.course == Vec2::ZERO {
            0.0
        } else {
            wrap(self.course.to_angle() - own.heading)
        };
        let axis = |value: f32| (value.clamp(-1.0, 1.0) * f32::from(AXIS_MAX)) as i8;
        let steps = self.aim.rem_euclid(TAU) / TAU * f32::from(YAW_STEPS);
        let buttons = [
            (self.boosts, PilotInput::BOOST),
            (self.fires, PilotInput::FIRE),
            (self.launches, PilotInput::LAUNCH),
            (self.mines, PilotInput::MINE),
        ];
        PilotInput {
            turn: axis(off / (turn * TURN_S)),
            thrust: axis(self.thrust),
            aim: steps.round() as u16 % YAW_STEPS,
            buttons: buttons
                .iter()
                .filter(|(is_held, _)| *is_held)
                .fold(0, |held, (_, button)| held | button),
        }
    }
}

/// Returns controls to fly along `course` with thrust `hurry`. `avoidance` is added to the direction of the course.
#[must_use]
pub fn fly(own: &OwnShip, course: Vec2, hurry: f32, avoidance: Vec2) -> PilotControls {
    let course = course.normalize_or_zero() + avoidance;
    let ahead = course.normalize_or_zero().dot(Vec2::from_angle(own.heading));
    PilotControls {
        course,
        thrust: if ahead > 0.2 { hurry } else { 0.1 },
        aim: own.heading,
        ..PilotControls::default()
    }
}

/// Returns controls to stop `gap` units before the target at `to`, which is relative to the ship, with the bow on it.
#[must_use]
pub fn hold_at(own: &OwnShip, to: Vec2, gap: f32, avoidance: Vec2) -> PilotControls {
    let left = to.length() - gap;
    let towards = to.normalize_or_zero();
    let wanted = (left * APPROACH_PER_S).clamp(-6.0, 40.0);
    let speed = own.velocity.dot(towards);
    // The target is part of the avoidance, too. It must not push the ship away at the end.
    let clear = if left > 20.0 { avoidance } else { Vec2::ZERO };
    let mut controls = fly(own, towards, 0.0, clear);
    let faces = towards.dot(Vec2::from_angle(own.heading)) > 0.5;
    controls.thrust = if faces { (wanted - speed) * 0.3 } else { 0.0 };
    controls
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_shared::protocol::input::PlayerInput;

    #[test]
    fn inputs_of_all_courses_are_valid() {
        for n in 0..400 {
            let (angle, heading) = (n as f32 * 0.3 - 60.0, (n as f32 * 0.017) - 3.1);
            let own = OwnShip {
                heading,
                velocity: Vec2::from_angle(angle) * 20.0,
                ..OwnShip::default()
            };
            for controls in [
                fly(&own, Vec2::from_angle(angle), 9.0, Vec2::X),
                hold_at(&own, Vec2::from_angle(angle) * n as f32, 5.0, Vec2::ZERO),
            ] {
                let input = PilotControls {
                    aim: angle,
                    ..controls
                }
                .input(&own, 3.0);
                assert_eq!(input.validate(), Ok(()), "{n}: {input:?}");
            }
        }
    }
}

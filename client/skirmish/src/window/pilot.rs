//! Converts keys, buttons and the mouse to the input that the ship is flown with.

use std::f32::consts::TAU;

use bevy::input::InputSystems;
use bevy::prelude::*;
use skirmish_shared::input::{AXIS_MAX, PilotInput};
use throng_client::schedule::ClientSystems;
use throng_client::world::NextInput;
use throng_shared::protocol::pose::YAW_STEPS;
use throng_shared::protocol::registry::Protocol;

use super::camera::Rig;
use super::keys::{Action, ActionInput};
use super::session::GamePhase;
use super::view::Focus;

pub(crate) struct PilotPlugin;

impl Plugin for PilotPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(
            PreUpdate,
            steer
                .after(InputSystems)
                .in_set(ClientSystems::Input)
                .run_if(in_state(GamePhase::Play)),
        )
        .add_systems(OnExit(GamePhase::Play), release_controls);
    }
}

fn steer(
    controls: ActionInput,
    rig: Res<Rig>,
    focus: Res<Focus>,
    protocol: Res<Protocol>,
    mut next: ResMut<NextInput>,
) -> Result {
    let axis = |more, less| {
        let held = |action| i8::from(controls.pressed(action));
        (held(more) - held(less)) * AXIS_MAX
    };
    let toward = rig.aim - focus.at;
    let aim = if toward.length_squared() > 0.01 {
        toward.to_angle()
    } else {
        focus.heading
    };
    let input = PilotInput {
        turn: axis(Action::Left, Action::Right),
        thrust: axis(Action::Forward, Action::Back),
        aim: yaw_steps(aim),
        buttons: [
            (Action::Boost, PilotInput::BOOST),
            (Action::Fire, PilotInput::FIRE),
            (Action::Missile, PilotInput::LAUNCH),
            (Action::Mine, PilotInput::MINE),
        ]
        .into_iter()
        .filter(|(action, _)| controls.pressed(*action))
        .fold(0, |held, (_, button)| held | button),
    };
    Ok(next.set(&protocol, &input)?)
}

fn release_controls(protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
    Ok(next.set(&protocol, &PilotInput::default())?)
}

/// Converts a direction in radians to steps of the pose's yaw.
fn yaw_steps(radians: f32) -> u16 {
    let steps = (radians.rem_euclid(TAU) / TAU * f32::from(YAW_STEPS)).round() as u16;
    steps % YAW_STEPS
}

/// Converts a direction in steps of the pose's yaw to radians.
pub(crate) fn yaw_radians(steps: u16) -> f32 {
    f32::from(steps % YAW_STEPS) / f32::from(YAW_STEPS) * TAU
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaw_steps_round_trip_and_stay_below_a_full_turn() {
        for steps in 0..YAW_STEPS {
            assert_eq!(yaw_steps(yaw_radians(steps)), steps);
        }
        assert_eq!(yaw_steps(TAU - 1e-5), 0);
        assert_eq!(yaw_steps(-TAU / 4.0), 768);
    }
}

//! The input that a pilot's client sends every tick: six bytes.

use serde::{Deserialize, Serialize};

use super::movement::Controls;
use throng_shared::protocol::input::PlayerInput;
use throng_shared::protocol::pose::YAW_STEPS;

/// Value of an axis at full deflection.
pub const AXIS_MAX: i8 = 100;

/// A pilot's controls in one tick. The default is neutral.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PilotInput {
    /// Turn, in hundredths of the class's turn rate; positive is counter-clockwise.
    pub turn: i8,
    /// Thrust, in hundredths of the class's thrust; negative brakes and reverses.
    pub thrust: i8,
    /// Direction of the guns, in steps of the pose's yaw. They reach only so far from the bow.
    pub aim: u16,
    /// The buttons that are held, as the bits below.
    pub buttons: u8,
}

impl PilotInput {
    /// Burns boost while there is some.
    pub const BOOST: u8 = 1;
    /// Fires the laser as often as it can.
    pub const FIRE: u8 = 1 << 1;
    /// Launches missiles as often as it can.
    pub const LAUNCH: u8 = 1 << 2;
    /// Mines the asteroid ahead, while it is in range.
    pub const MINE: u8 = 1 << 3;

    const BUTTONS: u8 = Self::BOOST | Self::FIRE | Self::LAUNCH | Self::MINE;

    /// Returns whether `button` is held.
    #[must_use]
    pub const fn holds(&self, button: u8) -> bool {
        self.buttons & button != 0
    }

    /// Returns the part of the input that moves the ship.
    #[must_use]
    pub fn controls(&self) -> Controls {
        let axis = |value: i8| f32::from(value) / f32::from(AXIS_MAX);
        Controls {
            turn: axis(self.turn),
            thrust: axis(self.thrust),
            boost: self.holds(Self::BOOST),
        }
    }
}

impl PlayerInput for PilotInput {
    fn validate(&self) -> Result<(), &'static str> {
        let is_axis = |axis: i8| (-AXIS_MAX..=AXIS_MAX).contains(&axis);
        if !is_axis(self.turn) {
            return Err("turn must be within -100 and 100");
        }
        if !is_axis(self.thrust) {
            return Err("thrust must be within -100 and 100");
        }
        if self.aim >= YAW_STEPS {
            return Err("aim must be below the yaw steps of a full turn");
        }
        if self.buttons & !Self::BUTTONS != 0 {
            return Err("unknown button");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_out_of_range_is_refused() {
        let ok = PilotInput {
            turn: 100,
            thrust: -100,
            aim: YAW_STEPS - 1,
            buttons: PilotInput::BUTTONS,
        };
        assert_eq!(ok.validate(), Ok(()));
        for bad in [
            PilotInput { turn: 101, ..ok },
            PilotInput { turn: i8::MIN, ..ok },
            PilotInput { thrust: 127, ..ok },
            PilotInput { aim: YAW_STEPS, ..ok },
            PilotInput { buttons: 16, ..ok },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}

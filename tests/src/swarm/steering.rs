//! The sources of bots' inputs: random steering, or a pilot of Skirmish.

use throng_client::connection::ClientCore;
use throng_scenes::protocol::SteerInput;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::random::Random;

use crate::pilots::BotPilot;
use crate::pilots::senses::Senses;

/// The source of a bot's inputs.
pub enum BotSteering {
    /// Steers at random.
    Random(Random),
    /// Plays Skirmish.
    Pilot(Box<BotPilot>),
}

/// Returns an input that turns at random, at cruising speed. This movement defines the crowd scene.
pub fn steer(protocol: &Protocol, steering: &mut Random) -> InputBytes {
    let input = SteerInput {
        turn: steering.signed_unit(),
        thrust: 0.0,
    };
    // An input that cannot be encoded is a defect of the scene's protocol. The bot coasts then.
    protocol
        .encode_input(&input)
        .unwrap_or_else(|_| protocol.neutral_input())
}

/// Runs a pilot on the newest mirror and sends its orders. Returns its input, or `None` before the first snapshot.
pub fn play(senses: &Senses, pilot: &mut BotPilot, core: &mut ClientCore) -> Option<InputBytes> {
    let input = pilot.decide(senses, core.mirror()?);
    for order in pilot.take_orders() {
        let mut bytes = Vec::new();
        if let Ok(channel) = senses.protocol.encode_message(&order, &mut bytes) {
            // If the queue is full, the order is dropped. There will be another one.
            let _ = core.send_message(channel, bytes.into());
        }
    }
    senses.protocol.encode_input(&input).ok()
}

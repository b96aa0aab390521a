//! The checksum of a game: over all that its frames show and that its clients are sent besides.

use throng_server::boundary::frame::Frame;
use throng_server::boundary::link::ToWorker;
use throng_shared::hash::Mixer;
use throng_shared::protocol::registry::Protocol;

/// A digest in which order matters.
#[derive(Default)]
pub(crate) struct Digest(pub(crate) Mixer);

impl Digest {
    fn mix(&mut self, values: impl IntoIterator<Item = impl Into<u64>>) {
        for value in values {
            self.0.mix(value.into());
        }
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        self.mix([bytes.len() as u64]);
        self.mix(bytes.iter().copied());
    }

    /// Poses and identities, which the frame's own checksum covers, components in the form in which they are sent,
    /// and players.
    pub(crate) fn mix_frame(&mut self, frame: &Frame, protocol: &Protocol) {
        let mut bytes = Vec::new();
        self.mix([frame.checksum().0]);
        for (slot, _) in frame.rows() {
            let Some(cold) = frame.cold(slot) else { continue };
            self.mix([u64::from(slot.0), cold.mask, u64::from(cold.changed.0)]);
            for cell in &cold.components {
                let entry = protocol.component(cell.id).expect("it is registered");
                bytes.clear();
                entry.encode(&*cell.value, &mut bytes).expect("it can be sent");
                self.mix([u32::from(cell.id.0), cell.changed.0]);
                self.mix_bytes(&bytes);
            }
        }
        for (worker, player) in frame.players.iter() {
            let entity = player.entity.map_or(u32::MAX, |slot| slot.0);
            self.mix([u32::from(worker), player.generation, player.player.0, entity]);
            self.mix([player.eye.x, player.eye.y, player.radius].map(f32::to_bits));
            self.mix([
                u16::from(player.is_local),
                u16::from(player.team.0),
                player.room.0,
            ]);
            self.mix([player.last_input.0, u32::from(player.margin_16 as u16)]);
        }
    }

    /// Adds a value that a simulation sends to a worker in the tick of `frame`.
    pub(crate) fn mix_sent(&mut self, sent: &ToWorker, frame: &Frame) {
        match sent {
            ToWorker::Message { key, channel, bytes } => {
                self.mix([key.session.index, key.session.generation, u32::from(channel.0)]);
                self.mix_bytes(bytes);
            }
            ToWorker::Broadcast {
                audience,
                channel,
                bytes,
            } => {
                let players = frame.players.iter().map(|(_, player)| player);
                let receivers = players.filter(|player| audience.includes(player));
                self.mix(receivers.map(|player| player.player.0));
                self.mix([channel.0]);
                self.mix_bytes(bytes);
            }
            ToWorker::Disconnect { .. } | ToWorker::DisconnectMany { .. } => panic!("no game ends a session"),
        }
    }
}

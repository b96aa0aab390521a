//! Players of other simulations who see a part of this one.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::{PlayerId, TeamId};
use throng_shared::tick::Tick;

use super::players::{AreaOfInterest, Eye, Viewer};
use super::replicated::{Room, Team};
use crate::boundary::frame::PlayerRow;
use crate::boundary::link::SessionKey;
use crate::space::{Area, RoomId};

/// A player who plays in another simulation and is shown what of this one is in its view. Its entity has an
/// eye and a radius; gameplay here does not know it.
#[derive(Component, Clone, Copy, Debug)]
#[require(Team, Room, Eye, Viewer { radius: 0.0 }, AreaOfInterest)]
pub struct Watcher {
    /// The session that is shown it.
    pub session: SessionKey,
    /// The player.
    pub player: PlayerId,
}

impl Watcher {
    /// What a frame has of it: no entity, so that whatever is about the player itself comes from its own
    /// simulation.
    pub(super) fn row(
        &self,
        team: TeamId,
        room: RoomId,
        eye: Vec2,
        radius: f32,
        area: Arc<Area>,
    ) -> PlayerRow {
        PlayerRow {
            generation: self.session.session.generation,
            player: self.player,
            is_local: false,
            entity: None,
            eye,
            radius,
            team,
            room,
            last_input: Tick(0),
            margin_16: 0,
            area,
        }
    }
}

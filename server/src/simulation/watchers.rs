//! Watchers: players of other simulations that see a part of this one.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::{PlayerId, Team, TeamId};
use throng_shared::tick::Tick;

use super::players::{AreaOfInterest, Eye, Viewer};
use super::replicated::Room;
use crate::boundary::frame::{PlayerRow, Upright};
use crate::boundary::link::SessionKey;
use crate::space::{Area, RoomId};

/// A player of another simulation whose view reaches the part of this one. Its entity has an eye and a
/// radius. It is no player to gameplay in this simulation.
#[derive(Component, Clone, Copy, Debug)]
#[require(Team, Room, Eye, Viewer { radius: 0.0 }, AreaOfInterest)]
pub(crate) struct Watcher {
    /// The session that is sent what the watcher sees.
    pub session: SessionKey,
    /// The id of the player.
    pub player: PlayerId,
}

impl Watcher {
    /// Returns the watcher's row in a frame. The row has no entity, so that the state of the player itself
    /// comes only from the player's own simulation.
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
            upright: Upright::default(),
            team,
            room,
            last_input: Tick(0),
            newest_ahead: i8::MIN,
            margin_16: 0,
            area,
        }
    }
}

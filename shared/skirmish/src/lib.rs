//! Skirmish, the space-combat game that comes with Throng: the part that both ends share.
//!
//! Owns the game's components, messages, input, the shape of its content and the one [`movement`] step.
//! Guarantees that a step gives the same quanta on every machine, so that a client predicts its ship to the
//! bit. Contains no rules: the server alone decides on hits and their effects.

pub mod chat;
pub mod components;
pub mod content;
pub mod input;
pub mod messages;
pub mod movement;
pub mod standings;

use bevy_app::{App, Plugin};

use chat::{ChatLine, ChatNotice, Say};
use components::{
    Asteroid, Beam, Boost, Callsign, Cargo, Credits, Drone, Hull, Magazine, Missile, Ore, Score, Shield,
    Ship, Station,
};
use input::PilotInput;
use messages::{ContentAnnounced, ContentTable, Destroyed, Explosion, Hit, StationOrder, StationReply};
use standings::{OwnStanding, Standings};
use throng_shared::protocol::ids::{Channel, Team, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::registry::{ProtocolAppExt, Visibility};

/// The two teams of pilots. A pilot joins the smaller one.
pub const PILOT_TEAMS: [TeamId; 2] = [TeamId(1), TeamId(2)];
/// Teams of drones: enemies of all pilots and of each other.
pub const DRONE_TEAMS: [TeamId; 2] = [TeamId(3), TeamId(4)];

/// The game's protocol, for both ends.
pub struct SkirmishProtocol;

impl Plugin for SkirmishProtocol {
    fn build(&self, app: &mut App) {
        // The side of a ship, drone or missile.
        app.replicate::<Team>();
        app.replicate::<Ship>().persisted();
        app.replicate::<Drone>().persisted();
        app.replicate::<Asteroid>().persisted();
        app.replicate::<Station>().persisted();
        app.replicate::<Missile>().persisted();
        app.replicate::<Hull>().persisted();
        app.replicate::<Shield>().persisted();
        app.replicate::<Beam>().persisted();
        app.replicate::<Callsign>().persisted();
        app.replicate::<Score>().persisted();
        app.replicate::<Ore>().persisted();
        app.replicate::<Boost>().persisted().visible_to(Visibility::Owner);
        app.replicate::<Magazine>()
            .persisted()
            .visible_to(Visibility::Owner);
        app.replicate::<Cargo>().persisted().visible_to(Visibility::Owner);
        app.replicate::<Credits>()
            .persisted()
            .visible_to(Visibility::Owner);
        app.input::<PilotInput>();
        app.predicted::<Position>()
            .predicted::<Velocity>()
            .predicted::<Heading>();
        app.replicate_resource::<Standings>();
        app.message_to_clients::<ContentAnnounced>(Channel::ReliableOrdered);
        app.message_to_clients::<ContentTable>(Channel::ReliableOrdered);
        app.message_to_clients::<Destroyed>(Channel::ReliableOrdered);
        app.message_to_clients::<Explosion>(Channel::ReliableUnordered);
        app.message_to_clients::<Hit>(Channel::Unreliable);
        app.message_to_clients::<OwnStanding>(Channel::ReliableOrdered);
        app.message_to_server::<StationOrder>(Channel::ReliableOrdered);
        app.message_to_clients::<StationReply>(Channel::ReliableOrdered);
        app.message_to_server::<Say>(Channel::ReliableOrdered);
        app.message_to_clients::<ChatLine>(Channel::ReliableOrdered);
        app.message_to_clients::<ChatNotice>(Channel::ReliableOrdered);
    }
}

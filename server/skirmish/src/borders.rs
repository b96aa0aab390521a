//! The game on several simulations: what migrates, what ghosts show, what checkpoints hold, and which effects are
//! sent.
//!
//! Guarantees that a craft, a rock or a missile keeps its whole state when it crosses a border, and that damage,
//! kill credits and mined ore cross a border exactly once.

use bevy_app::App;
use skirmish_shared::components::{Asteroid, Missile, Station};
use throng_server::prelude::{EffectAppExt, GhostAppExt, MapShape, PersistAppExt};

use super::chat::{ChatLimiter, DirectMessage};
use super::components::{Condition, DroneAi, Guns, Hangar, Helm, Mass, Pilot, Warhead};
use super::content::Rules;
use super::drones::DroneRespawnQueue;
use super::effects::{Damage, Dig, Dug, KillCredit};
use super::mining::OreLedger;
use super::roster::RosterUpdate;
use super::standings::Rank;

/// Margin added to the range of the rules, in units: how far both ends of a line of sight may move in a tick or two.
const SIGHT_SLACK: f32 = 12.0;

/// Registers what migrates, what ghosts show, what checkpoints hold and the effects between simulations.
pub(super) fn cross_borders(app: &mut App, rules: &Rules) {
    app.persist::<Mass>()
        .persist::<Helm>()
        .persist::<Guns>()
        .persist::<Condition>()
        .persist::<Warhead>()
        .persist::<DroneAi>()
        .persist::<Hangar>()
        .persist::<Pilot>()
        .persist::<ChatLimiter>()
        .persist::<Rank>()
        .persist::<DroneRespawnQueue>()
        .persist::<OreLedger>()
        .ghost::<Mass>()
        .ghost::<Asteroid>()
        .ghost::<Station>()
        .ghost::<Missile>()
        .effect::<Dig>()
        .effect::<Dug>()
        .effect::<RosterUpdate>()
        .effect::<Damage>()
        .effect::<KillCredit>()
        .effect::<DirectMessage>()
        .insert_resource(MapShape {
            side: rules.content.space.half.get() * 2.0,
            sight: sight(rules),
        });
}

/// Returns the range of the rule with the longest range, plus [`SIGHT_SLACK`], in units.
fn sight(rules: &Rules) -> f32 {
    let content = &rules.content;
    let lasers = content.lasers.iter().map(|laser| laser.range.get());
    let missiles = content.missiles.iter().map(|missile| missile.seek.get());
    let drones = content.drones.iter().map(|breed| breed.sight.get() * 1.4);
    lasers.chain(missiles).chain(drones).fold(0.0, f32::max) + SIGHT_SLACK
}

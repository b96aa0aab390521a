//! The game on several simulations: what travels, what ghosts show, and what is done to those beyond a border.
//!
//! Guarantees that a craft, a rock or a missile is everything after a border that it was before, and that a blow,
//! its credit and ore that is mined cross it once.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{
    Asteroid, Beam, Boost, Callsign, Cargo, Credits, Drone, Hull, Magazine, Missile, Ore, Score, Shield,
    Ship, Station,
};
use skirmish_shared::messages::Destroyed;
use throng_server::prelude::{
    EffectAppExt, EffectReceived, EffectReturned, GhostAppExt, NewsHeard, PersistAppExt, Player, Replicated,
    Tell, TellEntity, WorldShape, Worlds,
};
use throng_shared::protocol::ids::{GlobalId, SourceId};

use super::bodies::Mass;
use super::chat::{Voice, Whisper};
use super::content::{Model, Rules};
use super::damage::{Blow, Blows};
use super::death::{Fallen, reward};
use super::drones::{Mind, Nursery};
use super::mining::OreLedger;
use super::missiles::Warhead;
use super::pilots::{Condition, Guns, Hangar, Helm, Pilot};
use super::roster::{Entry, Muster, Roster};
use super::standings::Placing;

/// Farther than rules look, in units: what both ends of a look may move in a tick or two.
const SIGHT_SLACK: f32 = 12.0;

/// A blow from another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Struck {
    /// Who struck.
    pub by: Option<GlobalId>,
    /// Points.
    pub damage: u32,
}

/// A pilot or a drone destroyed somebody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Victory {
    /// A drone.
    Drone,
    /// A ship; what its killer is told.
    Ship(Destroyed),
}

impl Victory {
    /// Tells the victor whom it destroyed, if that was a pilot.
    pub(super) fn tell(&self, tell: &mut Tell, victor: &Player) {
        if let Self::Ship(news) = self {
            super::told(tell.player(victor, news));
        }
    }
}

/// A ship destroyed somebody in another simulation, and is no more itself: whoever knows its pilot credits it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastVictory {
    /// The ship.
    pub by: GlobalId,
    /// What it did.
    pub victory: Victory,
}

/// A ship mines a rock in another simulation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dig {
    /// The ship.
    pub by: GlobalId,
    /// Ore that it mines, if there is so much.
    pub amount: u32,
}

/// Ore from a rock in another simulation, for the ship that mined it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dug {
    /// How much.
    pub ore: u32,
    /// Where the rock was, in units.
    pub at: Vec2,
}

/// Reaches entities of other simulations; where there are none, does nothing.
#[derive(SystemParam)]
pub struct Beyond<'w> {
    worlds: Option<Res<'w, Worlds>>,
    tell: TellEntity<'w>,
}

impl Beyond<'_> {
    /// This simulation.
    #[must_use]
    pub fn home(&self) -> SourceId {
        self.worlds.as_ref().map_or(SourceId(0), |worlds| worlds.me())
    }

    /// Sends an effect to an entity that is not here.
    pub fn tell<E: Serialize + Send + Sync + 'static>(&mut self, target: GlobalId, effect: &E) {
        if self.worlds.is_some()
            && let Err(error) = self.tell.entity(target, effect)
        {
            tracing::error!(%error, %target, "an effect was not sent");
        }
    }

    /// Lets all simulations hear something.
    pub fn tell_everybody<E: Serialize + Send + Sync + 'static>(&mut self, news: &E) {
        if self.worlds.is_some()
            && let Err(error) = self.tell.everybody(news)
        {
            tracing::error!(%error, "news were not sent");
        }
    }

    /// A pilot of this name who may be in another simulation.
    #[must_use]
    pub fn find<'r>(&self, roster: &'r Roster, name: &str) -> Option<&'r Entry> {
        self.worlds.as_ref().and_then(|_| roster.find(name))
    }
}

/// Marks what travels, what ghosts show, and what else a checkpoint holds.
pub(super) fn cross_borders(app: &mut App, rules: &Rules) {
    app.persist::<Model>()
        .persist::<Mass>()
        .persist::<Helm>()
        .persist::<Guns>()
        .persist::<Condition>()
        .persist::<Warhead>()
        .persist::<Mind>()
        .persist::<Hangar>()
        .persist::<Pilot>()
        .persist::<Voice>()
        .persist::<Placing>()
        .persist::<Ship>()
        .persist::<Drone>()
        .persist::<Asteroid>()
        .persist::<Station>()
        .persist::<Missile>()
        .persist::<Hull>()
        .persist::<Shield>()
        .persist::<Beam>()
        .persist::<Callsign>()
        .persist::<Score>()
        .persist::<Ore>()
        .persist::<Boost>()
        .persist::<Magazine>()
        .persist::<Cargo>()
        .persist::<Credits>()
        .persist::<Fallen>()
        .persist::<Nursery>()
        .persist::<OreLedger>()
        .ghost::<Mass>()
        .ghost::<Asteroid>()
        .ghost::<Station>()
        .ghost::<Missile>()
        .effect::<Dig>()
        .effect::<Dug>()
        .effect::<Muster>()
        .effect::<Struck>()
        .effect::<Victory>()
        .effect::<LastVictory>()
        .effect::<Whisper>()
        .insert_resource(WorldShape {
            side: rules.content.space.half.get() * 2.0,
            sight: sight(rules),
        });
}

/// How far the farthest-sighted rule looks.
fn sight(rules: &Rules) -> f32 {
    let content = &rules.content;
    let lasers = content.lasers.iter().map(|laser| laser.range.get());
    let missiles = content.missiles.iter().map(|missile| missile.seek.get());
    let drones = content.drones.iter().map(|breed| breed.sight.get() * 1.4);
    lasers.chain(missiles).chain(drones).fold(0.0, f32::max) + SIGHT_SLACK
}

/// Takes in the blows from beyond.
pub(super) fn feel_strikes(
    mut received: MessageReader<EffectReceived<Struck>>,
    crafts: Query<&Replicated, With<Hull>>,
    mut blows: ResMut<Blows>,
) {
    for EffectReceived { entity, effect, .. } in received.read() {
        if let Ok(victim) = crafts.get(*entity) {
            blows.0.push(Blow {
                victim: victim.global(),
                by: effect.by,
                damage: effect.damage,
            });
        }
    }
}

/// Credits pilots with what they destroyed beyond, also those whose ships were destroyed meanwhile. A drone's
/// victory that finds no drone is nobody's.
pub(super) fn enjoy_victories(
    mut received: MessageReader<EffectReceived<Victory>>,
    mut returned: MessageReader<EffectReturned<Victory>>,
    mut last: MessageReader<NewsHeard<LastVictory>>,
    ships: Query<&Pilot>,
    mut players: Query<(&Player, &mut Score, &mut Credits), With<Hangar>>,
    fallen: Res<Fallen>,
    mut beyond: Beyond,
    mut tell: Tell,
    rules: Res<Rules>,
) {
    for EffectReturned { target, effect } in returned.read() {
        let (by, victory) = (*target, effect.clone());
        beyond.tell_everybody(&LastVictory { by, victory });
    }
    let of_ships = received
        .read()
        .filter_map(|EffectReceived { entity, effect, .. }| {
            let pilot = ships.get(*entity).ok()?;
            Some((pilot.0, effect))
        });
    let of_fallen = last.read().filter_map(|NewsHeard { news, .. }| {
        let pilot = fallen.pilot(news.by)?;
        Some((pilot, &news.victory))
    });
    for (pilot, victory) in of_ships.chain(of_fallen) {
        if let Ok((player, mut score, mut credits)) = players.get_mut(pilot) {
            reward(victory, &mut score, &mut credits, &rules);
            victory.tell(&mut tell, player);
        }
    }
}

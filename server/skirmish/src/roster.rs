//! The roster: the pilots of all simulations, as each simulation last reported them.
//!
//! Every simulation broadcasts its pilots in the tick before a board is due, so that all compute the same board.
//! Between two boards the roster may still have pilots who left, and lack pilots who joined another simulation. A pilot
//! who is away stays on it.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::standings::{BOARD_EVERY_S, Standing};
use throng_server::prelude::{BroadcastReceived, Player, Team, TickTime};
use throng_shared::protocol::ids::{PlayerId, SimulationId};

use super::content::ticks;
use super::effects::EffectSender;

/// A pilot on the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// The pilot's player id.
    pub id: PlayerId,
    /// The pilot's row on the score board.
    pub standing: Standing,
}

/// All pilots of one simulation, in the order of their ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RosterUpdate(pub Vec<RosterEntry>);

/// The pilots of all simulations, by simulation.
#[derive(Resource, Clone, Debug, Default)]
pub struct Roster(BTreeMap<SimulationId, RosterUpdate>);

impl Roster {
    /// Returns the pilots of all simulations.
    pub fn pilots(&self) -> impl Iterator<Item = &RosterEntry> {
        self.0.values().flat_map(|update| &update.0)
    }

    /// Returns the pilot of a name, ignoring case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&RosterEntry> {
        let wanted = name_key(name);
        self.pilots()
            .find(|entry| name_key(&entry.standing.name) == wanted)
    }

    /// Returns the name of a pilot, as it was last reported.
    #[must_use]
    pub fn name(&self, id: PlayerId) -> Option<&str> {
        let found = self.pilots().find(|entry| entry.id == id);
        found.map(|entry| entry.standing.name.as_str())
    }

    /// Returns the pilots of all simulations but `here`.
    pub fn elsewhere(&self, here: SimulationId) -> impl Iterator<Item = &RosterEntry> {
        let others = self.0.iter().filter(move |(simulation, _)| **simulation != here);
        others.flat_map(|(_, update)| &update.0)
    }
}

/// Broadcasts the pilots of this simulation in the tick before a board is due, and adds them to the roster.
pub(super) fn broadcast_roster(
    pilots: Query<(&Player, &Callsign, &Team, &Score, &Credits)>,
    mut roster: ResMut<Roster>,
    mut effects: EffectSender,
    time: Res<TickTime>,
) {
    if !time.is_due(ticks(BOARD_EVERY_S, &time), 1) {
        return;
    }
    let entries = pilots
        .iter()
        .map(|(player, name, team, score, credits)| RosterEntry {
            id: player.id,
            standing: standing(name, *team, *score, *credits),
        });
    let mut update = RosterUpdate(entries.collect());
    update.0.sort_unstable_by_key(|entry| entry.id);
    effects.broadcast(&update);
    roster.0.insert(effects.home(), update);
}

/// Adds the pilots of other simulations to the roster.
pub(super) fn apply_roster_updates(
    mut received: MessageReader<BroadcastReceived<RosterUpdate>>,
    mut roster: ResMut<Roster>,
) {
    for BroadcastReceived { from, message } in received.read() {
        roster.0.insert(*from, message.clone());
    }
}

pub(super) fn standing(name: &Callsign, team: Team, score: Score, credits: Credits) -> Standing {
    Standing {
        name: name.0.clone(),
        team: team.0,
        score,
        credits: credits.0,
    }
}

/// Returns the form of a name that is equal for all names that count as the same.
#[must_use]
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

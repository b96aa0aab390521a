//! Who flies in the whole process: the pilots of all simulations, as each of them last said.
//!
//! Every simulation says who its pilots are in the tick before a board is due, so that all draw up the same one.
//! Between two boards the roster may have pilots who have left, and lack some who joined another simulation.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::standings::{BOARD_EVERY_S, Standing};
use throng_server::prelude::{BroadcastReceived, Player, Team, TickTime};
use throng_shared::protocol::ids::{PlayerId, SimulationId};

use super::borders::RemoteEffects;
use super::chat::name_key;
use super::content::ticks;
use super::standings::standing;

/// One pilot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterEntry {
    /// Who it is.
    pub id: PlayerId,
    /// Its line on the board.
    pub standing: Standing,
}

/// All pilots of one simulation, in the order of their ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RosterUpdate(pub Vec<RosterEntry>);

/// All pilots, by the simulation in which they were.
#[derive(Resource, Clone, Debug, Default)]
pub struct Roster(BTreeMap<SimulationId, RosterUpdate>);

impl Roster {
    /// All of them.
    pub fn pilots(&self) -> impl Iterator<Item = &RosterEntry> {
        self.0.values().flat_map(|update| &update.0)
    }

    /// The pilot of a name, whatever its case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&RosterEntry> {
        let wanted = name_key(name);
        self.pilots()
            .find(|entry| name_key(&entry.standing.name) == wanted)
    }

    /// Those who were in other simulations than `here`.
    pub fn elsewhere(&self, here: SimulationId) -> impl Iterator<Item = &RosterEntry> {
        let others = self.0.iter().filter(move |(simulation, _)| **simulation != here);
        others.flat_map(|(_, update)| &update.0)
    }
}

/// Enters those of this simulation, and lets the others know, a tick before a board is due.
pub(super) fn broadcast_roster(
    pilots: Query<(&Player, &Callsign, &Team, &Score, &Credits)>,
    mut roster: ResMut<Roster>,
    mut remote: RemoteEffects,
    time: Res<TickTime>,
) {
    if !time.tick.next().0.is_multiple_of(ticks(BOARD_EVERY_S, &time)) {
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
    remote.broadcast(&update);
    roster.0.insert(remote.home(), update);
}

/// Enters those of the others.
pub(super) fn apply_roster_updates(
    mut heard: MessageReader<BroadcastReceived<RosterUpdate>>,
    mut roster: ResMut<Roster>,
) {
    for BroadcastReceived { from, message } in heard.read() {
        roster.0.insert(*from, message.clone());
    }
}

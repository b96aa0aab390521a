//! Who flies in the whole process: the pilots of all simulations, as each of them last said.
//!
//! Every simulation says who its pilots are in the tick before a board is due, so that all draw up the same one.
//! Between two boards the roster may have pilots who have left, and lack some who joined another simulation.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::standings::{BOARD_EVERY_S, Standing};
use throng_server::prelude::{NewsHeard, Player, Team, TickTime};
use throng_shared::protocol::ids::{PlayerId, SourceId};

use super::borders::Beyond;
use super::chat::name_key;
use super::content::ticks;
use super::standings::standing;

/// One pilot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who it is.
    pub id: PlayerId,
    /// Its line on the board.
    pub standing: Standing,
}

/// All pilots of one simulation, in the order of their ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Muster(pub Vec<Entry>);

/// All pilots, by the simulation in which they were.
#[derive(Resource, Clone, Debug, Default)]
pub struct Roster(BTreeMap<SourceId, Muster>);

impl Roster {
    /// All of them.
    pub fn pilots(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().flat_map(|muster| &muster.0)
    }

    /// The pilot of a name, whatever its case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let wanted = name_key(name);
        self.pilots()
            .find(|entry| name_key(&entry.standing.name) == wanted)
    }

    /// Those who were in other simulations than `here`.
    pub fn elsewhere(&self, here: SourceId) -> impl Iterator<Item = &Entry> {
        let others = self.0.iter().filter(move |(source, _)| **source != here);
        others.flat_map(|(_, muster)| &muster.0)
    }
}

/// Enters those of this simulation, and lets the others know, a tick before a board is due.
pub(super) fn muster_pilots(
    pilots: Query<(&Player, &Callsign, &Team, &Score, &Credits)>,
    mut roster: ResMut<Roster>,
    mut beyond: Beyond,
    time: Res<TickTime>,
) {
    if !time.tick.next().0.is_multiple_of(ticks(BOARD_EVERY_S, &time)) {
        return;
    }
    let entries = pilots.iter().map(|(player, name, team, score, credits)| Entry {
        id: player.id,
        standing: standing(name, *team, *score, *credits),
    });
    let mut muster = Muster(entries.collect());
    muster.0.sort_unstable_by_key(|entry| entry.id);
    beyond.tell_everybody(&muster);
    roster.0.insert(beyond.home(), muster);
}

/// Enters those of the others.
pub(super) fn hear_musters(mut heard: MessageReader<NewsHeard<Muster>>, mut roster: ResMut<Roster>) {
    for NewsHeard { from, news } in heard.read() {
        roster.0.insert(*from, news.clone());
    }
}

//! Effects on players. Each simulation sends notes to many player ids, and checks those that it receives.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::PlayerId;

use super::game::{Complaints, SimulationCount};
use crate::runner::TickTime;
use crate::simulation::{Player, PlayerJoined};
use crate::simulations::{EffectReceived, EffectReturned, EffectTarget, TellEntity};

/// The highest player id that notes are sent to.
const NOTED_PLAYERS: u32 = 160;

/// An effect on a player.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    tick: u32,
}

/// Whether a simulation sends a note in every tick to each of the player ids up to [`NOTED_PLAYERS`], most of which no
/// player has, and what became of its notes.
#[derive(Resource, Default)]
pub(super) struct Notes {
    pub(super) is_sending: bool,
    last_sent: u32,
    pub(super) sent: u64,
    /// Notes of any simulation that arrived here.
    pub(super) received: u64,
    /// Notes of this simulation that were returned.
    pub(super) returned: u64,
}

pub(super) fn send_notes(mut tell: TellEntity, mut notes: ResMut<Notes>, time: Res<TickTime>) -> Result {
    if notes.is_sending {
        let tick = time.tick.0;
        for id in 1..=NOTED_PLAYERS {
            tell.player(PlayerId(id), &Note { tick })?;
        }
        notes.sent += u64::from(NOTED_PLAYERS);
        notes.last_sent = tick;
    }
    Ok(())
}

/// Checks that every player receives one note from each simulation in every tick, in the order of the simulations,
/// wherever the player is. A player that joined in this tick receives none.
pub(super) fn receive_notes(
    mut received: MessageReader<EffectReceived<Note>>,
    mut returned: MessageReader<EffectReturned<Note>>,
    mut joined: MessageReader<PlayerJoined>,
    players: Query<(Entity, &Player)>,
    mut notes: ResMut<Notes>,
    count: Res<SimulationCount>,
    time: Res<TickTime>,
    mut complaints: ResMut<Complaints>,
) {
    let received: Vec<_> = received.read().collect();
    let joined: Vec<_> = joined.read().map(|joined| joined.entity).collect();
    notes.received += received.len() as u64;
    for (entity, player) in &players {
        let of_player = received.iter().filter(|note| note.entity == entity);
        let found: Vec<_> = of_player
            .map(|note| (note.from.0, note.effect.tick + 1))
            .collect();
        let is_due = notes.last_sent + 1 == time.tick.0 && notes.last_sent > 0 && !joined.contains(&entity);
        let expected = (0..count.0).filter(|_| is_due).map(|from| (from, time.tick.0));
        if !expected.eq(found.iter().copied()) {
            let PlayerId(id) = player.id;
            complaints
                .0
                .push(format!("player {id}: notes {found:?} in tick {}", time.tick));
        }
    }
    for EffectReturned { target, effect } in returned.read() {
        notes.returned += 1;
        let EffectTarget::Player(PlayerId(id)) = *target else {
            complaints.0.push(format!("a note to {target:?}"));
            continue;
        };
        if effect.tick + 2 != time.tick.0 || !(1..=NOTED_PLAYERS).contains(&id) {
            let tick = effect.tick;
            complaints.0.push(format!(
                "the note of tick {tick} to player {id} was returned in {}",
                time.tick
            ));
        }
    }
}

//! The score board: the best pilots, sent to all clients, and to every client the rank of its own pilot.
//!
//! Everything here is derived from the scores. Guarantees that the board fits its message and that an unchanged
//! board costs no bytes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::components::{Callsign, Credits, Score};
use skirmish_shared::standings::{BOARD_EVERY_S, BOARD_ROWS_MAX, OwnStanding, Standing, Standings};
use throng_server::prelude::{Away, Player, Team, Tell, TickTime};
use throng_shared::limits::MESSAGE_BYTES_MAX;
use throng_shared::protocol::codec;

use super::content::ticks;
use super::effects::log_unsent;
use super::roster::{Roster, RosterEntry, standing};

/// Bytes of the board besides its rows: the message's id and the counts.
const BOARD_HEAD_BYTES: usize = 16;

/// A pilot's rank on the score board. On the player's entity.
#[derive(Component, Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rank {
    /// Rank on the board, from 1; 0 before the first board.
    rank: u32,
    /// The standing that was last sent to the pilot's client.
    sent: OwnStanding,
}

impl Rank {
    /// Makes the standing count as not sent, because the pilot has another client.
    pub(super) fn forget_sent(&mut self) {
        self.sent = OwnStanding::default();
    }
}

/// Ranks the pilots of all simulations and rebuilds the board when it is due.
pub(super) fn rank_pilots(
    roster: Res<Roster>,
    mut pilots: Query<(&Player, &mut Rank)>,
    mut standings: ResMut<Standings>,
    time: Res<TickTime>,
) {
    if !time.is_due(ticks(BOARD_EVERY_S, &time), 0) {
        return;
    }
    let mut order: Vec<_> = roster.pilots().collect();
    order.sort_unstable_by_key(|RosterEntry { id, standing }| {
        let score = &standing.score;
        (Reverse((score.points(), standing.credits)), score.deaths, *id)
    });
    let ranks: BTreeMap<_, u32> = order.iter().map(|entry| entry.id).zip(1..).collect();
    for (player, mut pilot_rank) in &mut pilots {
        if let Some(&rank) = ranks.get(&player.id) {
            pilot_rank.rank = rank;
        }
    }
    let best = order.iter().take(BOARD_ROWS_MAX);
    let best = best.map(|entry| entry.standing.clone());
    standings.set_if_neq(Standings {
        pilots: order.len() as u32,
        best: as_many_as_fit(best),
    });
}

/// Sends pilots their own standing if it changed. Each pilot has its own tick within the board's interval, so that
/// the messages are spread over the interval.
pub(super) fn tell_own_standings(
    mut pilots: Query<(&Player, &Callsign, &Team, &Score, &Credits, &mut Rank), Without<Away>>,
    time: Res<TickTime>,
    mut tell: Tell,
) {
    let every = ticks(BOARD_EVERY_S, &time);
    for (player, name, team, score, credits, mut pilot_rank) in &mut pilots {
        let is_due = time.is_due(every, player.id.0.into());
        let shown = &pilot_rank.sent.standing;
        let has_changed = pilot_rank.sent.rank != pilot_rank.rank
            || (shown.score, shown.credits, shown.team) != (*score, credits.0, team.0);
        if is_due && has_changed {
            let own = OwnStanding {
                rank: pilot_rank.rank,
                standing: standing(name, *team, *score, *credits),
            };
            log_unsent(tell.player(player, &own));
            pilot_rank.sent = own;
        }
    }
}

/// Returns the first rows, as many as fit into one message.
fn as_many_as_fit(rows: impl Iterator<Item = Standing>) -> Vec<Standing> {
    let mut bytes = Vec::new();
    rows.take_while(|row| {
        codec::encode_into(row, &mut bytes).is_ok() && bytes.len() + BOARD_HEAD_BYTES <= MESSAGE_BYTES_MAX
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_shared::limits::PLAYER_NAME_BYTES_MAX;
    use throng_shared::protocol::ids::TeamId;

    #[test]
    fn the_board_fits_its_message_with_the_longest_names_and_largest_numbers() {
        let most = u32::MAX;
        let row = |name_bytes: usize| Standing {
            name: "x".repeat(name_bytes),
            team: TeamId(u8::MAX),
            score: Score {
                kills: most,
                drones: most,
                deaths: most,
                ore: most,
            },
            credits: most,
        };
        for (name_bytes, expected) in [(PLAYER_NAME_BYTES_MAX, 15..25), (4, 31..33)] {
            let best = as_many_as_fit(std::iter::repeat_n(row(name_bytes), BOARD_ROWS_MAX));
            assert!(expected.contains(&best.len()), "{} rows", best.len());
            let mut bytes = Vec::new();
            codec::encode_into(&Some(Standings { pilots: most, best }), &mut bytes).unwrap();
            assert!(bytes.len() + size_of::<u16>() <= MESSAGE_BYTES_MAX);
        }
    }
}

//! Chat: passes on what pilots say, and tells them why it does not.
//!
//! Guarantees that what is heard is clean, of bounded length and under the speaker's own name, and that nobody
//! makes others hear, or the server answer, more than [`BURST_LINES`] and then one line every
//! [`LINE_EVERY_S`]. Keeps nothing: who is not online hears nothing.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::chat::{
    BURST_LINES, ChatChannel, ChatLine, ChatNotice, LINE_EVERY_S, Say, TEXT_BYTES_MAX, clean,
};
use skirmish_shared::components::Callsign;
use throng_server::prelude::{BroadcastReceived, Eye, Place, Player, Room, Team, Tell, TickTime};
use throng_shared::protocol::ids::PlayerId;
use throng_shared::protocol::registry::FromPlayer;
use throng_shared::tick::Tick;

use super::borders::RemoteEffects;
use super::content::ticks;
use super::log_unsent;
use super::roster::Roster;

/// How much a pilot has said of late. On the player's entity.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChatLimiter {
    /// The tick to which the lines so far add up, if one may be said every [`LINE_EVERY_S`].
    paid_until: Tick,
    /// Whether the pilot knows that it is too fast.
    is_warned: bool,
}

impl ChatLimiter {
    /// Counts a line in. Otherwise answers after how many ticks there may be one.
    fn line(&mut self, now: Tick, every: u32) -> Result<(), u32> {
        let owed = self.paid_until.since(now).max(0) as u32;
        let credit = every * (BURST_LINES - 1);
        if owed > credit {
            return Err(owed - credit);
        }
        *self = Self {
            paid_until: now + owed + every,
            is_warned: false,
        };
        Ok(())
    }
}

/// A line for a pilot of another simulation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectMessage {
    /// The pilot.
    to: PlayerId,
    /// What it hears.
    heard: ChatLine,
}

type Speaker = (
    &'static Player,
    &'static Callsign,
    &'static Team,
    &'static Room,
    &'static Eye,
    &'static mut ChatLimiter,
);

/// Passes on what was said, in the order in which it arrived.
pub(super) fn pass_on_chat(
    mut said: MessageReader<FromPlayer<Say>>,
    mut speakers: Query<Speaker>,
    pilots: Query<(&Player, &Callsign)>,
    roster: Res<Roster>,
    time: Res<TickTime>,
    mut remote: RemoteEffects,
    mut tell: Tell,
) {
    let every = ticks(LINE_EVERY_S, &time);
    let mut by_name: Option<BTreeMap<String, (&Player, &Callsign)>> = None;
    for FromPlayer {
        player,
        message: said,
    } in said.read()
    {
        let Ok((speaker, name, team, room, eye, mut limiter)) = speakers.get_mut(*player) else {
            continue;
        };
        if let Err(wait_ticks) = limiter.line(time.tick, every) {
            if !std::mem::replace(&mut limiter.is_warned, true) {
                log_unsent(tell.player(speaker, &ChatNotice::TooFast { wait_ticks }));
            }
            continue;
        }
        if said.text.len() > TEXT_BYTES_MAX {
            log_unsent(tell.player(speaker, &ChatNotice::TooLong));
            continue;
        }
        let mut heard = ChatLine {
            channel: said.channel.clone(),
            from: name.0.clone(),
            team: team.0,
            text: clean(&said.text),
            tick: time.tick,
        };
        if heard.text.is_empty() {
            continue;
        }
        match &said.channel {
            ChatChannel::Nearby => {
                let place = Place {
                    position: eye.0,
                    room: room.0,
                };
                log_unsent(tell.in_sight(place, &heard));
            }
            ChatChannel::Team => log_unsent(tell.team(team.0, &heard)),
            ChatChannel::Tell(wanted) => {
                let by_name = by_name.get_or_insert_with(|| {
                    let pilots = pilots.iter();
                    pilots
                        .map(|(player, name)| (name_key(&name.0), (player, name)))
                        .collect()
                });
                let wanted = clean(wanted);
                if let Some((listener, name)) = by_name.get(&name_key(&wanted)) {
                    heard.channel = ChatChannel::Tell(name.0.clone());
                    log_unsent(tell.player(listener, &heard));
                    if listener.id != speaker.id {
                        log_unsent(tell.player(speaker, &heard));
                    }
                } else if let Some(listener) = remote.find(&roster, &wanted) {
                    heard.channel = ChatChannel::Tell(listener.standing.name.clone());
                    log_unsent(tell.player(speaker, &heard));
                    let to = listener.id;
                    remote.broadcast(&DirectMessage { to, heard });
                } else {
                    log_unsent(tell.player(speaker, &ChatNotice::NotOnline(wanted)));
                }
            }
        }
    }
}

/// Tells pilots of this simulation what those of others told them.
pub(super) fn deliver_direct_messages(
    mut messages: MessageReader<BroadcastReceived<DirectMessage>>,
    pilots: Query<&Player, With<Callsign>>,
    mut tell: Tell,
) {
    for BroadcastReceived { message, .. } in messages.read() {
        if let Some(listener) = pilots.iter().find(|pilot| pilot.id == message.to) {
            log_unsent(tell.player(listener, &message.heard));
        }
    }
}

/// What two names that count as the same have in common.
#[must_use]
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_one_line_every_second() {
        let mut limiter = ChatLimiter::default();
        let passed = (0..1_000).filter(|&tick| limiter.line(Tick(tick), 20).is_ok());
        let passed: Vec<u32> = passed.collect();
        assert_eq!(passed[..7], [0, 1, 2, 3, 4, 20, 40]);
        assert_eq!(passed.len() as u32, BURST_LINES + 49);
        assert_eq!(limiter.line(Tick(1_000), 20), Ok(()));
        assert_eq!(limiter.line(Tick(1_001), 20), Err(19));
    }
}

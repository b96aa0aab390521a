//! Chat: delivers what pilots write, and notifies the author of a line that is not delivered.
//!
//! Guarantees that every delivered line is clean, of bounded length and under its author's own name, and that one
//! pilot causes no more deliveries or notices than [`BURST_LINES`] at once and then one line every
//! [`LINE_EVERY_S`]. Stores no lines: a pilot who is not online, or away, never receives them.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use skirmish_shared::chat::{
    BURST_LINES, ChatChannel, ChatLine, ChatNotice, LINE_EVERY_S, Say, TEXT_BYTES_MAX, clean,
};
use skirmish_shared::components::Callsign;
use throng_server::prelude::{Away, BroadcastReceived, Eye, Place, Player, Room, Team, Tell, TickTime};
use throng_shared::protocol::ids::PlayerId;
use throng_shared::protocol::registry::FromPlayer;
use throng_shared::tick::Tick;

use super::content::ticks;
use super::effects::{EffectSender, log_unsent};
use super::roster::{Roster, name_key};

/// Rate limit on a pilot's chat lines. On the player's entity.
#[derive(Component, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ChatLimiter {
    /// The tick up to which the lines so far use up the allowance of one line every [`LINE_EVERY_S`].
    paid_until: Tick,
    /// Whether the pilot was already notified that it writes too fast.
    is_warned: bool,
}

impl ChatLimiter {
    /// Counts one line. If the pilot is over its limit, returns the number of ticks until the next line is allowed.
    fn count_line(&mut self, now: Tick, every: u32) -> Result<(), u32> {
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

/// A chat line addressed to a pilot of another simulation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectMessage {
    /// The pilot who receives the line.
    to: PlayerId,
    /// The line to deliver.
    line: ChatLine,
}

type Speaker = (
    &'static Player,
    &'static Callsign,
    &'static Team,
    &'static Room,
    &'static Eye,
    &'static mut ChatLimiter,
);

/// Delivers the chat lines that arrived in this tick, in the order of their arrival.
pub(super) fn pass_on_chat(
    mut requests: MessageReader<FromPlayer<Say>>,
    mut speakers: Query<Speaker>,
    pilots: Query<(&Player, &Callsign), Without<Away>>,
    roster: Res<Roster>,
    time: Res<TickTime>,
    mut effects: EffectSender,
    mut tell: Tell,
) {
    let every = ticks(LINE_EVERY_S, &time);
    let mut by_name: Option<BTreeMap<String, (&Player, &Callsign)>> = None;
    for FromPlayer {
        player,
        message: request,
    } in requests.read()
    {
        let Ok((speaker, name, team, room, eye, mut limiter)) = speakers.get_mut(*player) else {
            continue;
        };
        if let Err(wait_ticks) = limiter.count_line(time.tick, every) {
            if !std::mem::replace(&mut limiter.is_warned, true) {
                log_unsent(tell.player(speaker, &ChatNotice::TooFast { wait_ticks }));
            }
            continue;
        }
        if request.text.len() > TEXT_BYTES_MAX {
            log_unsent(tell.player(speaker, &ChatNotice::TooLong));
            continue;
        }
        let mut line = ChatLine {
            channel: request.channel.clone(),
            from: name.0.clone(),
            team: team.0,
            text: clean(&request.text),
            tick: time.tick,
        };
        if line.text.is_empty() {
            continue;
        }
        match &request.channel {
            ChatChannel::Nearby => {
                let place = Place {
                    position: eye.0,
                    room: room.0,
                    ..Place::default()
                };
                log_unsent(tell.in_sight(place, &line));
            }
            ChatChannel::Team => log_unsent(tell.team(team.0, &line)),
            ChatChannel::Tell(wanted) => {
                let by_name = by_name.get_or_insert_with(|| {
                    let pilots = pilots.iter();
                    pilots
                        .map(|(player, name)| (name_key(&name.0), (player, name)))
                        .collect()
                });
                let wanted = clean(wanted);
                if let Some((listener, name)) = by_name.get(&name_key(&wanted)) {
                    line.channel = ChatChannel::Tell(name.0.clone());
                    log_unsent(tell.player(listener, &line));
                    if listener.id != speaker.id {
                        log_unsent(tell.player(speaker, &line));
                    }
                } else if let Some(listener) = roster.find(&wanted).filter(|_| !effects.is_alone()) {
                    line.channel = ChatChannel::Tell(listener.standing.name.clone());
                    log_unsent(tell.player(speaker, &line));
                    let to = listener.id;
                    effects.broadcast(&DirectMessage { to, line });
                } else {
                    log_unsent(tell.player(speaker, &ChatNotice::NotOnline(wanted)));
                }
            }
        }
    }
}

/// Delivers direct messages from pilots of other simulations to pilots of this one.
pub(super) fn deliver_direct_messages(
    mut messages: MessageReader<BroadcastReceived<DirectMessage>>,
    pilots: Query<&Player, With<Callsign>>,
    mut tell: Tell,
) {
    for BroadcastReceived { message, .. } in messages.read() {
        if let Some(listener) = pilots.iter().find(|pilot| pilot.id == message.to) {
            log_unsent(tell.player(listener, &message.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_limiter_allows_a_burst_and_then_one_line_a_second() {
        let mut limiter = ChatLimiter::default();
        let passed = (0..1_000).filter(|&tick| limiter.count_line(Tick(tick), 20).is_ok());
        let passed: Vec<u32> = passed.collect();
        assert_eq!(passed[..7], [0, 1, 2, 3, 4, 20, 40]);
        assert_eq!(passed.len() as u32, BURST_LINES + 49);
        assert_eq!(limiter.count_line(Tick(1_000), 20), Ok(()));
        assert_eq!(limiter.count_line(Tick(1_001), 20), Err(19));
    }
}

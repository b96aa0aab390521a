//! Applies the inbox: sessions join and leave, inputs go to the players' buffers, messages to gameplay.

use std::time::Duration;

use bevy_ecs::prelude::*;
use bytes::Bytes;
use throng_shared::prefetch::prefetch;
use throng_shared::protocol::ids::{Channel, ChannelId};
use throng_shared::protocol::registry::{Protocol, referenced};
use throng_shared::tick::Tick;

use super::counters::InputCounters;
use super::inbox::Inbox;
use crate::boundary::link::ToSimulation;
use crate::runner::TickTime;
use crate::simulation::{
    InputBuffer, MessageReceived, NewSession, Offer, Players, Slots, ask, join, judge_view, leave, refuse,
};

/// Number of values that are applied between the prefetch of a buffer and its use.
const AHEAD: usize = 6;

/// Applies the values in the inbox, in order.
pub(super) fn apply_inbox(world: &mut World) {
    let time = *world.resource::<TickTime>();
    let mut counters = InputCounters::default();
    world.resource_scope(|world, protocol: Mut<Protocol>| {
        world.resource_scope(|world, mut inbox: Mut<Inbox>| {
            let mut players = [None; AHEAD];
            for (player, value) in players.iter_mut().zip(inbox.values()) {
                *player = prefetch_buffer(world, value);
            }
            for index in 0..inbox.values().len() {
                let player = players[index % AHEAD];
                if let Some(coming) = inbox.values().get(index + AHEAD) {
                    players[index % AHEAD] = prefetch_buffer(world, coming);
                }
                let value = (player, &inbox.values()[index]);
                if apply(world, &protocol, &time, &mut counters, value) == Outcome::Refused {
                    inbox.refuse(index);
                }
            }
        });
    });
    world.resource_mut::<InputCounters>().add(&counters);
}

/// Prefetches the buffer that an input goes to, while other values are applied. Returns the input's player.
fn prefetch_buffer(world: &World, value: &ToSimulation) -> Option<Entity> {
    let ToSimulation::Input { key, .. } = value else {
        return None;
    };
    let player = world.resource::<Players>().get(*key)?;
    prefetch(world.get::<InputBuffer>(player)?);
    Some(player)
}

/// What became of a value.
#[derive(PartialEq, Eq)]
enum Outcome {
    Applied,
    /// The value announced a session that the game's rule refused.
    Refused,
}

fn apply(
    world: &mut World,
    protocol: &Protocol,
    time: &TickTime,
    counters: &mut InputCounters,
    (player, value): (Option<Entity>, &ToSimulation),
) -> Outcome {
    match *value {
        ToSimulation::Joined {
            key,
            client_id,
            number,
            name,
            kind,
            ..
        } => {
            let arrival = NewSession {
                key,
                client_id,
                number,
                name,
                kind,
            };
            return admit(world, &arrival);
        }
        ToSimulation::Refused { key, client_id } => refuse(world, key, client_id, None),
        ToSimulation::Left { key, reason } => leave(world, key, reason),
        ToSimulation::Input {
            key,
            tick,
            view,
            arrived_at,
            bytes,
        } => {
            // The player may have joined after the prefetch, and is looked up again. One that left has no
            // buffer any more.
            let player = player.or_else(|| world.resource::<Players>().get(key));
            let Some(mut buffer) = player.and_then(|player| world.get_mut::<InputBuffer>(player)) else {
                counters.stray += 1;
                return Outcome::Applied;
            };
            let judged = view.map(|view| judge_view(view, tick, time));
            let (seen_at, is_limited) = judged.unzip();
            let margin = margin_16(time, tick, arrived_at);
            let counter = match buffer.offer(tick, bytes, seen_at, time.tick, margin) {
                Offer::Kept => {
                    counters.views_limited += u64::from(is_limited == Some(true));
                    &mut counters.kept
                }
                Offer::Late => &mut counters.late,
                Offer::Early => &mut counters.early,
                Offer::Duplicate => &mut counters.duplicate,
            };
            *counter += 1;
        }
        ToSimulation::InputsRestarted { key } => {
            let player = world.resource::<Players>().get(key);
            match player.and_then(|player| world.get_mut::<InputBuffer>(player)) {
                Some(mut buffer) => buffer.restart(),
                None => counters.stray += 1,
            }
        }
        ToSimulation::Message {
            key,
            channel,
            ref bytes,
        } => {
            if let Some(player) = world.resource::<Players>().get(key) {
                let is_taken = deliver_message(world, protocol, player, channel, bytes.clone());
                counters.messages_refused += u64::from(!is_taken);
            } else {
                counters.stray += 1;
            }
        }
    }
    Outcome::Applied
}

/// Lets a session have its player, unless the game's rule refuses it.
fn admit(world: &mut World, arrival: &NewSession) -> Outcome {
    if let Some(refusal) = ask(world, arrival) {
        refuse(world, arrival.key, arrival.client_id, Some(refusal));
        return Outcome::Refused;
    }
    join(world, arrival);
    Outcome::Applied
}

/// Writes a player's message into the world, decoded and as it arrived. Returns whether it is of a type that
/// players may send.
fn deliver_message(
    world: &mut World,
    protocol: &Protocol,
    player: Entity,
    channel: ChannelId,
    bytes: Bytes,
) -> bool {
    let find = |world: &World, entity| {
        let slots = world.resource::<Slots>();
        referenced(entity)
            .and_then(|global| slots.find(global))
            .unwrap_or(Entity::PLACEHOLDER)
    };
    let is_taken = Channel::from_id(channel).is_some_and(|channel| {
        let delivered = protocol.deliver_from_player(world, player, channel, &bytes, &find);
        delivered
            .inspect_err(|error| tracing::debug!(%error, ?player, "a message is refused"))
            .is_ok()
    });
    world.write_message(MessageReceived {
        player,
        channel,
        bytes,
    });
    is_taken
}

/// Returns how long before `tick` is due something arrived, in 1/16 tick; saturates. A late start of a tick does not
/// count: clients time their inputs by the deadlines, which stay the same however late the server is.
fn margin_16(time: &TickTime, tick: Tick, arrived_at: Duration) -> i16 {
    let nanos = |duration: Duration| duration.as_nanos() as i64;
    let length = nanos(time.length);
    let ahead = nanos(time.due_at) - nanos(arrived_at) + i64::from(tick.since(time.tick)) * length;
    (i128::from(ahead) * 16)
        .div_euclid(i128::from(length.max(1)))
        .clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

impl InputCounters {
    pub(super) fn add(&mut self, other: &Self) {
        self.kept += other.kept;
        self.late += other.late;
        self.early += other.early;
        self.duplicate += other.duplicate;
        self.stray += other.stray;
        self.repeated += other.repeated;
        self.neutral += other.neutral;
        self.messages_refused += other.messages_refused;
        self.views_limited += other.views_limited;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_margin_is_in_sixteenths_of_a_tick_and_saturates() {
        let time = TickTime {
            tick: Tick(100),
            started_at: Duration::from_millis(5_400),
            due_at: Duration::from_millis(5_000),
            ..TickTime::default()
        };
        let margin = |tick, ms| margin_16(&time, Tick(tick), Duration::from_millis(ms));
        assert_eq!(margin(100, 5_000), 0);
        assert_eq!(margin(100, 4_975), 8);
        assert_eq!(margin(102, 4_975), 40);
        assert_eq!(margin(99, 4_975), -8);
        assert_eq!(margin(100, 5_001), -1);
        assert_eq!(margin(u32::MAX, 5_000), -101 * 16);
        assert_eq!(
            (margin(1 << 30, 0), margin(100 + (1 << 31), 0)),
            (i16::MAX, i16::MIN)
        );
    }
}

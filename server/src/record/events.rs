//! The events of a recording: what the simulation received from players.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::ChannelId;
use throng_shared::protocol::input::{InputBytes, ViewTick};
use throng_shared::tick::Tick;

use crate::boundary::claims::PlayerName;
use crate::boundary::link::{LeaveReason, PeerKind, SessionKey, ToSimulation};
use crate::runner::TickTime;

/// The number of sessions of one worker that a recording may name: more than a server can be configured to
/// have, and few enough for a table.
const SESSIONS_MAX: u32 = 1 << 20;

/// The largest time since the process's origin, 73 years. Later times are replaced by it.
pub(super) const NANOS_MAX: u64 = u64::MAX / 8;

/// A [`ToSimulation`] with times and ticks relative to the tick that applied it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    worker: u8,
    index: u32,
    generation: u32,
    what: EventKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum EventKind {
    Joined {
        client_id: u64,
        number: u64,
        name: String,
        speaks_renet: bool,
        age_ns: i64,
    },
    Left {
        reason: u8,
    },
    Input {
        ahead: i32,
        view: Option<ViewTick>,
        age_ns: i64,
        bytes: InputBytes,
    },
    Message {
        channel: u8,
        bytes: Vec<u8>,
    },
    InputsRestarted,
    Refused {
        client_id: u64,
    },
}

/// The reasons by their numbers in a recording.
const REASONS: [LeaveReason; 11] = [
    LeaveReason::Client,
    LeaveReason::TimedOut,
    LeaveReason::Replaced,
    LeaveReason::Abuse,
    LeaveReason::Overflow,
    LeaveReason::Fault,
    LeaveReason::Kicked,
    LeaveReason::Shutdown,
    LeaveReason::Despawned,
    LeaveReason::Unacknowledged,
    LeaveReason::Refused,
];

impl Event {
    pub(super) fn of(value: &ToSimulation, time: &TickTime) -> Self {
        let (key, what) = match value {
            ToSimulation::Joined {
                key,
                client_id,
                number,
                name,
                kind,
                at,
            } => {
                let what = EventKind::Joined {
                    client_id: *client_id,
                    number: *number,
                    name: name.as_str().to_owned(),
                    speaks_renet: *kind == PeerKind::Renet,
                    age_ns: age_ns(time, *at),
                };
                (key, what)
            }
            ToSimulation::Refused { key, client_id } => {
                let client_id = *client_id;
                (key, EventKind::Refused { client_id })
            }
            ToSimulation::Left { key, reason } => {
                let number = REASONS.iter().position(|known| known == reason);
                // A reason without a number is recorded as the first one, because the simulation only depends
                // on the departure.
                let reason = number.unwrap_or_default() as u8;
                (key, EventKind::Left { reason })
            }
            ToSimulation::Input {
                key,
                tick,
                view,
                arrived_at,
                bytes,
            } => {
                let what = EventKind::Input {
                    ahead: tick.since(time.tick),
                    view: *view,
                    age_ns: age_ns(time, *arrived_at),
                    bytes: *bytes,
                };
                (key, what)
            }
            ToSimulation::InputsRestarted { key } => (key, EventKind::InputsRestarted),
            ToSimulation::Message { key, channel, bytes } => {
                let (channel, bytes) = (channel.0, bytes.to_vec());
                (key, EventKind::Message { channel, bytes })
            }
        };
        Self {
            worker: key.worker,
            index: key.session.index,
            generation: key.session.generation,
            what,
        }
    }

    /// Returns the value for the tick of `time`; `None` if no worker could have sent it.
    pub(super) fn value(&self, time: &TickTime) -> Option<ToSimulation> {
        let index = Some(self.index).filter(|&index| index < SESSIONS_MAX)?;
        let key = SessionKey {
            worker: self.worker,
            session: SessionId {
                index,
                generation: self.generation,
            },
        };
        Some(match &self.what {
            EventKind::Joined {
                client_id,
                number,
                name,
                speaks_renet,
                age_ns,
            } => ToSimulation::Joined {
                key,
                client_id: *client_id,
                number: *number,
                name: PlayerName::stored(name)?,
                kind: if *speaks_renet {
                    PeerKind::Renet
                } else {
                    PeerKind::Throng
                },
                at: absolute_time(time, *age_ns),
            },
            EventKind::Refused { client_id } => ToSimulation::Refused {
                key,
                client_id: *client_id,
            },
            EventKind::Left { reason } => ToSimulation::Left {
                key,
                reason: *REASONS.get(usize::from(*reason))?,
            },
            EventKind::Input {
                ahead,
                view,
                age_ns,
                bytes,
            } => ToSimulation::Input {
                key,
                tick: Tick(time.tick.0.wrapping_add_signed(*ahead)),
                view: *view,
                arrived_at: absolute_time(time, *age_ns),
                bytes: *bytes,
            },
            EventKind::InputsRestarted => ToSimulation::InputsRestarted { key },
            EventKind::Message { channel, bytes } => ToSimulation::Message {
                key,
                channel: ChannelId(*channel),
                bytes: Bytes::copy_from_slice(bytes),
            },
        })
    }
}

/// Returns how long before the start of the tick `at` was, in nanoseconds; negative if it was after the
/// start.
fn age_ns(time: &TickTime, at: Duration) -> i64 {
    (time.started_at.as_nanos() as i128 - at.as_nanos() as i128) as i64
}

fn absolute_time(time: &TickTime, age_ns: i64) -> Duration {
    let nanos = i128::from(time.started_at.as_nanos() as u64) - i128::from(age_ns);
    Duration::from_nanos(nanos.clamp(0, i128::from(NANOS_MAX)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_events_round_trip() {
        let time = TickTime {
            tick: Tick(3),
            started_at: Duration::from_millis(150),
            ..TickTime::default()
        };
        let key = SessionKey {
            worker: 3,
            session: SessionId {
                index: 70,
                generation: 9,
            },
        };
        let mut values = vec![
            ToSimulation::Joined {
                key,
                client_id: u64::MAX,
                number: u64::MAX - 1,
                name: PlayerName::new("Ann Ähm").unwrap(),
                kind: PeerKind::Renet,
                at: Duration::from_nanos(149_999_999),
            },
            ToSimulation::Message {
                key,
                channel: ChannelId(2),
                bytes: Bytes::from_static(b"hello"),
            },
            ToSimulation::InputsRestarted { key },
            ToSimulation::Refused { key, client_id: 5 },
        ];
        values.extend(REASONS.map(|reason| ToSimulation::Left { key, reason }));
        for (tick, nanos) in [(0, 150_000_001), (4, 0), (u32::MAX, 150_000_000)] {
            values.push(ToSimulation::Input {
                key,
                tick: Tick(tick),
                view: Some(ViewTick::new(Tick(2), 17)),
                arrived_at: Duration::from_nanos(nanos),
                bytes: InputBytes::new(&[1, 2, 3]).unwrap(),
            });
        }
        for value in values {
            let back = Event::of(&value, &time).value(&time).unwrap();
            assert_eq!(format!("{value:?}"), format!("{back:?}"));
        }
    }

    #[test]
    fn events_that_no_worker_sends_are_refused() {
        let time = TickTime::default();
        let event = |index, what| Event {
            worker: 0,
            index,
            generation: 0,
            what,
        };
        assert!(
            event(u32::MAX, EventKind::Left { reason: 0 })
                .value(&time)
                .is_none()
        );
        assert!(event(0, EventKind::Left { reason: 11 }).value(&time).is_none());
        let joined = EventKind::Joined {
            client_id: 1,
            number: 1,
            name: "x".repeat(33),
            speaks_renet: false,
            age_ns: i64::MIN,
        };
        assert!(event(0, joined).value(&time).is_none());
    }
}

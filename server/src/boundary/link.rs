//! The link between a net worker and a simulation: bounded lock-free queues, one set for each pair of them. The two
//! exchange values nowhere else.
//!
//! Owns the values that cross ([`ToSimulation`], [`ToWorker`], frames) and the rule for every full queue:
//!
//! - inputs are dropped and counted;
//! - arrivals and departures are kept by the worker and retried;
//! - messages of a client stay in the session's reliable channel;
//! - a simulation's message to one session ends that session;
//! - a reliable message to many ends the sessions of its whole audience on that worker;
//! - an unreliable message to many is dropped and counted;
//! - a frame is skipped for that worker.
//!
//! Guarantees that no session continues with a gap in its reliable messages, that neither side ever waits, and that
//! the values of one session arrive in the order in which they were sent. Does not know sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use throng_shared::protocol::ids::{Channel, ChannelId, SimulationId};
use throng_shared::protocol::input::{InputBytes, ViewTick};
use throng_shared::protocol::kick_text::KickText;
use throng_shared::tick::Tick;

use super::claims::PlayerName;
use super::frame::Frame;

mod audience;
mod session;
#[cfg(test)]
mod tests;

pub use audience::Audience;
pub use session::{LeaveReason, PeerKind, SessionKey};

/// A value that a worker sends to a simulation.
#[derive(Clone, Debug)]
pub enum ToSimulation {
    /// A session can be served from now on. Always the first value of a session.
    Joined {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Stable id of the client, from the connect token.
        client_id: u64,
        /// Number of the session, from the connect token: higher than those of the client's earlier sessions.
        number: u64,
        /// Name of the player, from the connect token.
        name: PlayerName,
        /// Kind of client in the session.
        kind: PeerKind,
        /// Time at which the kind became known, since the process's origin.
        at: Duration,
    },
    /// The session that joined is not admitted by the game's rule. No worker sends this: it takes the place of `Joined` in
    /// the tick that decided.
    Refused {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Stable id of the client, from the connect token.
        client_id: u64,
    },
    /// A session ended. Always the last value of a session.
    Left {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Why the session ended.
        reason: LeaveReason,
    },
    /// The input of one tick, forwarded once even when the client repeated it.
    Input {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Tick for which the client sent the input; not yet checked against any window.
        tick: Tick,
        /// Moment that the client showed when the player gave this input, as the client claims.
        view: Option<ViewTick>,
        /// Time at which its datagram was received, since the process's origin.
        arrived_at: Duration,
        /// The encoded input, validated by the protocol's registry.
        bytes: InputBytes,
    },
    /// The client's clock of inputs has jumped backward: the next input replaces those that wait for
    /// its tick and later ones.
    InputsRestarted {
        /// Key of the session on its worker.
        key: SessionKey,
    },
    /// A typed message of a client, reliable or not, still encoded.
    Message {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Renet channel by which the message arrived.
        channel: ChannelId,
        /// Encoded bytes of the message.
        bytes: Bytes,
    },
}

/// A value that a simulation sends to a worker.
#[derive(Clone, Debug)]
pub enum ToWorker {
    /// A typed message for one client, encoded.
    Message {
        /// Key of the session on its worker.
        key: SessionKey,
        /// The renet channel to send it by.
        channel: ChannelId,
        /// Encoded bytes of the message.
        bytes: Bytes,
    },
    /// A typed message for many clients, encoded once.
    Broadcast {
        /// The audience, determined by the frames of the tick in which the message was sent.
        audience: Audience,
        /// The renet channel to send it by.
        channel: ChannelId,
        /// Encoded bytes of the message.
        bytes: Bytes,
    },
    /// A command to end a session.
    Disconnect {
        /// Key of the session on its worker.
        key: SessionKey,
        /// Why the session ends; sent to the client.
        reason: LeaveReason,
        /// The game's own words for the client, with [`LeaveReason::Kicked`] and [`LeaveReason::Refused`].
        text: Option<Box<KickText>>,
    },
    /// A command to end the sessions of an audience.
    DisconnectMany {
        /// The audience, determined by the frames of the tick in which the command was sent.
        audience: Audience,
        /// Why the sessions end; sent to the clients.
        reason: LeaveReason,
    },
}

/// Capacities of one link's queues, in values. All queues are allocated once.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Worker to simulation: inputs, messages and arrivals. Twice what all sessions send in one tick.
    pub to_simulation: usize,
    /// Simulation to worker: messages and disconnections.
    pub to_worker: usize,
    /// Frames that were published and not yet taken. A worker that is further behind skips frames.
    pub frames: usize,
    /// Arrivals and departures that a worker keeps while the queue is full. At this number no new session is
    /// admitted, so that the number of departures is bounded, too.
    pub retained: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            to_simulation: 16_384,
            to_worker: 16_384,
            frames: 4,
            retained: 4_096,
        }
    }
}

/// Drop counters and queue depths of one link, readable from any thread.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Inputs dropped because the queue was full.
    pub inputs_dropped: AtomicU64,
    /// Frames skipped because the queue was full.
    pub frames_skipped: AtomicU64,
    /// Sessions ended because the queue was full when a message for them was sent.
    pub sessions_overflowed: AtomicU64,
    /// Unreliable messages to many that were dropped for all sessions of this worker because the queue was full.
    pub broadcasts_dropped: AtomicU64,
    /// Reliable messages to many that found the queue full; their audience's sessions on this worker were ended.
    pub broadcasts_overflowed: AtomicU64,
    /// Values that waited for the simulation when it last drained the queue.
    pub to_simulation_depth: AtomicU64,
    /// Values that waited for the worker when it last measured the queue.
    pub to_worker_depth: AtomicU64,
}

/// Audiences with a missed reliable message that are kept apart. With one more, [`Audience::All`] replaces them.
const MISSED_MAX: usize = 64;

/// Function that makes a worker return from its wait. Called once per published frame.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// Builds both ends of the link between `worker` and the simulation `simulation`.
#[must_use]
pub fn link(
    simulation: SimulationId,
    worker: u8,
    config: &LinkConfig,
    wake: Wake,
) -> (SimulationLink, WorkerLink) {
    let (to_simulation, from_worker) = RingBuffer::new(config.to_simulation);
    let (to_worker, from_simulation) = RingBuffer::new(config.to_worker);
    let (publish, frames) = RingBuffer::new(config.frames);
    let counters = Arc::new(LinkCounters::default());
    let simulation_link = SimulationLink {
        worker,
        tick: Tick(0),
        from_worker,
        to_worker,
        frames: publish,
        ended: BTreeMap::new(),
        missed: Vec::new(),
        wake,
        counters: Arc::clone(&counters),
    };
    let retained = VecDeque::with_capacity(config.retained);
    let worker = WorkerLink {
        simulation,
        to_simulation,
        from_simulation,
        frames,
        retained,
        config: *config,
        counters,
    };
    (simulation_link, worker)
}

/// The simulation's end of a link.
pub struct SimulationLink {
    worker: u8,
    /// Tick of the values that are sent now.
    tick: Tick,
    from_worker: Consumer<ToSimulation>,
    to_worker: Producer<(Tick, ToWorker)>,
    frames: Producer<Arc<Frame>>,
    /// Sessions to end whose command found the queue full; bounded by the number of the worker's sessions.
    ended: BTreeMap<SessionKey, (LeaveReason, Option<Box<KickText>>)>,
    /// Audiences of reliable messages that found the queue full; at most [`MISSED_MAX`].
    missed: Vec<Audience>,
    wake: Wake,
    counters: Arc<LinkCounters>,
}

impl SimulationLink {
    /// Returns the index of the worker at the other end.
    #[must_use]
    pub fn worker(&self) -> u8 {
        self.worker
    }

    /// Returns the drop counters of this link.
    #[must_use]
    pub fn counters(&self) -> &Arc<LinkCounters> {
        &self.counters
    }

    /// Sets the tick of all values sent from now on. A worker with several simulations executes their commands in the
    /// order of the ticks.
    pub fn begin(&mut self, tick: Tick) {
        self.tick = tick;
    }

    /// Returns the values that waited when the call was made, in order. Values that arrive later wait for the next
    /// call, so a flood cannot keep a tick from starting.
    pub fn drain(&mut self) -> impl Iterator<Item = ToSimulation> + '_ {
        let waiting = self.from_worker.slots();
        self.counters.to_simulation_depth.store(waiting as u64, Relaxed);
        let mut left = waiting;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            self.from_worker.pop().ok()
        })
    }

    /// Queues a message for one session. Without room, ends the session with [`LeaveReason::Overflow`] and returns
    /// `false`, because a reliable channel must not continue with a gap.
    pub fn send(&mut self, key: SessionKey, channel: ChannelId, bytes: Bytes) -> bool {
        if self.ended.contains_key(&key) {
            return false;
        }
        if self.missed.is_empty()
            && self
                .to_worker
                .push((self.tick, ToWorker::Message { key, channel, bytes }))
                .is_ok()
        {
            return true;
        }
        self.counters.sessions_overflowed.fetch_add(1, Relaxed);
        self.ended.insert(key, (LeaveReason::Overflow, None));
        false
    }

    /// Queues a message to many. Returns `false` when there is no room. An unreliable message is then dropped and
    /// counted. For a reliable message, the sessions of its audience are ended with [`LeaveReason::Overflow`] as
    /// soon as the queue has room for that command; until then no message is sent to any session of this worker.
    pub fn broadcast(&mut self, audience: Audience, channel: ChannelId, bytes: Bytes) -> bool {
        let broadcast = ToWorker::Broadcast {
            audience,
            channel,
            bytes,
        };
        if self.missed.is_empty() && self.to_worker.push((self.tick, broadcast)).is_ok() {
            return true;
        }
        if channel == Channel::Unreliable.id() {
            self.counters.broadcasts_dropped.fetch_add(1, Relaxed);
            return false;
        }
        self.counters.broadcasts_overflowed.fetch_add(1, Relaxed);
        if self.missed.len() == MISSED_MAX {
            self.missed = vec![Audience::All];
        } else if !self.missed.contains(&audience) {
            self.missed.push(audience);
        }
        false
    }

    /// Makes the worker end a session. The command is never lost: without room it is retried at every publish.
    /// The client is shown `text`, if any.
    pub fn disconnect(&mut self, key: SessionKey, reason: LeaveReason, text: Option<Box<KickText>>) {
        self.ended.entry(key).or_insert((reason, text));
        self.flush_ended();
    }

    /// Sends a frame to the worker and wakes it, once for the frame and all values sent before it. Returns `false`
    /// when the worker is too far behind and skips this frame.
    pub fn publish(&mut self, frame: &Arc<Frame>) -> bool {
        self.flush_ended();
        let taken = self.frames.push(Arc::clone(frame)).is_ok();
        if !taken {
            self.counters.frames_skipped.fetch_add(1, Relaxed);
        }
        (self.wake)();
        taken
    }

    /// Retries the commands that found the queue full: first the ends of single sessions, then those of audiences.
    fn flush_ended(&mut self) {
        while let Some((key, (reason, text))) = self.ended.pop_first() {
            let end = (self.tick, ToWorker::Disconnect { key, reason, text });
            if let Err(PushError::Full((_, ToWorker::Disconnect { key, reason, text }))) =
                self.to_worker.push(end)
            {
                self.ended.insert(key, (reason, text));
                return;
            }
        }
        while let Some(&audience) = self.missed.last() {
            let reason = LeaveReason::Overflow;
            if self
                .to_worker
                .push((self.tick, ToWorker::DisconnectMany { audience, reason }))
                .is_err()
            {
                return;
            }
            self.missed.pop();
        }
    }
}

/// The worker's end of a link.
pub struct WorkerLink {
    simulation: SimulationId,
    to_simulation: Producer<ToSimulation>,
    from_simulation: Consumer<(Tick, ToWorker)>,
    frames: Consumer<Arc<Frame>>,
    retained: VecDeque<ToSimulation>,
    config: LinkConfig,
    counters: Arc<LinkCounters>,
}

impl WorkerLink {
    /// Returns the simulation at the other end.
    #[must_use]
    pub fn simulation(&self) -> SimulationId {
        self.simulation
    }

    /// Returns the drop counters of this link.
    #[must_use]
    pub fn counters(&self) -> &Arc<LinkCounters> {
        &self.counters
    }

    /// Returns whether a new session may be admitted: fewer arrivals and departures are kept than the bound.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.retained.len() < self.config.retained
    }

    /// Queues a session's arrival or departure; keeps it and retries later when there is no room.
    pub fn announce(&mut self, value: ToSimulation) {
        if !self.flush() {
            self.retained.push_back(value);
            return;
        }
        if let Err(PushError::Full(value)) = self.to_simulation.push(value) {
            self.retained.push_back(value);
        }
    }

    /// Queues the input of one tick. Drops and counts it and returns `false` when there is no room.
    pub fn input(&mut self, value: ToSimulation) -> bool {
        let taken = self.flush() && self.to_simulation.push(value).is_ok();
        if !taken {
            self.counters.inputs_dropped.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Returns whether [`WorkerLink::message`] has room. Only then is a message taken out of its reliable channel, so
    /// that a full queue slows the sender down and no acknowledged message is lost.
    #[must_use]
    pub fn has_room(&mut self) -> bool {
        self.flush() && !self.to_simulation.is_full()
    }

    /// Queues a message of a client. Returns `false` without room; see [`WorkerLink::has_room`].
    pub fn message(&mut self, key: SessionKey, channel: ChannelId, bytes: Bytes) -> bool {
        self.flush()
            && self
                .to_simulation
                .push(ToSimulation::Message { key, channel, bytes })
                .is_ok()
    }

    /// Retries the kept arrivals and departures. Returns whether none is left; only then may another value follow, so
    /// that the order is preserved.
    pub fn flush(&mut self) -> bool {
        while let Some(value) = self.retained.pop_front() {
            if let Err(PushError::Full(value)) = self.to_simulation.push(value) {
                self.retained.push_front(value);
                return false;
            }
        }
        true
    }

    /// Returns the number of values from the simulation that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.from_simulation.slots()
    }

    /// Returns the next value from the simulation with the tick in which it was sent.
    pub fn pop(&mut self) -> Option<(Tick, ToWorker)> {
        self.from_simulation.pop().ok()
    }

    /// Returns the next frame, oldest first.
    pub fn frame(&mut self) -> Option<Arc<Frame>> {
        self.frames.pop().ok()
    }

    /// Records how many values from the simulation wait, for the statistics.
    pub fn measure(&self) {
        self.counters
            .to_worker_depth
            .store(self.waiting() as u64, Relaxed);
    }

    /// Returns whether the simulation dropped its end of the link.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.frames.is_abandoned()
    }
}

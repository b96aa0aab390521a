//! The only place where a net worker and a simulation meet: bounded lock-free queues, one set for each
//! pair of them.
//!
//! Owns the values that cross ([`ToSimulation`], [`ToWorker`], frames) and the rule at every full queue:
//! inputs are dropped and counted, arrivals and departures are kept by the worker and retried, messages
//! stay in the session's reliable channel, a simulation's message that finds no room ends that session,
//! a reliable message for many ends the sessions of all that it was for, an unreliable one for many is dropped
//! and counted, a frame that finds no room is skipped for that worker. Guarantees that no session goes on with
//! a hole in what it was told reliably, that neither side ever waits and
//! that the values of one session arrive in the order in which they were sent. Refuses to know sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Channel, ChannelId, SimulationId};
use throng_shared::protocol::input::{InputBytes, ViewTick};
use throng_shared::tick::Tick;

use super::claims::PlayerName;
use super::frame::Frame;

mod audience;
#[cfg(test)]
mod tests;

pub use audience::Audience;

/// Names a session across the whole process: the worker that serves it for its lifetime, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Index of the net worker.
    pub worker: u8,
    /// The worker's own name for the session.
    pub session: SessionId,
}

/// What a peer turned out to speak with its first payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// Said hello with our protocol hash: sends inputs, is sent snapshots, may own an entity.
    Throng,
    /// A stock renet client: exchanges reliable messages and nothing else; owns no entity.
    Renet,
}

/// Why a session ended, or is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// The client said so.
    Client,
    /// Nothing was heard from it for the time-out in its token.
    TimedOut,
    /// The same client came back with a newer token.
    Replaced,
    /// It broke the protocol: a reliable packet that the guard refused, or a payload that cannot be.
    Abuse,
    /// More reliable messages were waiting for it than the bounds allow.
    Overflow,
    /// Its session panicked on the worker; a defect of ours that ends this session only.
    Fault,
    /// Gameplay ended it.
    Kicked,
    /// The server is shutting down.
    Shutdown,
}

/// From a worker to a simulation.
#[derive(Clone, Debug)]
pub enum ToSimulation {
    /// A session is ready to be served. Always the first value of a session.
    Joined {
        /// The session.
        key: SessionKey,
        /// The stable identity from the connect token.
        client_id: u64,
        /// The name from the connect token.
        name: PlayerName,
        /// What it speaks.
        kind: PeerKind,
        /// When, since the process's origin.
        at: Duration,
    },
    /// A session is gone. Always the last value of a session.
    Left {
        /// The session.
        key: SessionKey,
        /// Why.
        reason: LeaveReason,
    },
    /// One tick's input, forwarded once however often the client repeated it.
    Input {
        /// The session.
        key: SessionKey,
        /// The tick for which the client means it; not yet checked against any window.
        tick: Tick,
        /// The moment that the player was looking at when giving this input, in the client's words.
        view: Option<ViewTick>,
        /// When its datagram was received, since the process's origin.
        arrived_at: Duration,
        /// The encoded input, validated by the protocol's registry.
        bytes: InputBytes,
    },
    /// A typed message, reliable or not, still encoded.
    Message {
        /// The session.
        key: SessionKey,
        /// The renet channel it came by.
        channel: ChannelId,
        /// Its bytes.
        bytes: Bytes,
    },
}

/// From a simulation to a worker.
#[derive(Clone, Debug)]
pub enum ToWorker {
    /// A typed message for one client, encoded.
    Message {
        /// The session.
        key: SessionKey,
        /// The renet channel to send it by.
        channel: ChannelId,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A typed message for many clients, encoded once.
    Broadcast {
        /// For whom, judged by the frames of the tick in which it was said.
        audience: Audience,
        /// The renet channel to send it by.
        channel: ChannelId,
        /// Its bytes.
        bytes: Bytes,
    },
    /// End a session.
    Disconnect {
        /// The session.
        key: SessionKey,
        /// Why; the client is told.
        reason: LeaveReason,
    },
    /// End the sessions of many.
    DisconnectMany {
        /// Whose, judged by the frames of the tick in which it was said.
        audience: Audience,
        /// Why; the clients are told.
        reason: LeaveReason,
    },
}

/// Capacities of one pair's queues, in values. All are allocated once.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Worker to simulation: inputs, messages, arrivals. A tick's worth of all sessions, twice.
    pub to_simulation: usize,
    /// Simulation to worker: messages and disconnections.
    pub to_worker: usize,
    /// Frames published and not yet taken. A worker further behind skips frames.
    pub frames: usize,
    /// Arrivals and departures that a worker keeps while the queue is full. Above it no new session is
    /// admitted, so that the number of departures is bounded too.
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

/// What a pair of queues dropped, readable from any thread.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Inputs that found the queue full.
    pub inputs_dropped: AtomicU64,
    /// Frames that found the queue full.
    pub frames_skipped: AtomicU64,
    /// Sessions ended because a message for them found the queue full.
    pub sessions_overflowed: AtomicU64,
    /// Unreliable messages for many that found the queue full, and so were sent to nobody of this worker.
    pub broadcasts_dropped: AtomicU64,
    /// Reliable ones; the sessions of this worker that they were for were ended.
    pub broadcasts_overflowed: AtomicU64,
    /// Values waiting for the simulation when it last looked.
    pub to_simulation_depth: AtomicU64,
    /// Values waiting for the worker when it last looked.
    pub to_worker_depth: AtomicU64,
}

/// Audiences that are kept apart of those that missed a reliable message; with one more, all players did.
const MISSED_MAX: usize = 64;

/// Makes a worker return from its wait. Called once per published frame.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

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

/// A simulation's end.
pub struct SimulationLink {
    worker: u8,
    /// Of what is sent.
    tick: Tick,
    from_worker: Consumer<ToSimulation>,
    to_worker: Producer<(Tick, ToWorker)>,
    frames: Producer<Arc<Frame>>,
    /// Sessions whose end found the queue full; bounded by the worker's sessions.
    ended: BTreeMap<SessionKey, LeaveReason>,
    /// Who was to get a reliable message that found the queue full; at most [`MISSED_MAX`].
    missed: Vec<Audience>,
    wake: Wake,
    counters: Arc<LinkCounters>,
}

impl SimulationLink {
    /// Index of the worker at the other end.
    #[must_use]
    pub fn worker(&self) -> u8 {
        self.worker
    }

    /// Drop counters of this link.
    #[must_use]
    pub fn counters(&self) -> &Arc<LinkCounters> {
        &self.counters
    }

    /// Everything that is sent from now on came of this tick. A worker with several simulations carries commands
    /// out in the order of their ticks.
    pub fn begin(&mut self, tick: Tick) {
        self.tick = tick;
    }

    /// Takes what was waiting when the call was made, in order. What arrives meanwhile waits for the next
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

    /// Queues a message. Without room, the session is ended with [`LeaveReason::Overflow`], for a reliable
    /// channel with a hole in it is worse than none; `false` says so.
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
        self.ended.insert(key, LeaveReason::Overflow);
        false
    }

    /// Queues a message for many; `false` when there is no room. Then an unreliable one is dropped and counted;
    /// for a reliable one the sessions of those whom it was for are ended with [`LeaveReason::Overflow`], as
    /// soon as there is room to say so, and nothing is sent to anybody of this worker until then.
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

    /// Ends a session. Never lost: without room it is retried at every publish.
    pub fn disconnect(&mut self, key: SessionKey, reason: LeaveReason) {
        self.ended.entry(key).or_insert(reason);
        self.flush_ended();
    }

    /// Hands the worker a frame and wakes it, once for the frame and everything sent before it. `false`
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

    fn flush_ended(&mut self) {
        while let Some((&key, &reason)) = self.ended.first_key_value() {
            let end = (self.tick, ToWorker::Disconnect { key, reason });
            if self.to_worker.push(end).is_err() {
                return;
            }
            self.ended.pop_first();
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

/// A worker's end.
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
    /// The simulation at the other end.
    #[must_use]
    pub fn simulation(&self) -> SimulationId {
        self.simulation
    }

    /// Drop counters of this link.
    #[must_use]
    pub fn counters(&self) -> &Arc<LinkCounters> {
        &self.counters
    }

    /// Whether a new session may be admitted: arrivals and departures are not piling up.
    #[must_use]
    pub fn admits(&self) -> bool {
        self.retained.len() < self.config.retained
    }

    /// Queues a session's arrival or departure, keeping it while there is no room.
    pub fn announce(&mut self, value: ToSimulation) {
        if !self.flush() {
            self.retained.push_back(value);
            return;
        }
        if let Err(PushError::Full(value)) = self.to_simulation.push(value) {
            self.retained.push_back(value);
        }
    }

    /// Queues an input; `false`, and counted, when there is no room.
    pub fn input(&mut self, value: ToSimulation) -> bool {
        let taken = self.flush() && self.to_simulation.push(value).is_ok();
        if !taken {
            self.counters.inputs_dropped.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Whether [`WorkerLink::message`] has room. A message is taken out of its reliable channel only then,
    /// so that a full queue holds the sender back instead of losing what was acknowledged.
    #[must_use]
    pub fn has_room(&mut self) -> bool {
        self.flush() && !self.to_simulation.is_full()
    }

    /// Queues a message; `false` without room, see [`WorkerLink::has_room`].
    pub fn message(&mut self, key: SessionKey, channel: ChannelId, bytes: Bytes) -> bool {
        self.flush()
            && self
                .to_simulation
                .push(ToSimulation::Message { key, channel, bytes })
                .is_ok()
    }

    /// Retries what was kept. `true` when nothing is left, so that order is kept.
    pub fn flush(&mut self) -> bool {
        while let Some(value) = self.retained.pop_front() {
            if let Err(PushError::Full(value)) = self.to_simulation.push(value) {
                self.retained.push_front(value);
                return false;
            }
        }
        true
    }

    /// Values from the simulation that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.from_simulation.slots()
    }

    /// The next value from the simulation, with the tick that it came of.
    pub fn pop(&mut self) -> Option<(Tick, ToWorker)> {
        self.from_simulation.pop().ok()
    }

    /// The next frame, oldest first.
    pub fn frame(&mut self) -> Option<Arc<Frame>> {
        self.frames.pop().ok()
    }

    /// Records how many values wait, for the statistics.
    pub fn measure(&self) {
        self.counters
            .to_worker_depth
            .store(self.waiting() as u64, Relaxed);
    }

    /// Whether the simulation is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.frames.is_abandoned()
    }
}

//! The exchange: what the simulations of one process send each other, one batch per tick and simulation.
//!
//! Owns the channels between the simulations. Guarantees that before a tick begins, every simulation has the
//! batches of all simulations for this tick, its own included, in the order of the simulations. So the state
//! depends on what was sent and never on the speed of threads. Every batch is sent to all simulations, and
//! each of them uses the messages that are for it. A simulation waits for the others here and nowhere else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::tick::Tick;

use super::partition::Cell;
use crate::boundary::frame::Frame;
use crate::boundary::link::{SessionKey, ToSimulation};
use crate::persist::Group;
use crate::simulation::{EyeHeight, ViewHeight};
use crate::space::RoomId;

/// The most batches that wait between two simulations: the one for this tick, and the next one of a faster
/// simulation.
const BATCHES_WAITING: usize = 2;

/// Everything that one simulation sends between two ticks.
#[derive(Debug)]
pub(crate) struct TickBatch {
    /// The simulation that sends the batch.
    pub from: SimulationId,
    /// The last tick.
    pub last_tick: Tick,
    /// The tick numbers that the simulation would skip before the next tick, by its own clock. All simulations skip the
    /// largest number that one of them sends.
    pub skipped: u32,
    /// What its net workers received, in order.
    pub ingress: Vec<ToSimulation>,
    /// The messages of its last tick, in order.
    pub messages: Vec<PeerMessage>,
    /// The frame of its last tick. `None` where the simulations do not read each other's frames.
    pub frame: Option<Arc<Frame>>,
}

/// One message of a tick to other simulations.
#[derive(Debug)]
pub(crate) enum PeerMessage {
    /// Entities that belong to the simulation `to` from now on.
    Migrate {
        /// The simulation that owns them from now on.
        to: SimulationId,
        /// The entities, and the players among them with their sessions.
        group: Group,
        /// The rows that they had in the sender's frames.
        slots: Vec<(GlobalId, Slot)>,
        /// The time at which they were packed, since the process's origin.
        left_at: Duration,
    },
    /// An effect on an entity or a player in any simulation.
    Effect {
        /// The entity or player that the effect is for.
        target: EffectTarget,
        /// Index of the effect's type in the order of registration.
        kind: u16,
        /// The encoded effect.
        bytes: Vec<u8>,
    },
    /// A value that every simulation receives, the sender included.
    Broadcast {
        /// Index of the value's type in the order of registration.
        kind: u16,
        /// The encoded value.
        bytes: Vec<u8>,
    },
    /// The effects of `from`'s last batch that the sender of this message applied.
    Applied {
        /// The simulation that sent the effects.
        from: SimulationId,
        /// Their indices among the effects of that batch, ascending.
        indices: Vec<u32>,
    },
    /// Entities of the sender that are near the border to `to`.
    Ghosts {
        /// The simulation that shows them as ghosts.
        to: SimulationId,
        /// The images of the entities.
        ghosts: Vec<GhostImage>,
    },
    /// Players of the sender whose views reach the part of `to`.
    Watchers {
        /// The simulation that they see.
        to: SimulationId,
        /// The images of the players.
        watchers: Vec<WatcherImage>,
    },
    /// The clients whose players left the sender for good, and that have no other player there.
    PlayersLeft(Vec<u64>),
    /// The number of entities that the sender has in each cell.
    Loads(Vec<(Cell, u64)>),
}

/// The addressee of an effect. The simulation that has it receives the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EffectTarget {
    /// The replicated entity with this global id.
    Entity(GlobalId),
    /// The player with this id.
    Player(PlayerId),
}

/// The image of an entity, from which another simulation makes a ghost.
#[derive(Clone, Debug)]
pub(crate) struct GhostImage {
    /// The entity's global id.
    pub global: GlobalId,
    /// Its row in the frames of its simulation.
    pub slot: Slot,
    /// The room in which it is.
    pub room: RoomId,
    /// Its position, in units.
    pub position: Position,
    /// Its velocity, in units a second.
    pub velocity: Velocity,
    /// Its heading, in radians.
    pub heading: Heading,
    /// Its pose in space, in a game in three dimensions.
    pub pose_3d: Option<(Position3d, Velocity3d, Rotation3d)>,
    /// The player that owns it.
    pub owner: PlayerId,
    /// The team of the entity.
    pub team: TeamId,
    /// The components that ghosts [have](super::GhostAppExt): the index of each kind, and the encoded value.
    pub values: Vec<(u8, Vec<u8>)>,
}

/// The image of a player, for a simulation that does not have the player but that it sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatcherImage {
    /// The session of the player.
    pub session: SessionKey,
    /// The player's id.
    pub player: PlayerId,
    /// The team of the player.
    pub team: TeamId,
    /// The room that it sees.
    pub room: RoomId,
    /// The centre of its view, in units.
    pub eye: glam::Vec2,
    /// The radius of its view, in units.
    pub radius: f32,
    /// The height of the centre and of the view, in a game in three dimensions.
    pub heights: (Option<EyeHeight>, Option<ViewHeight>),
}

/// Another simulation has ended: the process is stopping, or the simulation has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another simulation of this process has ended")]
pub(crate) struct SimulationGone;

/// One simulation's ends of the channels to all others.
#[derive(Debug)]
pub struct Exchange {
    me: SimulationId,
    others: Vec<(SyncSender<Arc<TickBatch>>, Receiver<Arc<TickBatch>>)>,
    own: Option<Arc<TickBatch>>,
}

impl Exchange {
    /// Creates the ends of all `simulations`, in their order. Each is given to the app of its simulation.
    #[must_use]
    pub fn mesh(simulations: u8) -> Vec<Self> {
        let mut to_others: Vec<_> = (0..simulations).map(|_| Vec::new()).collect();
        let mut from_others: Vec<_> = (0..simulations).map(|_| Vec::new()).collect();
        for (from, to_others) in to_others.iter_mut().enumerate() {
            for (to, from_others) in from_others.iter_mut().enumerate() {
                if from != to {
                    let (send, receive) = sync_channel(BATCHES_WAITING);
                    to_others.push(send);
                    from_others.push(receive);
                }
            }
        }
        // Both lists of a simulation are sorted by the id of the other simulation.
        let ends = to_others.into_iter().zip(from_others);
        (0..simulations)
            .zip(ends)
            .map(|(me, (to_others, from_others))| Self {
                me: SimulationId(me),
                others: to_others.into_iter().zip(from_others).collect(),
                own: None,
            })
            .collect()
    }

    /// Returns the simulation at this end.
    #[must_use]
    pub fn me(&self) -> SimulationId {
        self.me
    }

    /// Sends the batch to all simulations, this one included. Waits while two batches to one of them are not
    /// received.
    ///
    /// # Errors
    /// [`SimulationGone`] if another simulation has ended.
    pub(crate) fn send(&mut self, batch: TickBatch) -> Result<(), SimulationGone> {
        let batch = Arc::new(batch);
        for (other, _) in &self.others {
            other.send(Arc::clone(&batch)).map_err(|_| SimulationGone)?;
        }
        self.own = Some(batch);
        Ok(())
    }

    /// Returns the batches of all simulations for the tick before which the last batch was sent, in the order of
    /// the simulations. Waits for those that have not arrived.
    ///
    /// # Errors
    /// [`SimulationGone`] if another simulation has ended, or no batch was sent before.
    pub(crate) fn receive_batches(&mut self) -> Result<Vec<Arc<TickBatch>>, SimulationGone> {
        let own = self.own.take().ok_or(SimulationGone)?;
        let mut batches = Vec::with_capacity(self.others.len() + 1);
        for (_, other) in &self.others {
            let batch = other.recv().map_err(|_| SimulationGone)?;
            debug_assert_eq!(batch.last_tick, own.last_tick, "simulations are in lockstep");
            batches.push(batch);
        }
        batches.insert(usize::from(self.me.0).min(batches.len()), own);
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn batch(from: SimulationId, tick: u32) -> TickBatch {
        TickBatch {
            from,
            last_tick: Tick(tick),
            skipped: 0,
            ingress: Vec::new(),
            messages: vec![PeerMessage::Effect {
                target: EffectTarget::Entity(GlobalId(u64::from(tick))),
                kind: from.0.into(),
                bytes: Vec::new(),
            }],
            frame: None,
        }
    }

    #[test]
    fn the_exchange_delivers_all_batches_in_order_however_threads_run() {
        let threads: Vec<_> = Exchange::mesh(4)
            .into_iter()
            .map(|mut exchange| {
                thread::spawn(move || {
                    for tick in 1..=500 {
                        if (tick + u32::from(exchange.me().0)).is_multiple_of(7) {
                            thread::yield_now();
                        }
                        exchange.send(batch(exchange.me(), tick)).unwrap();
                        let batches = exchange.receive_batches().unwrap();
                        let read: Vec<_> = batches
                            .iter()
                            .map(|batch| (batch.from.0, batch.last_tick.0))
                            .collect();
                        assert_eq!(read, [(0, tick), (1, tick), (2, tick), (3, tick)]);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn sending_to_an_ended_simulation_is_an_error() {
        let mut mesh = Exchange::mesh(2);
        drop(mesh.pop());
        let mut left = mesh.pop().unwrap();
        assert_eq!(left.send(batch(left.me(), 1)), Err(SimulationGone));
    }

    #[test]
    fn the_exchange_of_a_single_simulation_returns_its_own_batch() {
        let mut alone = Exchange::mesh(1).pop().unwrap();
        alone.send(batch(SimulationId(0), 1)).unwrap();
        assert_eq!(alone.receive_batches().unwrap().len(), 1);
    }
}

//! What the simulations of one process tell each other, once a tick each.
//!
//! Owns the channels between them. Guarantees that everybody has the post of everybody, its own included, for
//! the same tick and in the order of the simulations, before the tick begins: so what a world becomes depends on
//! what was sent and never on which thread was faster. Every post goes to all; each takes out what is for it.
//! A simulation waits here for its peers, and nowhere else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use throng_shared::protocol::ids::{GlobalId, PlayerId, SimulationId, Slot, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use super::partition::Cell;
use crate::boundary::frame::Frame;
use crate::boundary::link::{SessionKey, ToSimulation};
use crate::persist::Group;
use crate::space::RoomId;

/// Posts that wait between two simulations at most: the one for this tick, and the next of a faster peer.
const BATCHES_WAITING: usize = 2;

/// All that one simulation has to say before `tick`.
#[derive(Debug)]
pub struct TickBatch {
    /// Who says it.
    pub from: SimulationId,
    /// The tick that is about to begin.
    pub tick: Tick,
    /// What the net workers told it, in order.
    pub ingress: Vec<ToSimulation>,
    /// What came of its last tick, in order.
    pub messages: Vec<PeerMessage>,
    /// The frame of its last tick, where others look into it.
    pub frame: Option<Arc<Frame>>,
}

/// One thing that came of a tick.
#[derive(Debug)]
pub enum PeerMessage {
    /// These entities belong to `to` from now on.
    Migrate {
        /// Their owner from now on.
        to: SimulationId,
        /// The entities, and the sessions of players among them.
        group: Group,
        /// The rows that they had.
        slots: Vec<(GlobalId, Slot)>,
        /// When they were packed, since the process's origin.
        left_at: Duration,
    },
    /// An effect on an entity, wherever it is.
    Effect {
        /// The entity.
        target: GlobalId,
        /// Place of the effect's type in the order of registration.
        kind: u16,
        /// The encoded effect.
        bytes: Vec<u8>,
    },
    /// Something that every simulation is to hear, the sender too.
    Broadcast {
        /// Place of the type in the order of registration.
        kind: u16,
        /// The encoded value.
        bytes: Vec<u8>,
    },
    /// Effects of `from`'s last post that found their entity in the sender's world.
    Applied {
        /// Whose effects.
        from: SimulationId,
        /// Their places among the effects of that post, ascending.
        places: Vec<u32>,
    },
    /// Entities of the sender that are near the border of `to`.
    Ghosts {
        /// Whose border it is.
        to: SimulationId,
        /// What they look like.
        ghosts: Vec<GhostImage>,
    },
    /// Players of the sender who see places of `to`.
    Watchers {
        /// Whose places they are.
        to: SimulationId,
        /// The players.
        watchers: Vec<WatcherImage>,
    },
    /// How many entities the sender has in each cell.
    Loads(Vec<(Cell, u64)>),
}

/// An entity as its neighbour sees it.
#[derive(Clone, Debug)]
pub struct GhostImage {
    /// Who it is.
    pub global: GlobalId,
    /// Its row.
    pub slot: Slot,
    /// The room in which it is.
    pub room: RoomId,
    /// Where it is.
    pub position: Position,
    /// How it moves.
    pub velocity: Velocity,
    /// Where it looks.
    pub heading: Heading,
    /// To whom it belongs.
    pub owner: PlayerId,
    /// Its team.
    pub team: TeamId,
    /// What else ghosts [show](super::GhostAppExt): the place of each kind, and the encoded value.
    pub values: Vec<(u8, Vec<u8>)>,
}

/// A player as a simulation knows it that only shows it something.
#[derive(Clone, Copy, Debug)]
pub struct WatcherImage {
    /// Its session.
    pub session: SessionKey,
    /// Who it is.
    pub player: PlayerId,
    /// Its team.
    pub team: TeamId,
    /// The room into which it looks.
    pub room: RoomId,
    /// Where it looks from, in units.
    pub eye: glam::Vec2,
    /// How far it sees, in units.
    pub radius: f32,
}

/// A peer is gone: the process is stopping, or a simulation has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another simulation of this process has ended")]
pub struct SimulationGone;

/// One simulation's ends of its channels.
#[derive(Debug)]
pub struct Exchange {
    me: SimulationId,
    others: Vec<(SyncSender<Arc<TickBatch>>, Receiver<Arc<TickBatch>>)>,
    own: Option<Arc<TickBatch>>,
}

impl Exchange {
    /// One for each of `simulations`, in their order, each to be given to a world of its own.
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
        // Both lists of a simulation are in the order of its peers.
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

    /// The simulation.
    #[must_use]
    pub fn me(&self) -> SimulationId {
        self.me
    }

    /// Hands the post to everybody.
    ///
    /// # Errors
    /// [`SimulationGone`].
    pub fn send(&mut self, batch: TickBatch) -> Result<(), SimulationGone> {
        let batch = Arc::new(batch);
        for (other, _) in &self.others {
            other.send(Arc::clone(&batch)).map_err(|_| SimulationGone)?;
        }
        self.own = Some(batch);
        Ok(())
    }

    /// Everybody's post for the tick of the one that was sent last, in the order of the simulations. Waits.
    ///
    /// # Errors
    /// [`SimulationGone`].
    pub fn receive_posts(&mut self) -> Result<Vec<Arc<TickBatch>>, SimulationGone> {
        let own = self.own.take().ok_or(SimulationGone)?;
        let mut batches = Vec::with_capacity(self.others.len() + 1);
        for (_, other) in &self.others {
            let batch = other.recv().map_err(|_| SimulationGone)?;
            debug_assert_eq!(batch.tick, own.tick, "simulations are in lockstep");
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
            tick: Tick(tick),
            ingress: Vec::new(),
            messages: vec![PeerMessage::Effect {
                target: GlobalId(u64::from(tick)),
                kind: from.0.into(),
                bytes: Vec::new(),
            }],
            frame: None,
        }
    }

    #[test]
    fn everybody_has_everybodys_post_in_order_whatever_the_threads_do() {
        let threads: Vec<_> = Exchange::mesh(4)
            .into_iter()
            .map(|mut exchange| {
                thread::spawn(move || {
                    for tick in 1..=500 {
                        if (tick + u32::from(exchange.me().0)).is_multiple_of(7) {
                            thread::yield_now();
                        }
                        exchange.send(batch(exchange.me(), tick)).unwrap();
                        let batches = exchange.receive_posts().unwrap();
                        let read: Vec<_> = batches.iter().map(|batch| (batch.from.0, batch.tick.0)).collect();
                        assert_eq!(read, [(0, tick), (1, tick), (2, tick), (3, tick)]);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_peer_that_is_gone_ends_the_wait() {
        let mut mesh = Exchange::mesh(2);
        drop(mesh.pop());
        let mut left = mesh.pop().unwrap();
        assert_eq!(left.send(batch(left.me(), 1)), Err(SimulationGone));
    }

    #[test]
    fn alone_there_is_nothing_to_wait_for() {
        let mut alone = Exchange::mesh(1).pop().unwrap();
        alone.send(batch(SimulationId(0), 1)).unwrap();
        assert_eq!(alone.receive_posts().unwrap().len(), 1);
    }
}

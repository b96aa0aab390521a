//! What the simulations of one process tell each other, once a tick each.
//!
//! Owns the channels between them. Guarantees that everybody has the post of everybody, its own included, for
//! the same tick and in the order of the simulations, before the tick begins: so what a world becomes depends on
//! what was sent and never on which thread was faster. Every post goes to all; each takes out what is for it.
//! A simulation waits here for its peers, and nowhere else.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use throng_shared::protocol::ids::{GlobalId, PlayerId, Slot, SourceId, TeamId};
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use super::partition::Cell;
use crate::boundary::frame::Frame;
use crate::boundary::link::{SessionKey, ToSimulation};
use crate::persist::Group;
use crate::space::RoomId;

/// Posts that wait between two simulations at most: the one for this tick, and the next of a faster peer.
const POSTS_WAITING: usize = 2;

/// All that one simulation has to say before `tick`.
#[derive(Debug)]
pub struct Post {
    /// Who says it.
    pub from: SourceId,
    /// The tick that is about to begin.
    pub tick: Tick,
    /// What the net workers told it, in order.
    pub ingress: Vec<ToSimulation>,
    /// What came of its last tick, in order.
    pub letters: Vec<Letter>,
    /// The frame of its last tick, where others look into it.
    pub frame: Option<Arc<Frame>>,
}

/// One thing that came of a tick.
#[derive(Debug)]
pub enum Letter {
    /// These entities belong to `to` from now on.
    Migrate {
        /// Their owner from now on.
        to: SourceId,
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
    News {
        /// Place of the type in the order of registration.
        kind: u16,
        /// The encoded value.
        bytes: Vec<u8>,
    },
    /// Effects of `from`'s last post that found their entity in the sender's world.
    Applied {
        /// Whose effects.
        from: SourceId,
        /// Their places among the effects of that post, ascending.
        places: Vec<u32>,
    },
    /// Entities of the sender that are near the border of `to`.
    Ghosts {
        /// Whose border it is.
        to: SourceId,
        /// What they look like.
        ghosts: Vec<GhostImage>,
    },
    /// Players of the sender who see places of `to`.
    Watchers {
        /// Whose places they are.
        to: SourceId,
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
pub struct PeerGone;

/// One simulation's ends of its channels.
#[derive(Debug)]
pub struct Exchange {
    me: SourceId,
    peers: Vec<(SyncSender<Arc<Post>>, Receiver<Arc<Post>>)>,
    own: Option<Arc<Post>>,
}

impl Exchange {
    /// One for each of `simulations`, in their order, each to be given to a world of its own.
    #[must_use]
    pub fn mesh(simulations: u8) -> Vec<Self> {
        let mut to_peers: Vec<_> = (0..simulations).map(|_| Vec::new()).collect();
        let mut from_peers: Vec<_> = (0..simulations).map(|_| Vec::new()).collect();
        for (from, to_peers) in to_peers.iter_mut().enumerate() {
            for (to, from_peers) in from_peers.iter_mut().enumerate() {
                if from != to {
                    let (send, receive) = sync_channel(POSTS_WAITING);
                    to_peers.push(send);
                    from_peers.push(receive);
                }
            }
        }
        // Both lists of a simulation are in the order of its peers.
        let ends = to_peers.into_iter().zip(from_peers);
        (0..simulations)
            .zip(ends)
            .map(|(me, (to_peers, from_peers))| Self {
                me: SourceId(me),
                peers: to_peers.into_iter().zip(from_peers).collect(),
                own: None,
            })
            .collect()
    }

    /// The simulation.
    #[must_use]
    pub fn me(&self) -> SourceId {
        self.me
    }

    /// Hands the post to everybody.
    ///
    /// # Errors
    /// [`PeerGone`].
    pub fn send(&mut self, post: Post) -> Result<(), PeerGone> {
        let post = Arc::new(post);
        for (peer, _) in &self.peers {
            peer.send(Arc::clone(&post)).map_err(|_| PeerGone)?;
        }
        self.own = Some(post);
        Ok(())
    }

    /// Everybody's post for the tick of the one that was sent last, in the order of the simulations. Waits.
    ///
    /// # Errors
    /// [`PeerGone`].
    pub fn receive_posts(&mut self) -> Result<Vec<Arc<Post>>, PeerGone> {
        let own = self.own.take().ok_or(PeerGone)?;
        let mut posts = Vec::with_capacity(self.peers.len() + 1);
        for (_, peer) in &self.peers {
            let post = peer.recv().map_err(|_| PeerGone)?;
            debug_assert_eq!(post.tick, own.tick, "simulations are in lockstep");
            posts.push(post);
        }
        posts.insert(usize::from(self.me.0).min(posts.len()), own);
        Ok(posts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn post(from: SourceId, tick: u32) -> Post {
        Post {
            from,
            tick: Tick(tick),
            ingress: Vec::new(),
            letters: vec![Letter::Effect {
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
                        exchange.send(post(exchange.me(), tick)).unwrap();
                        let posts = exchange.receive_posts().unwrap();
                        let read: Vec<_> = posts.iter().map(|post| (post.from.0, post.tick.0)).collect();
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
        assert_eq!(left.send(post(left.me(), 1)), Err(PeerGone));
    }

    #[test]
    fn alone_there_is_nothing_to_wait_for() {
        let mut alone = Exchange::mesh(1).pop().unwrap();
        alone.send(post(SourceId(0), 1)).unwrap();
        assert_eq!(alone.receive_posts().unwrap().len(), 1);
    }
}

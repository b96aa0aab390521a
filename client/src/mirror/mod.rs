//! The mirror of the entities that the server shows to one client, cheap enough for thousands in one process.
//!
//! Owns decoding of snapshot packets, the baselines that later packets refer to, and which packets to
//! acknowledge. Guarantees: a packet is applied completely or not at all, and only an applied one is
//! acknowledged, so that the server never refers to a state that is not held; whatever the order of arrival, an
//! entity only moves forward in time; memory is bounded by the short ids of a session. Refuses to know Bevy,
//! sockets and time: a [`MirrorObserver`] receives the changes, for a mirror in a `World` or for a bot that
//! measures.

mod acks;
mod baselines;
mod decode;
mod entities;
mod groups;
mod numbers;
mod observer;
mod pending;
#[cfg(test)]
mod tests;
mod typed;
mod types;

use throng_shared::protocol::delta::MotionModel;
use throng_shared::protocol::delta3d::MotionModel3d;
use throng_shared::protocol::input::SnapshotAck;
use throng_shared::protocol::snapshot::{OwnerBlock, ShortId, SnapshotError};
use throng_shared::tick::Tick;

pub use observer::{ComponentBytes, MirrorEntity, MirrorObserver};
use typed::TypedMirror;
pub use types::{Applied, MirrorConfig, Received};

/// The mirror of one session.
#[derive(Debug)]
pub struct Mirror(MirrorKind);

#[derive(Debug)]
enum MirrorKind {
    Plane(TypedMirror<MotionModel>),
    Space(TypedMirror<MotionModel3d>),
}

/// Evaluates an expression for the mirror of either kind.
macro_rules! either {
    ($mirror:expr, $kind:ident => $value:expr) => {
        match $mirror {
            MirrorKind::Plane($kind) => $value,
            MirrorKind::Space($kind) => $value,
        }
    };
}

impl Mirror {
    /// Creates a mirror that has received nothing.
    #[must_use]
    pub fn new(config: &MirrorConfig) -> Self {
        let rate = config.tick_rate;
        Self(match config.quanta_3d {
            None => MirrorKind::Plane(TypedMirror::new(config, MotionModel::new(rate))),
            Some(quanta) => MirrorKind::Space(TypedMirror::new(config, MotionModel3d::new(quanta, rate))),
        })
    }

    /// Decodes a snapshot packet and applies it.
    ///
    /// # Errors
    /// [`SnapshotError`] when the bytes are not a packet that the server of this session would send. Then
    /// nothing changes except that old baselines may be discarded.
    pub fn receive_snapshot(
        &mut self,
        packet: &[u8],
        observer: &mut impl MirrorObserver,
    ) -> Result<Received, SnapshotError> {
        either!(&mut self.0, mirror => mirror.receive_snapshot(packet, observer))
    }

    /// Returns the acknowledgement for the next input packet; `None` before the first snapshot.
    #[must_use]
    pub fn ack(&self) -> Option<SnapshotAck> {
        either!(&self.0, mirror => mirror.ack())
    }

    /// Returns the newest tick received, or the one from the config before any packet.
    #[must_use]
    pub fn newest_tick(&self) -> Tick {
        either!(&self.0, mirror => mirror.newest_tick)
    }

    /// Returns the newest owner block: the server's data about this session.
    #[must_use]
    pub fn owner(&self) -> &OwnerBlock {
        either!(&self.0, mirror => &mirror.owner)
    }

    /// Returns the entity that the player controls, if it is in view.
    #[must_use]
    pub fn own(&self) -> Option<MirrorEntity> {
        self.get(self.owner().own?)
    }

    /// Returns the number of entities in view.
    #[must_use]
    pub fn len(&self) -> usize {
        either!(&self.0, mirror => mirror.entities.len())
    }

    /// Returns whether no entity is in view.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entity with this short id, if it is in view.
    #[must_use]
    pub fn get(&self, id: ShortId) -> Option<MirrorEntity> {
        either!(&self.0, mirror => mirror.get(id))
    }

    /// Returns the entities in view, in order of their short ids.
    pub fn entities(&self) -> impl Iterator<Item = MirrorEntity> + '_ {
        let (plane, space) = match &self.0 {
            MirrorKind::Plane(mirror) => (Some(mirror.entities()), None),
            MirrorKind::Space(mirror) => (None, Some(mirror.entities())),
        };
        plane.into_iter().flatten().chain(space.into_iter().flatten())
    }

    /// Returns the encoded components of an entity in view, in no particular order.
    #[must_use]
    pub fn components(&self, id: ShortId) -> &[ComponentBytes] {
        either!(&self.0, mirror => mirror.entities.components(id))
    }
}

//! What a mirror shows of an entity, and the listener that hears of changes.

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::tick::Tick;

/// An entity as the client last heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorEntity {
    /// Its name in this session; given to another entity some time after it left.
    pub id: ShortId,
    /// Its identity.
    pub global: GlobalId,
    /// Its state at `tick`.
    pub pose: Pose,
    /// The newest tick whose state is here. The state has not changed since, or the change is on its way.
    pub tick: Tick,
    /// Whether the player acts through it.
    pub is_own: bool,
}

/// A component's encoded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentBytes {
    /// Which component.
    pub id: ComponentId,
    /// What the registry decodes.
    pub bytes: Vec<u8>,
}

/// Hears what a packet changed, after it was decoded whole. Ignores everything unless implemented.
///
/// Within a packet: entities that left first, then those that entered, then updates.
pub trait MirrorObserver {
    /// An entity came into view. Its components follow.
    fn entered(&mut self, entity: &MirrorEntity) {
        let _ = entity;
    }

    /// An entity's state is a newer one.
    fn updated(&mut self, entity: &MirrorEntity) {
        let _ = entity;
    }

    /// A component of an entity in view was added or changed.
    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        let _ = (id, component, bytes);
    }

    /// A component of an entity in view is gone, or must not be seen any more.
    fn component_removed(&mut self, id: ShortId, component: ComponentId) {
        let _ = (id, component);
    }

    /// An entity is out of view or no more.
    fn left(&mut self, id: ShortId, global: GlobalId) {
        let _ = (id, global);
    }
}

impl MirrorObserver for () {}

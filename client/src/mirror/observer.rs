//! The mirror's view of an entity, and the trait that receives changes.

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::tick::Tick;

/// An entity as of its newest received state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorEntity {
    /// Its short id in this session. May be assigned to another entity some time after this one left.
    pub id: ShortId,
    /// Its identity across simulations and sessions.
    pub global: GlobalId,
    /// Its position, velocity and heading at `tick`; all 0 in a game in three dimensions.
    pub pose: Pose,
    /// Its position, velocity and rotation in space at `tick`, in a game in three dimensions.
    pub pose_3d: Option<Pose3d>,
    /// The newest tick whose state has arrived. The state has not changed since, or the change is on its
    /// way.
    pub tick: Tick,
    /// Whether the player controls it.
    pub is_own: bool,
}

/// A pose that a mirror can hold.
pub(super) trait ShownPose: Copy + Default {
    /// Returns the pose as observers see it: on the plane, and in space.
    fn shown(self) -> (Pose, Option<Pose3d>);
}

impl ShownPose for Pose {
    #[inline(always)]
    fn shown(self) -> (Pose, Option<Pose3d>) {
        (self, None)
    }
}

impl ShownPose for Pose3d {
    fn shown(self) -> (Pose, Option<Pose3d>) {
        (Pose::default(), Some(self))
    }
}

/// The encoded value of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentBytes {
    /// The component's number in the protocol.
    pub id: ComponentId,
    /// The encoded value, which the registry decodes.
    pub bytes: Vec<u8>,
}

/// Receives the changes of a packet after it was decoded completely. Every method does nothing by default.
///
/// The order within a packet: entities that left, then those that entered, then updates.
pub trait MirrorObserver {
    /// Called when an entity came into view. Calls for its components follow.
    fn entered(&mut self, entity: &MirrorEntity) {
        let _ = entity;
    }

    /// Called when a newer state of an entity in view arrived.
    fn updated(&mut self, entity: &MirrorEntity) {
        let _ = entity;
    }

    /// Called when a component of an entity in view was added or changed.
    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        let _ = (id, component, bytes);
    }

    /// Called when a component of an entity in view was removed, or is no longer visible to this client.
    fn component_removed(&mut self, id: ShortId, component: ComponentId) {
        let _ = (id, component);
    }

    /// Called when an entity left view or was despawned.
    fn left(&mut self, id: ShortId, global: GlobalId) {
        let _ = (id, global);
    }
}

impl MirrorObserver for () {}

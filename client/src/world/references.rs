//! Records which components refer to which entities, so that they can be written again when such an entity
//! enters or leaves.
//!
//! Bounded by the components of the entities in view, each of which is at most a few hundred bytes.

use std::collections::{BTreeMap, BTreeSet};

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::snapshot::ShortId;

/// A component of an entity in view.
type Holder = (ShortId, ComponentId);

/// The components that refer to other entities.
#[derive(Debug, Default)]
pub(super) struct ReferenceTable {
    holders: BTreeMap<Holder, Held>,
    by_target: BTreeSet<(GlobalId, ShortId, ComponentId)>,
}

#[derive(Debug)]
struct Held {
    /// The encoded value, as it was received.
    bytes: Box<[u8]>,
    targets: Vec<GlobalId>,
}

impl ReferenceTable {
    /// Records the entities that a component refers to now. If there are none, the record of the component is removed.
    pub(super) fn insert(
        &mut self,
        id: ShortId,
        component: ComponentId,
        bytes: &[u8],
        targets: Vec<GlobalId>,
    ) {
        self.remove(id, component);
        if targets.is_empty() {
            return;
        }
        self.by_target
            .extend(targets.iter().map(|&target| (target, id, component)));
        let bytes = bytes.into();
        self.holders.insert((id, component), Held { bytes, targets });
    }

    /// Removes the record of one component.
    pub(super) fn remove(&mut self, id: ShortId, component: ComponentId) {
        if let Some(held) = self.holders.remove(&(id, component)) {
            for target in held.targets {
                self.by_target.remove(&(target, id, component));
            }
        }
    }

    /// Removes the records of all components of an entity.
    pub(super) fn remove_entity(&mut self, id: ShortId) {
        let of_entity = (id, ComponentId(0))..=(id, ComponentId(u8::MAX));
        let holders: Vec<Holder> = self.holders.range(of_entity).map(|(&holder, _)| holder).collect();
        for (id, component) in holders {
            self.remove(id, component);
        }
    }

    /// Returns the components that refer to `target`, and their bytes.
    pub(super) fn of_target(&self, target: GlobalId) -> Vec<(ShortId, ComponentId, Box<[u8]>)> {
        let first = (target, ShortId(0), ComponentId(0));
        self.by_target
            .range(first..)
            .take_while(|(of, ..)| *of == target)
            .filter_map(|&(_, id, component)| {
                Some((id, component, self.holders.get(&(id, component))?.bytes.clone()))
            })
            .collect()
    }

    /// Removes all records of references.
    pub(super) fn clear(&mut self) {
        self.holders.clear();
        self.by_target.clear();
    }

    /// Returns whether no component refers to an entity.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.by_target.is_empty()
    }
}

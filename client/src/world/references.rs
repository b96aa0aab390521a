//! Which components of the mirror refer to whom, so that they can be told again when that one comes or goes.
//!
//! Bounded by the components of the entities in view, each of which is at most a few hundred bytes.

use std::collections::{BTreeMap, BTreeSet};

use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::snapshot::ShortId;

/// A component of an entity in view.
type Holder = (ShortId, ComponentId);

/// The components that refer to somebody.
#[derive(Debug, Default)]
pub(super) struct ReferenceTable {
    holders: BTreeMap<Holder, Held>,
    by_target: BTreeSet<(GlobalId, ShortId, ComponentId)>,
}

#[derive(Debug)]
struct Held {
    /// As it was received.
    bytes: Box<[u8]>,
    targets: Vec<GlobalId>,
}

impl ReferenceTable {
    /// Notes whom a component refers to now; nobody forgets it.
    pub(super) fn hold(&mut self, id: ShortId, component: ComponentId, bytes: &[u8], targets: Vec<GlobalId>) {
        self.forget(id, component);
        if targets.is_empty() {
            return;
        }
        self.by_target
            .extend(targets.iter().map(|&target| (target, id, component)));
        let bytes = bytes.into();
        self.holders.insert((id, component), Held { bytes, targets });
    }

    /// Forgets a component.
    pub(super) fn forget(&mut self, id: ShortId, component: ComponentId) {
        if let Some(held) = self.holders.remove(&(id, component)) {
            for target in held.targets {
                self.by_target.remove(&(target, id, component));
            }
        }
    }

    /// Forgets an entity that went.
    pub(super) fn forget_entity(&mut self, id: ShortId) {
        let of_entity = (id, ComponentId(0))..=(id, ComponentId(u8::MAX));
        let holders: Vec<Holder> = self.holders.range(of_entity).map(|(&holder, _)| holder).collect();
        for (id, component) in holders {
            self.forget(id, component);
        }
    }

    /// The components that refer to `target`, and their bytes.
    pub(super) fn about(&self, target: GlobalId) -> Vec<(ShortId, ComponentId, Box<[u8]>)> {
        let first = (target, ShortId(0), ComponentId(0));
        self.by_target
            .range(first..)
            .take_while(|(of, ..)| *of == target)
            .filter_map(|&(_, id, component)| {
                Some((id, component, self.holders.get(&(id, component))?.bytes.clone()))
            })
            .collect()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.holders.clear();
        self.by_target.clear();
    }

    /// Whether nothing refers to anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.by_target.is_empty()
    }
}

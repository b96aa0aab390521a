//! Registered components: which of them a client may see, and their encoding.

use throng_shared::limits::COMPONENT_BYTES_MAX;
use throng_shared::protocol::ids::{PlayerId, TeamId};
use throng_shared::protocol::registry::{Protocol, Visibility};
use throng_shared::protocol::snapshot::{ComponentsHead, components_bits_max};
use throng_shared::tick::Tick;

use crate::frame::{ColdRow, Identity};

/// Bytes of components that one entity can have in one packet; with an enter they still fit beside the
/// packet's head.
const ENTITY_BYTES_MAX: usize = 900;

/// Who a client is when it comes to seeing components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Viewer {
    pub(super) player: PlayerId,
    pub(super) team: TeamId,
}

/// Components by those who may see them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Viewers {
    everyone: u64,
    team: u64,
    owner: u64,
    /// Registered components.
    pub(super) count: u32,
}

impl Viewers {
    pub(super) fn new(protocol: &Protocol) -> Self {
        let mut viewers = Self {
            count: protocol.components().len() as u32,
            ..Self::default()
        };
        for entry in protocol.components() {
            *match entry.visibility {
                Visibility::Everyone => &mut viewers.everyone,
                Visibility::Team => &mut viewers.team,
                Visibility::Owner => &mut viewers.owner,
            } |= entry.id.bit();
        }
        viewers
    }

    /// Components of an entity that `viewer` may see, if the entity has them.
    fn mask(&self, viewer: Viewer, identity: &Identity) -> u64 {
        let mut mask = self.everyone;
        if viewer.team.is_mate(identity.team) {
            mask |= self.team;
        }
        if viewer.player.is_somebody() && viewer.player == identity.owner {
            mask |= self.owner;
        }
        mask
    }
}

/// Encoded components of the entities in one client's packets of one tick.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    entities: Vec<EntityComponents>,
    /// Ends of the values in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// Components of one entity.
#[derive(Clone, Copy, Debug)]
struct EntityComponents {
    head: ComponentsHead,
    /// Its first value, among all values.
    first: usize,
}

impl Encoded {
    pub(super) fn clear(&mut self) {
        self.entities.clear();
        self.ends.clear();
        self.bytes.clear();
    }

    /// Encodes what `viewer` may see of `row`, if it changed after `since` or `since` is `None`. Answers its
    /// place and the bits it takes at most, and counts values that cannot be sent into `refused`.
    pub(super) fn push(
        &mut self,
        row: &ColdRow,
        identity: &Identity,
        viewer: Viewer,
        viewers: &Viewers,
        protocol: &Protocol,
        since: Option<Tick>,
        refused: &mut u64,
    ) -> (usize, usize) {
        let present = row.mask & viewers.mask(viewer, identity);
        let first = self.ends.len();
        let start = self.bytes.len();
        let mut included = 0;
        for cell in &row.components {
            let is_due = since.is_none_or(|since| cell.changed.is_after(since));
            if present & cell.id.bit() == 0 || !is_due {
                continue;
            }
            let before = self.bytes.len();
            let encoded = protocol
                .component(cell.id)
                .is_some_and(|entry| entry.encode(&*cell.value, &mut self.bytes).is_ok());
            let is_sendable = self.bytes.len() - before <= COMPONENT_BYTES_MAX
                && self.bytes.len() - start <= ENTITY_BYTES_MAX;
            if !encoded || !is_sendable {
                self.bytes.truncate(before);
                *refused += 1;
                continue;
            }
            self.ends.push(self.bytes.len());
            included |= cell.id.bit();
        }
        let head = ComponentsHead { present, included };
        self.entities.push(EntityComponents { head, first });
        let bits = components_bits_max(self.ends.len() - first, self.bytes.len() - start, viewers.count);
        (self.entities.len() - 1, bits)
    }

    /// The components at a place that [`Encoded::push`] answered, and their values.
    pub(super) fn get(&self, place: usize) -> (ComponentsHead, impl Iterator<Item = &[u8]>) {
        let entity = self.entities[place];
        let values = entity.first..entity.first + entity.head.included.count_ones() as usize;
        let values = values.map(|value| {
            let start = if value == 0 { 0 } else { self.ends[value - 1] };
            &self.bytes[start..self.ends[value]]
        });
        (entity.head, values)
    }
}

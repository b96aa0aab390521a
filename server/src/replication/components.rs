//! The registered components: which of them a client may see, and their encoding.

use std::ops::Range;

use throng_shared::limits::COMPONENT_BYTES_MAX;
use throng_shared::protocol::codec::CodecError;
use throng_shared::protocol::ids::{GlobalId, PlayerId, TeamId};
use throng_shared::protocol::registry::{ComponentEntry, Protocol, ValueFault, Visibility, Witness};
use throng_shared::protocol::snapshot::{ComponentsHead, components_bits_max};
use throng_shared::protocol::steps::{ComponentFormats, SentSteps, Steps};
use throng_shared::tick::Tick;

use crate::boundary::frame::{ColdCell, ColdRow, Identity};

/// Largest number of bytes of components of one entity in one packet; with an enter they still fit beside the packet's
/// head.
const ENTITY_BYTES_MAX: usize = 900;

/// The properties of a client that decide which components it may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ViewerIdentity {
    pub(super) player: PlayerId,
    pub(super) team: TeamId,
}

/// The registered components by their visibility, as masks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Viewers {
    everyone: u64,
    team: u64,
    owner: u64,
    /// Components with a rule of their own.
    custom: u64,
    /// The format in which each is sent.
    pub(super) formats: ComponentFormats,
}

impl Viewers {
    pub(super) fn new(protocol: &Protocol) -> Self {
        let mut viewers = Self {
            formats: protocol.formats(),
            ..Self::default()
        };
        for entry in protocol.components() {
            *match entry.visibility {
                Visibility::Everyone => &mut viewers.everyone,
                Visibility::Team => &mut viewers.team,
                Visibility::Owner => &mut viewers.owner,
                Visibility::Custom => &mut viewers.custom,
            } |= entry.id.bit();
        }
        viewers
    }

    /// Returns the components of the entity that `viewer` may see.
    fn mask(&self, viewer: ViewerIdentity, identity: &Identity, row: &ColdRow, protocol: &Protocol) -> u64 {
        let mut mask = self.everyone;
        if viewer.team.is_mate(identity.team) {
            mask |= self.team;
        }
        if viewer.player.is_some() && viewer.player == identity.owner {
            mask |= self.owner;
        }
        mask &= row.mask;
        if row.mask & self.custom != 0 {
            let witness = Witness {
                player: viewer.player,
                player_team: viewer.team,
                entity: identity.global,
                owner: identity.owner,
                team: identity.team,
            };
            let ruled = row
                .components
                .iter()
                .filter(|cell| self.custom & cell.id.bit() != 0);
            for cell in ruled {
                let entry = protocol.component(cell.id);
                if entry.is_some_and(|entry| entry.may_see(witness, &*cell.value)) {
                    mask |= cell.id.bit();
                }
            }
        }
        mask
    }
}

/// The components of an entity that have to be sent, and the client that receives them.
#[derive(Clone, Copy)]
pub(super) struct ComponentUpdate<'a> {
    pub(super) row: &'a ColdRow,
    pub(super) identity: &'a Identity,
    pub(super) viewer: ViewerIdentity,
    pub(super) viewers: &'a Viewers,
    pub(super) protocol: &'a Protocol,
    /// Only components that changed after this tick are sent. `None` sends all components.
    pub(super) since: Option<Tick>,
    /// The entity in the state to which the update refers, if it refers to one.
    pub(super) base: Option<(&'a ColdRow, &'a Identity)>,
}

impl ComponentUpdate<'_> {
    /// Returns the row of the base, and which of its components the client saw then.
    fn held(&self) -> Option<(&ColdRow, u64)> {
        let (row, identity) = self.base?;
        let mask = self.viewers.mask(self.viewer, identity, row, self.protocol);
        Some((row, mask))
    }
}

/// Encoded components of the entities in one client's packets of one tick.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    entities: Vec<EntityComponents>,
    values: Vec<EncodedValue>,
    bytes: Vec<u8>,
}

/// The encoded components of one entity.
#[derive(Clone, Copy, Debug)]
struct EntityComponents {
    head: ComponentsHead,
    /// Index of its first value among all values.
    first: usize,
    /// The highest importance of its values.
    importance: u8,
}

#[derive(Clone, Copy, Debug)]
enum EncodedValue {
    /// A range of all bytes.
    Bytes {
        start: usize,
        end: usize,
    },
    Steps(SentSteps),
}

/// A component's value as it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum SentValue<'a> {
    Bytes(&'a [u8]),
    Steps(&'a SentSteps),
}

impl Encoded {
    pub(super) fn clear(&mut self) {
        self.entities.clear();
        self.values.clear();
        self.bytes.clear();
    }

    /// Encodes the components that the viewer may see and that have to be sent. Returns their index and the
    /// most bits they take. Counts values that cannot be sent in `refused`. The client is told that the entity does not
    /// have such a component, so that it does not keep an older value.
    pub(super) fn push(&mut self, update: &ComponentUpdate<'_>, refused: &mut u64) -> (usize, usize) {
        let ComponentUpdate {
            row,
            viewers,
            protocol,
            since,
            ..
        } = *update;
        let mut present = viewers.mask(update.viewer, update.identity, row, protocol);
        let (first, start) = (self.values.len(), self.bytes.len());
        let room = start..start + ENTITY_BYTES_MAX - viewers.formats.steps_bytes_max();
        let mut held = None;
        let (mut included, mut importance) = (0, 1);
        let (mut texts, mut step_bits) = (0, 0);
        for cell in &row.components {
            let is_due = since.is_none_or(|since| cell.changed.is_after(since));
            if present & cell.id.bit() == 0 || !is_due {
                continue;
            }
            let Some(entry) = protocol.component(cell.id) else {
                continue;
            };
            let value = match viewers.formats.numbers(cell.id) {
                0 => self.bytes(entry, cell, &room),
                numbers => {
                    let held = *held.get_or_insert_with(|| update.held());
                    self.steps(entry, cell, numbers, held)
                }
            };
            let value = match value {
                Ok(value) => value,
                Err(fault) => {
                    *refused += 1;
                    present &= !cell.id.bit();
                    log_once(entry, update.identity.global, &fault);
                    continue;
                }
            };
            match value {
                EncodedValue::Bytes { .. } => texts += 1,
                EncodedValue::Steps(sent) => step_bits += 1 + sent.steps.bits() as usize,
            }
            self.values.push(value);
            included |= cell.id.bit();
            importance = importance.max(entry.importance);
        }
        let head = ComponentsHead { present, included };
        self.entities.push(EntityComponents {
            head,
            first,
            importance,
        });
        let bits = components_bits_max(texts, self.bytes.len() - start, viewers.formats.count());
        (self.entities.len() - 1, bits + step_bits)
    }

    /// Encodes a value as bytes. An error when it cannot be encoded in the bytes of a component, or would exceed `room`
    /// of all bytes.
    fn bytes(
        &mut self,
        entry: &ComponentEntry,
        cell: &ColdCell,
        room: &Range<usize>,
    ) -> Result<EncodedValue, ValueFault> {
        let start = self.bytes.len();
        let encoded = entry.encode(&*cell.value, &mut self.bytes);
        let end = self.bytes.len();
        if let Err(error) = encoded {
            return Err(ValueFault::encode(&error));
        }
        if end > room.end {
            self.bytes.truncate(start);
            let (bytes, max) = (end - start, room.len());
            return Err(ValueFault::Crowded { bytes, max });
        }
        Ok(EncodedValue::Bytes { start, end })
    }

    /// Encodes a value as this many numbers, as a difference to the value that the client held, if it held
    /// one.
    fn steps(
        &mut self,
        entry: &ComponentEntry,
        cell: &ColdCell,
        numbers: usize,
        held: Option<(&ColdRow, u64)>,
    ) -> Result<EncodedValue, ValueFault> {
        let start = self.bytes.len();
        let mut quantize = |cell: &ColdCell| {
            let encoded = entry.encode(&*cell.value, &mut self.bytes);
            let steps = match encoded {
                Ok(bytes) => Steps::decode(&self.bytes[start..], numbers)
                    .map_err(|_| ValueFault::decode(bytes, COMPONENT_BYTES_MAX, &CodecError::Invalid.into())),
                Err(error) => Err(ValueFault::encode(&error)),
            };
            self.bytes.truncate(start);
            steps
        };
        let now = quantize(cell)?;
        let base = held
            .filter(|(_, mask)| mask & cell.id.bit() != 0)
            .and_then(|(row, _)| row.cell(cell.id))
            .and_then(|cell| quantize(cell).ok());
        Ok(EncodedValue::Steps(SentSteps::shortest(&now, base.as_ref())))
    }

    /// Returns how much the components at an index raise their entity's priority; 1 is usual.
    pub(super) fn importance(&self, place: usize) -> u8 {
        self.entities[place].importance
    }

    /// Returns the components at an index that [`Encoded::push`] returned, and their values.
    pub(super) fn get(&self, place: usize) -> (ComponentsHead, impl Iterator<Item = SentValue<'_>>) {
        let entity = self.entities[place];
        let values = entity.first..entity.first + entity.head.included.count_ones() as usize;
        let values = self.values[values].iter().map(|value| match value {
            EncodedValue::Bytes { start, end } => SentValue::Bytes(&self.bytes[*start..*end]),
            EncodedValue::Steps(sent) => SentValue::Steps(sent),
        });
        (entity.head, values)
    }
}

/// Logs the first fault of its kind of a component's type.
#[cold]
fn log_once(entry: &ComponentEntry, entity: GlobalId, fault: &ValueFault) {
    if entry.is_new_fault(fault) {
        let component = entry.name;
        tracing::error!(component, %entity, "a component is removed at clients until it can be sent: {fault}");
    }
}

//! The digests of each tick in a recording, and the interpretation of a replay's differences from them.
//!
//! A tick's digest is the checksum of its whole frame, and a short digest of every part of every row that
//! changed, so that the first tick that differs also shows what differs. It takes 12 bytes for a row that
//! changed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use throng_shared::hash::fnv1a;
use throng_shared::protocol::ids::{ComponentId, GlobalId, Slot};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::boundary::frame::Frame;

/// The digest of one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TickDigest {
    /// The checksum of the frame.
    pub(super) checksum: u64,
    /// Slots and global ids of the entities that are new in this frame, in slot order.
    spawned: Vec<(Slot32, u64)>,
    /// Slots of the entities that are gone since the last frame.
    despawned: Vec<Slot32>,
    /// Digests of the rows that changed in this tick.
    rows: Vec<RowDigest>,
}

type Slot32 = u32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RowDigest {
    slot: Slot32,
    /// Digests of position, velocity, heading and identity.
    parts: [[u8; 2]; 4],
    /// Digests of the registered components that changed in this tick, by component id.
    components: Vec<(u8, [u8; 2])>,
}

/// The names of [`RowDigest::parts`], in their order.
const PARTS: [&str; 4] = [
    "Position",
    "Velocity",
    "Heading",
    "identity (owner, team, importance)",
];

/// The same in a game in three dimensions.
const PARTS_3D: [&str; 4] = ["Position3d", "Velocity3d", "Rotation3d", PARTS[3]];

/// The first difference of a replay from the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The first tick that differs.
    pub tick: Tick,
    /// The first entity by slot that differs, if the digests show it.
    pub entity: Option<GlobalId>,
    /// The kind of the difference.
    pub what: DifferenceKind,
}

/// The kind of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The value of this component differs.
    Component(String),
    /// The entity changed in the replay and not in the recording.
    Changed,
    /// The entity changed in the recording and not in the replay.
    Unchanged,
    /// The entity is new in the replay and not in the recording, or is another entity there.
    Spawned,
    /// The entity is new in the recording and not in the replay.
    NotSpawned,
    /// The entity is gone in the replay and not in the recording.
    Despawned,
    /// The entity is gone in the recording and not in the replay.
    NotDespawned,
    /// Only the checksum over the whole frame differs.
    Checksum,
}

impl fmt::Display for Divergence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the replay diverges at tick {}: ", self.tick)?;
        let entity_name = self
            .entity
            .map_or_else(|| "an entity".to_owned(), |entity| format!("entity {entity}"));
        match &self.what {
            DifferenceKind::Component(name) => write!(out, "{name} of {entity_name} differs"),
            DifferenceKind::Changed => write!(out, "{entity_name} changed, and did not when recorded"),
            DifferenceKind::Unchanged => write!(out, "{entity_name} did not change, and did when recorded"),
            DifferenceKind::Spawned => write!(out, "{entity_name} is new, and was not when recorded"),
            DifferenceKind::NotSpawned => write!(out, "{entity_name} is missing, and was new when recorded"),
            DifferenceKind::Despawned => write!(out, "{entity_name} is gone, and was not when recorded"),
            DifferenceKind::NotDespawned => write!(out, "{entity_name} is there, and was gone when recorded"),
            DifferenceKind::Checksum => out.write_str("the checksum of the frame differs"),
        }
    }
}

impl TickDigest {
    /// Returns the digest of `frame`. `before` is the frame of the tick before.
    pub(super) fn of(frame: &Frame, before: Option<&Frame>, protocol: &Protocol) -> Self {
        let mut bytes = Vec::new();
        let rows = frame
            .rows()
            .filter(|(_, row)| row.changed == frame.tick)
            .map(|(slot, _)| row_digest(frame, slot, protocol, &mut bytes))
            .collect();
        Self {
            checksum: frame.checksum().0,
            spawned: slots_besides(frame, before)
                .map(|slot| (slot.0, frame.identity(slot).global.0))
                .collect(),
            despawned: before.map_or_else(Vec::new, |before| {
                slots_besides(before, Some(frame)).map(|slot| slot.0).collect()
            }),
            rows,
        }
    }

    /// Updates `names`, the global ids of the recorded entities by slot, by this tick.
    pub(super) fn follow(&self, names: &mut BTreeMap<u32, GlobalId>) {
        for slot in &self.despawned {
            names.remove(slot);
        }
        names.extend(
            self.spawned
                .iter()
                .map(|&(slot, global)| (slot, GlobalId(global))),
        );
    }

    /// Returns the first difference of `found` from the recorded `self`; spawned and despawned entities are
    /// compared first. `names` has the global ids of the recorded entities by slot.
    pub(super) fn first_difference(
        &self,
        found: &Self,
        frame: &Frame,
        names: &BTreeMap<u32, GlobalId>,
        protocol: &Protocol,
    ) -> Option<Divergence> {
        if self == found {
            return None;
        }
        let found_global = |slot| Some(frame.identity(Slot(slot)).global);
        let recorded_global = |slot: u32| names.get(&slot).copied();
        let (entity, what) = first_differing(&self.despawned, &found.despawned, |&slot| slot)
            .map(|side| match side {
                Side::Recorded(slot) => (found_global(slot), DifferenceKind::NotDespawned),
                Side::Found(slot) | Side::Both(slot) => (recorded_global(slot), DifferenceKind::Despawned),
            })
            .or_else(|| {
                let side = first_differing(&self.spawned, &found.spawned, |&(slot, _)| slot)?;
                Some(match side {
                    Side::Recorded(slot) => (recorded_global(slot), DifferenceKind::NotSpawned),
                    Side::Found(slot) | Side::Both(slot) => (found_global(slot), DifferenceKind::Spawned),
                })
            })
            .or_else(|| {
                let side = first_differing(&self.rows, &found.rows, |row| row.slot)?;
                Some(match side {
                    Side::Recorded(slot) => (recorded_global(slot), DifferenceKind::Unchanged),
                    Side::Found(slot) => (found_global(slot), DifferenceKind::Changed),
                    Side::Both(slot) => (found_global(slot), self.differing_part(found, slot, protocol)),
                })
            })
            .unwrap_or((None, DifferenceKind::Checksum));
        Some(Divergence {
            tick: frame.tick,
            entity,
            what,
        })
    }

    fn differing_part(&self, found: &Self, slot: u32, protocol: &Protocol) -> DifferenceKind {
        let row = |digest: &Self| digest.rows.iter().find(|row| row.slot == slot).cloned();
        let (Some(expected), Some(found)) = (row(self), row(found)) else {
            return DifferenceKind::Checksum;
        };
        let parts = expected.parts.iter().zip(&found.parts);
        if let Some(part) = parts.into_iter().position(|(expected, found)| expected != found) {
            let names = if protocol.quanta_3d().is_some() {
                PARTS_3D
            } else {
                PARTS
            };
            return DifferenceKind::Component(names[part].to_owned());
        }
        let side = first_differing(&expected.components, &found.components, |&(id, _)| u32::from(id));
        match side {
            Some(Side::Recorded(id) | Side::Found(id) | Side::Both(id)) => {
                let entry = protocol.component(ComponentId(id as u8));
                DifferenceKind::Component(
                    entry.map_or_else(|| format!("component {id}"), |entry| entry.name.to_owned()),
                )
            }
            None => DifferenceKind::Checksum,
        }
    }
}

/// The side of a difference between two lists: the one that has the key, or both if their values differ.
enum Side {
    Recorded(u32),
    Found(u32),
    Both(u32),
}

/// Returns the first key at which two lists, ascending by key, differ.
fn first_differing<T: PartialEq>(recorded: &[T], found: &[T], key: impl Fn(&T) -> u32) -> Option<Side> {
    let same = recorded.iter().zip(found).take_while(|(a, b)| a == b).count();
    match (recorded.get(same).map(&key), found.get(same).map(&key)) {
        (None, None) => None,
        (Some(recorded), None) => Some(Side::Recorded(recorded)),
        (None, Some(found)) => Some(Side::Found(found)),
        (Some(recorded), Some(found)) if recorded < found => Some(Side::Recorded(recorded)),
        (Some(recorded), Some(found)) if recorded > found => Some(Side::Found(found)),
        (Some(recorded), Some(_)) => Some(Side::Both(recorded)),
    }
}

/// Returns the living slots of `frame` that are not alive in `other`.
fn slots_besides<'a>(frame: &'a Frame, other: Option<&'a Frame>) -> impl Iterator<Item = Slot> + 'a {
    frame.chunks().iter().enumerate().flat_map(move |(index, chunk)| {
        let other = other.and_then(|other| other.chunks().get(index));
        // A chunk has 256 slots: four words with a bit for each. The bits kept are alive here and not in `other`.
        let words = chunk.alive.iter().enumerate().map(move |(word, &alive)| {
            let bits = alive & !other.map_or(0, |other| other.alive[word]);
            (index * 256 + word * 64, bits)
        });
        words.flat_map(|(first, bits)| {
            (0..64)
                .filter(move |bit| bits >> bit & 1 == 1)
                .map(move |bit| Slot((first + bit) as u32))
        })
    })
}

fn row_digest(frame: &Frame, slot: Slot, protocol: &Protocol, bytes: &mut Vec<u8>) -> RowDigest {
    let pose = frame.row(slot).map(|row| row.pose).unwrap_or_default();
    let identity = frame.identity(slot);
    // The fields of each part are packed into one integer without overlap.
    let numbers = [
        (i64::from(pose.x) << 32) ^ i64::from(pose.y as u32),
        i64::from(pose.vx) << 16 | i64::from(pose.vy as u16),
        i64::from(pose.yaw) << 16 | i64::from(pose.flags),
        i64::from(identity.owner.0) << 16 | i64::from(identity.team.0) << 8 | i64::from(identity.importance),
    ];
    let mut parts = numbers.map(|number| short(&number.to_le_bytes()));
    if let Some(pose) = frame.pose_3d(slot) {
        let bytes = |axes: [i32; 3]| axes.map(i32::to_le_bytes).concat();
        parts[0] = short(&bytes(pose.position));
        parts[1] = short(&bytes(pose.velocity.map(i32::from)));
        parts[2] = short(&pose.rotation.to_bits().to_le_bytes());
    }
    let cells = frame.cold(slot).map_or(&[][..], |row| &row.components);
    let changed = cells.iter().filter(|cell| cell.changed == frame.tick);
    let components = changed
        .map(|cell| {
            bytes.clear();
            let entry = protocol.component(cell.id);
            // A value that cannot be encoded is not sent either. It counts as empty in recording and replay
            // alike.
            let _ = entry.map(|entry| entry.encode(&*cell.value, bytes));
            (cell.id.0, short(bytes))
        })
        .collect();
    RowDigest {
        slot: slot.0,
        parts,
        components,
    }
}

/// Returns a digest folded to two bytes, which is enough to show the differing part once it is known that
/// some part differs.
fn short(bytes: &[u8]) -> [u8; 2] {
    let sum = fnv1a(bytes);
    ((sum ^ sum >> 16 ^ sum >> 32 ^ sum >> 48) as u16).to_le_bytes()
}

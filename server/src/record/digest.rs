//! What a recording holds of each tick's outcome, and what it means when a replay's is another.
//!
//! A tick's outcome is the checksum of its whole frame, and a short digest of every part of every row that
//! changed, so that the first tick that differs also tells where. Costs 12 bytes for a row that changed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::{ComponentId, GlobalId, Slot};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use crate::boundary::frame::Frame;
use crate::persist::digest;

/// The outcome of one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TickDigest {
    /// The frame's.
    pub(super) checksum: u64,
    /// Entities that are new in this frame, in slot order.
    born: Vec<(Slot32, u64)>,
    /// Entities that are gone since the last frame.
    gone: Vec<Slot32>,
    /// Rows that changed in this tick.
    rows: Vec<RowDigest>,
}

type Slot32 = u32;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RowDigest {
    slot: Slot32,
    /// Position, velocity, heading, identity.
    parts: [[u8; 2]; 4],
    /// Registered components that changed in this tick.
    components: Vec<(u8, [u8; 2])>,
}

/// Names of [`RowDigest::parts`].
const PARTS: [&str; 4] = [
    "Position",
    "Velocity",
    "Heading",
    "identity (owner, team, importance)",
];

/// Where a replay first differed from what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The first tick that differs.
    pub tick: Tick,
    /// The first entity by slot that differs, if the digests tell.
    pub entity: Option<GlobalId>,
    /// What of it differs.
    pub what: Doubt,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// The value of this component.
    Component(String),
    /// The entity changed in the replay and not in the recording.
    Changed,
    /// The entity changed in the recording and not in the replay.
    Unchanged,
    /// The entity is new in the replay and not in the recording, or is another one there.
    Born,
    /// The entity is new in the recording and not in the replay.
    Unborn,
    /// The entity is gone in the replay and not in the recording.
    Gone,
    /// The entity is gone in the recording and not in the replay.
    Lives,
    /// Only the checksum over the whole frame.
    Checksum,
}

impl fmt::Display for Divergence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the replay diverges at tick {}: ", self.tick)?;
        let who = self
            .entity
            .map_or_else(|| "an entity".to_owned(), |entity| format!("entity {entity}"));
        match &self.what {
            Doubt::Component(name) => write!(out, "{name} of {who} is another"),
            Doubt::Changed => write!(out, "{who} changed, and did not when recorded"),
            Doubt::Unchanged => write!(out, "{who} did not change, and did when recorded"),
            Doubt::Born => write!(out, "{who} is new, and was not when recorded"),
            Doubt::Unborn => write!(out, "{who} is missing, and was new when recorded"),
            Doubt::Gone => write!(out, "{who} is gone, and was not when recorded"),
            Doubt::Lives => write!(out, "{who} is there, and was gone when recorded"),
            Doubt::Checksum => out.write_str("the checksum of the frame is another"),
        }
    }
}

impl TickDigest {
    /// The outcome that `frame` shows. `before` is the frame of the tick before.
    pub(super) fn of(frame: &Frame, before: Option<&Frame>, protocol: &Protocol) -> Self {
        let mut bytes = Vec::new();
        let rows = frame
            .rows()
            .filter(|(_, row)| row.changed == frame.tick)
            .map(|(slot, _)| row_digest(frame, slot, protocol, &mut bytes))
            .collect();
        Self {
            checksum: frame.checksum().0,
            born: slots_besides(frame, before)
                .map(|slot| (slot.0, frame.identity(slot).global.0))
                .collect(),
            gone: before.map_or_else(Vec::new, |before| {
                slots_besides(before, Some(frame)).map(|slot| slot.0).collect()
            }),
            rows,
        }
    }

    /// Keeps `names` in step with who is where.
    pub(super) fn follow(&self, names: &mut BTreeMap<u32, GlobalId>) {
        for slot in &self.gone {
            names.remove(slot);
        }
        names.extend(self.born.iter().map(|&(slot, global)| (slot, GlobalId(global))));
    }

    /// The first difference of `found` from the recorded `self`, entities that came and went first. `names`
    /// is who was recorded to be where.
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
        let here = |slot| Some(frame.identity(Slot(slot)).global);
        let there = |slot: u32| names.get(&slot).copied();
        let (entity, what) = first_apart(&self.gone, &found.gone, |&slot| slot)
            .map(|side| match side {
                Side::Recorded(slot) => (here(slot), Doubt::Lives),
                Side::Found(slot) | Side::Both(slot) => (there(slot), Doubt::Gone),
            })
            .or_else(|| {
                let side = first_apart(&self.born, &found.born, |&(slot, _)| slot)?;
                Some(match side {
                    Side::Recorded(slot) => (there(slot), Doubt::Unborn),
                    Side::Found(slot) | Side::Both(slot) => (here(slot), Doubt::Born),
                })
            })
            .or_else(|| {
                let side = first_apart(&self.rows, &found.rows, |row| row.slot)?;
                Some(match side {
                    Side::Recorded(slot) => (there(slot), Doubt::Unchanged),
                    Side::Found(slot) => (here(slot), Doubt::Changed),
                    Side::Both(slot) => (here(slot), self.part_apart(found, slot, protocol)),
                })
            })
            .unwrap_or((None, Doubt::Checksum));
        Some(Divergence {
            tick: frame.tick,
            entity,
            what,
        })
    }

    fn part_apart(&self, found: &Self, slot: u32, protocol: &Protocol) -> Doubt {
        let row = |digest: &Self| digest.rows.iter().find(|row| row.slot == slot).cloned();
        let (Some(expected), Some(found)) = (row(self), row(found)) else {
            return Doubt::Checksum;
        };
        let parts = expected.parts.iter().zip(&found.parts);
        if let Some(part) = parts.into_iter().position(|(expected, found)| expected != found) {
            return Doubt::Component(PARTS[part].to_owned());
        }
        let side = first_apart(&expected.components, &found.components, |&(id, _)| u32::from(id));
        match side {
            Some(Side::Recorded(id) | Side::Found(id) | Side::Both(id)) => {
                let entry = protocol.component(ComponentId(id as u8));
                Doubt::Component(
                    entry.map_or_else(|| format!("component {id}"), |entry| entry.name.to_owned()),
                )
            }
            None => Doubt::Checksum,
        }
    }
}

/// Which of two lists has what the other lacks, or has otherwise.
enum Side {
    Recorded(u32),
    Found(u32),
    Both(u32),
}

/// The first key at which two lists, ascending by key, differ.
fn first_apart<T: PartialEq>(recorded: &[T], found: &[T], key: impl Fn(&T) -> u32) -> Option<Side> {
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

/// Living slots of `frame` at which `other` has nobody.
fn slots_besides<'a>(frame: &'a Frame, other: Option<&'a Frame>) -> impl Iterator<Item = Slot> + 'a {
    frame.chunks().iter().enumerate().flat_map(move |(at, chunk)| {
        let other = other.and_then(|other| other.chunks().get(at));
        let words = chunk.alive.iter().enumerate().map(move |(word, &alive)| {
            let bits = alive & !other.map_or(0, |other| other.alive[word]);
            (at * 256 + word * 64, bits)
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
    let numbers = [
        (i64::from(pose.x) << 32) ^ i64::from(pose.y as u32),
        i64::from(pose.vx) << 16 | i64::from(pose.vy as u16),
        i64::from(pose.yaw) << 16 | i64::from(pose.flags),
        i64::from(identity.owner.0) << 16 | i64::from(identity.team.0) << 8 | i64::from(identity.importance),
    ];
    let cells = frame.cold(slot).map_or(&[][..], |row| &row.components);
    let changed = cells.iter().filter(|cell| cell.changed == frame.tick);
    let components = changed
        .map(|cell| {
            bytes.clear();
            let entry = protocol.component(cell.id);
            // A value that cannot be encoded is not sent either; it counts as empty, both times.
            let _ = entry.map(|entry| entry.encode(&*cell.value, bytes));
            (cell.id.0, short(bytes))
        })
        .collect();
    RowDigest {
        slot: slot.0,
        parts: numbers.map(|number| short(&number.to_le_bytes())),
        components,
    }
}

/// Two bytes of the digest: enough to tell which of the parts differ once it is known that some do.
fn short(bytes: &[u8]) -> [u8; 2] {
    let sum = digest(bytes);
    ((sum ^ sum >> 16 ^ sum >> 32 ^ sum >> 48) as u16).to_le_bytes()
}

//! The snapshot packet: what one client is sent of one or several simulations' frames.
//!
//! Owns its layout and both directions of it. Guarantees that a packet can be read without any other
//! packet, and that reading allocates nothing, touches each bit once and returns a value or a
//! [`SnapshotError`] for any bytes. Does not know which baselines a reader has: the caller passes them in
//! and decides what to do with the values that it reads.
//!
//! **Layout** (bits, least significant first; `id` is a short id of 8 to 11 bits):
//!
//! ```text
//! kind 8 | sequence 16 | tick 16 | part 5 | id width - 8: 2 | 0: end of owner, or
//!   1: last input's age 8 (255: none) | newest input ahead 8 (-128: none) | margin 12 | 0, or 1: own id
//! sections, each after a 1, until a 0:
//!   simulation: 0 for the first, or 1: 8 | tick: 0 for the packet's, or 1: how much older 5
//!   baseline age 5 | exceptions 1 | components 1
//!   leaves, each after a 1, until a 0: id
//!   enters, each after a 1, until a 0: id | global id: class 2, 16/24/40/64 | absolute pose | [components]
//!   presence: groups of 8 ids | a bit for each group | 8 bits for each group that has one
//!   updates by ascending id: [0, or 1: age 5, 0 for absolute] | difference or absolute pose | [components]
//! components: 0, or 1: which there are | which follow | for each that is
//!   bytes: their number 10 | to the next byte | the bytes
//!   numbers: [in an update with a baseline: difference 1] | their code, as `steps` has it
//! ```

use super::bits::BitError;
use super::delta::DeltaError;
use super::ids::{GlobalId, SimulationId};
use super::pose::Pose;
use crate::tick::Tick;

mod pose_code;
mod presence;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use pose_code::PoseCode;
pub use presence::{Presence, PresenceSize};
pub use reader::SnapshotReader;
pub use writer::SnapshotWriter;

/// Largest number of packets of one tick's snapshot.
pub const SNAPSHOT_PARTS_MAX: usize = 32;
/// Largest number of short ids of one session.
pub const SHORT_IDS_MAX: usize = 1 << SHORT_ID_BITS_MAX;
/// Largest number of ticks by which a section can be older than its packet.
pub const SECTION_AGE_MAX: u32 = 31;

const SHORT_ID_BITS_MIN: u32 = 8;
const SHORT_ID_BITS_MAX: u32 = 11;
const KIND_BITS: u32 = 8;
const PART_BITS: u32 = 5;
const INPUT_AGE_NONE: u64 = 255;
const NEWEST_AHEAD_NONE: i8 = i8::MIN;
const MARGIN_BITS: u32 = 12;
const MARGIN_MAX: i16 = (1 << (MARGIN_BITS - 1)) - 1;
const SECTION_AGE_BITS: u32 = 5;
const BASELINE_AGE_BITS: u32 = 5;
const GLOBAL_WIDTHS: [u32; 4] = [16, 24, 40, 64];
const COMPONENT_LENGTH_BITS: u32 = 10;

/// Largest number of bits of a packet without sections: header, owner block and end.
pub const PACKET_BITS_MAX: usize = 8 + 16 + 16 + 5 + 2 + 1 + 8 + 8 + 12 + 1 + SHORT_ID_BITS_MAX as usize + 1;
/// Largest number of bits of a section's head and the ends of its leaves and enters, without its presence.
pub const SECTION_BITS_MAX: usize = 1 + 9 + 6 + 5 + 2 + 2;
/// Bits in front of an update whose baseline is not the section's.
pub const EXCEPTION_BITS: usize = 1 + BASELINE_AGE_BITS as usize;

/// A session's number for an entity: small, and reused for another entity once the first has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId(pub u16);

impl ShortId {
    /// Returns the index of the id in an array by short id.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Returns the width of short ids when there are `ids` of them; `None` above [`SHORT_IDS_MAX`].
#[must_use]
pub const fn short_id_bits(ids: usize) -> Option<u32> {
    let mut bits = SHORT_ID_BITS_MIN;
    while bits <= SHORT_ID_BITS_MAX {
        if ids <= 1 << bits {
            return Some(bits);
        }
        bits += 1;
    }
    None
}

/// Why bytes are not a snapshot packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The first byte is that of another kind of payload.
    #[error("not a snapshot packet")]
    Kind,
    /// The packet ends in the middle of a field.
    #[error(transparent)]
    Bits(#[from] BitError),
    /// The bits of a pose are invalid.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The packet includes components that its entity does not have, or one that is too long.
    #[error("malformed components")]
    Components,
    /// The packet has short ids beyond those that its width allows.
    #[error("more short ids than their width allows")]
    Presence,
    /// An update or leave names an entity that never entered.
    #[error("an update or leave of an unknown entity")]
    Entity,
    /// An update refers to a state that was never sent.
    #[error("a baseline that was never sent")]
    Baseline,
}

/// The fields at the start of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Number of the packet within its session: what the client acknowledges.
    pub sequence: u16,
    /// The newest tick in the packet.
    pub tick: Tick,
    /// Index among the packets of this tick, 0..[`SNAPSHOT_PARTS_MAX`].
    pub part: u8,
    /// Bits of a short id in this packet, as [`short_id_bits`] returns.
    pub id_bits: u32,
}

/// The state of a client's own player, in part 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerBlock {
    /// Newest tick whose input was applied; `None` before the first, and when it was 255 ticks ago or more.
    pub last_input: Option<Tick>,
    /// Tick of the newest input that arrived; `None` before the first, and when it is 128 ticks away or more.
    pub newest_input: Option<Tick>,
    /// How long before its tick was due that input arrived, in 1/16 tick; saturates at 127 ticks.
    pub margin_16: i16,
    /// The entity that the player controls, if it has entered.
    pub own: Option<ShortId>,
}

/// The fields at the start of every section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionHead {
    /// The simulation whose entities are in the section.
    pub simulation: SimulationId,
    /// Tick of the section's states, up to [`SECTION_AGE_MAX`] older than the packet's.
    pub tick: Tick,
    /// Ticks between the common baseline and `tick`, 0..=31; 0 where all updates are absolute.
    pub age: u8,
    /// Whether each update has a bit that says whether its baseline differs from the common one.
    pub has_exceptions: bool,
    /// Whether each entity has a bit that says whether its components are in this packet.
    pub has_components: bool,
}

/// An entity that comes into view; `P` is [`Pose`], or [`Pose3d`](super::pose3d::Pose3d) in space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enter<P = Pose> {
    /// The number by which the session's later packets refer to the entity.
    pub id: ShortId,
    /// The entity's id in all simulations.
    pub global: GlobalId,
    /// The entity's state in the section's tick.
    pub pose: P,
}

/// Which of the components that the client may see an entity has, and which of these are in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComponentsHead {
    /// Bits of all components that the entity has. A client removes its other components.
    pub present: u64,
    /// Bits of the components whose values follow, by ascending id; a subset of `present`.
    pub included: u64,
}

/// Returns the number of bits of an enter without components.
#[inline]
#[must_use]
pub fn enter_bits<M: PoseCode>(enter: &Enter<M::Pose>, motion: &M, id_bits: u32) -> usize {
    let global = GLOBAL_WIDTHS[global_class(enter.global)];
    (1 + id_bits + 2 + global + motion.absolute_bits(&enter.pose)) as usize
}

/// Returns the most bits of [`SnapshotWriter::components`] and the values after it, from any bit position.
#[inline]
#[must_use]
pub fn components_bits_max(values: usize, bytes: usize, count: u32) -> usize {
    1 + 2 * count as usize + values * (COMPONENT_LENGTH_BITS as usize + 7) + bytes * 8
}

fn global_class(global: GlobalId) -> usize {
    let needed = 64 - global.0.leading_zeros();
    GLOBAL_WIDTHS
        .iter()
        .position(|&width| width >= needed)
        .unwrap_or(GLOBAL_WIDTHS.len() - 1)
}

//! The expected state of a mirror: a brute-force reading of a frame with one player's view and visibility.
//!
//! Shares no code with interest management or replication: it reads every row of the frame.

use std::{collections::BTreeMap, fmt};

use throng_client::mirror::{Mirror, MirrorEntity};
use throng_server::boundary::frame::{ColdCell, Frame, PlayerRow, Row};
use throng_shared::protocol::{
    ids::{ComponentId, GlobalId, PlayerId, Slot},
    pose::Pose,
    pose3d::Pose3d,
    registry::{ComponentEntry, Protocol, Visibility, Witness},
};

/// A client receives an entity within its view radius, and keeps it up to this multiple of the radius.
pub const KEEP_FACTOR: f32 = 1.1;

/// Tolerance at both borders, in units: the server compares distances in quanta, the oracle in floats.
pub const BORDER_SLACK: f32 = 0.05;

/// The state of an entity that a client with it in view must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedEntity {
    /// The entity's pose; all 0 in an arena in space.
    pub pose: Pose,
    /// The entity's pose in an arena in space.
    pub pose_3d: Option<Pose3d>,
    /// The components that this client may see, encoded.
    pub components: BTreeMap<u8, Vec<u8>>,
}

/// Returns the row of a player in a frame.
#[must_use]
pub fn player_row(frame: &Frame, player: PlayerId) -> Option<&PlayerRow> {
    frame
        .players
        .iter()
        .map(|(_, row)| row)
        .find(|row| row.player == player)
}

/// An entity of the frame with its distance from the eye.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedEntity {
    /// State that a client with the entity in view must have.
    pub seen: ExpectedEntity,
    /// Distance from the eye, in units.
    pub distance: f32,
}

/// Returns all entities of `frame` in the player's room by global id, as `player` must see them if they are in view.
#[must_use]
pub fn candidates(
    frame: &Frame,
    player: &PlayerRow,
    protocol: &Protocol,
) -> BTreeMap<GlobalId, RankedEntity> {
    let entry = |(slot, row): (Slot, &Row)| {
        let identity = frame.identity(slot);
        let may_see = |registered: &ComponentEntry, cell: &ColdCell| match registered.visibility {
            Visibility::Everyone => true,
            Visibility::Team => identity.team.is_mate(player.team),
            Visibility::Owner => identity.owner.is_some() && identity.owner == player.player,
            Visibility::Custom => {
                let witness = Witness {
                    player: player.player,
                    player_team: player.team,
                    entity: identity.global,
                    owner: identity.owner,
                    team: identity.team,
                };
                registered.may_see(witness, &*cell.value)
            }
        };
        let mut components = BTreeMap::new();
        for cell in frame.cold(slot).map_or(&[][..], |row| &row.components) {
            let registered = protocol
                .component(cell.id)
                .expect("a frame holds registered components");
            if may_see(registered, cell) {
                let mut bytes = Vec::new();
                registered
                    .encode(&*cell.value, &mut bytes)
                    .expect("a frame's values encode");
                components.insert(cell.id.0, bytes);
            }
        }
        let across = row.pose.position().0.distance(player.eye);
        let pose_3d = frame.pose_3d(slot).copied();
        let (pose, distance) = match (pose_3d, protocol.quanta_3d()) {
            (Some(pose), Some(quanta)) => {
                let above = quanta.position_of(&pose).0.y - player.upright.eye;
                let distance = match player.upright.stretch {
                    None => across.hypot(above),
                    Some(stretch) => across.max(above.abs() * stretch),
                };
                (Pose::default(), distance)
            }
            _ => (row.pose, across),
        };
        (
            identity.global,
            RankedEntity {
                seen: ExpectedEntity {
                    pose,
                    pose_3d,
                    components,
                },
                distance,
            },
        )
    };
    let in_room = |(slot, _): &(Slot, &Row)| frame.identity(*slot).room == player.room;
    frame.rows().filter(in_room).map(entry).collect()
}

/// Converts a client's mirror to the oracle's types.
#[must_use]
pub fn mirrored(mirror: &Mirror) -> BTreeMap<GlobalId, ExpectedEntity> {
    let seen = |entity: MirrorEntity| {
        let components = mirror
            .components(entity.id)
            .iter()
            .map(|cell| (cell.id.0, cell.bytes.clone()));
        (
            entity.global,
            ExpectedEntity {
                pose: entity.pose,
                pose_3d: entity.pose_3d,
                components: components.collect(),
            },
        )
    };
    mirror.entities().map(seen).collect()
}

/// A difference between a client's mirror and its expected state.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    /// An entity at this distance is in view, but not in the mirror.
    Missing(GlobalId, f32),
    /// An entity is in the mirror, but at this distance is out of view, or does not exist.
    Extra(GlobalId, Option<f32>),
    /// The poses differ: mirrored, expected.
    Pose(GlobalId, Pose, Pose),
    /// The poses in space differ: mirrored, expected.
    Pose3d(GlobalId, Box<[Option<Pose3d>; 2]>),
    /// A component is missing, extra or differs: component, mirrored, expected.
    Component(GlobalId, ComponentId, Option<Vec<u8>>, Option<Vec<u8>>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(id, distance) => write!(f, "{id:?} at {distance} units is missing"),
            Self::Extra(id, None) => write!(f, "{id:?} is mirrored and does not exist"),
            Self::Extra(id, Some(distance)) => write!(f, "{id:?} is mirrored at {distance} units"),
            Self::Pose(id, mirrored, expected) => write!(f, "{id:?} is {mirrored:?}, not {expected:?}"),
            Self::Pose3d(id, poses) => write!(f, "{id:?} is {:?}, not {:?}", poses[0], poses[1]),
            Self::Component(id, component, mirrored, expected) => {
                write!(f, "{component:?} of {id:?} is {mirrored:?}, not {expected:?}")
            }
        }
    }
}

/// Compares one entity field by field. Returns the first difference.
#[must_use]
pub fn compare_entity(
    id: GlobalId,
    mirrored: &ExpectedEntity,
    expected: &ExpectedEntity,
) -> Option<Difference> {
    if mirrored.pose != expected.pose {
        return Some(Difference::Pose(id, mirrored.pose, expected.pose));
    }
    if mirrored.pose_3d != expected.pose_3d {
        let poses = Box::new([mirrored.pose_3d, expected.pose_3d]);
        return Some(Difference::Pose3d(id, poses));
    }
    let all = mirrored.components.keys().chain(expected.components.keys());
    all.copied()
        .find(|key| mirrored.components.get(key) != expected.components.get(key))
        .map(|key| {
            let (mirrored, expected) = (mirrored.components.get(&key), expected.components.get(&key));
            Difference::Component(id, ComponentId(key), mirrored.cloned(), expected.cloned())
        })
}

/// Compares a mirror with a frame and returns the first difference.
///
/// The mirror must contain exactly the entities in view, each equal field by field. Between the radius and
/// [`KEEP_FACTOR`] times the radius an entity may be in the mirror or not, because of hysteresis.
#[must_use]
pub fn compare(mirror: &Mirror, frame: &Frame, player: PlayerId, protocol: &Protocol) -> Option<Difference> {
    let player = player_row(frame, player).expect("the player is in the frame");
    let expected = candidates(frame, player, protocol);
    let mirrored = mirrored(mirror);
    let must = |candidate: &RankedEntity| candidate.distance < player.radius - BORDER_SLACK;
    let missing = expected
        .iter()
        .find(|(id, candidate)| must(candidate) && !mirrored.contains_key(id));
    if let Some((&id, candidate)) = missing {
        return Some(Difference::Missing(id, candidate.distance));
    }
    mirrored.iter().find_map(|(&id, seen)| match expected.get(&id) {
        None => Some(Difference::Extra(id, None)),
        Some(candidate) if candidate.distance > player.radius * KEEP_FACTOR + BORDER_SLACK => {
            Some(Difference::Extra(id, Some(candidate.distance)))
        }
        Some(candidate) => compare_entity(id, seen, &candidate.seen),
    })
}

//! The resources and registrations by which a game lets several simulations share its map.

use std::fmt;

use bevy_app::App;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throng_shared::protocol::codec;

use super::partition::{Partition, SIMULATIONS_MAX};
use super::state::{Simulations, SimulationsConfig};

/// Number of cells along one side of the map.
const CELLS_ACROSS: f32 = 16.0;

/// The size of a game's map, and the reach of its rules across a border. The game's plugin inserts it.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct MapShape {
    /// Side of the square around the origin that contains nearly all entities, in units.
    pub side: f32,
    /// The distance up to which the rules of an entity read other entities, in units; 0 for rules that read
    /// none.
    pub sight: f32,
}

impl Default for MapShape {
    fn default() -> Self {
        Self {
            side: 1_000.0,
            sight: 50.0,
        }
    }
}

impl MapShape {
    /// Returns stripes for `simulations` simulations, 1 to 8, and the configuration with which they share the
    /// map.
    #[must_use]
    pub fn divide(self, simulations: u8) -> (Partition, SimulationsConfig) {
        let partition = Partition::stripes(
            simulations.min(SIMULATIONS_MAX),
            self.side / CELLS_ACROSS,
            self.side,
        );
        let config = SimulationsConfig {
            ghost_reach: self.sight,
            ..SimulationsConfig::default()
        };
        (partition, config)
    }
}

/// The function that returns the position at which the n-th player to join the process appears, counted from 0.
/// The player joins the simulation that owns the position. The function is the same in all simulations.
/// Without this resource, players join the first simulation and migrate from there.
#[derive(Resource)]
pub struct JoinPlaces(pub Box<dyn Fn(u64) -> Vec2 + Send + Sync>);

impl fmt::Debug for JoinPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinPlaces").finish_non_exhaustive()
    }
}

/// Returns whether this simulation owns `position`, and so spawns what the map has there at the start. Of
/// several simulations, exactly one does.
#[must_use]
pub fn owns_position(simulations: Option<&Simulations>, position: Vec2) -> bool {
    simulations.is_none_or(|simulations| simulations.partition().owner(position) == simulations.me())
}

/// Chooses the components of ghosts. Implemented by [`App`].
pub trait GhostAppExt {
    /// Gives a [ghost](crate::simulation::Ghost) the component `T` whenever its entity has one. Every
    /// simulation chooses the same components in the same order, at most 256.
    fn ghost<T>(&mut self) -> &mut Self
    where
        T: Component<Mutability = Mutable> + Serialize + DeserializeOwned;
}

impl GhostAppExt for App {
    fn ghost<T>(&mut self) -> &mut Self
    where
        T: Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        let mut kinds = self.world_mut().get_resource_or_init::<GhostKinds>();
        kinds.0.push(GhostKind {
            read: read::<T>,
            write: write::<T>,
        });
        self
    }
}

/// The components that ghosts have besides their pose, owner and team.
#[derive(Resource, Clone, Debug, Default)]
pub(super) struct GhostKinds(Vec<GhostKind>);

#[derive(Clone, Copy, Debug)]
struct GhostKind {
    read: fn(EntityRef) -> Option<Vec<u8>>,
    write: fn(&mut EntityWorldMut, Option<&[u8]>),
}

impl GhostKinds {
    /// Returns the components of an entity that its ghosts have: the index of each kind, and the encoded
    /// value.
    pub(super) fn read(&self, entity: EntityRef) -> Vec<(u8, Vec<u8>)> {
        let shown = self.0.iter().zip(0..);
        shown
            .filter_map(|(kind, index)| Some((index, (kind.read)(entity)?)))
            .collect()
    }

    /// Gives a ghost these components, and removes those of all other kinds.
    pub(super) fn write(&self, ghost: &mut EntityWorldMut, values: &[(u8, Vec<u8>)]) {
        for (kind, index) in self.0.iter().zip(0..) {
            let value = values.iter().find(|(other, _)| *other == index);
            (kind.write)(ghost, value.map(|(_, bytes)| bytes.as_slice()));
        }
    }
}

fn read<T: Component + Serialize>(entity: EntityRef) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    codec::encode_into(entity.get::<T>()?, &mut bytes).ok()?;
    Some(bytes)
}

fn write<T: Component<Mutability = Mutable> + DeserializeOwned>(
    ghost: &mut EntityWorldMut,
    bytes: Option<&[u8]>,
) {
    match bytes.map(codec::decode_exact::<T>) {
        Some(Ok(value)) => drop(ghost.insert(value)),
        Some(Err(error)) => tracing::error!(%error, "a component of a ghost cannot be decoded"),
        None => drop(ghost.remove::<T>()),
    }
}

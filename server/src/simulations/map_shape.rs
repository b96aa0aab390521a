//! What a game says of its world, so that several simulations can share it.

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

/// Cells from one side of the world to the other.
const CELLS_ACROSS: f32 = 16.0;

/// How large a game's world is, and how far its rules look beyond a border. Inserted by the game's plugin.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct MapShape {
    /// Side of the square around the origin in which nearly everything is, in units.
    pub side: f32,
    /// How far from itself an entity's rules look for others, in units; 0 for rules that look at none.
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
    /// Stripes for so many simulations, 1 to 8, and how they are to share them.
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

/// Where the player is going to appear who is the n-th to join the process, from 0: it joins the simulation that
/// owns the place. The same in all simulations. Without it, players join the first and go from there.
#[derive(Resource)]
pub struct JoinPlaces(pub Box<dyn Fn(u64) -> Vec2 + Send + Sync>);

impl fmt::Debug for JoinPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinPlaces").finish_non_exhaustive()
    }
}

/// Whether this simulation spawns what a world has at `place` from the start: with several, one does.
#[must_use]
pub fn owns_position(simulations: Option<&Simulations>, place: Vec2) -> bool {
    simulations.is_none_or(|simulations| simulations.partition().owner(place) == simulations.me())
}

/// Chooses what ghosts show; implemented by [`App`].
pub trait GhostAppExt {
    /// Gives [ghosts](crate::simulation::Ghost) this component when their entity has it. Every simulation chooses the same
    /// ones in the same order, at most 256.
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
            look: look::<T>,
            show: show::<T>,
        });
        self
    }
}

/// The components that ghosts show.
#[derive(Resource, Clone, Debug, Default)]
pub(super) struct GhostKinds(Vec<GhostKind>);

#[derive(Clone, Copy, Debug)]
struct GhostKind {
    look: fn(EntityRef) -> Option<Vec<u8>>,
    show: fn(&mut EntityWorldMut, Option<&[u8]>),
}

impl GhostKinds {
    /// What an entity shows: the place of each kind that it has, and the encoded value.
    pub(super) fn look(&self, entity: EntityRef) -> Vec<(u8, Vec<u8>)> {
        let shown = self.0.iter().zip(0..);
        shown
            .filter_map(|(kind, place)| Some((place, (kind.look)(entity)?)))
            .collect()
    }

    /// Makes a ghost show these values, and of all other kinds nothing.
    pub(super) fn show(&self, ghost: &mut EntityWorldMut, values: &[(u8, Vec<u8>)]) {
        for (kind, place) in self.0.iter().zip(0..) {
            let value = values.iter().find(|(other, _)| *other == place);
            (kind.show)(ghost, value.map(|(_, bytes)| bytes.as_slice()));
        }
    }
}

fn look<T: Component + Serialize>(entity: EntityRef) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    codec::encode_into(entity.get::<T>()?, &mut bytes).ok()?;
    Some(bytes)
}

fn show<T: Component<Mutability = Mutable> + DeserializeOwned>(
    ghost: &mut EntityWorldMut,
    bytes: Option<&[u8]>,
) {
    match bytes.map(codec::decode_exact::<T>) {
        Some(Ok(value)) => drop(ghost.insert(value)),
        Some(Err(error)) => tracing::error!(%error, "a ghost cannot be shown"),
        None => drop(ghost.remove::<T>()),
    }
}

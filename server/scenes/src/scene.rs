//! The kinds of benchmark scenes, their sizes, and the scene that runs.

use std::fmt;

use bevy_ecs::prelude::*;
use throng_server::process::Thousands;

use crate::size::{crowd_3d_side, crowd_side, hotspot_side};

/// Approximate number of other entities in a client's view in the static scene.
const STATIC_VISIBLE: u32 = 50;

/// The kind and size of a benchmark scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// All entities move in every tick; a client sees `visible` others on average.
    Crowd {
        /// Number of entities at the start.
        entities: u32,
        /// Mean number of others in a client's view.
        visible: u32,
    },
    /// All entities fly in a cube and turn about all axes in every tick; a client sees `visible` others in a sphere on
    /// average.
    Crowd3d {
        /// Number of entities at the start.
        entities: u32,
        /// Mean number of others in a client's view.
        visible: u32,
    },
    /// No entity moves, whatever the clients do.
    Static {
        /// Number of entities at the start.
        entities: u32,
    },
    /// All entities move in every tick, within one view.
    Hotspot {
        /// Number of entities at the start.
        entities: u32,
    },
    /// No entities, and clients get none: connections only.
    Idle,
}

impl Scene {
    /// Returns the number of entities at the start.
    #[must_use]
    pub const fn entities(self) -> u32 {
        match self {
            Self::Crowd { entities, .. }
            | Self::Crowd3d { entities, .. }
            | Self::Static { entities }
            | Self::Hotspot { entities } => entities,
            Self::Idle => 0,
        }
    }

    /// Returns the side of the square world around the origin, in units; in space that of the cube.
    #[must_use]
    pub fn side(self) -> f32 {
        match self {
            Self::Crowd3d { entities, visible } => crowd_3d_side(entities, visible),
            Self::Crowd { entities, visible } => crowd_side(entities, visible),
            Self::Static { entities } => crowd_side(entities, STATIC_VISIBLE),
            Self::Hotspot { .. } | Self::Idle => hotspot_side(),
        }
    }

    /// Returns whether the entities move.
    pub(crate) const fn moves(self) -> bool {
        matches!(self, Self::Crowd { .. } | Self::Hotspot { .. })
    }

    /// Returns whether the entities move in space.
    pub(crate) const fn moves_in_space(self) -> bool {
        matches!(self, Self::Crowd3d { .. })
    }
}

/// Names the scene and its size, for the start banner.
impl fmt::Display for Scene {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entities = Thousands(u64::from(self.entities()));
        match self {
            Self::Crowd { visible, .. } => {
                write!(out, "crowd: {entities} moving entities, a client sees {visible}")
            }
            Self::Crowd3d { visible, .. } => {
                write!(
                    out,
                    "crowd3: {entities} entities that move in space, a client sees {visible}"
                )
            }
            Self::Static { .. } => write!(out, "static: {entities} resting entities"),
            Self::Hotspot { .. } => write!(out, "hotspot: {entities} moving entities, all in one view"),
            Self::Idle => out.write_str("idle: no entities"),
        }
    }
}

/// The running scene and the size of its world.
#[derive(Resource, Clone, Copy, Debug)]
pub struct RunningScene {
    /// The kind and size of the scene.
    pub scene: Scene,
    /// Side of the square world around the origin, in units.
    pub side: f32,
}

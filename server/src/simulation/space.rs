//! Where entities are and what viewers see of them, as resources.

use bevy_ecs::prelude::Resource;

use crate::space::{AreaTable, SpatialIndex};

/// Where everybody is. Follows the rows in `Index`; queries during `Simulate` see the last tick.
#[derive(Resource, Debug, Default)]
pub struct Space(pub SpatialIndex);

/// The areas in somebody's sight.
#[derive(Resource, Debug, Default)]
pub struct Areas(pub AreaTable);

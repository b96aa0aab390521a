//! The spatial index of the entities and the areas that viewers see, as resources.

use bevy_ecs::prelude::Resource;

use crate::space::{AreaTable, SpatialIndex};

/// The positions of all replicated entities. Updated in `Index`, so that queries during `Simulate` return the
/// positions of the last tick.
#[derive(Resource, Debug, Default)]
pub(crate) struct Space(pub SpatialIndex);

/// The areas that players and watchers see.
#[derive(Resource, Debug, Default)]
pub(crate) struct Areas(pub AreaTable);

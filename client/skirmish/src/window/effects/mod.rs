//! Short-lived visual effects: explosions, sparks, laser beams, trails.
//!
//! The effects are made by the client; the server sends only their causes: a beam, a lost hull point, a destroyed
//! entity.

mod beams;
mod explosions;
mod hits;
mod particles;
mod trails;

use bevy::prelude::*;

/// Shows short-lived visual effects.
pub(crate) struct EffectsPlugin;

impl Plugin for EffectsPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((
            beams::BeamsPlugin,
            explosions::ExplosionsPlugin,
            hits::HitsPlugin,
            trails::TrailsPlugin,
            particles::ParticlesPlugin,
        ));
    }
}

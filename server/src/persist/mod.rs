//! Checkpoints: saves a whole world as bytes, and loads it.
//!
//! Owns the list of types that a checkpoint holds ([`PersistAppExt::persist`]), the format, and the order in
//! which a world is restored. Guarantees that a [loaded](load) world continues exactly as the [saved](save)
//! one, and that bytes which are not a checkpoint are an error and never a panic. Refuses to know where the
//! bytes are stored.
//!
//! A checkpoint is made between two ticks. It holds, with all persisted components, replicated entities,
//! players, and every other entity that has a component the app persists. Of resources, it holds the
//! persisted ones, and the effects in transit of a single simulation. References between entities are kept.
//! It does not hold state that exists only within a tick or outside the world: `Local`s, buffered messages
//! that wait for the next tick, past frames, the order in which queries iterate.
//!
//! ```
//! use bevy_app::App;
//! use bevy_ecs::prelude::*;
//! use serde::{Deserialize, Serialize};
//! use throng_server::persist::{PersistAppExt, load, save};
//! use throng_server::runner::finish_plugins;
//! use throng_server::simulation::{Replicated, SimulationPlugin};
//! use throng_shared::protocol::pose::Position;
//!
//! /// Never sent to clients.
//! #[derive(Component, Serialize, Deserialize, Clone)]
//! struct Cargo(u32);
//!
//! fn game() -> App {
//!     let mut app = App::new();
//!     app.add_plugins(SimulationPlugin::default()).persist::<Cargo>();
//!     finish_plugins(&mut app);
//!     app
//! }
//!
//! let mut before = game();
//! before.world_mut().spawn((Replicated::default(), Position::default(), Cargo(7)));
//! let bytes = save(before.world_mut())?;
//!
//! let mut after = game();
//! load(&mut after, &bytes)?;
//! let world = after.world_mut();
//! assert_eq!(world.query::<&Cargo>().single(world)?.0, 7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entities;
mod format;
mod group;
mod load;
mod registry;
mod save;
#[cfg(test)]
mod tests;

pub use format::{FORMAT_VERSION, FormatError};
pub(crate) use group::{Group, SharedName};
pub use load::{LoadError, end_sessions, load};
pub use registry::PersistAppExt;
pub(crate) use registry::Persisted;
pub use save::{SaveError, save};

//! Throng's client core, without rendering: connect, mirror, acknowledge, send inputs, reconnect.
//!
//! # Write a client
//!
//! [`prelude`] has what a game's client needs. [`ClientWorldPlugin`](prelude::ClientWorldPlugin) connects and mirrors
//! what the player sees in the app's `World`; [`InterpolateAppExt`](prelude::InterpolateAppExt) and
//! [`PredictAppExt`](prelude::PredictAppExt) choose how components are shown; [`NextInput`](prelude::NextInput) takes the
//! player's controls.
//!
//! ```
//! use bevy_app::App;
//! use bevy_ecs::prelude::*;
//! use throng_client::prelude::*;
//!
//! fn draw(shown: Query<&Shown<Position>>) {
//!     for position in &shown {
//!         // draw the entity
//!         let _ = position.0;
//!     }
//! }
//!
//! fn client(app: &mut App) {
//!     app.interpolate::<Position>(POSITION_INTERPOLATION)
//!         .add_plugins(ClientWorldPlugin {
//!             settings: ClientSettings::new("localhost:8080", "Ada"),
//!         })
//!         .add_systems(bevy_app::Update, draw);
//! }
//! ```
//!
//! `docs/client.md` is the manual.
//!
//! # Find the layer
//!
//! From the inside out: [`connection`] is one session without sockets or clocks. [`player`] drives it over UDP
//! and joins again when it ends. [`world`] writes what the session sees into a Bevy `World`. [`predict`] and
//! [`interpolate`] compute which value is drawn for each entity. [`stats`] measures the connection. [`mod@bots`] runs many
//! clients of a game in one process and prints their figures as a [`table`].

pub mod blend;
pub mod bots;
pub mod connection;
pub mod interpolate;
pub mod join;
pub mod link;
pub mod mirror;
pub mod player;
pub mod predict;
pub mod prelude;
pub mod schedule;
pub mod stats;
pub mod table;
pub mod time;
pub mod world;

pub use bots::bots;

/// Compiles the manual's examples as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
pub struct Manual;

//! Throng's headless, server-authoritative game server as a library.
//!
//! A game is a Bevy plugin. The server runs it in ticks of fixed length, sends each client the entities that the
//! client can see, and gives the game each player's input in its tick.
//!
//! # Write a game
//!
//! Everything that systems of a game use is in [`prelude`]:
//!
//! - Components: [`Replicated`](prelude::Replicated) makes an entity visible to clients, with
//!   [`Owner`](prelude::Owner), [`Team`](prelude::Team), [`Room`](prelude::Room) and
//!   [`Importance`](prelude::Importance). On a player's entity, [`Avatar`](prelude::Avatar),
//!   [`Viewer`](prelude::Viewer) and [`Eye`](prelude::Eye) say what it plays and sees.
//! - From the engine: the messages [`PlayerJoined`](prelude::PlayerJoined) and [`PlayerLeft`](prelude::PlayerLeft), and
//!   on each player's entity the component [`ActiveInput`](prelude::ActiveInput), its input of the tick.
//! - System parameters: [`Nearby`](prelude::Nearby) finds entities, [`Tell`](prelude::Tell) sends messages,
//!   [`Rewind`](prelude::Rewind) compensates lag, [`Parallel`](prelude::Parallel) uses more threads, and
//!   [`Seed`](prelude::Seed) gives random numbers that a replay repeats.
//! - Registration: [`ProtocolAppExt`](prelude::ProtocolAppExt) for what clients receive and send, and
//!   [`PersistAppExt`](prelude::PersistAppExt) for what checkpoints contain.
//!
//! Systems run in `FixedUpdate`, in a phase of [`ServerSystems`](prelude::ServerSystems), most in `Simulate`. This is
//! a whole server:
//!
//! ```no_run
//! use bevy_app::{App, AppExit, FixedUpdate};
//! use bevy_ecs::prelude::*;
//! use throng_server::prelude::*;
//!
//! fn game(app: &mut App) {
//!     app.add_systems(FixedUpdate, (welcome, drift).chain().in_set(ServerSystems::Simulate));
//! }
//!
//! fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
//!     for &PlayerJoined { entity, player } in joined.read() {
//!         let avatar = commands.spawn((Replicated::default(), Owner(player.id))).id();
//!         commands.entity(entity).insert((Avatar(avatar), Viewer { radius: 50.0 }));
//!     }
//! }
//!
//! fn drift(mut positions: Query<&mut Position>, time: Res<TickTime>) {
//!     for mut position in &mut positions {
//!         position.0.x += time.length.as_secs_f32();
//!     }
//! }
//!
//! fn main() -> AppExit {
//!     serve(game)
//! }
//! ```
//!
//! `docs/gameplay.md` builds a larger game step by step.
//!
//! # Run it
//!
//! - [`process::serve`] is the whole `main` of a game; [`process::serve_game`] that of a [`Game`](process::Game) with
//!   settings of its own. [`process::Server`] is for a program that embeds the server.
//! - [`config::ServerSettings`] has the settings, which are flags, environment variables and keys of a file.
//! - [`persist`] saves the world as bytes and loads it. [`record`] records a running server and replays the recording.
//! - [`ServerPlugins`] with [`runner::tick_once`] runs a simulation by hand, without sockets, as tests do.
//!   [`boundary`] has the values that a simulation and its clients' workers exchange.
//!
//! # Watch it
//!
//! - `GET /v1/stats` returns an [`observe::StatsReport`]: the times of ticks and their phases, traffic, memory.
//! - Systems in the phase `Meter` read the same figures from resources: [`schedule::TickTimings`] and
//!   [`input::InputCounters`], and [`simulation::Frames`] has what was published.
//! - Settings such as `--audit` and `--record` are described in `docs/commands.md`, the figures in `docs/stats.md`.
//!
//! # Several simulations
//!
//! With `--simulations N` the plane is divided among simulations, each on a thread of its own. A game says with
//! [`MapShape`](prelude::MapShape) how large the map is, asks [`Simulations`](prelude::Simulations) what it owns,
//! shows [`Ghost`](prelude::Ghost)s of entities beyond a border, and reaches entities and players wherever
//! they are with [`TellEntity`](prelude::TellEntity). [`simulations`] has the rules.

/// Compiles the examples of `docs/persistence.md` as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/persistence.md")]
pub struct PersistencePage;

pub mod boundary;
pub mod config;
mod http;
pub mod input;
#[doc(hidden)]
pub mod internals;
mod net;
pub mod observe;
pub mod persist;
mod plugins;
pub mod prelude;
pub mod process;
pub mod record;
pub mod replication;
pub mod runner;
pub mod schedule;
pub mod simulation;
pub mod simulations;
mod space;
#[cfg(test)]
mod tests;
mod transport;

pub use plugins::ServerPlugins;

//! Bots for a game of one's own: many clients without a window in one thread, and a table of what they measured.
//!
//! [`bots`] takes the plugins of the game's client that register its protocol, and what its bots do. Each bot is a client
//! like a player's: an `App` with the mirrored world, a session over UDP and its own socket, perhaps behind a bad line.
//! One thread drives all of them. A bot's datagrams are received within two milliseconds; its app is updated about once
//! per tick of the server, after the tick's snapshot, and not once per frame of a screen. The module refuses to draw and
//! to run faster than time passes; `LocalGame` of `throng-local` plays in virtual time.
//!
//! ```no_run
//! use bevy_app::prelude::*;
//! use bevy_ecs::prelude::*;
//! use serde::{Deserialize, Serialize};
//! use throng_client::prelude::*;
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Stick(i8);
//! impl PlayerInput for Stick {}
//!
//! fn protocol(app: &mut App) {
//!     app.input::<Stick>();
//! }
//!
//! fn wander(protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
//!     Ok(next.set(&protocol, &Stick(1))?)
//! }
//!
//! fn main() -> AppExit {
//!     bots(protocol, 50)
//!         .drive(|app, _| { app.add_systems(Update, wander); })
//!         .main(std::env::args().skip(1))
//! }
//! ```

mod builder;
mod error;
mod figures;
mod flags;
mod game_bot;
mod log;
mod program;
mod quantiles;
mod recipe;
mod report;
mod run;

pub use builder::{Bots, bots};
pub use error::BotsError;
pub use recipe::BOTS_MAX;
pub use report::{BotProblem, BotsReport};

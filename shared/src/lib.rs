//! What a Throng server and its clients agree on: the protocol, its limits, and the sans-IO transport.
//!
//! # Write a game's protocol
//!
//! [`prelude`] has what the plugin needs that both ends of a game add: [`ProtocolAppExt`](prelude::ProtocolAppExt)
//! registers components, inputs and messages, [`Visibility`](prelude::Visibility) limits who receives a component,
//! and [`Position`](prelude::Position), [`Velocity`](prelude::Velocity) and [`Heading`](prelude::Heading) are the pose
//! that every replicated entity has.
//!
//! ```
//! use bevy_app::App;
//! use bevy_ecs::prelude::*;
//! use serde::{Deserialize, Serialize};
//! use throng_shared::prelude::*;
//!
//! #[derive(Component, Clone, Serialize, Deserialize)]
//! struct Hull(u16);
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Stick(i8);
//! impl PlayerInput for Stick {}
//!
//! fn protocol(app: &mut App) {
//!     app.replicate::<Hull>().visible_to(Visibility::Owner);
//!     app.input::<Stick>();
//! }
//!
//! App::new().add_plugins(protocol);
//! ```
//!
//! # Write another client
//!
//! - [`protocol`] has the packets, their codecs and the hash that both ends compare.
//! - [`netcode`] seals packets and opens sessions from connect tokens; [`reliable`] carries messages over them.
//! - [`limits`] has the bounds, and [`tick`] the clock. `docs/transport.md` describes the bytes.

pub mod failures;
pub mod files;
pub mod hash;
pub mod limits;
pub mod netcode;
pub mod prefetch;
pub mod prelude;
pub mod protocol;
pub mod random;
pub mod reliable;
pub mod tick;

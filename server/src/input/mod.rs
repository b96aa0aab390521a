//! Players' inputs, from the [`Inbox`] to the input that gameplay reads in its tick.
//!
//! Owns the systems of `Receive` and `Input`. Guarantees that every player has exactly one input in every
//! tick: the one sent for it, or the last one repeated for 1.5 s, or the neutral one. Guarantees also
//! that the memory for a player is bounded whatever its client sends, and that every unused input is counted.
//! Refuses to interpret inputs: gameplay reads [`ActiveInput`].

mod apply;
mod counters;
pub(crate) mod inbox;
mod receive;

use bevy_app::{App, FixedUpdate, Plugin};
use bevy_ecs::prelude::*;
use throng_shared::protocol::registry::Protocol;

use crate::schedule::ServerSystems;
use crate::simulation::expire_away;
use apply::take_inputs;
use receive::apply_inbox;

pub use counters::InputCounters;
pub(crate) use inbox::empty_inbox;
pub(crate) use inbox::{Inbox, drain_links};
#[doc(no_inline)]
pub use throng_shared::protocol::active::{ActiveInput, SeenAt, TakenInput};

/// Applies the values in the [`Inbox`], and gives every player an [`ActiveInput`] of the type that the
/// protocol registered, if it registered one.
pub struct ReceivePlugin;

impl Plugin for ReceivePlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Inbox>().init_resource::<InputCounters>();
        app.add_systems(
            FixedUpdate,
            (
                (drain_links, apply_inbox, expire_away)
                    .chain()
                    .in_set(ServerSystems::Receive),
                empty_inbox.in_set(ServerSystems::Record),
            ),
        );
    }

    /// This is not in `build`, because the protocol is complete only when all plugins are built.
    fn finish(&self, app: &mut App) {
        let take = take_inputs.in_set(ServerSystems::Input);
        app.world_mut().init_resource::<Protocol>();
        let decode = app
            .world_mut()
            .resource_scope(|world, protocol: Mut<Protocol>| protocol.add_input_decoder(world));
        match decode {
            Some(decode) => app.add_systems(FixedUpdate, (take, decode.in_set(ServerSystems::Input)).chain()),
            None => app.add_systems(FixedUpdate, take),
        };
    }
}

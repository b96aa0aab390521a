//! What the games of several tests have in common.

use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use throng_client::link::LinkConditions;
use throng_server::prelude::*;
use throng_shared::protocol::ids::GlobalId;

use super::LocalGame;

/// Gives each player that joins an avatar of its own, and a view around it.
pub(crate) fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        let owner = Owner(joined.player.id);
        let avatar = commands.spawn((Replicated::default(), owner)).id();
        let view = Viewer { radius: 50.0 };
        commands.entity(joined.entity).insert((Avatar(avatar), view));
    }
}

/// Runs a system once in the server's world.
pub(crate) fn say<M>(game: &mut LocalGame, system: impl IntoSystem<(), (), M> + 'static) {
    game.server().run_system_once(system).unwrap();
}

/// Returns the global id of a replicated entity at the server.
pub(crate) fn global(game: &mut LocalGame, entity: Entity) -> GlobalId {
    game.server().get::<Replicated>(entity).unwrap().global()
}

/// Returns a line that loses this share of the datagrams each way.
pub(crate) fn lossy(loss: f64) -> LinkConditions {
    LinkConditions {
        loss,
        ..LinkConditions::PERFECT
    }
}

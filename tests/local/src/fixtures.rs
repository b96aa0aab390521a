//! What the games of several tests have in common.

use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use throng_client::link::LinkConditions;
use throng_client::world::WorldMirror;
use throng_server::prelude::*;
use throng_shared::protocol::ids::GlobalId;

use super::{LocalGame, LocalPlayer};

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

/// Returns the avatar of a player at the server.
pub(crate) fn avatar(game: &mut LocalGame, player: LocalPlayer) -> Entity {
    let player = game.player(player).unwrap();
    game.server().get::<Avatar>(player).unwrap().0
}

/// Returns the client's entity for a replicated one of the server, if it is in view.
pub(crate) fn seen(game: &mut LocalGame, player: LocalPlayer, entity: Entity) -> Option<Entity> {
    let global = global(game, entity);
    game.world(player).resource::<WorldMirror>().find(global)
}

/// Returns the code between two lines of a file, with which a page is compared.
pub(crate) fn between(file: &'static str, begin: &str, end: &str) -> &'static str {
    let (_, rest) = file.split_once(begin).unwrap();
    rest.split_once(end).unwrap().0.trim()
}

/// Returns a line that loses this share of the datagrams each way.
pub(crate) fn lossy(loss: f64) -> LinkConditions {
    LinkConditions {
        loss,
        ..LinkConditions::PERFECT
    }
}

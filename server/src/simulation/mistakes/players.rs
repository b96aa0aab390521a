//! Players that see nothing or control nothing, where the game has most likely forgotten a component.
//!
//! A player is checked once, a second after it joined, and again a second after it got an avatar. Guarantees that each
//! mistake is logged once in a run of the server, whatever the number of players. What a game does on purpose has a way
//! to say so, which the line names.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::message::MessageCursor;
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{PlayerId, Team};
use throng_shared::protocol::registry::{Protocol, Visibility};
use throng_shared::tick::Tick;

use super::super::away::Away;
use super::super::players::{Avatar, Eye, Player, PlayerJoined, Viewer};
use super::super::replicated::{Owner, Replicated};
use crate::boundary::link::PeerKind;
use crate::runner::TickTime;

/// Time after which a player is complete.
const GRACE: Duration = Duration::from_secs(1);
/// Players that wait to be checked. More are not checked: the first ones show the mistake.
const WAITING_MAX: usize = 1_024;

/// What the line of a player without components adds.
const WELCOME: &str = "At `PlayerJoined` write `commands.entity(joined.entity).insert((Avatar(entity), Viewer { radius: 50.0 }))`";

/// The players to check, and what was logged.
#[derive(Default)]
pub(super) struct PlayerChecks {
    joined: MessageCursor<PlayerJoined>,
    /// The players that got an avatar in this tick.
    fresh: Vec<Entity>,
    waiting: VecDeque<(Tick, Entity)>,
    said: LoggedOfPlayers,
    viewers: Option<QueryState<(&'static Player, &'static Eye, &'static Viewer)>>,
    next_scan: Option<Tick>,
}

/// The mistakes that were logged.
#[derive(Default)]
struct LoggedOfPlayers {
    incomplete: bool,
    hidden_avatar: bool,
    absent_avatar: bool,
    no_owner: bool,
    blind_view: bool,
}

impl PlayerChecks {
    /// Notes a player that got an avatar.
    pub(super) fn note_avatar(&mut self, player: Entity) {
        if self.fresh.len() < WAITING_MAX {
            self.fresh.push(player);
        }
    }

    /// Checks the players whose time has come.
    pub(super) fn check(&mut self, world: &mut World) {
        let &TickTime { tick, length, .. } = world.resource();
        let grace = GRACE.as_nanos().div_ceil(length.as_nanos().max(1)) as u32;
        for player in self.fresh.drain(..) {
            self.said.check_presence(world, player);
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back((tick + grace, player));
            }
        }
        for joined in self.joined.read(world.resource::<Messages<PlayerJoined>>()) {
            if joined.player.kind == PeerKind::Throng && self.waiting.len() < WAITING_MAX {
                self.waiting.push_back((tick + grace, joined.entity));
            }
        }
        while let Some((_, player)) = self.waiting.pop_front_if(|(due, _)| tick.since(*due) >= 0) {
            self.said.check_player(world, player);
        }
        if !self.said.blind_view && self.next_scan.is_none_or(|next| tick.since(next) >= 0) {
            self.next_scan = Some(tick + grace);
            let viewers = self.viewers.get_or_insert_with(|| world.query());
            for (player, eye, viewer) in viewers.iter(world) {
                self.said.check_view(player, eye, viewer);
            }
        }
    }
}

/// Returns the name and the visibility of the entity's first registered component with such a visibility.
fn find_component(
    world: &mut World,
    entity: Entity,
    is_sought: impl Fn(Visibility) -> bool,
) -> Option<(&'static str, Visibility)> {
    let find = |world: &mut World, protocol: Mut<Protocol>| {
        let mut sought = protocol
            .components()
            .iter()
            .filter(|entry| is_sought(entry.visibility));
        let found = sought.find(|entry| {
            let component = entry.register(world);
            world.entity(entity).contains_id(component)
        });
        found.map(|entry| (entry.name, entry.visibility))
    };
    world.try_resource_scope(find)?
}

impl LoggedOfPlayers {
    /// Logs an avatar that does not exist at the end of the tick in which its player got it.
    fn check_presence(&mut self, world: &World, player: Entity) {
        let (Some(player), Some(avatar)) = (world.get::<Player>(player), world.get::<Avatar>(player)) else {
            return;
        };
        if world.get_entity(avatar.0).is_err() && !std::mem::replace(&mut self.absent_avatar, true) {
            tracing::warn!(
                player = player.id.0, name = %player.name, avatar = %avatar.0,
                "the `Avatar` of a player names an entity that does not exist. A player without an avatar has no `Avatar` \
                 component: remove it"
            );
        }
    }

    /// Checks a player that has had the time to become complete.
    fn check_player(&mut self, world: &mut World, player: Entity) {
        let Ok(player) = world.get_entity(player) else {
            return;
        };
        let Some(&identity) = player.get::<Player>().filter(|_| !player.contains::<Away>()) else {
            return;
        };
        let avatar = player.get::<Avatar>().copied();
        let (id, name) = (identity.id.0, identity.name);
        // A spectator's eye is where the game has put it.
        let has_eye = player
            .get_ref::<Eye>()
            .is_some_and(|eye| eye.last_changed() != eye.added());
        let missing = match (avatar, player.get::<Viewer>()) {
            (None, None) => "neither `Avatar` nor `Viewer`, so that it sees and controls nothing",
            (Some(_), None) => "an `Avatar` and no `Viewer`, so that it sees nothing around its avatar",
            (None, Some(viewer)) if viewer.radius > 0.0 && !has_eye => {
                "a `Viewer` and neither an `Avatar` nor an `Eye` that was set, so that it sees what is at 0 and controls nothing"
            }
            _ => "",
        };
        if !missing.is_empty()
            && identity.kind == PeerKind::Throng
            && !std::mem::replace(&mut self.incomplete, true)
        {
            tracing::warn!(
                player = id, %name,
                "a second after it joined a player has {missing}. {WELCOME}. If it is meant: `Viewer {{ radius: 0.0 }}` is a \
                 player that sees nothing, as in a lobby, and one that sees without an avatar has an `Eye(..)`"
            );
        }
        if let Some(avatar) = avatar {
            self.check_avatar(world, &identity, avatar.0);
        }
    }

    /// Checks the avatar of a player. One that does not exist may have died.
    fn check_avatar(&mut self, world: &mut World, player: &Player, entity: Entity) {
        let Ok(avatar) = world.get_entity(entity) else {
            return;
        };
        let (id, name) = (player.id.0, player.name);
        let Some(replicated) = avatar.get::<Replicated>().copied() else {
            if !std::mem::replace(&mut self.hidden_avatar, true) {
                tracing::warn!(
                    player = id, %name, avatar = %entity,
                    "the `Avatar` of a player names an entity without `Replicated`: no client sees it, and the player has no \
                     `Own` entity. Spawn it with `Replicated::default()`"
                );
            }
            return;
        };
        let has_owner = avatar
            .get::<Owner>()
            .is_some_and(|owner| owner.0 != PlayerId::NONE);
        let has_team = avatar.contains::<Team>();
        if self.no_owner || (has_owner && has_team) {
            return;
        }
        let is_unseen = |visibility| match visibility {
            Visibility::Owner => !has_owner,
            Visibility::Team => !has_team,
            Visibility::Everyone | Visibility::Custom => false,
        };
        let Some((component, visibility)) = find_component(world, entity, is_unseen) else {
            return;
        };
        self.no_owner = true;
        let (to, with) = match visibility {
            Visibility::Team => ("team", "Team(..)"),
            _ => ("owner", "Owner(joined.player.id)"),
        };
        tracing::warn!(
            player = id, %name, entity = %replicated.global(), component,
            "an avatar has a component that only its {to} is sent, and no {to}: no client is sent it. Spawn the avatar \
             with `{with}`"
        );
    }

    /// Logs a view that contains nothing because of a wrong number.
    fn check_view(&mut self, player: &Player, eye: &Eye, viewer: &Viewer) {
        if (viewer.radius >= 0.0 && eye.0.is_finite()) || std::mem::replace(&mut self.blind_view, true) {
            return;
        }
        tracing::error!(
            player = player.id.0, name = %player.name,
            "a player sees nothing, for its view is no circle: `Viewer {{ radius: {} }}` around `Eye({})`. The radius is 0 or \
             more, and the eye is finite",
            viewer.radius,
            eye.0
        );
    }
}

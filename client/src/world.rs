//! The mirror in a Bevy `World`: entities come, change and go with what the player sees.
//!
//! [`WorldMirror`] is the bridge: it hears what each snapshot changed and spawns, writes or despawns just
//! that, so that change detection tells systems exactly what is new. [`ClientWorldPlugin`] drives a
//! [`Client`] with it once a frame. Poses are written as the server last sent them; interpolation and
//! prediction are built on top. Components that do not decode are skipped and counted: a server of another
//! build must not end the game.

use bevy_app::{App, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{ComponentId, GlobalId};
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::registry::Protocol;
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::tick::Tick;

use crate::connection::ClientEvent;
use crate::mirror::{MirrorEntity, MirrorObserver};
use crate::player::{Client, ClientSettings, PlayerEvent};

/// An entity that lives on the server and is seen here.
#[derive(Component, Debug, Clone, Copy, PartialEq, Eq)]
#[require(Position, Velocity, Heading)]
pub struct Mirrored {
    /// The session's name for it.
    pub id: ShortId,
    /// Tick of the state in `Position`, `Velocity` and `Heading`.
    pub tick: Tick,
}

/// The entity that the player acts through.
#[derive(Component, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own;

/// Which entity of the world stands for which of the session's.
#[derive(Resource, Debug, Default)]
pub struct WorldMirror {
    entities: Vec<Option<Entity>>,
    own: Option<Entity>,
    undecodable: u64,
}

impl WorldMirror {
    /// The entity with this short id, while it is in view.
    pub fn entity(&self, id: ShortId) -> Option<Entity> {
        self.entities.get(id.index()).copied().flatten()
    }

    /// The player's own entity, while it is in view.
    pub fn own(&self) -> Option<Entity> {
        self.own
    }

    /// Components skipped because their bytes are not a value of the registered type.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// An observer that writes into `world`.
    pub fn observer<'a>(
        &'a mut self,
        world: &'a mut World,
        protocol: &'a Protocol,
    ) -> impl MirrorObserver + 'a {
        WorldObserver {
            mirror: self,
            world,
            protocol,
        }
    }

    /// Despawns everything, as when the session ends.
    pub fn clear(&mut self, world: &mut World) {
        self.own = None;
        for entity in self.entities.drain(..).flatten() {
            world.despawn(entity);
        }
    }
}

struct WorldObserver<'a> {
    mirror: &'a mut WorldMirror,
    world: &'a mut World,
    protocol: &'a Protocol,
}

impl WorldObserver<'_> {
    fn follow_own(&mut self, seen: &MirrorEntity, entity: Entity) {
        if seen.is_own == (self.mirror.own == Some(entity)) {
            return;
        }
        if let Some(former) = self.mirror.own.take()
            && let Ok(mut former) = self.world.get_entity_mut(former)
        {
            former.remove::<Own>();
        }
        if seen.is_own {
            self.mirror.own = Some(entity);
            self.world.entity_mut(entity).insert(Own);
        }
    }
}

impl MirrorObserver for WorldObserver<'_> {
    fn entered(&mut self, seen: &MirrorEntity) {
        let mirrored = Mirrored {
            id: seen.id,
            tick: seen.tick,
        };
        let pose = unpack(&seen.pose);
        let entity = self.world.spawn((mirrored, seen.global, pose)).id();
        let index = seen.id.index();
        if self.mirror.entities.len() <= index {
            self.mirror.entities.resize(index + 1, None);
        }
        if let Some(former) = self.mirror.entities[index].replace(entity) {
            // The mirror says `left` before it gives a short id away; a second entry replaces the first.
            self.world.despawn(former);
        }
        self.follow_own(seen, entity);
    }

    fn updated(&mut self, seen: &MirrorEntity) {
        let Some(entity) = self.mirror.entity(seen.id) else {
            return;
        };
        let Ok(mut target) = self.world.get_entity_mut(entity) else {
            return;
        };
        let (position, velocity, heading) = unpack(&seen.pose);
        // Each field by itself: change detection then fires for what moved and not for what only turned.
        if let Some(mut field) = target.get_mut::<Position>() {
            field.set_if_neq(position);
        }
        if let Some(mut field) = target.get_mut::<Velocity>() {
            field.set_if_neq(velocity);
        }
        if let Some(mut field) = target.get_mut::<Heading>() {
            field.set_if_neq(heading);
        }
        if let Some(mut mirrored) = target.get_mut::<Mirrored>() {
            mirrored.tick = seen.tick;
        }
        self.follow_own(seen, entity);
    }

    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        let Some(entity) = self.mirror.entity(id) else {
            return;
        };
        let Ok(mut target) = self.world.get_entity_mut(entity) else {
            return;
        };
        let inserted = self
            .protocol
            .component(component)
            .map(|entry| entry.insert(&mut target, bytes));
        if !matches!(inserted, Some(Ok(()))) {
            self.mirror.undecodable += 1;
            tracing::debug!(?component, "a component's bytes are not a value of its type");
        }
    }

    fn component_removed(&mut self, id: ShortId, component: ComponentId) {
        let Some(entity) = self.mirror.entity(id) else {
            return;
        };
        if let Ok(mut target) = self.world.get_entity_mut(entity)
            && let Some(entry) = self.protocol.component(component)
        {
            entry.remove(&mut target);
        }
    }

    fn left(&mut self, id: ShortId, _: GlobalId) {
        let Some(entity) = self.mirror.entities.get_mut(id.index()).and_then(Option::take) else {
            return;
        };
        if self.mirror.own == Some(entity) {
            self.mirror.own = None;
        }
        // Gameplay may have despawned it already, for effects that must not wait for the server.
        if let Ok(target) = self.world.get_entity_mut(entity) {
            target.despawn();
        }
    }
}

fn unpack(pose: &Pose) -> (Position, Velocity, Heading) {
    (pose.position(), pose.velocity(), pose.heading())
}

/// The input that is sent for every tick until it is replaced. Neutral to begin with.
#[derive(Resource, Debug, Clone, Copy, Default)]
pub struct NextInput(pub InputBytes);

/// What happened on the connection, as a message for systems.
#[derive(Message, Debug)]
pub struct ConnectionEvent(pub PlayerEvent);

/// The connection; absent before [`ClientWorldPlugin`] is built.
#[derive(Resource)]
pub struct Connection(pub Client);

/// Connects one player and mirrors what it sees into the app's world, in `PreUpdate`.
///
/// Add it after the plugins that register the protocol's types: both ends must register the same.
pub struct ClientWorldPlugin {
    /// Who plays where.
    pub settings: ClientSettings,
}

impl Plugin for ClientWorldPlugin {
    fn build(&self, app: &mut App) {
        let protocol = app.world_mut().get_resource_or_init::<Protocol>().clone();
        app.insert_resource(Connection(Client::new(self.settings.clone(), &protocol)))
            .insert_resource(NextInput(protocol.neutral_input()))
            .init_resource::<WorldMirror>()
            .add_message::<ConnectionEvent>()
            .add_systems(PreUpdate, poll_connection);
    }
}

/// Polls the connection and applies what it brings.
pub fn poll_connection(world: &mut World) {
    world.resource_scope(|world, mut connection: Mut<Connection>| {
        world.resource_scope(|world, protocol: Mut<Protocol>| {
            world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
                let input = world.get_resource::<NextInput>().copied().unwrap_or_default().0;
                let mut events = Vec::new();
                let mut observer = mirror.observer(world, &protocol);
                connection.0.poll(|_| input, &mut observer, &mut events);
                drop(observer);
                if connection.0.core().is_none() {
                    mirror.clear(world);
                }
                // One a packet would drown the others; what a snapshot changed is in the world.
                events.retain(|event| !matches!(event, PlayerEvent::Session(ClientEvent::Snapshot(_))));
                world.write_message_batch(events.into_iter().map(ConnectionEvent));
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use throng_shared::protocol::registry::ProtocolAppExt;

    #[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Hull(u16);

    fn seen(id: u16, x: i32, is_own: bool) -> MirrorEntity {
        let pose = Pose { x, ..Pose::default() };
        MirrorEntity {
            id: ShortId(id),
            global: GlobalId(100 + u64::from(id)),
            pose,
            tick: Tick(x as u32),
            is_own,
        }
    }

    fn app() -> App {
        let mut app = App::new();
        app.replicate::<Hull>();
        app.init_resource::<WorldMirror>();
        app
    }

    fn observe(app: &mut App, act: impl FnOnce(&mut dyn FnMut(Heard<'_>))) {
        app.world_mut().resource_scope(|world, protocol: Mut<Protocol>| {
            world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
                let mut observer = mirror.observer(world, &protocol);
                act(&mut |heard| match heard {
                    Heard::Entered(entity) => observer.entered(&entity),
                    Heard::Updated(entity) => observer.updated(&entity),
                    Heard::Component(id, bytes) => observer.component(ShortId(id), ComponentId(0), bytes),
                    Heard::Removed(id) => observer.component_removed(ShortId(id), ComponentId(0)),
                    Heard::Left(id) => observer.left(ShortId(id), GlobalId(0)),
                });
            });
        });
    }

    enum Heard<'a> {
        Entered(MirrorEntity),
        Updated(MirrorEntity),
        Component(u16, &'a [u8]),
        Removed(u16),
        Left(u16),
    }

    fn entity(app: &App, id: u16) -> Option<Entity> {
        app.world().resource::<WorldMirror>().entity(ShortId(id))
    }

    #[test]
    fn entities_come_change_and_go() {
        let mut app = app();
        observe(&mut app, |hear| {
            hear(Heard::Entered(seen(3, 100, false)));
            hear(Heard::Component(3, &[7]));
            hear(Heard::Entered(seen(4, 0, true)));
        });
        let third = entity(&app, 3).unwrap();
        assert_eq!(app.world().get::<Position>(third).unwrap().0.x, 1.0);
        assert_eq!(app.world().get::<GlobalId>(third), Some(&GlobalId(103)));
        assert_eq!(app.world().get::<Hull>(third), Some(&Hull(7)));
        assert_eq!(app.world().resource::<WorldMirror>().own(), entity(&app, 4));

        observe(&mut app, |hear| {
            hear(Heard::Updated(seen(3, 200, false)));
            hear(Heard::Removed(3));
            hear(Heard::Left(4));
            hear(Heard::Updated(seen(9, 0, false)));
        });
        assert_eq!(app.world().get::<Position>(third).unwrap().0.x, 2.0);
        assert_eq!(app.world().get::<Mirrored>(third).unwrap().tick, Tick(200));
        assert_eq!(app.world().get::<Hull>(third), None);
        assert_eq!(entity(&app, 4), None);
        assert_eq!(app.world().resource::<WorldMirror>().own(), None);

        let mut mirror = app.world_mut().remove_resource::<WorldMirror>().unwrap();
        mirror.clear(app.world_mut());
        assert!(app.world().get_entity(third).is_err());
    }

    #[test]
    fn only_fields_that_changed_are_touched() {
        let mut app = app();
        observe(&mut app, |hear| hear(Heard::Entered(seen(1, 100, false))));
        let first = entity(&app, 1).unwrap();
        app.world_mut().clear_trackers();
        let mut turned = seen(1, 100, false);
        turned.pose.yaw = 12;
        observe(&mut app, |hear| hear(Heard::Updated(turned)));
        let target = app.world().entity(first);
        assert!(target.get_ref::<Heading>().unwrap().is_changed());
        assert!(!target.get_ref::<Position>().unwrap().is_changed());
        assert!(!target.get_ref::<Velocity>().unwrap().is_changed());
    }

    #[test]
    fn the_players_entity_can_become_another_one() {
        let mut app = app();
        observe(&mut app, |hear| {
            hear(Heard::Entered(seen(1, 0, true)));
            hear(Heard::Entered(seen(2, 0, false)));
            hear(Heard::Updated(seen(1, 1, false)));
            hear(Heard::Updated(seen(2, 1, true)));
        });
        let second = entity(&app, 2).unwrap();
        assert_eq!(app.world().resource::<WorldMirror>().own(), Some(second));
        let mut own = app.world_mut().query_filtered::<Entity, With<Own>>();
        assert_eq!(own.iter(app.world()).collect::<Vec<_>>(), [second]);
    }

    #[test]
    fn bytes_of_another_build_are_skipped_and_counted() {
        let mut app = app();
        observe(&mut app, |hear| {
            hear(Heard::Entered(seen(1, 0, false)));
            hear(Heard::Component(1, &[]));
        });
        assert_eq!(app.world().resource::<WorldMirror>().undecodable(), 1);
        assert!(entity(&app, 1).is_some());
    }
}

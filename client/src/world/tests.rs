//! Tests the world mirror's observer: the calls of the mirror, and the contents of the world after them.

use super::*;
use bevy_ecs::hierarchy::{ChildOf, Children};
use bevy_ecs::system::RunSystemOnce;
use throng_shared::protocol::ids::{Channel, ComponentId, GlobalId};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::registry::reference;
use throng_shared::protocol::snapshot::ShortId;
use throng_shared::tick::Tick;

use crate::mirror::{MirrorEntity, MirrorObserver};
use serde::{Deserialize, Serialize};
use throng_shared::protocol::registry::ProtocolAppExt;

#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Hull(u16);

fn seen(id: u16, x: i32, is_own: bool) -> MirrorEntity {
    let pose = Pose { x, ..Pose::default() };
    MirrorEntity {
        id: ShortId(id),
        global: GlobalId(100 + u64::from(id)),
        pose_3d: None,
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

fn observe(app: &mut App, act: impl FnOnce(&mut dyn FnMut(Change<'_>))) {
    app.world_mut().resource_scope(|world, protocol: Mut<Protocol>| {
        world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
            let mut observer = mirror.observer(world, &protocol);
            act(&mut |change| match change {
                Change::Entered(entity) => observer.entered(&entity),
                Change::Updated(entity) => observer.updated(&entity),
                Change::Component(id, bytes) => observer.component(ShortId(id), ComponentId(0), bytes),
                Change::Removed(id) => observer.component_removed(ShortId(id), ComponentId(0)),
                Change::Left(id) => observer.left(ShortId(id), GlobalId(0)),
            });
        });
    });
}

enum Change<'a> {
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
fn entities_are_spawned_updated_and_despawned() {
    let mut app = app();
    observe(&mut app, |apply| {
        apply(Change::Entered(seen(3, 100, false)));
        apply(Change::Component(3, &[7]));
        apply(Change::Entered(seen(4, 0, true)));
    });
    let third = entity(&app, 3).unwrap();
    assert_eq!(app.world().get::<Position>(third).unwrap().0.x, 1.0);
    assert_eq!(app.world().get::<GlobalId>(third), Some(&GlobalId(103)));
    assert_eq!(app.world().get::<Hull>(third), Some(&Hull(7)));
    assert_eq!(app.world().resource::<WorldMirror>().own(), entity(&app, 4));

    observe(&mut app, |apply| {
        apply(Change::Updated(seen(3, 200, false)));
        apply(Change::Removed(3));
        apply(Change::Left(4));
        apply(Change::Updated(seen(9, 0, false)));
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
fn update_triggers_change_detection_of_changed_fields_only() {
    let mut app = app();
    observe(&mut app, |apply| apply(Change::Entered(seen(1, 100, false))));
    let first = entity(&app, 1).unwrap();
    app.world_mut().clear_trackers();
    let mut turned = seen(1, 100, false);
    turned.pose.yaw = 12;
    observe(&mut app, |apply| apply(Change::Updated(turned)));
    let target = app.world().entity(first);
    assert!(target.get_ref::<Heading>().unwrap().is_changed());
    assert!(!target.get_ref::<Position>().unwrap().is_changed());
    assert!(!target.get_ref::<Velocity>().unwrap().is_changed());
}

#[test]
fn own_marker_moves_to_another_entity() {
    let mut app = app();
    observe(&mut app, |apply| {
        apply(Change::Entered(seen(1, 0, true)));
        apply(Change::Entered(seen(2, 0, false)));
        apply(Change::Updated(seen(1, 1, false)));
        apply(Change::Updated(seen(2, 1, true)));
    });
    let second = entity(&app, 2).unwrap();
    assert_eq!(app.world().resource::<WorldMirror>().own(), Some(second));
    let mut own = app.world_mut().query_filtered::<Entity, With<Own>>();
    assert_eq!(own.iter(app.world()).collect::<Vec<_>>(), [second]);
}

#[test]
fn undecodable_components_are_skipped_and_counted() {
    let mut app = app();
    observe(&mut app, |apply| {
        apply(Change::Entered(seen(1, 0, false)));
        apply(Change::Component(1, &[]));
    });
    assert_eq!(app.world().resource::<WorldMirror>().undecodable(), 1);
    assert!(entity(&app, 1).is_some());
}

#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Target(#[entities] Entity);

/// Encodes a component that refers to the entity with this short id in [`seen`].
fn bytes_about(id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let global = GlobalId(100 + u64::from(id));
    throng_shared::protocol::codec::encode_into(&Target(reference(global)), &mut bytes).unwrap();
    bytes
}

#[test]
fn entity_references_are_resolved_as_targets_enter_and_leave() {
    let mut app = App::new();
    app.replicate::<Target>();
    app.init_resource::<WorldMirror>();
    let target = |app: &App, id| app.world().get::<Target>(entity(app, id).unwrap()).unwrap().0;
    observe(&mut app, |apply| {
        apply(Change::Entered(seen(1, 0, false)));
        apply(Change::Component(1, &bytes_about(2)));
    });
    assert_eq!(target(&app, 1), Entity::PLACEHOLDER, "not in view");
    observe(&mut app, |apply| apply(Change::Entered(seen(2, 0, false))));
    assert_eq!(target(&app, 1), entity(&app, 2).unwrap());
    observe(&mut app, |apply| apply(Change::Left(2)));
    assert_eq!(target(&app, 1), Entity::PLACEHOLDER, "out of view");
    // The target comes back under another short id.
    let mut back = seen(9, 0, false);
    back.global = GlobalId(102);
    observe(&mut app, |apply| apply(Change::Entered(back)));
    assert_eq!(target(&app, 1), entity(&app, 9).unwrap());
    // A newer value refers to another entity; the old reference is discarded.
    observe(&mut app, |apply| {
        apply(Change::Component(1, &bytes_about(1)));
        apply(Change::Left(9));
    });
    assert_eq!(target(&app, 1), entity(&app, 1).unwrap());
    observe(&mut app, |apply| apply(Change::Left(1)));
    let mirror = app.world().resource::<WorldMirror>();
    assert!(mirror.references.is_empty() && mirror.find(GlobalId(101)).is_none());
}

#[test]
fn children_stay_when_their_parent_leaves_view() {
    let mut app = App::new();
    app.replicate::<ChildOf>();
    app.init_resource::<WorldMirror>();
    observe(&mut app, |apply| {
        apply(Change::Entered(seen(1, 0, false)));
        apply(Change::Component(1, &bytes_about(2)));
        apply(Change::Entered(seen(2, 0, false)));
    });
    let (child, parent) = (entity(&app, 1).unwrap(), entity(&app, 2).unwrap());
    assert_eq!(app.world().get::<ChildOf>(child), Some(&ChildOf(parent)));
    assert_eq!(app.world().get::<Children>(parent).unwrap()[..], [child]);
    observe(&mut app, |apply| apply(Change::Left(2)));
    assert!(app.world().get_entity(parent).is_err());
    assert_eq!(entity(&app, 1), Some(child));
    assert_eq!(app.world().get::<ChildOf>(child), None);
    observe(&mut app, |apply| apply(Change::Entered(seen(2, 0, false))));
    let parent = entity(&app, 2).unwrap();
    assert_eq!(app.world().get::<ChildOf>(child), Some(&ChildOf(parent)));
    observe(&mut app, |apply| apply(Change::Removed(1)));
    assert!(
        app.world()
            .get::<Children>(parent)
            .is_none_or(|children| children.is_empty())
    );
    observe(&mut app, |apply| apply(Change::Left(2)));
    assert_eq!(entity(&app, 1), Some(child));
}

#[derive(Serialize, Deserialize)]
struct Hail(u8);

#[test]
fn messages_sent_before_there_is_a_session_are_dropped() {
    let mut app = App::new();
    app.message::<Hail>(Channel::ReliableOrdered);
    // A port on which nothing listens.
    let settings = ClientSettings::new("127.0.0.1:1", "Ada");
    app.add_plugins(ClientWorldPlugin { settings });
    let hail = |mut server: TellServer| server.send(&Hail(1)).unwrap();
    for frame in 0..100 {
        app.world_mut().run_system_once(hail).unwrap();
        app.update();
        let waiting = app.world_mut().resource_mut::<OutgoingMessages>().take().count();
        assert_eq!(waiting, 0, "frame {frame}");
    }
    // The same without any connection.
    app.world_mut().remove_resource::<Connection>();
    app.world_mut().run_system_once(hail).unwrap();
    app.update();
    assert_eq!(
        app.world_mut().resource_mut::<OutgoingMessages>().take().count(),
        0
    );
}

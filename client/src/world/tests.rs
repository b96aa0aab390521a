//! The bridge as the mirror drives it: what is heard, and what the world then holds.

use super::*;
use bevy_ecs::hierarchy::{ChildOf, Children};
use throng_shared::protocol::ids::{ComponentId, GlobalId};
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

#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Target(#[entities] Entity);

/// What travels of a component that refers to the entity with this short id in [`seen`].
fn bytes_about(id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let global = GlobalId(100 + u64::from(id));
    throng_shared::protocol::codec::encode_into(&Target(reference(global)), &mut bytes).unwrap();
    bytes
}

#[test]
fn references_follow_who_comes_and_goes() {
    let mut app = App::new();
    app.replicate::<Target>();
    app.init_resource::<WorldMirror>();
    let target = |app: &App, id| app.world().get::<Target>(entity(app, id).unwrap()).unwrap().0;
    observe(&mut app, |hear| {
        hear(Heard::Entered(seen(1, 0, false)));
        hear(Heard::Component(1, &bytes_about(2)));
    });
    assert_eq!(target(&app, 1), Entity::PLACEHOLDER, "not in view");
    observe(&mut app, |hear| hear(Heard::Entered(seen(2, 0, false))));
    assert_eq!(target(&app, 1), entity(&app, 2).unwrap());
    observe(&mut app, |hear| hear(Heard::Left(2)));
    assert_eq!(target(&app, 1), Entity::PLACEHOLDER, "out of view");
    // Comes back under another short id.
    let mut back = seen(9, 0, false);
    back.global = GlobalId(102);
    observe(&mut app, |hear| hear(Heard::Entered(back)));
    assert_eq!(target(&app, 1), entity(&app, 9).unwrap());
    // A newer value refers to somebody else; the old reference is forgotten.
    observe(&mut app, |hear| {
        hear(Heard::Component(1, &bytes_about(1)));
        hear(Heard::Left(9));
    });
    assert_eq!(target(&app, 1), entity(&app, 1).unwrap());
    observe(&mut app, |hear| hear(Heard::Left(1)));
    let mirror = app.world().resource::<WorldMirror>();
    assert!(mirror.references.is_empty() && mirror.find(GlobalId(101)).is_none());
}

#[test]
fn children_outlive_the_sight_of_their_parent() {
    let mut app = App::new();
    app.replicate::<ChildOf>();
    app.init_resource::<WorldMirror>();
    observe(&mut app, |hear| {
        hear(Heard::Entered(seen(1, 0, false)));
        hear(Heard::Component(1, &bytes_about(2)));
        hear(Heard::Entered(seen(2, 0, false)));
    });
    let (child, parent) = (entity(&app, 1).unwrap(), entity(&app, 2).unwrap());
    assert_eq!(app.world().get::<ChildOf>(child), Some(&ChildOf(parent)));
    assert_eq!(app.world().get::<Children>(parent).unwrap()[..], [child]);
    observe(&mut app, |hear| hear(Heard::Left(2)));
    assert!(app.world().get_entity(parent).is_err());
    assert_eq!(entity(&app, 1), Some(child));
    assert_eq!(app.world().get::<ChildOf>(child), None);
    observe(&mut app, |hear| hear(Heard::Entered(seen(2, 0, false))));
    let parent = entity(&app, 2).unwrap();
    assert_eq!(app.world().get::<ChildOf>(child), Some(&ChildOf(parent)));
    observe(&mut app, |hear| hear(Heard::Removed(1)));
    assert!(
        app.world()
            .get::<Children>(parent)
            .is_none_or(|children| children.is_empty())
    );
    observe(&mut app, |hear| hear(Heard::Left(2)));
    assert_eq!(entity(&app, 1), Some(child));
}

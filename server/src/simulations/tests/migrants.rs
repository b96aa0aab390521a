//! What migrates with an entity: its references, also those to what stays or is sent by another simulation, its children, and whether they are disabled.

use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::pose3d::{Position3d, Quanta3d};
use throng_shared::protocol::registry::{ProtocolAppExt, reference};

use super::*;
use crate::simulation::{Player, Slots, ViewHeight};
use crate::tests::in_space::{lift_after, motion};

/// A replicated component that refers to an entity.
#[derive(Component, Serialize, Deserialize, Clone)]
struct Aim(#[entities] Entity);

#[test]
fn references_and_children_migrate_and_ghosts_exist_at_the_border() {
    let mut process = Process::new(&chessboard(2), CONFIG, 3);
    for _ in 0..40 {
        process.tick();
        let (mut real, mut ghosts) = (BTreeMap::new(), Vec::new());
        process.each(|world| {
            let me = world.resource::<Simulations>().me();
            for (turret, parent) in world.query::<(&Turret, &ChildOf)>().iter(world) {
                assert_eq!(turret.0, parent.parent());
                assert!(world.get::<Replicated>(turret.0).is_some());
            }
            let mut all = world.query::<(&Replicated, &Position)>();
            real.extend(
                all.iter(world)
                    .map(|(one, position)| (one.global(), (me, *position))),
            );
            let mut all = world.query::<(&Ghost, &GlobalId, &Position)>();
            ghosts.extend(
                all.iter(world)
                    .map(|(ghost, global, position)| (me, ghost.0.simulation, *global, *position)),
            );
        });
        let mut seen = BTreeSet::new();
        for (me, simulation, global, position) in ghosts {
            // The avatar of a player may have been despawned since.
            let Some(&(owner, now)) = real.get(&global) else {
                continue;
            };
            assert!(
                simulation != me || owner != me,
                "a ghost of the simulation's own entity"
            );
            assert!(seen.insert((me, global)), "two ghosts of {global}");
            // A ghost is one tick old.
            assert!((now.0 - position.0).abs().max_element() < 1.0, "{global}");
        }
        assert!(
            process.tick < Tick(3) || seen.len() > 100,
            "{} ghosts",
            seen.len()
        );
    }
}

#[test]
fn disabled_children_migrate_with_their_parent_and_stay_disabled() {
    let mut process = Process::new(&chessboard(2), CONFIG, 7);
    process.tick();
    let world = process.apps[0].0.world_mut();
    let mut turrets = world.query::<(Entity, &Turret)>();
    // One that has migrated and is despawned in the next tick does not count.
    let stays = |turret: &Entity| !world.resource::<Simulations>().departing.contains(turret);
    let turret = turrets.iter(world).map(|(turret, _)| turret).find(stays).unwrap();
    let global = world.get::<Replicated>(turret).unwrap().global();
    world.entity_mut(turret).insert(Disabled);
    let mut hosts = BTreeSet::new();
    for _ in 0..200 {
        let frames = process.tick();
        let found = process.each(|world| {
            let found = world.resource::<Slots>().find(global)?;
            assert!(world.entity(found).contains::<Disabled>());
            assert_eq!(world.get::<Replicated>(found).unwrap().slot(), None);
            let parent = world.get::<ChildOf>(found).unwrap().parent();
            assert_eq!(world.get::<Turret>(found).unwrap().0, parent);
            Some(parent)
        });
        hosts.extend(found.iter().position(Option::is_some));
        let is_shown = |frame: &Arc<Frame>| {
            frame
                .rows()
                .any(|(slot, _)| frame.identity(slot).global == global)
        };
        assert!(!frames.iter().any(is_shown), "tick {}", process.tick);
    }
    assert_eq!(hosts.len(), 2, "the parent did not migrate");
    let enabled = |world: &mut World| {
        let found = world.resource::<Slots>().find(global)?;
        let departing = &world.resource::<Simulations>().departing;
        (!departing.contains(&found)).then(|| {
            world.entity_mut(found).remove::<Disabled>();
        })
    };
    let is_enabled = (0..100).any(|_| {
        drop(process.tick());
        process.each(enabled).iter().any(Option::is_some)
    });
    assert!(is_enabled, "it migrates in every tick");
    let frames = process.tick();
    let shown = |frame: &Arc<Frame>| {
        frame
            .rows()
            .filter(|&(slot, _)| frame.identity(slot).global == global)
            .count()
    };
    assert_eq!(frames.iter().map(shown).sum::<usize>(), 1);
}

#[test]
fn references_to_entities_that_migrate_are_sent_as_global_ids() {
    let partition = Partition::stripes(2, 1.0, SIDE);
    let mut process = Process::with_plugins(&partition, CONFIG, 3, |app| {
        app.replicate::<Aim>().persisted();
    });
    (0..3).for_each(|_| drop(process.tick()));
    let [near, beyond] = [SimulationId(0), SimulationId(1)].map(|simulation| {
        let mut places = [-10.0, 10.0].map(|x| Vec2::new(x, 0.0)).into_iter();
        Position(
            places
                .find(|&place| partition.owner(place) == simulation)
                .unwrap(),
        )
    });
    let world = process.apps[0].0.world_mut();
    // This one becomes replicated in the place of the other simulation, so that it migrates at once.
    let late = world.spawn(beyond).id();
    let holders = [late].map(|target| {
        let holder = world.spawn((Replicated::default(), near, Aim(target))).id();
        world.get::<Replicated>(holder).unwrap().global()
    });
    let aims = |process: &Process, frame: &Arc<Frame>| {
        let world = process.apps[0].0.world();
        let id = world.resource::<Protocol>().component_of::<Aim>().unwrap().id;
        holders.map(|holder| {
            let mut rows = frame.rows();
            let (slot, _) = rows
                .find(|&(slot, _)| frame.identity(slot).global == holder)
                .unwrap();
            let cell = frame.cold(slot).unwrap().cell(id).unwrap();
            cell.value.downcast_ref::<Aim>().unwrap().0
        })
    };
    let frames = process.tick();
    assert_eq!(aims(&process, &frames[0]), [Entity::PLACEHOLDER]);
    let world = process.apps[0].0.world_mut();
    world.entity_mut(late).insert(Replicated::default());
    let global = world.get::<Replicated>(late).unwrap().global();
    for _ in 0..5 {
        let frames = process.tick();
        assert_eq!(aims(&process, &frames[0]), [reference(global)]);
    }
    let found = process.each(|world| world.resource::<Slots>().find(global).is_some());
    assert_eq!(found, [false, true], "it has not migrated");
}

#[test]
fn poses_in_space_migrate_and_ghosts_have_them() {
    for seed in seeds(0..6, 2) {
        let mut process =
            Process::with_plugins(&chessboard(3), CONFIG, seed, |app| lift_after(app, game::call));
        let mut heights: BTreeMap<GlobalId, f32> = BTreeMap::new();
        let mut ghosts = 0;
        for _ in 0..60 {
            let before = heights.clone();
            let frames = process.tick();
            process.check(&frames);
            let tick = process.tick;
            for frame in &frames {
                for (slot, _) in frame.rows() {
                    let global = frame.identity(slot).global;
                    let height = heights.entry(global).or_default();
                    *height += motion(Seed(seed), global, tick).0;
                    let pose = frame.pose_3d(slot).unwrap();
                    let found = Quanta3d::default().position_of(pose).0.y;
                    assert!(
                        (found - *height).abs() < 0.01,
                        "seed {seed}, tick {tick}: {global}"
                    );
                }
            }
            process.each(|world| {
                let mut players = world.query::<(&Player, Has<ViewHeight>)>();
                for (player, is_cylinder) in players.iter(world) {
                    assert_eq!(
                        is_cylinder,
                        player.id.0 % 2 == 0,
                        "seed {seed}, tick {tick}: {:?}",
                        player.id
                    );
                }
                let mut query = world.query::<(&Ghost, &GlobalId, &Position3d)>();
                for (_, global, position) in query.iter(world) {
                    let expected = before[global];
                    assert!(
                        (position.0.y - expected).abs() < 1e-3,
                        "seed {seed}, tick {tick}: {global}"
                    );
                    ghosts += 1;
                }
            });
        }
        let migrated = process.counters().immigrated;
        assert!(
            migrated > 500 && ghosts > 1_000,
            "seed {seed}: {migrated} migrated, {ghosts} ghosts"
        );
    }
}

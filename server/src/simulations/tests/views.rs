//! Tests rewinding and spatial queries across a border.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use bevy_ecs::query::Allow;
use bevy_ecs::system::SystemState;
use glam::Vec2;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::{Pose, Position};
use throng_shared::tick::Tick;

use super::{CONFIG, Process, chessboard};
use crate::simulation::{Ghost, Nearby, Replicated, Rewind};
use crate::simulations::Simulations;

type KnownPoses = BTreeMap<(GlobalId, Tick), Pose>;

/// Returns the replicated entities of a simulation, ghosts included.
fn all_entities(world: &mut World) -> Vec<(Entity, GlobalId)> {
    let mut own = world.query::<(Entity, &Replicated)>();
    let mut all: Vec<_> = own
        .iter(world)
        .map(|(entity, one)| (entity, one.global()))
        .collect();
    let mut ghosts = world.query_filtered::<(Entity, &GlobalId), With<Ghost>>();
    all.extend(ghosts.iter(world).map(|(entity, &global)| (entity, global)));
    all
}

#[test]
fn rewind_returns_poses_from_the_frames_of_the_simulation_that_owned_the_entity() {
    for (simulations, seed) in [(2, 11), (4, 12)] {
        let mut process = Process::new(&chessboard(simulations), CONFIG, seed);
        let (mut known, mut found) = (KnownPoses::new(), 0);
        for _ in 0..50 {
            let frames = process.tick();
            for frame in &frames {
                known.extend(
                    frame
                        .rows()
                        .map(|(slot, row)| ((frame.identity(slot).global, frame.tick), row.pose)),
                );
            }
            let now = process.tick;
            process.each(|world| {
                let all = all_entities(world);
                let mut state = SystemState::<Rewind>::new(world);
                let rewind = state.get(world).unwrap();
                // A frame is sent to the other simulations before the next tick, so that a tick's own frame
                // is left out.
                for tick in (2..6).map(|age| now - age) {
                    for &(entity, global) in &all {
                        let then = known.get(&(global, tick)).copied();
                        // A ghost's entity may be older than the first frame in which this simulation has it.
                        assert_eq!(
                            rewind.pose(entity, tick),
                            then,
                            "seed {seed}, tick {now}: {global} at {tick}"
                        );
                        found += u32::from(then.is_some());
                    }
                }
            });
        }
        assert!(found > 40_000, "seed {seed}: {found} poses");
    }
}

#[test]
fn nearby_finds_entities_on_both_sides_of_a_border() {
    let radius = 1.0;
    let mut process = Process::new(&chessboard(2), CONFIG, 13);
    let mut crossings = 0;
    let mut before = Vec::new();
    for _ in 0..40 {
        let frames = process.tick();
        let positions: Vec<(GlobalId, Vec2)> = frames
            .iter()
            .flat_map(|frame| {
                let rows = frame.rows();
                rows.map(|(slot, row)| (frame.identity(slot).global, row.pose.position().0))
                    .collect::<Vec<_>>()
            })
            .collect();
        // Ghosts are as old as the tick before this one.
        let (old, tick) = (std::mem::replace(&mut before, positions), process.tick);
        if old.is_empty() {
            continue;
        }
        process.each(|world| {
            let ghosts: BTreeMap<_, _> = {
                let mut ghosts = world.query_filtered::<(Entity, &GlobalId), With<Ghost>>();
                ghosts
                    .iter(world)
                    .map(|(entity, &global)| (global, entity))
                    .collect()
            };
            let mut state = SystemState::<Nearby>::new(world);
            let mut nearby = state.get_mut(world).unwrap();
            for &(global, position) in old.iter().filter(|(global, _)| ghosts.contains_key(global)) {
                let found: Vec<_> = nearby.within(position, radius).collect();
                assert!(found.is_sorted_by(|one, other| one.distance <= other.distance));
                let ghost = ghosts[&global];
                assert!(
                    found.iter().any(|near| near.entity == ghost),
                    "tick {tick}: {global} at {position}"
                );
                crossings += found.len();
                let nearest = nearby.nearest(position, 1, radius).next().unwrap();
                assert!(nearest.distance <= 0.01, "tick {tick}: {nearest:?}");
            }
        });
    }
    assert!(crossings > 1_000, "{crossings}");
}

#[test]
fn queries_skip_ghosts_unless_they_name_them() {
    let mut process = Process::new(&chessboard(2), CONFIG, 14);
    (0..10).for_each(|_| drop(process.tick()));
    let mut seen = 0;
    process.each(|world| {
        let ghosts = world.resource::<Simulations>().ghosts();
        let own = world.query_filtered::<(), With<Replicated>>().iter(world).count();
        let plain = world.query::<&Position>().iter(world).count();
        let named = world.query::<(&Position, &Ghost)>().iter(world).count();
        let all = world
            .query_filtered::<&Position, Allow<Ghost>>()
            .iter(world)
            .count();
        assert_eq!((plain, named, all), (own, ghosts, own + ghosts));
        seen += ghosts;
    });
    assert!(seen > 20, "{seen} ghosts");
}

//! Checkpoints of several simulations: each holds its own entities, and no images of the others'.

use super::*;
use crate::persist::{load, save};
use crate::simulation::Slots;

/// A component of the server alone, on entities below others in the hierarchy.
#[derive(Component, serde::Serialize, serde::Deserialize, Clone)]
struct Bell(#[entities] Entity);

/// A relationship of the game, which is persisted.
#[derive(Component, serde::Serialize, serde::Deserialize, Clone)]
#[relationship(relationship_target = Guarded)]
struct Guards(#[entities] Entity);

#[derive(Component)]
#[relationship_target(relationship = Guards)]
struct Guarded(Vec<Entity>);

/// Returns the game's simulations, with ghosts that have persisted components.
fn process(partition: &Partition, seed: u64) -> Process {
    Process::with_plugins(partition, CONFIG, seed, |app| {
        app.ghost::<Ore>()
            .ghost::<Ledger>()
            .persist::<Bell>()
            .persist::<Guards>();
    })
}

fn count<T: Component>(world: &mut World) -> usize {
    world
        .query_filtered::<(), (With<T>, Allow<Ghost>)>()
        .iter(world)
        .count()
}

fn globals(world: &mut World) -> BTreeSet<GlobalId> {
    world
        .query::<&Replicated>()
        .iter(world)
        .map(Replicated::global)
        .collect()
}

#[test]
fn ghosts_with_persisted_components_are_in_no_checkpoint() {
    for seed in seeds(0..6, 2) {
        let partition = chessboard(3);
        let mut first = process(&partition, seed);
        (0..30).for_each(|_| drop(first.tick()));
        let ghosts = first.each(count::<Ghost>);
        assert!(
            ghosts.iter().all(|&ghosts| ghosts > 20),
            "seed {seed}: {ghosts:?}"
        );
        let saved = first.each(|world| save(world).unwrap());
        let mut second = process(&partition, seed);
        for ((app, _), bytes) in second.apps.iter_mut().zip(&saved) {
            load(app, bytes).unwrap();
        }
        assert_eq!(second.each(count::<Ghost>), [0; 3], "seed {seed}");
        assert_eq!(first.each(globals), second.each(globals), "seed {seed}");
        // Every entity with ore is a replicated one: no copy of a ghost is among them.
        assert_eq!(
            second.each(count::<Ore>),
            second.each(|world| globals(world).len()),
            "seed {seed}"
        );
        assert_eq!(second.each(|world| save(world).unwrap()), saved, "seed {seed}");
        // The ghosts come back with the first ticks, each once.
        second.tick = first.tick;
        second.crowd.sessions.clear();
        (0..3).for_each(|_| drop(second.tick()));
        let ghosts = second.each(count::<Ghost>);
        assert!(
            ghosts.iter().all(|&ghosts| ghosts > 20),
            "seed {seed}: {ghosts:?}"
        );
    }
}

#[test]
fn references_to_ghosts_are_placeholders_in_a_checkpoint_and_what_belongs_to_a_ghost_is_not_saved() {
    let partition = Partition::stripes(2, 1.0, SIDE);
    let mut first = process(&partition, 4);
    (0..10).for_each(|_| drop(first.tick()));
    let world = first.apps[0].0.world_mut();
    let ghost = world
        .query_filtered::<Entity, With<Ghost>>()
        .iter(world)
        .next()
        .unwrap();
    // Server-only entities below the ghost go with it. A replicated one is an entity of this simulation.
    let below = world.spawn((Bell(ghost), ChildOf(ghost))).id();
    world.spawn((Bell(ghost), ChildOf(below)));
    let own = world
        .spawn((Replicated::default(), Bell(ghost), ChildOf(ghost)))
        .id();
    world.spawn((Bell(own), ChildOf(own)));
    world.spawn((Bell(ghost), Guards(ghost)));
    let global = world.get::<Replicated>(own).unwrap().global();
    let bytes = save(world).unwrap();

    let mut second = process(&partition, 4);
    let (app, _) = &mut second.apps[0];
    load(app, &bytes).unwrap();
    let world = app.world_mut();
    let own = world.resource::<Slots>().find(global).unwrap();
    let mut bells: Vec<_> = world
        .query::<(&Bell, Option<&ChildOf>, Has<Guards>)>()
        .iter(world)
        .map(|(bell, parent, guards)| (bell.0, parent.map(ChildOf::parent), guards))
        .collect();
    let nothing = Entity::PLACEHOLDER;
    let mut expected = vec![
        (nothing, None, false),
        (own, Some(own), false),
        (nothing, None, false),
    ];
    bells.sort_unstable();
    expected.sort_unstable();
    assert_eq!(bells, expected);
}

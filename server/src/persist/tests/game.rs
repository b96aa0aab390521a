//! A small game with everything that a checkpoint holds: references between entities, a hierarchy, entities
//! and resources that are not replicated, components that are inserted and removed, spawns and despawns.

use bevy_app::{App, FixedUpdate, Startup};
use bevy_ecs::entity::MapEntities;
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_seeds::seeds;
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Position;
use throng_shared::protocol::registry::ProtocolAppExt;

use crate::persist::{PersistAppExt, load, save};
use crate::runner::TickTime;
use crate::schedule::ServerSystems;
use crate::simulation::{Replicated, Seed};
use crate::tests::scripted::ScriptedSimulation;
use crate::tests::walkers::IDLE;

/// Replicated; removed and inserted again.
#[derive(Component, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Mood(u8);

/// Not replicated.
#[derive(Component, Serialize, Deserialize, Clone, Debug)]
struct Hunter {
    #[entities]
    prey: Option<Entity>,
    hunger: u32,
}

/// On entities that are not replicated.
#[derive(Component, Serialize, Deserialize, Clone, Debug)]
struct Nest {
    countdown: u32,
    #[entities]
    last: Option<Entity>,
}

/// A resource that refers to an entity.
#[derive(Resource, MapEntities, Serialize, Deserialize, Clone, Debug)]
struct Champion {
    #[entities]
    entity: Option<Entity>,
    kills: u64,
}

/// Not persisted: its values in the restored world do not depend on the saved ones.
#[derive(Component, Default)]
struct Scratch;

fn extend(app: &mut App) {
    app.replicate::<Mood>().persisted();
    app.persist::<Hunter>()
        .persist::<Nest>()
        .persist::<Champion>()
        .insert_resource(Champion {
            entity: None,
            kills: 0,
        })
        .add_systems(Startup, spawn_nests)
        .add_systems(FixedUpdate, (breed, hunt).chain().in_set(ServerSystems::Simulate));
}

fn spawn_nests(mut commands: Commands) {
    for countdown in 1..6 {
        commands.spawn(Nest {
            countdown,
            last: None,
        });
        // These entities change the entity numbers and nothing else.
        commands.spawn(Scratch);
    }
}

/// Spawns hunters. Nests are distinguished by their values, so that the order in which they are visited does
/// not matter.
fn breed(mut nests: Query<&mut Nest>, mut commands: Commands) {
    let mut due: Vec<_> = nests
        .iter_mut()
        .map(|mut nest| {
            nest.countdown -= 1;
            nest
        })
        .filter(|nest| nest.countdown == 0)
        .collect();
    assert!(due.len() <= 1, "no two countdowns are equal");
    for nest in &mut due {
        nest.countdown = 5;
        let hunter = Hunter {
            prey: nest.last,
            hunger: 0,
        };
        let position = Position(Vec2::new(nest.last.map_or(0.0, |_| 1.0), 2.0));
        let born = commands
            .spawn((Replicated::default(), Mood(0), hunter, position, Scratch))
            .id();
        commands.spawn((Replicated::default(), ChildOf(born)));
        nest.last = Some(born);
    }
}

fn hunt(
    mut hunters: Query<(Entity, &Replicated, &mut Hunter, Option<&mut Mood>)>,
    mut positions: Query<&mut Position>,
    children: Query<&Children>,
    mut champion: ResMut<Champion>,
    seed: Res<Seed>,
    time: Res<TickTime>,
    mut commands: Commands,
) {
    let mut order: Vec<(GlobalId, Entity)> = hunters
        .iter()
        .map(|(entity, replicated, ..)| (replicated.global(), entity))
        .collect();
    order.sort_unstable();
    let mut eaten = Vec::new();
    for (global, entity) in order {
        let Ok((_, _, mut hunter, mood)) = hunters.get_mut(entity) else {
            continue;
        };
        hunter.hunger += 1;
        let mut chance = seed.of(global, time.tick);
        match (mood, chance.bits() % 20) {
            (Some(_), 0) => drop(commands.entity(entity).remove::<Mood>()),
            (None, 1) => drop(commands.entity(entity).insert(Mood(7))),
            (Some(mut mood), 2..5) => mood.0 = mood.0.wrapping_add(1),
            _ => {}
        }
        let target = hunter.prey.and_then(|prey| positions.get(prey).ok()).copied();
        if let (Some(target), Ok(mut own)) = (target, positions.get_mut(entity)) {
            let step = (target.0 - own.0) * 0.3 + Vec2::new(chance.within(-1.0, 1.0), 0.1);
            own.0 += step;
        }
        if hunter.hunger > 60 && !eaten.contains(&entity) {
            hunter.hunger = 0;
            if let Some(prey) = hunter.prey.take().filter(|&prey| positions.contains(prey)) {
                assert_eq!(children.get(prey).map(|children| children.len()), Ok(1));
                eaten.push(prey);
                champion.kills += 1;
                champion.entity = Some(entity);
                commands.entity(prey).try_despawn();
            } else if let Some(best) = champion.entity.filter(|&best| best != entity) {
                hunter.prey = Some(best);
            }
        }
    }
}

fn kills(scripted: &ScriptedSimulation) -> u64 {
    scripted.app.world().resource::<Champion>().kills
}

#[test]
fn a_checkpoint_keeps_references_hierarchies_and_server_only_state() {
    for (seed, ticks) in seeds((1..=8).zip([2, 40, 99, 150, 163, 200, 301, 77]), 3) {
        let mut first = ScriptedSimulation::new(IDLE, seed, extend);
        first.run(ticks);
        let bytes = save(first.app.world_mut()).unwrap();
        let mut second = ScriptedSimulation::with_script(IDLE, seed, first.script(), extend);
        // These ticks spawn entities, so that none of the restored ones gets the number that it had.
        second.run(17);
        second.set_script(first.script());
        load(&mut second.app, &bytes).unwrap();
        let again = save(second.app.world_mut()).unwrap();
        assert!(again == bytes, "seed {seed}: saved as other bytes");
        let before = kills(&first);
        assert_eq!(before, kills(&second), "seed {seed}");
        for tick in 1..=200 {
            let (expected, found) = (first.tick(), second.tick());
            assert_eq!(expected.checksum(), found.checksum(), "seed {seed}, tick +{tick}");
            let moods = |frame: &crate::boundary::frame::Frame| {
                let slots = frame.rows().map(|(slot, _)| slot);
                slots
                    .map(|slot| frame.cold(slot).map_or(0, |row| row.mask))
                    .collect::<Vec<_>>()
            };
            assert_eq!(moods(&expected), moods(&found), "seed {seed}, tick +{tick}");
        }
        assert_eq!(kills(&first), kills(&second), "seed {seed}");
        assert!(kills(&first) > before + 5, "seed {seed}: too few kills");
    }
}

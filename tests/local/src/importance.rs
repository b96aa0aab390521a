//! The effect of importance when a client's budget is too small for all entities.

use bevy_app::{App, FixedUpdate, Startup, Update};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_server::prelude::*;
use throng_server::replication::ReplicationConfig;

use super::*;

/// Number of entities of each kind: far more than 2 KiB per second are enough for.
const EACH: usize = 100;

/// Counts the changes of an entity.
#[derive(Component, Clone, Serialize, Deserialize)]
struct Plain(u32);
/// Counts the changes of an entity, in a component whose importance the tests choose.
#[derive(Component, Clone, Serialize, Deserialize)]
struct Weighty(u32);

/// Makes entities so large that the first snapshot has room for few.
#[derive(Component, Clone, Serialize, Deserialize)]
struct Ballast(Vec<u8>);

/// Entities that entered the view, and updates of each kind.
#[derive(Resource, Default)]
struct UpdateCounts {
    /// Number of entities in the first snapshot, and how many of them are weighty.
    first: Option<(usize, usize)>,
    entered: usize,
    plain: usize,
    weighty: usize,
}

/// Starts a game in which all entities are near the player's eye and change in every tick. The arguments are the
/// importance of plain and weighty entities, and of the component that makes them weighty.
fn game(plain: u8, weighty: u8, component: u8) -> (LocalGame, LocalPlayer) {
    let protocol = move |app: &mut App| {
        app.replicate::<Plain>();
        app.replicate::<Ballast>();
        app.replicate::<Weighty>().important(component);
    };
    let config = LocalConfig {
        replication: ReplicationConfig {
            bytes_per_second: 2_048,
            ..ReplicationConfig::default()
        },
        ..LocalConfig::default()
    };
    let mut game = LocalGame::with_config(config, move |app: &mut App| {
        let position_of = |number: usize| Position(Vec2::from_angle(number as f32) * 10.0);
        let ballast = || Ballast(vec![7; 60]);
        let scatter = move |mut commands: Commands| {
            for pair in 0..EACH {
                let [even, odd] = [position_of(2 * pair), position_of(2 * pair + 1)];
                commands.spawn((
                    Replicated::default(),
                    even,
                    ballast(),
                    Importance(plain),
                    Plain(0),
                ));
                commands.spawn((
                    Replicated::default(),
                    odd,
                    ballast(),
                    Importance(weighty),
                    Weighty(0),
                ));
            }
        };
        app.add_plugins(protocol)
            .add_systems(Startup, scatter)
            .add_systems(
                FixedUpdate,
                (watch, change).chain().in_set(ServerSystems::Simulate),
            );
    });
    let ada = game.join("Ada", move |app: &mut App| {
        app.add_plugins(protocol)
            .init_resource::<UpdateCounts>()
            .add_systems(Update, count);
    });
    (game, ada)
}

fn watch(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for joined in joined.read() {
        commands.entity(joined.entity).insert(Viewer { radius: 50.0 });
    }
}

fn change(mut plain: Query<&mut Plain>, mut weighty: Query<&mut Weighty>) {
    plain.iter_mut().for_each(|mut plain| plain.0 += 1);
    weighty.iter_mut().for_each(|mut weighty| weighty.0 += 1);
}

fn count(
    entered: Query<Has<Weighty>, Added<Mirrored>>,
    plain: Query<(), Changed<Plain>>,
    weighty: Query<(), Changed<Weighty>>,
    mut seen: ResMut<UpdateCounts>,
) {
    let (all, weighty_ones) = (entered.iter().count(), entered.iter().filter(|&is| is).count());
    if all > 0 {
        seen.first.get_or_insert((all, weighty_ones));
    }
    seen.entered += all;
    seen.plain += plain.iter().count();
    seen.weighty += weighty.iter().count();
}

/// Runs a game in which the first snapshot has no room for all entities. Returns two figures: how many weighty entities
/// the first snapshot held, divided by how many it had room for; and, once all entities were in view, the number of
/// updates of weighty entities divided by that of plain ones.
fn measure(plain: u8, weighty: u8, component: u8) -> (f64, f64) {
    let (mut game, ada) = game(plain, weighty, component);
    game.run(800);
    let mut seen = game.world(ada).resource_mut::<UpdateCounts>();
    assert_eq!(seen.entered, 2 * EACH);
    let (all, early) = seen.first.unwrap();
    (seen.plain, seen.weighty) = (0, 0);
    game.run(400);
    let seen = game.world(ada).resource::<UpdateCounts>();
    assert!(seen.plain > 0, "plain entities were never updated");
    let early = early as f64 / all.min(EACH) as f64;
    (early, seen.weighty as f64 / seen.plain as f64)
}

#[test]
fn important_entities_are_sent_first_and_more_often() {
    let (_, often) = measure(1, 1, 1);
    assert!((0.8..1.25).contains(&often), "{often}");
    for (weighty, component) in [(4, 1), (1, 4)] {
        let (early, often) = measure(1, weighty, component);
        assert!(
            early > 0.9 && often > 2.0,
            "{early}, {often}: {weighty}, {component}"
        );
    }
    let (early, often) = measure(4, 1, 1);
    assert!(early < 0.5 && often < 0.5, "{early}, {often}");
}

#[test]
fn entities_of_importance_zero_are_sent_last() {
    let (mut game, ada) = game(1, 0, 1);
    game.run(600);
    let seen = game.world(ada).resource::<UpdateCounts>();
    assert!(
        seen.weighty * 4 < seen.plain,
        "{} and {}",
        seen.weighty,
        seen.plain
    );
}

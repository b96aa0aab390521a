//! Mistakes of a game's code that have no effect that is seen: the log names each of them once, and what to write.

use bevy_app::{App, FixedUpdate, Plugins, PostUpdate, Startup, Update};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_server::prelude::*;

use super::log::LogCapture;
use super::*;

#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hull(pub(super) u16);

#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Purse(pub(super) u16);

#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Plan(u16);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stick(i8);
impl PlayerInput for Stick {}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pedals(i8);
impl PlayerInput for Pedals {}

fn protocol(app: &mut App) {
    app.replicate::<Hull>();
    app.replicate::<Purse>().visible_to(Visibility::Owner);
    app.replicate::<Plan>().visible_to(Visibility::Team);
    app.input::<Stick>();
}

/// Runs a game with three players for five seconds. Returns what the log has about mistakes.
pub(super) fn lines_of<M>(game: impl Plugins<M>) -> Vec<String> {
    LogCapture::lines_of("", || {
        let mut game = LocalGame::new(game);
        for name in ["Ada", "Bob", "Cy"] {
            game.join(name, protocol);
        }
        game.run(100);
    })
}

/// Returns the only line of the log, which has all of these parts.
pub(super) fn only_line<M>(game: impl Plugins<M>, parts: &[&str]) -> String {
    let lines = lines_of(game);
    let [line] = &lines[..] else {
        panic!("{} lines: {lines:#?}", lines.len());
    };
    for part in parts {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    line.clone()
}

/// Gives every player what `equip` inserts.
fn welcoming(equip: fn(&PlayerJoined, &mut Commands)) -> impl Fn(&mut App) + Send + Sync + 'static {
    move |app: &mut App| {
        let welcome = move |mut joined: MessageReader<PlayerJoined>, mut commands: Commands| {
            joined.read().for_each(|joined| equip(joined, &mut commands));
        };
        app.add_plugins(protocol)
            .add_systems(FixedUpdate, welcome.in_set(ServerSystems::Simulate));
    }
}

/// Inserts what a player needs, and these components on its avatar.
fn equip(joined: &PlayerJoined, commands: &mut Commands, extra: impl Bundle) {
    let body = (
        Replicated::default(),
        Owner(joined.player.id),
        Team(TeamId(1)),
        extra,
    );
    let avatar = Avatar(commands.spawn(body).id());
    commands
        .entity(joined.entity)
        .insert((avatar, Viewer { radius: 40.0 }));
}

pub(super) fn complete(app: &mut App) {
    welcoming(|joined, commands| equip(joined, commands, (Hull(1), Purse(2), Plan(3))))(app);
}

/// Spawns entities for players to see.
fn scatter(mut commands: Commands) {
    for n in 0..5 {
        commands.spawn((
            Replicated::default(),
            Hull(n),
            Position(Vec2::new(f32::from(n), 0.0)),
        ));
    }
}

#[test]
fn a_game_without_mistakes_logs_none() {
    let lines = lines_of(|app: &mut App| {
        complete(app);
        app.add_systems(Startup, scatter)
            .add_systems(Update, |hulls: Query<&Hull>| assert!(hulls.iter().len() < 99));
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn an_avatar_without_replicated_is_named_once() {
    let welcome = welcoming(|joined, commands| {
        let avatar = Avatar(commands.spawn(Position::default()).id());
        commands
            .entity(joined.entity)
            .insert((avatar, Viewer { radius: 40.0 }));
    });
    only_line(
        welcome,
        &["`Avatar`", "player=1", "name=Ada", "`Replicated::default()`"],
    );
}

#[test]
fn an_avatar_that_does_not_exist_is_named_once() {
    let welcome = welcoming(|joined, commands| {
        let avatar = Avatar(Entity::PLACEHOLDER);
        commands
            .entity(joined.entity)
            .insert((avatar, Viewer { radius: 40.0 }));
    });
    only_line(welcome, &["`Avatar`", "player=1", "does not exist", "remove it"]);
}

#[test]
fn a_player_without_viewer_or_avatar_is_named_once_with_what_to_insert() {
    let to_write = "insert((Avatar(entity), Viewer { radius: 50.0 }))";
    only_line(
        welcoming(|_, _| {}),
        &[
            "neither `Avatar` nor `Viewer`",
            "name=Ada",
            to_write,
            "`Viewer { radius: 0.0 }`",
        ],
    );
    let without_viewer = welcoming(|joined, commands| {
        let avatar = Avatar(commands.spawn(Replicated::default()).id());
        commands.entity(joined.entity).insert(avatar);
    });
    only_line(without_viewer, &["no `Viewer`", to_write]);
    let without_avatar = welcoming(|joined, commands| {
        commands.entity(joined.entity).insert(Viewer { radius: 9.0 });
    });
    only_line(
        without_avatar,
        &["neither an `Avatar` nor an `Eye`", to_write, "`Eye(..)`"],
    );
}

#[test]
fn a_lobby_and_a_spectator_are_no_mistakes() {
    let lobby = welcoming(|joined, commands| {
        commands.entity(joined.entity).insert(Viewer { radius: 0.0 });
    });
    assert_eq!(lines_of(lobby), [""; 0]);
    let spectator = welcoming(|joined, commands| {
        commands
            .entity(joined.entity)
            .insert((Eye(Vec2::ZERO), Viewer { radius: 9.0 }));
    });
    assert_eq!(lines_of(spectator), [""; 0]);
}

#[test]
fn a_view_that_is_no_circle_is_named_once() {
    for (radius, shown) in [(f32::NAN, "NaN"), (-4.0, "-4")] {
        let mistake = move |app: &mut App| {
            complete(app);
            let shrink = move |mut viewers: Query<&mut Viewer>| {
                viewers.iter_mut().for_each(|mut viewer| viewer.radius = radius);
            };
            app.add_systems(FixedUpdate, shrink.in_set(ServerSystems::Input));
        };
        only_line(mistake, &["player=1", &format!("`Viewer {{ radius: {shown} }}`")]);
    }
}

#[test]
fn an_avatar_without_the_owner_or_team_that_its_components_are_for_is_named_once() {
    let without_owner = welcoming(|joined, commands| {
        equip(joined, commands, Purse(1));
        commands.queue(|world: &mut World| {
            let mut avatars = world.query_filtered::<Entity, With<Purse>>();
            let avatars: Vec<_> = avatars.iter(world).collect();
            avatars.into_iter().for_each(|avatar| {
                world.entity_mut(avatar).insert(Owner::default());
            });
        });
    });
    only_line(
        without_owner,
        &["mistakes_tests::Purse", "`Owner(joined.player.id)`", "entity=#1"],
    );
    let without_team = welcoming(|joined, commands| {
        let body = (Replicated::default(), Owner(joined.player.id), Plan(1));
        let avatar = Avatar(commands.spawn(body).id());
        commands
            .entity(joined.entity)
            .insert((avatar, Viewer { radius: 40.0 }));
    });
    only_line(without_team, &["mistakes_tests::Plan", "`Team(..)`"]);
}

#[test]
fn a_rule_in_update_that_writes_a_replicated_component_is_named_once() {
    fn drift(mut positions: Query<&mut Position>) {
        positions.iter_mut().for_each(|mut position| position.0.x += 0.1);
    }
    fn repair(hulls: Query<(Entity, &Hull)>, mut commands: Commands) {
        hulls.iter().for_each(|(entity, hull)| {
            commands.entity(entity).insert(Hull(hull.0 + 1));
        });
    }
    let with = |rule: fn(&mut App)| {
        move |app: &mut App| {
            complete(app);
            app.add_systems(Startup, scatter);
            rule(app);
        }
    };
    let to_write = "rule.in_set(ServerSystems::Simulate)";
    only_line(
        with(|app| {
            app.add_systems(Update, drift);
        }),
        &["component Position", "::drift in `Update`", "entity=#", to_write],
    );
    only_line(
        with(|app| {
            app.add_systems(PostUpdate, repair);
        }),
        &["mistakes_tests::Hull", "::repair in `PostUpdate`", to_write],
    );
    // In the tick both are right, and so is a rule in `Update` that writes nothing.
    let right = with(|app| {
        let rules = (drift, repair).chain().in_set(ServerSystems::Input);
        app.add_systems(FixedUpdate, rules)
            .add_systems(Update, drift.run_if(|| false));
    });
    assert_eq!(lines_of(right), [""; 0]);
}

#[test]
fn an_unregistered_input_is_named_once_with_its_system() {
    let reads_pedals = |app: &mut App| {
        complete(app);
        fn pedal(pedals: Query<&ActiveInput<Pedals>>) {
            assert!(pedals.is_empty());
        }
        app.add_systems(FixedUpdate, pedal.in_set(ServerSystems::Simulate));
    };
    only_line(
        reads_pedals,
        &[
            "mistakes_tests::Pedals>`",
            "`app.input::<throng_local::mistakes_tests::Stick>()`",
            "::pedal",
        ],
    );
    let lines = LogCapture::lines_of("ActiveInput", || {
        let mut game = LocalGame::new(|app: &mut App| {
            let pedal = |pedals: Query<&ActiveInput<Pedals>>| assert!(pedals.is_empty());
            app.add_systems(FixedUpdate, pedal.in_set(ServerSystems::Simulate));
        });
        game.run(100);
    });
    let to_write = "add `app.input::<throng_local::mistakes_tests::Pedals>()` to the protocol of both ends";
    assert!(
        matches!(&lines[..], [line] if line.contains(to_write)),
        "{lines:?}"
    );
}

#[test]
fn a_pose_that_cannot_be_sent_is_named_once_with_its_entity() {
    let poses: [(Pose, &[&str]); 5] = [
        (
            (Vec2::NAN, Vec2::ZERO, 0.0),
            &["`Position`", "[NaN, NaN]", "normalize_or_zero()"],
        ),
        ((Vec2::INFINITY, Vec2::ZERO, 0.0), &["`Position`", "not finite"]),
        (
            (Vec2::new(3e7, 0.0), Vec2::ZERO, 0.0),
            &["`Position`", "beyond the end of the plane"],
        ),
        (
            (Vec2::ZERO, Vec2::new(0.0, -2e3), 0.0),
            &["`Velocity`", "-2000", "`clamp_length_max`"],
        ),
        ((Vec2::ZERO, Vec2::ZERO, f32::NAN), &["`Heading`", "NaN"]),
    ];
    for ((position, velocity, heading), parts) in poses {
        let lose = move |mut bodies: Query<(&mut Position, &mut Velocity, &mut Heading), With<Hull>>| {
            for (mut place, mut speed, mut angle) in &mut bodies {
                (place.0, speed.0, angle.0) = (position, velocity, heading);
            }
        };
        let line = only_line(
            move |app: &mut App| {
                complete(app);
                app.add_systems(Startup, scatter)
                    .add_systems(FixedUpdate, lose.in_set(ServerSystems::Input));
            },
            parts,
        );
        assert!(line.contains("entity=#1"), "{line}");
    }
    // As far away as can be sent, and as fast.
    let far = |mut bodies: Query<(&mut Position, &mut Velocity), With<Hull>>| {
        for (mut place, mut speed) in &mut bodies {
            (place.0, speed.0) = (Vec2::splat(2.1e7), Vec2::splat(-1.6e3));
        }
    };
    let lines = lines_of(move |app: &mut App| {
        complete(app);
        app.add_systems(FixedUpdate, far.in_set(ServerSystems::Input));
    });
    assert_eq!(lines, [""; 0]);
}

type Pose = (Vec2, Vec2, f32);

#[test]
fn a_removed_position_is_named_once_with_its_entity() {
    let tear = |bodies: Query<Entity, (With<Hull>, With<Position>)>, mut commands: Commands| {
        bodies.iter().for_each(|body| {
            commands.entity(body).remove::<Position>();
        });
    };
    only_line(
        move |app: &mut App| {
            complete(app);
            app.add_systems(Startup, scatter)
                .add_systems(FixedUpdate, tear.in_set(ServerSystems::Input));
        },
        &["no `Position` any more", "entity=#", "`Disabled`"],
    );
    // A despawned entity and one that is replicated no more have lost theirs, too.
    let end = |bodies: Query<Entity, With<Hull>>, mut commands: Commands| {
        for (n, body) in bodies.iter().enumerate() {
            match n % 2 {
                0 => commands.entity(body).despawn(),
                _ => drop(commands.entity(body).remove::<(Replicated, Position, Hull)>()),
            }
        }
    };
    let lines = LogCapture::lines_of("", || {
        let mut game = LocalGame::new(move |app: &mut App| {
            app.add_plugins(protocol)
                .add_systems(Startup, scatter)
                .add_systems(FixedUpdate, end.in_set(ServerSystems::Input));
        });
        game.run(20);
    });
    assert_eq!(lines, [""; 0]);
}

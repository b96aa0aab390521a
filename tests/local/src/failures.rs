//! Failed commands and systems of clients: they are logged, and the client goes on.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bevy_app::{App, FixedMain, FixedUpdate, Update};
use bevy_ecs::error::{BevyError, ErrorContext};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::SingleThreadedExecutor;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_server::prelude::*;

use super::log::LogCapture;
use super::*;

#[derive(Component)]
struct Flare;

#[derive(Serialize, Deserialize)]
struct Never;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Lever(i8);
impl PlayerInput for Lever {}

#[derive(Resource)]
struct Absent;

/// Number of times that the last system of a frame ran.
#[derive(Resource, Default)]
struct FrameCount(u32);

/// Adds systems and an observer that fail in every frame, and one after them that counts frames.
fn failing(app: &mut App) {
    let command = |mut commands: Commands| {
        let gone = commands.spawn_empty().id();
        commands.entity(gone).despawn();
        commands.entity(gone).insert(Flare);
        commands.entity(Entity::PLACEHOLDER).insert(Flare);
    };
    let parameter = |_: Res<Absent>| {};
    let result = || -> Result { Err("on purpose".into()) };
    let count = |mut frames: ResMut<FrameCount>| frames.0 += 1;
    app.init_resource::<FrameCount>()
        .add_observer(|_: On<Add, Flare>| -> Result { Err("on purpose".into()) })
        .add_systems(Update, (command, parameter, result, spawn, count).chain());
}

fn spawn(mut commands: Commands) {
    commands.spawn(Flare);
}

fn server(app: &mut App) {
    app.add_systems(FixedUpdate, spawn.in_set(ServerSystems::Simulate));
}

#[test]
fn a_client_outlives_failed_commands_systems_and_observers() {
    let mut game = LocalGame::new(server);
    let ada = game.join("Ada", failing);
    game.run(20);
    assert!(game.world(ada).resource::<FrameCount>().0 > 20);
    assert_eq!(game.client(ada).ended(), None);
}

#[test]
fn single_player_outlives_failed_commands_systems_and_observers() {
    let mut app = App::new();
    app.add_plugins((failing, SinglePlayerPlugin::default()));
    app.finish();
    for _ in 0..5 {
        app.world_mut().run_schedule(Update);
        app.world_mut().run_schedule(FixedMain);
    }
    assert_eq!(app.world().resource::<FrameCount>().0, 5);
}

#[test]
fn an_error_handler_of_the_game_is_kept_in_either_order() {
    static FAILURES: AtomicU32 = AtomicU32::new(0);
    fn note(_: BevyError, _: ErrorContext) {
        FAILURES.fetch_add(1, Relaxed);
    }
    let before = |app: &mut App| {
        app.set_error_handler(note).add_plugins(failing);
    };
    let mut game = LocalGame::new(server);
    game.join("Ada", before);
    game.run(1);
    let first = FAILURES.load(Relaxed);
    assert!(first > 0);
    let mut app = App::new();
    app.add_plugins((failing, SinglePlayerPlugin::default()))
        .set_error_handler(note);
    app.finish();
    app.world_mut().run_schedule(Update);
    assert!(FAILURES.load(Relaxed) > first);
}

#[test]
fn a_system_that_reads_an_unregistered_type_is_named_with_the_line_to_write() {
    fn listen(mut messages: MessageReader<FromServer<Never>>) {
        messages.read().for_each(drop);
    }
    fn hear(mut messages: MessageReader<FromPlayer<Never>>) {
        messages.read().for_each(drop);
    }
    fn predict(_: Res<PredictedInput<Lever>>) {}
    let client = |app: &mut App| {
        app.add_systems(Update, (listen, predict))
            // The log is that of this thread.
            .edit_schedule(Update, |schedule| {
                schedule.set_executor(SingleThreadedExecutor::new());
            });
    };
    let lines = LogCapture::lines_of("", || {
        let mut game = LocalGame::new(|app: &mut App| {
            app.add_systems(FixedUpdate, hear.in_set(ServerSystems::Simulate));
        });
        game.join("Ada", client);
        game.run(1);
    });
    for part in [
        "`app.message_to_clients::<throng_local::failures::Never>(..)`",
        "`app.message_to_server::<throng_local::failures::Never>(..)`",
        "`app.predict_by::<throng_local::failures::Lever>()`",
    ] {
        let first = lines.iter().find(|line| line.contains(part));
        let first = first.unwrap_or_else(|| panic!("{part} is missing: {lines:#?}"));
        assert!(!first.contains("by now") && !first.contains('\n'), "{first}");
    }
}

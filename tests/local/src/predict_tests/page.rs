//! The game of the page on clients, `docs/client.md`: a test compares this file with the page.

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_client::predict::{POSITION_SMOOTHING, PredictAppExt, PredictTick, PredictedInput, Present};
use throng_client::schedule::ClientSystems;
use throng_client::world::{NextInput, Own};
use throng_server::prelude::*;

use crate::fixtures::{between, welcome};

// The page begins here.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Push(i8);
impl PlayerInput for Push {}

/// The protocol, in a plugin that both ends add.
fn protocol(app: &mut App) {
    app.input::<Push>();
    app.predicted::<Position>();
}

/// One tick of a walk, which both ends run.
fn step(position: &mut Position, push: &Push) {
    position.0.x += f32::from(push.0) * 0.1;
}

/// The client's prediction: the step, on the player's own entity.
fn walk(mut own: Query<&mut Present<Position>, With<Own>>, push: Res<PredictedInput<Push>>) {
    own.iter_mut()
        .for_each(|mut position| step(&mut position.0, &push.0));
}

/// The player's controls; sent for every tick until they are replaced.
fn read_controls(protocol: Res<Protocol>, mut next: ResMut<NextInput>) -> Result {
    next.set(&protocol, &Push(1))?;
    Ok(())
}
// The page ends here.

// The page's system of the server begins here.
fn steer(players: Query<(&Avatar, &ActiveInput<Push>)>, mut positions: Query<&mut Position>) {
    for (avatar, push) in &players {
        if let Ok(mut position) = positions.get_mut(avatar.0) {
            step(&mut position, &push.input);
        }
    }
}
// The page's system of the server ends here.

/// The server of the page's game, with a protocol that lists the position as predicted or does not.
pub(super) fn server(is_listed: bool) -> impl Fn(&mut App) + Send + Sync + 'static {
    move |app| {
        register(app, is_listed);
        app.add_systems(
            FixedUpdate,
            (welcome, steer).chain().in_set(ServerSystems::Simulate),
        );
    }
}

/// The client of the page's game.
pub(super) fn client(is_listed: bool) -> impl Fn(&mut App) + Send + Sync + 'static {
    use bevy_app::PreUpdate;
    move |app| {
        register(app, is_listed);
        app.predict_by::<Push>()
            .predict_shown::<Position>(POSITION_SMOOTHING)
            .add_systems(PredictTick, walk)
            .add_systems(PreUpdate, read_controls.in_set(ClientSystems::Input));
    }
}

/// A client whose step writes the server's value in the place of the predicted one.
pub(super) fn client_that_writes_the_mirror(app: &mut App) {
    use bevy_app::PreUpdate;
    let walk = |mut own: Query<&mut Position, With<Own>>, push: Res<PredictedInput<Push>>| {
        own.iter_mut()
            .for_each(|mut position| step(&mut position, &push.0));
    };
    app.add_plugins(protocol)
        .predict_by::<Push>()
        .predict_shown::<Position>(POSITION_SMOOTHING)
        .add_systems(PredictTick, walk)
        .add_systems(PreUpdate, read_controls.in_set(ClientSystems::Input));
}

fn register(app: &mut App, is_listed: bool) {
    if is_listed {
        app.add_plugins(protocol);
    } else {
        app.input::<Push>();
    }
}

#[test]
fn the_page_shows_the_step_that_the_test_runs() {
    let page = include_str!("../../../../docs/client.md");
    let file = include_str!("page.rs");
    let client = between(file, "// The page begins here.\n", "// The page ends here.");
    assert!(page.contains(client), "docs/client.md does not show\n{client}");
    let server = between(
        file,
        "// The page's system of the server begins here.\n",
        "// The page's system of the server ends here.",
    );
    assert!(page.contains(server), "docs/client.md does not show\n{server}");
}

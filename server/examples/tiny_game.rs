//! A complete game: players pick up coins. Run it as a server, with `-- play Ada` as a client, or with `-- bots` as many.

use std::time::Duration;

use bevy_app::{ScheduleRunnerPlugin, TerminalCtrlCHandlerPlugin, prelude::*};
use bevy_ecs::prelude::*;
use glam::Vec2;
use serde::{Deserialize, Serialize};
use throng_client::prelude::*;
use throng_server::prelude::*;

#[derive(Component, Clone, Serialize, Deserialize)]
struct Coin;
#[derive(Component, Clone, Default, Serialize, Deserialize)]
struct Purse(u32);
#[derive(Clone, Default, Serialize, Deserialize)]
struct Stick(i8, i8);
impl PlayerInput for Stick {}
#[derive(Serialize, Deserialize)]
struct Clink;

fn protocol(app: &mut App) {
    app.replicate::<Coin>();
    app.replicate::<Purse>().visible_to(Visibility::Owner);
    app.input::<Stick>();
    app.message_to_clients::<Clink>(Channel::Unreliable);
}

fn server(app: &mut App) {
    let rules = (welcome, steer, collect).chain();
    app.add_plugins(protocol)
        .add_systems(Startup, scatter)
        .add_systems(FixedUpdate, rules.in_set(ServerSystems::Simulate));
}

fn scatter(mut commands: Commands) {
    for n in 0..100 {
        let place = Vec2::new((n % 10) as f32, (n / 10) as f32) * 10.0 - 45.0;
        commands.spawn((Replicated::default(), Coin, Position(place)));
    }
}

fn welcome(mut joined: MessageReader<PlayerJoined>, mut commands: Commands) {
    for &PlayerJoined { entity, player } in joined.read() {
        let body = (Replicated::default(), Position(Vec2::splat(-40.0)));
        let avatar = commands.spawn((body, Purse::default(), Owner(player.id), ChildOf(entity)));
        let avatar = Avatar(avatar.id());
        commands.entity(entity).insert((avatar, Viewer { radius: 40.0 }));
    }
}

fn steer(
    players: Query<(&Avatar, &ActiveInput<Stick>)>,
    mut places: Query<&mut Position>,
    time: Res<TickTime>,
) {
    let reach = 10.0 * time.length.as_secs_f32();
    for (avatar, ActiveInput { input: stick, .. }) in &players {
        let Ok(mut place) = places.get_mut(avatar.0) else {
            continue;
        };
        let step = Vec2::new(stick.0.into(), stick.1.into()) * 0.05;
        place.0 += step.clamp_length_max(reach);
    }
}

fn collect(
    coins: Query<(Entity, &Position), With<Coin>>,
    mut purses: Query<&mut Purse>,
    (mut nearby, mut tell, mut commands): (Nearby, Tell, Commands),
) -> Result {
    for (coin, place) in &coins {
        let mut near = nearby.within(place.0, 1.0);
        if let Some(finder) = near.find(|near| purses.contains(near.entity)) {
            purses.get_mut(finder.entity)?.0 += 1;
            commands.entity(coin).despawn();
            tell.in_sight(place.0, &Clink)?;
        }
    }
    Ok(())
}

fn client(app: &mut App) {
    app.add_plugins(bot).add_systems(Update, listen);
}

fn bot(app: &mut App) {
    app.add_plugins(protocol).add_systems(Update, seek);
}

fn seek(
    own: Query<&Position, With<Own>>,
    coins: Query<&Position, With<Coin>>,
    (protocol, mut next): (Res<Protocol>, ResMut<NextInput>),
) -> Result {
    let Ok(own) = own.single() else { return Ok(()) };
    let ways = coins.iter().map(|coin| coin.0 - own.0);
    let westernmost = ways.min_by(|a, b| (a.x * 16.0 + a.y).total_cmp(&(b.x * 16.0 + b.y)));
    let way = westernmost.unwrap_or_default().clamp_length_max(0.5) * 20.0;
    Ok(next.set(&protocol, &Stick(way.x as i8, way.y as i8))?)
}

fn listen(
    purse: Query<&Purse, Changed<Purse>>,
    mut clinks: MessageReader<FromServer<Clink>>,
    mut events: MessageReader<ConnectionEvent>,
    mut exit: MessageWriter<AppExit>,
) {
    clinks.read().for_each(|_| eprintln!("clink!"));
    purse.iter().for_each(|purse| eprintln!("{} coins", purse.0));
    for event in events.read() {
        event.in_words().inspect(|words| eprintln!("{words}"));
        if event.is_given_up() {
            exit.write(AppExit::error());
        }
    }
}

fn main() -> AppExit {
    let mut words = std::env::args().skip(1);
    let name = match words.next().as_deref() {
        Some("play") => words.next().unwrap_or_else(|| "Ada".to_owned()),
        Some("bots") => return bots(bot, 50).main(words),
        _ => return serve(server),
    };
    let settings = ClientSettings::new("127.0.0.1:8080", &name);
    let frames = ScheduleRunnerPlugin::run_loop(Duration::from_millis(16));
    App::new()
        .add_plugins((frames, TerminalCtrlCHandlerPlugin))
        .add_plugins((client, ClientWorldPlugin { settings }))
        .run()
}

#[cfg(test)]
#[path = "../tests/games/tiny_game.rs"]
mod tests;

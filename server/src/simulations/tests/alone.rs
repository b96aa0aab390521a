//! Effects and broadcasts in a single simulation are received in the same ticks as with several.

use std::num::NonZeroU32;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use bevy_ecs::system::RunSystemOnce;
use serde::{Deserialize, Serialize};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{GlobalId, PlayerId};
use throng_shared::tick::Tick;

use super::TICK;
use crate::boundary::claims::PlayerName;
use crate::boundary::link::{PeerKind, SessionKey};
use crate::input::ReceivePlugin;
use crate::persist::{load, save};
use crate::runner::{Clock, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_once};
use crate::schedule::ServerSystems;
use crate::simulation::{NewSession, Player, Replicated, SimulationPlugin, WorkerLinks, join};
use crate::simulations::{
    BroadcastReceived, EffectAppExt, EffectReceived, EffectReturned, EffectTarget, TellEntity,
};

/// An effect that carries the tick in which it was sent.
#[derive(Serialize, Deserialize)]
struct Nudge(u32);

/// The nudges by outcome, each as its target, the tick in which it was sent, and the tick in which this happened.
#[derive(Resource, Default)]
struct ReceivedNudges(Vec<(&'static str, u32, u32)>);

/// Sends nudges to the entity, to the player, to an entity and a player that do not exist, and to all simulations.
fn nudge(
    replicated: Query<&Replicated>,
    players: Query<&Player>,
    time: Res<TickTime>,
    mut tell: TellEntity,
) -> Result {
    if time.tick <= Tick(3) {
        let nudge = Nudge(time.tick.0);
        tell.entity(replicated.single()?.global(), &nudge)?;
        tell.entity(GlobalId(77), &nudge)?;
        tell.player(players.single()?.id, &nudge)?;
        tell.player(PlayerId(77), &nudge)?;
        tell.all_simulations(&nudge)?;
    }
    Ok(())
}

fn record_nudges(
    mut received: MessageReader<EffectReceived<Nudge>>,
    mut returned: MessageReader<EffectReturned<Nudge>>,
    mut message: MessageReader<BroadcastReceived<Nudge>>,
    players: Query<(), With<Player>>,
    time: Res<TickTime>,
    mut log: ResMut<ReceivedNudges>,
) {
    let now = time.tick.0;
    let received = received.read().map(|nudge| {
        let is_player = players.contains(nudge.entity);
        let by = if is_player {
            "received by the player"
        } else {
            "received by the entity"
        };
        (by, nudge.effect.0, now)
    });
    let returned = returned.read().map(|nudge| {
        let target = match nudge.target {
            EffectTarget::Entity(GlobalId(77)) => "returned from the entity",
            EffectTarget::Player(PlayerId(77)) => "returned from the player",
            _ => "returned from an existing target",
        };
        (target, nudge.effect.0, now)
    });
    let message = message.read().map(|nudge| ("broadcast", nudge.message.0, now));
    log.0.extend(received.chain(returned).chain(message));
}

fn app() -> App {
    app_with(|_| {})
}

/// Returns an app in which `register` has registered effects before [`Nudge`].
fn app_with(register: fn(&mut App)) -> App {
    let mut app = App::new();
    app.add_plugins((
        RunnerPlugin {
            tick_rate_hz: NonZeroU32::new(20).unwrap(),
            clock: Clock::default(),
            shutdown: Shutdown::default(),
        },
        ReceivePlugin,
        SimulationPlugin::default(),
    ));
    register(&mut app);
    app.insert_resource(WorkerLinks::new(Vec::new()))
        .init_resource::<ReceivedNudges>()
        .effect::<Nudge>()
        .add_systems(
            FixedUpdate,
            (record_nudges, nudge).chain().in_set(ServerSystems::Simulate),
        );
    finish_plugins(&mut app);
    app
}

/// Adds an entity and a player.
fn populate(app: &mut App) {
    let session = SessionId {
        index: 0,
        generation: 0,
    };
    let key = SessionKey { worker: 0, session };
    app.world_mut().spawn(Replicated::default());
    let session = NewSession {
        key,
        client_id: 1,
        number: 1,
        name: PlayerName::default(),
        kind: PeerKind::Throng,
    };
    join(app.world_mut(), &session);
}

/// Returns what is expected of the nudges that were sent in `ticks`.
fn expected(ticks: impl Iterator<Item = u32>) -> Vec<(&'static str, u32, u32)> {
    let of_tick = |tick| {
        [
            ("received by the entity", tick, tick + 1),
            ("received by the player", tick, tick + 1),
            ("returned from the entity", tick, tick + 2),
            ("returned from the player", tick, tick + 2),
            ("broadcast", tick, tick + 1),
        ]
    };
    let mut expected: Vec<_> = ticks.flat_map(of_tick).collect();
    expected.sort_unstable();
    expected
}

fn log(app: &App) -> Vec<(&'static str, u32, u32)> {
    let mut found = app.world().resource::<ReceivedNudges>().0.clone();
    found.sort_unstable();
    found
}

#[test]
fn a_single_simulation_applies_effects_in_the_next_tick_and_returns_unapplied_ones_after_it() {
    let mut app = app();
    populate(&mut app);
    (1..=6).for_each(|tick| tick_once(&mut app, TICK * tick));
    assert_eq!(log(&app), expected(1..=3));
}

#[test]
fn effects_sent_before_the_first_tick_are_received_in_it() {
    let mut app = app();
    populate(&mut app);
    app.world_mut().run_system_once::<_, (), _>(nudge).unwrap();
    (1..=2).for_each(|tick| tick_once(&mut app, TICK * tick));
    let early: Vec<_> = log(&app).into_iter().filter(|&(_, sent, _)| sent == 0).collect();
    assert_eq!(early, expected(0..=0));
}

#[test]
fn a_checkpoint_holds_the_effects_in_transit() {
    let mut first = app();
    populate(&mut first);
    (1..=3).for_each(|tick| tick_once(&mut first, TICK * tick));
    let bytes = save(first.world_mut()).unwrap();
    // The other build registers its effects in another order.
    let mut second = app_with(|app| _ = app.effect::<u8>());
    load(&mut second, &bytes).unwrap();
    (4..=6).for_each(|tick| tick_once(&mut second, TICK * tick));
    // In the checkpoint, the nudges of tick 3 are not received yet, and the lost ones of tick 2 are not returned.
    let since = expected(1..=3)
        .into_iter()
        .filter(|&(_, _, received)| received > 3);
    assert_eq!(log(&second), since.collect::<Vec<_>>());
}

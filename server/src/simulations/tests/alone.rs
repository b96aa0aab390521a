//! Effects and broadcasts in a single simulation are received in the same ticks as with several.

use std::num::NonZeroU32;

use bevy_app::{App, FixedUpdate};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::tick::Tick;

use super::TICK;
use crate::input::ReceivePlugin;
use crate::runner::{Clock, RunnerPlugin, Shutdown, TickTime, finish_plugins, tick_once};
use crate::schedule::ServerSystems;
use crate::simulation::{Replicated, SimulationPlugin, WorkerLinks};
use crate::simulations::{BroadcastReceived, EffectAppExt, EffectReceived, EffectReturned, TellEntity};

/// An effect that carries the tick in which it was sent.
#[derive(Serialize, Deserialize)]
struct Nudge(u32);

#[derive(Resource, Default)]
struct ReceivedNudges(Vec<(&'static str, u32, u32)>);

fn nudge(replicated: Query<&Replicated>, time: Res<TickTime>, mut tell: TellEntity) -> Result {
    if time.tick <= Tick(3) {
        let target = replicated.single()?.global();
        tell.entity(target, &Nudge(time.tick.0))?;
        tell.entity(GlobalId(77), &Nudge(time.tick.0))?;
        tell.all_simulations(&Nudge(time.tick.0))?;
    }
    Ok(())
}

fn record_nudges(
    mut received: MessageReader<EffectReceived<Nudge>>,
    mut returned: MessageReader<EffectReturned<Nudge>>,
    mut message: MessageReader<BroadcastReceived<Nudge>>,
    time: Res<TickTime>,
    mut log: ResMut<ReceivedNudges>,
) {
    let now = time.tick.0;
    let received = received.read().map(|nudge| ("received", nudge.effect.0, now));
    let returned = returned.read().map(|nudge| ("returned", nudge.effect.0, now));
    let message = message.read().map(|nudge| ("broadcast", nudge.message.0, now));
    log.0.extend(received.chain(returned).chain(message));
}

#[test]
fn a_single_simulation_applies_effects_in_the_next_tick_and_returns_unapplied_ones_after_it() {
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
    app.insert_resource(WorkerLinks::new(Vec::new()))
        .init_resource::<ReceivedNudges>()
        .effect::<Nudge>()
        .add_systems(
            FixedUpdate,
            (record_nudges, nudge).chain().in_set(ServerSystems::Simulate),
        );
    finish_plugins(&mut app);
    app.world_mut().spawn(Replicated::default());
    (1..=6).for_each(|tick| tick_once(&mut app, TICK * tick));
    let mut expected = Vec::new();
    for tick in 1..=3 {
        expected.push(("received", tick, tick + 1));
        expected.push(("returned", tick, tick + 2));
        expected.push(("broadcast", tick, tick + 1));
    }
    let mut found = app.world().resource::<ReceivedNudges>().0.clone();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
